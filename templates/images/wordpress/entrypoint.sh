#!/bin/bash
# The contract of the official image: for a web server, an empty folder gets WordPress, and a configuration that reads the
# variables WORDPRESS_… if one of them is set. One thing is done better: a copy that was cut short is done again.
set -eo pipefail

case "$1" in
    apache2* | php-fpm) ;;
    *) exec "$@" ;;
esac
trap 'exit 143' TERM WINCH

source=/usr/src/wordpress
user=$(id -u) group=$(id -g)
if [[ "$user" == 0 ]]; then
    # Apache takes `#1000` for a number.
    user=${APACHE_RUN_USER:-www-data} group=${APACHE_RUN_GROUP:-www-data}
    user=${user#\#} group=${group#\#}
    # A folder that the engine made for a mount.
    [[ "$(stat -c %u:%g .)" != 0:0 || -e index.php ]] || chown "$user:$group" .
fi

# What is copied. Only root may set the mode of a folder that is somebody else's; others make the folders that are not there.
list() {
    if [[ "$(id -u)" == 0 ]]; then
        printf '.\0'
    else
        (cd "$source" && find . ! -type d -print0)
    fi
}

# As long as this file is there, the copy is not complete. It lists what was there before and is kept.
copying=.wordpress-copying
if [[ -e "$copying" || (! -e index.php && ! -e wp-includes/version.php) ]]; then
    echo >&2 "WordPress not found in $PWD - copying now..."
    if [[ ! -e "$copying" ]]; then
        for path in "$source/.htaccess" "$source"/wp-content/*/*/; do
            path=${path%/} path=.${path#"$source"}
            [[ ! -e "$path" ]] || echo "$path"
        done >"$copying.new"
        [[ ! -s "$copying.new" ]] || sed >&2 "s|.*|WARNING: '&' exists! (not copying the WordPress version)|" "$copying.new"
        mv "$copying.new" "$copying"
    fi
    list | tar --create --directory "$source" --owner "$user" --group "$group" --anchored --no-wildcards \
        --exclude-from "$PWD/$copying" --null --files-from - | tar --extract
    # It counts when it is on the disk. The server need not wait for that.
    (sync --file-system . && rm "$copying") &
    echo >&2 "Complete! WordPress has been successfully copied to $PWD"
fi

variables=("${!WORDPRESS_@}")
if [[ ! -s wp-config.php && ${#variables[@]} -gt 0 ]]; then
    echo >&2 "No 'wp-config.php' found in $PWD, but 'WORDPRESS_...' variables supplied; making one (${variables[*]})"
    template=wp-config-docker.php
    [[ -s "$template" ]] || template="$source/wp-config-docker.php"
    while IFS= read -r line || [[ -n "$line" ]]; do
        [[ "$line" != *'put your unique phrase here'* ]] ||
            line=${line/put your unique phrase here/$(head -c 48 /dev/urandom | base64)}
        printf '%s\n' "$line"
    done <"$template" >wp-config-new.php
    [[ "$(id -u)" != 0 ]] || chown "$user:$group" wp-config-new.php
    mv wp-config-new.php wp-config.php
fi

exec "$@"
