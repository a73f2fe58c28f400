"""A registry while others guess passwords, or keep connections open: what its clients notice, beside what they meet alone.

The clients are known to nginx by two addresses of this host, both on the way to the proxy's own network: a published port of
127.0.0.1 would hide them behind one.
"""

import json
import select
import statistics
import subprocess
import sys
import time
from pathlib import Path

import engine
from measure import Failed, milliseconds, read, run

CLIENTS = Path(__file__).with_name("clients.py")
ROUNDS = 3
GUESSERS, SLOW = 64, 5_000
SECONDS = 10
# The password of a user, by bcrypt at a cost of 8, so that earlier versions take it as well.
HASH = "$2b$08$abcdefghijklmnopqrstuu/57LxDKn.w83JkrRxyK8f1AfwXCk3R."


class Registry:
    def __init__(self, program, name, folder):
        self.program, self.name, self.home = program, name, Path(folder) / name
        self.call("registry", "--name", name, "--port", engine.free_port(), "--trust", "no", "--yes")
        users = Path(folder) / f"{name}.users"
        users.write_text(f"bob:{HASH}\n")
        self.call("users", name, "add", "--import", users)
        self.password = Path(folder) / f"{name}.password"
        self.password.write_text(read(program, "secrets", name, "password", PROVISION_HOME=self.home))
        network = json.loads(engine.request("GET", f"/containers/{name}-proxy/json"))["NetworkSettings"]["Networks"][name]
        self.proxy, self.here = network["IPAddress"], network["Gateway"]
        others = [word for word in read("hostname", "-I").split() if ":" not in word and word != self.here]
        if not others:
            raise Failed("this host has no address beside that of the network")
        # The first is that of the host itself; networks of an engine come and go.
        self.there = others[0]

    def call(self, *words):
        run(self.program, *words, PROVISION_HOME=self.home)

    def start(self, source, what, *more):
        words = [CLIENTS, what, self.proxy, "8443", "--source", source, *more]
        return subprocess.Popen([sys.executable, "-B", *map(str, words)], stdout=subprocess.PIPE, text=True)

    def ask(self, source):
        """What clients that know the password meet for some seconds."""
        return end(self.start(source, "ask", "--password-file", self.password, "--seconds", SECONDS))

    def beside(self, source, what, *more):
        others = self.start(self.here, what, "--seconds", 6 * SECONDS, *more)
        try:
            if what == "slow":
                # Until all of them are open. Where there is no room for all, those that are there will do.
                select.select([others.stdout], [], [], 3 * SECONDS)
            return self.ask(source)
        finally:
            others.terminate()
            others.communicate()
            # What they left waiting is over before the next is measured.
            time.sleep(SECONDS)


def end(process):
    told, _ = process.communicate()
    if process.returncode != 0:
        raise Failed(f"{CLIENTS.name} ended with {process.returncode}")
    return json.loads(told.splitlines()[-1])


def failed(found):
    return sum(count for answer, count in found["met"].items() if answer != "200")


def bench(table, program, folder, prefix):
    registry = Registry(program, f"{prefix}-guess", folder)
    guess = ["guess", "--user", "bob", "--connections", GUESSERS]
    sides = {
        "alone": lambda: registry.ask(registry.there),
        "other": lambda: registry.beside(registry.there, *guess),
        "same": lambda: registry.beside(registry.here, *guess),
        "slow": lambda: registry.beside(registry.there, "slow", "--connections", SLOW),
    }
    found = {side: [] for side in sides}
    for _ in range(ROUNDS):
        for side, measure in sides.items():
            found[side].append(measure())
    p99 = {side: statistics.median(one["p99"] for one in all) for side, all in found.items()}
    table.compare(f"p99 beside {GUESSERS} that guess elsewhere, and alone", p99["other"], p99["alone"], 4)
    table.below("  the longest from where they guess", max(one["longest"] for one in found["same"]), 1.0, milliseconds)
    table.below("  failed at either address", sum(map(failed, found["other"] + found["same"])), 1, str)
    table.compare(f"p99 beside {SLOW} slow connections, and alone", p99["slow"], p99["alone"])
    table.below("  failed", sum(map(failed, found["slow"])), 1, str)
    registry.call("destroy", registry.name, "--yes")
