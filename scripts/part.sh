#!/bin/bash
# Usage: scripts/part.sh garage|moto|docker28
# Prints the folder of a part that tests and measurements use, and makes it first where it is missing. It is outside of the
# clone and named by a digest of its recipe below, so that every clone on this machine finds it made.
set -euo pipefail

garage() {
    cargo install garage --version 2.5.0 --locked --quiet --debug --no-default-features --features bundled-libs,sqlite \
        --root "$1" --target-dir "$1/build"
    rm -rf "$1/build"
}

moto() {
    python3 -m venv "$1"
    "$1/bin/pip" install --quiet 'moto[server]==5.2.*' 'awscli==1.*'
}

# Unpacked only: its programs run on the C library of this host, and this host's runc serves.
docker28() {
    mmdebstrap --quiet --variant=extract --include=docker.io,docker-cli,containerd \
        --aptopt='Acquire::Check-Valid-Until "false"' sid "$1.all"
    mkdir -p "$1/usr/bin"
    cp -L "$1.all/usr/bin/"{containerd,containerd-shim-runc-v2,docker,docker-init} "$1.all/usr/sbin/"{dockerd,docker-proxy} "$1/usr/bin/"
    rm -rf "$1.all"
}

part=$1
cd /
recipe="$(declare -f "$part") $(uname -m) $(case $part in moto) readlink -f "$(command -v python3)"; python3 --version ;; esac)"
parts=${XDG_CACHE_HOME:-$HOME/.cache}/provision-parts
folder=$parts/$part-$(printf %s "$recipe" | sha256sum | cut -c1-12)
if ! [ -e "$folder/.made" ]; then
    mkdir -p "$parts"
    exec 9>"$folder.lock"
    flock 9
    if ! [ -e "$folder/.made" ]; then
        echo "making $folder" >&2
        rm -rf "$folder"
        # What a recipe says is no part of the answer.
        "$part" "$folder" >&2 9>&-
        touch "$folder/.made"
    fi
fi
echo "$folder"
