#!/bin/sh
# The contract of the official image: an argument that ends in .yml or .yaml is a configuration to serve,
# anything else is a command.
set -e
case "$1" in
    *.yml | *.yaml) set -- registry serve "$@" ;;
    serve | garbage-collect | help | -*) set -- registry "$@" ;;
esac
exec "$@"
