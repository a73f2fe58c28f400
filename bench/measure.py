"""Runs programs in turn and tells what each took."""

import contextlib
import os
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from dataclasses import dataclass

RUNS = 10

# What is measured is a deployment, not the timer of its upkeep.
os.environ.setdefault("PROVISION_MAINTAIN", "no")


@dataclass
class Cost:
    """What one run of a program took, with all that it started."""

    wall: float  # seconds
    cpu: float  # seconds, user and system


class Failed(Exception):
    """A program did not do what it was asked."""


def run(*command, **variables):
    """Runs a program to its end. What it prints is shown only if it fails."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    with tempfile.TemporaryFile() as printed:
        redirect = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, printed.fileno(), 1),
            (os.POSIX_SPAWN_DUP2, printed.fileno(), 2),
        ]
        command = [str(word) for word in command]
        begun = time.perf_counter()
        process = os.posix_spawnp(command[0], command, environment, file_actions=redirect)
        status, usage = _wait(process)
        wall = time.perf_counter() - begun
        if status != 0:
            printed.seek(0)
            text = printed.read().decode(errors="replace").strip()
            raise Failed(f"`{' '.join(command)}` ended with {os.waitstatus_to_exitcode(status)}:\n{text}")
    return Cost(wall, usage.ru_utime + usage.ru_stime)


def _wait(process):
    try:
        _, status, usage = os.wait4(process, 0)
    except BaseException as stopped:
        # It may take back what it did. Ctrl-C reached it too, and a second signal would end it at once.
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            if not isinstance(stopped, KeyboardInterrupt):
                os.kill(process, signal.SIGTERM)
            os.waitpid(process, 0)
        raise
    return status, usage


def read(*command, **variables):
    """What a program prints."""
    environment = {**os.environ, **{name: str(value) for name, value in variables.items()}}
    done = subprocess.run([str(word) for word in command], env=environment, text=True, capture_output=True, check=False)
    if done.returncode != 0:
        raise Failed(f"`{' '.join(done.args)}` ended with {done.returncode}:\n{done.stderr.strip()}")
    return done.stdout.strip()


def peak_memory(*command, **variables):
    """The most memory that a program had at once, in bytes.

    A child starts with the high-water mark of whoever started it (Linux keeps it over `exec`), so a small program starts
    it, not Python.
    """
    with tempfile.NamedTemporaryFile("r") as told:
        run(shutil.which("time"), "-f", "%M", "-o", told.name, *command, **variables)
        return int(told.read()) * 1024


def then(take, undo):
    """Measures `take`, then undoes it, which is not measured."""

    def side():
        cost = take()
        undo()
        return cost

    return side


def in_turn(*sides, rounds=RUNS):
    """Runs each side once to warm up, then all in turn; gives the costs of each side."""
    for side in sides:
        side()
    costs = [[] for _ in sides]
    for _ in range(rounds):
        for side, found in zip(sides, costs):
            found.append(side())
    return costs


def median(costs, what):
    return statistics.median(getattr(cost, what) for cost in costs)


def milliseconds(seconds):
    return f"{seconds * 1000:.1f} ms"


def megabytes(size):
    return f"{size / 1e6:.1f} MB"


class Table:
    """Rows of measure, ours, peer, ratio, goal and verdict, told as they come."""

    WIDTHS = (47, 11, 11, 7, 11, 0)

    def __init__(self):
        self._tell("median of %d" % RUNS, "provision", "peer", "ratio", "goal", "")

    def _tell(self, *cells):
        print("".join(cell.ljust(width) for cell, width in zip(cells, self.WIDTHS)).rstrip(), flush=True)

    def compare(self, title, ours, peer, goal=None):
        """Two times in seconds, and the ratio that is to be reached."""
        ratio = ours / peer
        aim, verdict = (f"<= {goal}", "PASS" if ratio <= goal else "over") if goal else ("", "")
        self._tell(title, milliseconds(ours), milliseconds(peer), f"{ratio:.2f}", aim, verdict)

    def below(self, title, value, goal, form):
        """One value and the limit that it is to stay under."""
        self._tell(title, form(value), "", "", f"< {form(goal)}", "PASS" if value < goal else "over")
