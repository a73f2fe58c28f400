#!/bin/sh
# Installs docker-registry 0.9.1 from PyPI into /usr/local, on a Debian that still has Python 2.7 (bullseye is the last). What is
# given is passed on to pip.
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"

export DEBIAN_FRONTEND=noninteractive
apt-get -qq update
apt-get -qq install -y --no-install-recommends -o Dpkg::Use-Pty=0 \
    python2.7-dev gcc libc6-dev swig libssl-dev liblzma-dev python3-pip adduser ca-certificates
# Whose process it is, and whose its files are.
getent passwd docker-registry >/dev/null ||
    adduser --quiet --system --group --no-create-home --home /var/lib/docker-registry docker-registry

export PIP_CERT=/etc/ssl/certs/ca-certificates.crt PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
export PIP_NO_PYTHON_VERSION_WARNING=1 PIP_NO_WARN_SCRIPT_LOCATION=1
# Debian has no pip for Python 2.7: that of Python 3 fetches the last one, which installs itself and goes again.
pip3 -q download --python-version 2.7 --only-binary=:all: pip==20.3.4 setuptools==44.1.1 wheel==0.37.1
python2.7 "$(echo pip-*.whl)/pip" -q install --no-index --find-links . --target "$work/pip" pip setuptools wheel
# SWIG does not know where Debian keeps the headers of OpenSSL.
SWIG_FEATURES="-I/usr/include/$(gcc -print-multiarch)"
export SWIG_FEATURES PYTHONPATH="$work/pip"
python2.7 -m pip -q install --no-deps --ignore-installed "$@" -r "$here/requirements.txt"
