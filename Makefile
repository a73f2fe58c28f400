# `make` tells what there is. Everything runs on Debian 12 and newer as root, or as a user who may use sudo and Docker.

CARGO    ?= cargo
PROVISION = target/release/provision
# To build it; to test, show and measure it.
PACKAGES  = gcc pkg-config libssl-dev \
            mmdebstrap skopeo podman age curl jq openssl hyperfine mkcert time python3 python3-venv python3-yaml python3-aiosmtpd make \
            chromium chromium-driver libnss3-tools iproute2 faketime tinyproxy-bin rootlesskit slirp4netns uidmap zsh fish
.DEFAULT_GOAL := help
.PHONY: help setup parts build dist demo test soak ceph engines fuzz reference docs check lint advisories bench

help: ## Tell what there is
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 14

setup: ## Install what is missing from Debian's packages
	@missing=; for package in $(PACKAGES); do \
	    dpkg-query --show --showformat '$${db:Status-Status}' $$package 2>/dev/null | grep -qx installed || missing="$$missing $$package"; \
	done; \
	if [ -n "$$missing" ]; then \
	    sudo=; [ "$$(id -u)" = 0 ] || sudo=sudo; \
	    echo "installing$$missing"; \
	    $$sudo apt-get -qq update && \
	    $$sudo env DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends $$missing; \
	fi
	@command -v $(CARGO) >/dev/null || \
	    { echo "error: there is no cargo; hint: install Rust 1.95 or newer from https://rustup.rs" >&2; exit 1; }
	@command -v docker >/dev/null || \
	    { echo "error: there is no docker; hint: sudo apt-get install docker.io" >&2; exit 1; }
	@docker version >/dev/null 2>&1 || \
	    { echo "error: no Docker engine answers; hint: sudo systemctl start docker, and be in the group docker" >&2; exit 1; }

parts: setup ## Make the stores like S3 that tests use, once for all clones on this machine
	@scripts/part.sh garage
	@scripts/part.sh moto

build: ## Build target/release/provision
	$(CARGO) build --release --locked

dist: ## Build target/dist/provision, a third smaller, for shipping (minutes)
	$(CARGO) build --profile dist --locked

demo: setup build ## Set up a registry on port 5000 and use it as a client (PORT=5001 for another port)
	scripts/demo.sh

# One profile, so that dependencies are built once.
test: setup parts ## Run every test, against the real engine
	$(CARGO) test --release --locked -- --test-threads=2

soak: setup parts ## Run what repeats for long: kills at every request, and all that the normal tests do in a short form
	$(CARGO) test --release --locked --test cli --test live -- --ignored --test-threads=1

ceph: setup parts ## Run a registry on a real Ceph, from its first run to its end
	scripts/ceph.sh
	$(CARGO) test --release --locked --test live -- --ignored ceph

engines: setup parts ## Run everything on each engine that people have: 20.10, 28.5, both image stores, other settings
	@scripts/part.sh docker28 >/dev/null
	$(CARGO) test --release --locked --test live -- --ignored engines_that_people_have --nocapture

fuzz: setup ## Give mutated inputs to every parser, each for a minute (FUZZ_SECONDS=600 for longer)
	FUZZ_SECONDS=$(or $(FUZZ_SECONDS),60) $(CARGO) test --release --locked --test cli -- fuzz:: --test-threads=2 --nocapture

reference: ## Write docs/reference/ anew, from what the binary says of itself
	UPDATE_REFERENCE=1 $(CARGO) test --release --locked --test cli -- reference::

docs: ## Build the documentation as a book, in target/book
	@command -v mdbook >/dev/null || $(CARGO) install --locked mdbook
	mdbook build docs

# cargo fmt skips modules that are declared inside a macro: the files are named.
check: ## Check the format, and the licences of all crates
	rustfmt --check $$(find src tests -name '*.rs')
	scripts/licences.py

lint: check ## The same with clippy, and with cargo-deny: licence files, bans and sources
	$(CARGO) clippy --release --locked --all-targets -- -D warnings
	@command -v cargo-deny >/dev/null || $(CARGO) install --locked cargo-deny
	$(CARGO) deny --locked --log-level error check bans licenses sources

advisories: ## Check dependencies for known vulnerabilities (fetches the database)
	$(CARGO) deny --locked check advisories

bench: setup parts build ## Measure it beside Docker Compose, the bare API and mkcert
	bench/run.py
