#!/usr/bin/env -S python3 -B
"""Measures provision beside what it is compared with, in turn, and prints one table.

A goal that is missed is told, and is no failure. What was made on the engine is removed, whatever happens.
"""

import argparse
import contextlib
import os
import shutil
import signal
import statistics
import sys
import tempfile
import time
from pathlib import Path

import blog
import ci
import compose
import engine
import guess
import s3
import scale
import transfer
from measure import RUNS, Failed, Table, in_turn, median, megabytes, milliseconds, peak_memory, read, run, then
from raw import Raw

ROOT = Path(__file__).resolve().parent.parent
PREFIX = f"bench-{os.getpid()}"
NAMES = ["registry.example.com", "localhost", "127.0.0.1"]


class Registry:
    """`provision registry` under one name, with a folder of its own for all that it keeps."""

    def __init__(self, program, name, folder):
        self.program, self.name, self.home, self.port = program, name, Path(folder) / name, engine.free_port()

    def command(self):
        return [self.program, "registry", "--name", self.name, "--port", self.port, "--trust", "no", "--yes"]

    def apply(self):
        return run(*self.command(), PROVISION_HOME=self.home)

    def memory(self):
        return peak_memory(*self.command(), PROVISION_HOME=self.home)

    def destroy(self):
        run(self.program, "destroy", self.name, "--yes", PROVISION_HOME=self.home)

    def tell(self, verb, key):
        return read(self.program, verb, self.name, key, PROVISION_HOME=self.home)

    def containers(self):
        return engine.describe(f"{self.name}-registry", f"{self.name}-proxy")


def version(table, program):
    costs = in_turn(lambda: run(program, "--version"))[0]
    table.below("provision --version", median(costs, "wall"), 0.010, milliseconds)


def certificates(table, program, folder):
    work = Path(folder) / "certificates"

    def side(*command, **variables):
        work.mkdir()
        cost = run(*command, **variables)
        shutil.rmtree(work)
        return cost

    others = [word for name in NAMES[1:] for word in ("--san", name)]
    ours = [program, "certs", "--cn", NAMES[0], *others, "--out", work]
    peer = ["mkcert", "-ecdsa", "-cert-file", work / "server.crt", "-key-file", work / "server.key", *NAMES]
    costs = list(in_turn(lambda: side(*ours, PROVISION_HOME=work / "home"), lambda: side(*peer, CAROOT=work)))
    table.compare("certificates from nothing, CPU, beside mkcert", *(median(found, "cpu") for found in costs), 0.5)
    table.compare("  the same, wall", *(median(found, "wall") for found in costs))
    # What is published is verified by OpenSSL first: the least that this costs is a part that cannot be left out.
    work.mkdir()
    run(*ours, PROVISION_HOME=work / "home")
    chain = work / f"{NAMES[0]}.crt"
    verify = ["openssl", "verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", work / "ca.crt", "-untrusted", chain, chain]
    floor = in_turn(lambda: run(*verify))[0]
    table.compare("  the same, beside `openssl verify` alone", median(costs[0], "cpu"), median(floor, "cpu"))
    shutil.rmtree(work)


def second_run(table, registry, containers, folder):
    name = f"{PREFIX}-compose"
    port = engine.free_port()
    renamed = [container.renamed(registry.name, name, registry.port, port) for container in containers]
    work = Path(folder) / "compose"
    work.mkdir(mode=0o700)
    project = compose.Project(name, renamed, work, compose.obtain())
    project.first()
    check(port, registry, work)
    costs = in_turn(registry.apply, project.up)
    title = f"second run, beside Compose {project.version()}"
    table.compare(title, *(median(found, "wall") for found in costs), 0.5)
    table.compare("  the same, CPU of the client", *(median(found, "cpu") for found in costs))
    project.down()
    return median(costs[0], "wall")


def check(port, registry, folder):
    """Fails unless the peer's registry answers as ours does."""
    login = f"admin:{registry.tell('secrets', 'password')}"
    authority = registry.tell("output", "ca")
    options = ["--silent", "--show-error", "--fail", "--noproxy", "*", "--retry", "10", "--retry-all-errors"]
    url = f"https://localhost:{port}/v2/_catalog"
    run("curl", *options, "--cacert", authority, "--user", login, url, HOME=folder)


def first_run(table, program, prepared, folder):
    registry = Registry(program, f"{PREFIX}-first", folder)
    costs = in_turn(then(registry.apply, registry.destroy), then(prepared.up, prepared.down))
    table.compare("first run, beside the bare API", *(median(found, "wall") for found in costs), 1.3)
    table.compare("  the same, CPU of the client", *(median(found, "cpu") for found in costs))
    memory = [then(registry.memory, registry.destroy)() for _ in range(RUNS)]
    table.below("first run, peak memory", statistics.median(memory), 40e6, megabytes)


def prepare_raw(registry, containers, folder, number=""):
    name, port = f"{PREFIX}-raw{number}", engine.free_port()
    work = Path(folder) / f"raw{number}"
    work.mkdir(mode=0o700)
    authority = work / "ca.crt"
    shutil.copy(registry.tell("output", "ca"), authority)
    renamed = [container.renamed(registry.name, name, registry.port, port) for container in containers]
    return Raw(name, renamed, work, port, registry.tell("secrets", "password"), authority)


def jobs(table, program, folder):
    registry = Registry(program, f"{PREFIX}-ci", folder)
    registry.apply()
    containers = registry.containers()
    prepared = prepare_raw(registry, containers, folder, "-alone")
    port, name = engine.free_port(), f"{PREFIX}-ci-compose"
    work = Path(folder) / "ci-compose"
    work.mkdir(mode=0o700)
    renamed = [container.renamed(registry.name, name, registry.port, port) for container in containers]
    project = compose.Project(name, renamed, work, compose.obtain())
    crowd = [prepare_raw(registry, containers, folder, number) for number in range(ci.JOBS)]
    registry.destroy()
    ci.bench(table, program, folder, prepared, project, crowd)


def transfers(table, program, folder, only=None):
    transfer.bench(table, program, PREFIX, folder, lambda name, folder: Registry(program, name, folder), only)


def bench(program, folder):
    registry = Registry(program, PREFIX, folder)
    # Images are made or pulled now, so that no run that counts does it.
    registry.apply()
    containers = registry.containers()
    prepared = prepare_raw(registry, containers, folder)
    compose.obtain()
    table = Table()
    version(table, program)
    certificates(table, program, folder)
    local = second_run(table, registry, containers, folder)
    table.below("second run, peak memory", statistics.median(registry.memory() for _ in range(RUNS)), 40e6, megabytes)
    registry.destroy()
    first_run(table, program, prepared, folder)
    s3.bench(table, program, folder, PREFIX, local)
    jobs(table, program, folder)
    blog.bench(table, program, PREFIX, folder)
    scale.bench(table, program, folder)
    guess.bench(table, program, folder, PREFIX)
    transfers(table, program, folder)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=["blog", "ci", "guess", "migrate", "push", "scale"], help="measure this alone")
    parser.add_argument("--program", default=ROOT / "target/release/provision", type=Path, help="the provision to measure")
    arguments = parser.parse_args()
    program = arguments.program.resolve()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="provision-bench-"))
        stack.callback(clean_up)
        if arguments.only == "blog":
            blog.bench(Table(), program, PREFIX, folder)
        elif arguments.only == "guess":
            guess.bench(Table(), program, folder, PREFIX)
        elif arguments.only == "scale":
            scale.bench(Table(), program, folder)
        elif arguments.only in ("push", "migrate"):
            transfers(Table(), program, folder, arguments.only)
        elif arguments.only == "ci":
            jobs(Table(), program, folder)
        else:
            bench(program, folder)


def clean_up():
    """Again and again for a second, because the engine may still be carrying out what it was asked for before Ctrl-C."""
    for last in (False, False, True):
        try:
            engine.sweep(PREFIX)
        except Failed:
            if last:
                raise
        time.sleep(0.4)


if __name__ == "__main__":
    try:
        main()
    except Failed as failure:
        sys.exit(f"error: {failure}")
    except KeyboardInterrupt:
        sys.exit(130)
