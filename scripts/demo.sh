#!/bin/bash
# Sets up a registry with one command, then uses it as real clients do. Arguments go to `provision registry`.
# The registry stays; nothing of the user's own configuration is changed, and the rest is removed.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

port=${PORT:-5000}
host=localhost:$port
image=$host/demo:hello
work=$(mktemp -d)
# Where clients keep what they logged in with: not in the user's own files.
export DOCKER_CONFIG=$work/docker REGISTRY_AUTH_FILE=$work/auth.json
# DOCKER_CONFIG hides the user's Docker context, so the engine is named as provision finds it.
if [ -z "${DOCKER_HOST:-}" ] && [ ! -S /var/run/docker.sock ] && [ -S "${XDG_RUNTIME_DIR:-}/docker.sock" ]; then
    export DOCKER_HOST=unix://$XDG_RUNTIME_DIR/docker.sock
fi
export PATH=$PWD/target/release:$PATH

clean() {
    docker rmi --force "$image" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

say() { printf '\n\033[1m%s\033[0m\n' "$*"; }
# Prints a command, then runs it.
show() {
    printf '\n$ %s\n' "$*"
    eval "$*"
}
# The same for a command that warns of what does not matter here; its warnings are shown if it fails.
quietly() {
    printf '\n$ %s\n' "$*"
    eval "$*" 2>"$work/warnings" || { cat "$work/warnings" >&2; exit 1; }
}
# Ends the demo if an answer is not the expected one.
expect() {
    local wanted=$1 found
    shift
    printf '\n$ %s\n' "$*"
    found=$(eval "$*")
    echo "$found"
    [[ $found == *"$wanted"* ]] || { echo "error: expected $wanted" >&2; exit 1; }
}

say "One command: a private registry with TLS and a password"
show provision registry --port "$port" "$@"

say "Docker logs in, pushes and pulls"
quietly "$(provision output registry login)"
mkdir "$work/context"
date >"$work/context/hello.txt"
printf 'FROM scratch\nCOPY hello.txt /\nCMD ["/hello.txt"]\n' >"$work/context/Dockerfile"
quietly DOCKER_BUILDKIT=0 docker build --quiet --tag "$image" "$work/context"
show docker push "$image"
show docker rmi "$image"
show docker pull "$image"

say "So does skopeo, which checks the certificate"
user=$(provision output registry user)
ca=$(provision output registry ca)
mkdir "$work/certs"
cp "$ca" "$work/certs/ca.crt"
show "provision secrets registry password | skopeo login --authfile $work/auth.json --cert-dir $work/certs --username $user --password-stdin $host"
show "skopeo inspect --authfile $work/auth.json --cert-dir $work/certs docker://$image | jq '{Name, Digest, Layers}'"
show "skopeo copy --quiet --authfile $work/auth.json --src-cert-dir $work/certs docker://$image dir:$work/copy && ls $work/copy"

say "With the password 200, without it 401, and plain HTTP is sent to HTTPS"
# The password stands in a file, not on a command line that others could see.
printf 'user = "%s:%s"\n' "$user" "$(provision secrets registry password)" >"$work/login"
chmod 600 "$work/login"
curl="curl --silent --noproxy '*' --output /dev/null"
expect 200 "$curl --write-out '%{http_code}\n' --cacert $ca --config $work/login https://$host/v2/"
expect 401 "$curl --write-out '%{http_code}\n' --cacert $ca https://$host/v2/"
expect "308 https://$host/v2/" "$curl --write-out '%{http_code} %{redirect_url}\n' http://$host/v2/"

say "The registry is running"
echo "url      $(provision output registry url)"
echo "login    $(provision output registry login)"
echo "destroy  provision destroy registry"
