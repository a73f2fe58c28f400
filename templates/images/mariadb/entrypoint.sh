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

# An option in front means mariadbd; anything else, and mariadbd that only prints something, just runs.
[[ "$1" != -* ]] || set -- mariadbd "$@"
[[ "$1" == mariadbd || "$1" == mysqld ]] || { exec "$@"; exit; }
for argument in "$@"; do
    case "$argument" in '-?' | --help | --print-defaults | -V | --version) exec "$@" ;; esac
done

# What the configuration files and the arguments come to.
ask=("$@" --verbose --help)
if ! settings=$("${ask[@]}" 2>/dev/null); then
    fail "mariadbd does not understand its configuration: $("${ask[@]}" 2>&1 >/dev/null || :)"
fi
setting() { awk -v name="$1" '/^[^ ]/ && $1 == name { sub(/^[^ ]+ +/, ""); print; exit }' <<<"$settings"; }
data=$(setting datadir)
data=${data%/}
socket=$(setting socket)
# The folder in which a new database is made, and its name from the moment it is complete.
new="$data/#init" complete="$data/#init-complete"
note "Entrypoint script for MariaDB Server $(awk '{ print $3; exit }' <<<"$settings") started."

# What no program is to have in its environment, where others can read it.
secrets=(MARIADB_PASSWORD MARIADB_ROOT_PASSWORD MYSQL_PASSWORD MYSQL_ROOT_PASSWORD)

# Root only prepares the folders, reads the files of secrets that only root may read, and steps down. They go on through a
# pipe.
folders=("$data" "${socket%/*}")
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
# Sets a variable from the one of MySQL's image, and that one too: the scripts of users may read either.
same() {
    local name="MARIADB_$1" other="MYSQL_$2"
    [[ -n "${!name}" ]] || export "$name=${!other}"
    export "$other=${!name}"
}
for variable in ROOT_HOST DATABASE USER PASSWORD ROOT_PASSWORD; do
    read_file "MARIADB_$variable"
    read_file "MYSQL_$variable"
    same $variable $variable
done
same ALLOW_EMPTY_ROOT_PASSWORD ALLOW_EMPTY_PASSWORD
same RANDOM_ROOT_PASSWORD RANDOM_ROOT_PASSWORD
same INITDB_SKIP_TZINFO INITDB_SKIP_TZINFO

if [[ -n "$ENTRYPOINT_SECRETS" ]]; then
    eval "$(cat <&"$ENTRYPOINT_SECRETS")"
    exec 9<&-
    unset ENTRYPOINT_SECRETS
fi
export -n "${secrets[@]}"
[[ "$(id -u)" != 0 ]] || step_down "$@"

check_variables() {
    local name ways=()
    for name in MARIADB_ROOT_PASSWORD MARIADB_ALLOW_EMPTY_ROOT_PASSWORD MARIADB_RANDOM_ROOT_PASSWORD; do
        [[ -z "${!name}" ]] || ways+=("$name")
    done
    case ${#ways[@]} in
        1) ;;
        0) fail "Database is uninitialized and password option is not specified
    You need to specify one of the following as an environment variable:
    - MARIADB_ROOT_PASSWORD
    - MARIADB_ALLOW_EMPTY_ROOT_PASSWORD
    - MARIADB_RANDOM_ROOT_PASSWORD" ;;
        *) fail "Only one of these can be set: ${ways[*]}" ;;
    esac
    [[ "$MARIADB_USER" != root ]] || fail "MARIADB_USER is for a regular user and cannot be root: leave it out, MARIADB_ROOT_PASSWORD is root's password"
    if [[ -n "$MARIADB_USER" && -z "$MARIADB_PASSWORD" ]]; then
        warn 'MARIADB_USER specified, but missing MARIADB_PASSWORD; MARIADB_USER will not be created'
    elif [[ -z "$MARIADB_USER" && -n "$MARIADB_PASSWORD" ]]; then
        warn 'MARIADB_PASSWORD specified, but missing MARIADB_USER; MARIADB_PASSWORD will be ignored'
    fi
    # A part of a database is not to be overwritten.
    for name in "$data"/*; do
        [[ "$name" == "$new" || "$name" == */lost+found ]] || fail "There is no database in $data, but there are files in it: ${name##*/}"
    done
}

# Nothing of an initialisation that was cut short is used, so what it writes need not reach the disk before its end.
hasty=(--innodb-flush-method=nosync --innodb-flush-log-at-trx-commit=0 --innodb-doublewrite=OFF --skip-log-bin
    --loose-innodb-buffer-pool-load-at-startup=OFF --loose-innodb-buffer-pool-dump-at-shutdown=OFF
    --default-time-zone=SYSTEM --datadir="$new")

# Why it may have failed: the server itself does not always say so.
room() {
    local free
    free=$(df --output=avail --block-size=1M "$data" | tail -1)
    [ "$free" -ge 16 ] || echo ": no space left on device, $((free)) MB free"
}

initialise() {
    local argument server arguments=()
    trap 'exit 143' TERM INT
    rm -rf "$new"
    note 'Initializing database files'
    # mariadb-install-db splits its arguments at spaces.
    for argument in "${@:2}"; do
        if [[ "$argument" == *[[:space:]]* ]]; then
            warn "Not passing '$argument' to mariadb-install-db, which does not support spaces"
        else
            arguments+=("$argument")
        fi
    done
    # What it says when all went well is the advice to do what comes next here.
    mariadb-install-db --rpm --auth-root-authentication-method=normal --skip-test-db --old-mode=UTF8_IS_UTF8MB3 \
        --enforce-storage-engine= "${arguments[@]}" "${hasty[@]}" >/dev/null &
    wait $! || fail "mariadb-install-db could not initialise the data folder$(room)"
    note 'Database files initialized'

    note 'Starting temporary server'
    rm -f "$socket"
    "$@" "${hasty[@]}" --skip-networking --wsrep-on=OFF --socket="$socket" &
    server=$!
    # Once the socket is there, a client waits until it is served.
    until [[ -S "$socket" ]]; do
        kill -0 $server 2>/dev/null || fail 'Unable to start server.'
        sleep 0.02
    done
    set_up | mariadb --no-defaults --protocol=socket --socket="$socket" --user=root --default-character-set=utf8mb4 --binary-mode mysql
    note 'Temporary server started.'
    run_files /docker-entrypoint-initdb.d/*

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
    if [[ -z "$MARIADB_INITDB_SKIP_TZINFO" ]]; then
        mariadb-tzinfo-to-sql --skip-write-binlog /usr/share/zoneinfo 2>/dev/null
    fi
    # The strings below need the backslash to be special.
    echo "SET SESSION sql_mode = '', autocommit = 1;"
    echo "DELETE FROM global_priv WHERE User = '' OR (User = 'root' AND Host <> 'localhost');"
    echo "DELETE FROM proxies_priv WHERE User = 'root' AND Host <> 'localhost';"
    echo 'FLUSH PRIVILEGES;'
    echo "ALTER USER 'root'@'localhost' IDENTIFIED BY $(string "$MARIADB_ROOT_PASSWORD");"
    if [[ "$root_host" != localhost ]]; then
        echo "CREATE USER $(user root "$root_host") IDENTIFIED BY $(string "$MARIADB_ROOT_PASSWORD");"
        echo "GRANT ALL ON *.* TO $(user root "$root_host") WITH GRANT OPTION;"
        echo "GRANT PROXY ON ''@'%' TO $(user root "$root_host") WITH GRANT OPTION;"
    fi
    if [[ -n "$MARIADB_DATABASE" ]]; then
        note "Creating database $MARIADB_DATABASE" >&2
        echo "CREATE DATABASE IF NOT EXISTS $(quoted "$MARIADB_DATABASE");"
    fi
    if [[ -n "$MARIADB_USER" && -n "$MARIADB_PASSWORD" ]]; then
        note "Creating user $MARIADB_USER" >&2
        echo "CREATE USER $(user "$MARIADB_USER" %) IDENTIFIED BY $(string "$MARIADB_PASSWORD");"
        if [[ -n "$MARIADB_DATABASE" ]]; then
            note "Giving user $MARIADB_USER access to schema $MARIADB_DATABASE" >&2
            # A grant takes a pattern.
            pattern=${MARIADB_DATABASE//\\/\\\\}
            pattern=${pattern//_/\\_}
            echo "GRANT ALL ON $(quoted "${pattern//%/\\%}").* TO $(user "$MARIADB_USER" %);"
        fi
    fi
}

# An option file with root's password.
login() {
    local text=${MARIADB_ROOT_PASSWORD//\\/\\\\}
    printf '[client]\npassword="%s"\n' "${text//\"/\\\"}"
}

# Runs the SQL on its input as root. The scripts of users call it too, and "${mysql[@]}". The password goes through a pipe: a
# command line is for all to see, and so may be an environment.
docker_process_sql() {
    [[ -z "$MARIADB_DATABASE" ]] || set -- --database="$MARIADB_DATABASE" "$@"
    mariadb --defaults-extra-file=<(login) --protocol=socket --socket="$socket" --user=root --comments "$@"
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
    root_host=${MARIADB_ROOT_HOST:-%}
    ls /docker-entrypoint-initdb.d >/dev/null
    if [[ -n "$MARIADB_RANDOM_ROOT_PASSWORD" ]]; then
        MARIADB_ROOT_PASSWORD=$(head -c 24 /dev/urandom | base64)
        MYSQL_ROOT_PASSWORD=$MARIADB_ROOT_PASSWORD
        note "GENERATED ROOT PASSWORD: $MARIADB_ROOT_PASSWORD"
    fi
    initialise "$@"
    move
    note 'MariaDB init process done. Ready for start up.'
fi
unset MARIADB_ROOT_PASSWORD MYSQL_ROOT_PASSWORD MARIADB_PASSWORD MYSQL_PASSWORD
exec "$@"
