#!/bin/bash
# The contract of the official image: an empty data folder is initialised as the variables say, and then the command runs.
# One thing is done better: the folder is initialised aside and moved into its place at the end, so that it can be killed
# at any moment, and the next start begins again or completes it.
set -eo pipefail
shopt -s nullglob

log() { printf '%s [%s] [Entrypoint]: %s\n' "$(date --rfc-3339=seconds)" "$1" "$2"; }
note() { log Note "$1"; }
warn() { log Warn "$1" >&2; }
fail() {
    log ERROR "$1" >&2
    exit 1
}

# An option in front means mysqld; anything else, and mysqld that only prints something, just runs.
[[ "$1" != -* ]] || set -- mysqld "$@"
[[ "$1" == mysqld ]] || { exec "$@"; exit; }
for argument in "$@"; do
    case "$argument" in '-?' | --help | --print-defaults | -V | --version) exec "$@" ;; esac
done

# What the configuration files and the arguments come to. (mysqld looks for a log of changes in the current folder.)
ask=("$@" --verbose --help --log-bin-index=/tmp/none)
if ! settings=$("${ask[@]}" 2>/dev/null); then
    fail "mysqld does not understand its configuration: $("${ask[@]}" 2>&1 >/dev/null || :)"
fi
setting() { awk -v name="$1" '/^[^ ]/ && $1 == name { sub(/^[^ ]+ +/, ""); print; exit }' <<<"$settings"; }
data=$(setting datadir)
data=${data%/}
socket=$(setting socket)
# The folder in which a new database is made, and its name from the moment it is complete. (The engine does not find its
# files below a folder whose name begins with a dot.)
new="$data/#init" complete="$data/#init-complete"
note "Entrypoint script for $(awk '{ print "MySQL Server " $3; exit }' <<<"$settings") started."

# What no program is to have in its environment, where others can read it.
secrets=(MYSQL_PASSWORD MYSQL_ROOT_PASSWORD)

# Root only prepares the folders, reads the files of secrets that only root may read, and steps down. They go on through a
# pipe.
folders=("$data" "${socket%/*}")
files=$(setting secure-file-priv)
[[ -z "$files" || "$files" == NULL ]] || folders+=("$files")
mkdir -p "${folders[@]}"
step_down() {
    find "${folders[@]}" ! -user mysql -exec chown --no-dereference mysql '{}' +
    note "Switching to dedicated user 'mysql'"
    exec 9< <(declare -p "${secrets[@]}" 2>/dev/null)
    export ENTRYPOINT_SECRETS=9
    HOME=/var/lib/mysql exec setpriv --reuid=mysql --regid=mysql --init-groups -- "$0" "$@"
}

# Sets a variable from the file that its _FILE form names. (With a database there, none of them matters.)
read_file() {
    local file="$1_FILE" value
    [[ -z "${!1}" || -z "${!file}" ]] || fail "Both $1 and $file are set (but are exclusive)"
    [[ -n "${!file}" ]] || return 0
    if [[ ! -d "$data/mysql" && ! -d "$complete" ]]; then
        [[ -r "${!file}" ]] || fail "$file names a file that cannot be read: ${!file}"
        value=$(<"${!file}")
        export "$1=$value"
    fi
    unset "$file"
}
for variable in MYSQL_ROOT_HOST MYSQL_DATABASE MYSQL_USER MYSQL_PASSWORD MYSQL_ROOT_PASSWORD; do
    read_file "$variable"
done

if [[ -n "$ENTRYPOINT_SECRETS" ]]; then
    eval "$(cat <&"$ENTRYPOINT_SECRETS")"
    exec 9<&-
    unset ENTRYPOINT_SECRETS
fi
export -n "${secrets[@]}"
[[ "$(id -u)" != 0 ]] || step_down "$@"

check_variables() {
    local name ways=()
    for name in MYSQL_ROOT_PASSWORD MYSQL_ALLOW_EMPTY_PASSWORD MYSQL_RANDOM_ROOT_PASSWORD; do
        [[ -z "${!name}" ]] || ways+=("$name")
    done
    case ${#ways[@]} in
        1) ;;
        0) fail "Database is uninitialized and password option is not specified
    You need to specify one of the following as an environment variable:
    - MYSQL_ROOT_PASSWORD
    - MYSQL_ALLOW_EMPTY_PASSWORD
    - MYSQL_RANDOM_ROOT_PASSWORD" ;;
        *) fail "Only one of these can be set: ${ways[*]}" ;;
    esac
    [[ "$MYSQL_USER" != root ]] || fail "MYSQL_USER is for a regular user and cannot be root: leave it out, MYSQL_ROOT_PASSWORD is root's password"
    if [[ -n "$MYSQL_USER" && -z "$MYSQL_PASSWORD" ]]; then
        warn 'MYSQL_USER specified, but missing MYSQL_PASSWORD; MYSQL_USER will not be created'
    elif [[ -z "$MYSQL_USER" && -n "$MYSQL_PASSWORD" ]]; then
        warn 'MYSQL_PASSWORD specified, but missing MYSQL_USER; MYSQL_PASSWORD will be ignored'
    fi
    # mysqld would not initialise such a folder either.
    for name in "$data"/*; do
        [[ "$name" == "$new" || "$name" == */lost+found ]] || fail "There is no database in $data, but there are files in it: ${name##*/}"
    done
}

# Nothing of an initialisation that was cut short is used, so what it writes need not reach the disk before its end.
hasty=(--innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF --skip-log-bin
    --default-time-zone=SYSTEM --datadir="$new")

# Why it may have failed: the server itself does not always say so.
room() {
    local free
    free=$(df --output=avail --block-size=1M "$data" | tail -1)
    [ "$free" -ge 16 ] || echo ": no space left on device, $((free)) MB free"
}

initialise() {
    trap 'exit 143' TERM INT
    rm -rf "$new"
    note 'Initializing database files'
    "$@" "${hasty[@]}" --initialize-insecure &
    wait $! || fail "mysqld could not initialise the data folder$(room)"
    note 'Database files initialized'

    note 'Starting temporary server'
    rm -f "$socket" "$socket.lock"
    "$@" "${hasty[@]}" --skip-networking --mysqlx=OFF --socket="$socket" &
    local server=$!
    # Once the socket is there, a client waits until it is served.
    until [[ -S "$socket" ]]; do
        kill -0 $server 2>/dev/null || fail 'Unable to start server.'
        sleep 0.02
    done
    set_up | mysql --no-defaults --protocol=socket --socket="$socket" --user=root --default-character-set=utf8mb4 --binary-mode mysql
    note 'Temporary server started.'
    run_files /docker-entrypoint-initdb.d/*
    [[ -z "$MYSQL_ONETIME_PASSWORD" ]] || docker_process_sql --database=mysql <<<"ALTER USER $(user root "$root_host") PASSWORD EXPIRE;"

    note 'Stopping temporary server'
    kill $server
    wait $server || fail 'Unable to shut down server.'
    note 'Temporary server stopped'
    find "$new" -exec sync '{}' +
    # From here on it is kept.
    mv -T "$new" "$complete"
}

# A string of SQL, and the name of a thing.
string() {
    local text=${1//\\/\\\\}
    printf "'%s'" "${text//\'/\'\'}"
}
# shellcheck disable=SC2016
quoted() { printf '`%s`' "${1//\`/\`\`}"; }
user() { printf '%s@%s' "$(string "$1")" "$(string "$2")"; }

# What is to be run in a new database.
set_up() {
    local pattern
    if [[ -z "$MYSQL_INITDB_SKIP_TZINFO" ]]; then
        mysql_tzinfo_to_sql /usr/share/zoneinfo 2>/dev/null
    fi
    # The strings below need the backslash to be special.
    echo "SET SESSION sql_mode = '', autocommit = 1;"
    echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(string "$MYSQL_ROOT_PASSWORD");"
    if [[ "$root_host" != localhost ]]; then
        echo "CREATE USER $(user root "$root_host") IDENTIFIED BY $(string "$MYSQL_ROOT_PASSWORD");"
        echo "GRANT ALL ON *.* TO $(user root "$root_host") WITH GRANT OPTION;"
    fi
    if [[ -n "$MYSQL_DATABASE" ]]; then
        note "Creating database $MYSQL_DATABASE" >&2
        echo "CREATE DATABASE IF NOT EXISTS $(quoted "$MYSQL_DATABASE");"
    fi
    if [[ -n "$MYSQL_USER" && -n "$MYSQL_PASSWORD" ]]; then
        note "Creating user $MYSQL_USER" >&2
        echo "CREATE USER $(user "$MYSQL_USER" %) IDENTIFIED BY $(string "$MYSQL_PASSWORD");"
        if [[ -n "$MYSQL_DATABASE" ]]; then
            note "Giving user $MYSQL_USER access to schema $MYSQL_DATABASE" >&2
            # A grant takes a pattern.
            pattern=${MYSQL_DATABASE//\\/\\\\}
            pattern=${pattern//_/\\_}
            echo "GRANT ALL ON $(quoted "${pattern//%/\\%}").* TO $(user "$MYSQL_USER" %);"
        fi
    fi
}

# An option file with root's password.
login() {
    local text=${MYSQL_ROOT_PASSWORD//\\/\\\\}
    printf '[client]\npassword="%s"\n' "${text//\"/\\\"}"
}

# Runs the SQL on its input as root. The scripts of users call it too, and "${mysql[@]}". The password goes through a pipe: a
# command line is for all to see, and so may be an environment.
docker_process_sql() {
    [[ -z "$MYSQL_DATABASE" ]] || set -- --database="$MYSQL_DATABASE" "$@"
    mysql --defaults-extra-file=<(login) --protocol=socket --socket="$socket" --user=root --comments "$@"
}
# shellcheck disable=SC2034
mysql=(docker_process_sql)

run_files() {
    local file
    for file; do
        case "$file" in
            *.sh)
                note "running $file"
                # shellcheck disable=SC1090
                if [[ -x "$file" ]]; then (export "${secrets[@]}" && exec "$file"); else . "$file"; fi
                ;;
            *.sql) note "running $file" && docker_process_sql <"$file" ;;
            *.sql.gz) note "running $file" && gunzip -c "$file" | docker_process_sql ;;
            *) warn "ignoring $file" ;;
        esac
    done
}

# Moves a complete database into its place. The folder that tells that there is one goes last.
move() {
    local entry entries=()
    shopt -s dotglob
    for entry in "$complete"/*; do
        [[ "$entry" == */mysql ]] || entries+=("$entry")
    done
    shopt -u dotglob
    ((${#entries[@]} == 0)) || mv -t "$data" "${entries[@]}"
    [[ ! -e "$complete/mysql" ]] || mv -t "$data" "$complete/mysql"
    rmdir "$complete"
    sync "$data"
}

if [[ -d "$complete" ]]; then
    move
elif [[ ! -d "$data/mysql" ]]; then
    check_variables
    root_host=${MYSQL_ROOT_HOST:-%}
    ls /docker-entrypoint-initdb.d >/dev/null
    if [[ -n "$MYSQL_RANDOM_ROOT_PASSWORD" ]]; then
        MYSQL_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
        note "GENERATED ROOT PASSWORD: $MYSQL_ROOT_PASSWORD"
    fi
    initialise "$@"
    move
    note 'MySQL init process done. Ready for start up.'
fi
unset MYSQL_ROOT_PASSWORD MYSQL_PASSWORD
exec "$@"
