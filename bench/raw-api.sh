#!/bin/sh
# Sets up registry and proxy with curl and nothing else, from the requests that raw.py wrote into the folder $1.
# Of four orders that were tried the fastest; one with a barrier after the network takes 5% longer.
set -eu
cd "$1"
curl --config volumes.curl
# Each container is created and filled while the network comes up, and started as soon as both are there.
curl --config registry.curl & registry=$!
curl --config proxy.curl & proxy=$!
curl --config network.curl
wait "$proxy"
curl --config proxy-start.curl & proxy=$!
wait "$registry"
curl --config registry-start.curl
wait "$proxy"
# Until it answers, with the password, 200.
tries=0
until curl --config poll.curl; do
    tries=$((tries + 1))
    [ "$tries" -lt 2000 ] || exit 1
    sleep 0.003
done
