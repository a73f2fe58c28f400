#!/bin/sh
# Sets up registry and proxy with curl and nothing else, from the requests that raw.py wrote into the folder $1.
set -eu
cd "$1"
# The network and both volumes at once.
curl --config prepare.curl
# Each container by itself: create, upload, start.
curl --config registry.curl & registry=$!
curl --config proxy.curl & proxy=$!
wait "$registry"
wait "$proxy"
# Until it answers, with the password, 200.
tries=0
until curl --config poll.curl 2>poll.log; do
    tries=$((tries + 1))
    if [ "$tries" -gt 1000 ]; then cat poll.log >&2; exit 1; fi
    sleep 0.003
done
