#!/bin/sh
# An argument that ends in .yml is a configuration to serve, with the variables of the file `environment` beside it;
# anything else is a command.
set -e
case "$1" in
    *.yml) ;;
    *) exec "$@" ;;
esac
export DOCKER_REGISTRY_CONFIG="$1"
environment="$(dirname "$1")/environment"
if [ -e "$environment" ]; then
    set -a
    . "$environment"
    set +a
fi
shift
# The options of the tutorials. Their variables are those of the program's own starter, which always watches its files for
# changes unless the flavor is `prod`. What follows the configuration comes last, and wins.
exec gunicorn -c /gunicorn.py --access-logfile - --error-logfile - -k gevent --max-requests 100 \
    --graceful-timeout "${GUNICORN_GRACEFUL_TIMEOUT:-3600}" -t "${GUNICORN_SILENT_TIMEOUT:-3600}" \
    -w "${GUNICORN_WORKERS:-8}" -b "${GUNICORN_BIND:-${REGISTRY_HOST:-0.0.0.0}:${REGISTRY_PORT:-5000}}" "$@" \
    docker_registry.wsgi:application
