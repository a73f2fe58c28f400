"""`provision ci`: until a registry can be pushed to, until it is gone, and twenty of them at once."""

import os
import statistics
import threading
import time
from pathlib import Path

import engine
from measure import Failed, in_turn, median, run, then

JOBS = 20


class Job:
    """A registry of `provision ci` that stays until it is ended, with a folder of its own for all that it keeps."""

    def __init__(self, program, home):
        self.program, self.home = program, Path(home)

    def up(self):
        return run(self.program, "ci", "--format", "env", PROVISION_HOME=self.home)

    def name(self):
        names = os.listdir(self.home / "deployments")
        if len(names) != 1:
            raise Failed(f"there should be one registry in {self.home}, not {names}")
        return names[0]

    def down(self):
        return run(self.program, "ci", "down", PROVISION_HOME=self.home)


def until(prepare, take):
    """Measures `take` after `prepare`, which is not measured."""

    def side():
        prepare()
        return take()

    return side


def remove(name):
    """The least that a tear-down can be: both containers removed at once, then the volumes that have a name."""
    begun = time.perf_counter()
    removals = [
        threading.Thread(target=engine.request, args=("DELETE", f"/containers/{name}-{part}?force=1&v=1"))
        for part in ("registry", "proxy")
    ]
    for removal in removals:
        removal.start()
    for removal in removals:
        removal.join()
    for volume in (f"{name}-socket", f"{name}-kept"):
        engine.request("DELETE", f"/volumes/{volume}")
    return time.perf_counter() - begun


def at_once(jobs):
    """The 95th percentile of the wall times of all that are brought up at the same moment, and how many did not come up."""
    walls, failures = [], []

    def up(job):
        try:
            walls.append(job.up().wall)
        except Failed as failure:
            failures.append(failure)

    threads = [threading.Thread(target=up, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for job in jobs:
        job.down()
    return sorted(walls)[int(len(walls) * 0.95) - 1], len(failures)


def bench(table, program, folder, prepared, project, crowd):
    """`prepared` is the registry by bare API calls, `project` the same two containers in Compose, `crowd` twenty of the former."""
    job = Job(program, Path(folder) / "ci")
    costs = in_turn(then(job.up, job.down), then(prepared.up, prepared.down))
    alone = median(costs[0], "wall")
    table.compare("ci: until ready to push, beside the bare API", alone, median(costs[1], "wall"), 1.2)
    floors = []

    def floor():
        job.up()
        floors.append(remove(job.name()))
        return job.down()

    downs = in_turn(until(job.up, job.down), until(project.first, project.end), floor)
    gone = median(downs[0], "wall")
    table.compare("ci: until it is gone, beside `compose down -v`", gone, median(downs[1], "wall"), 0.7)
    table.compare("  the same, beside the bare API in parallel", gone, statistics.median(floors), 1.1)
    late, lost = at_once([Job(program, Path(folder) / f"job-{number}") for number in range(JOBS)])
    if lost:
        raise Failed(f"of {JOBS} at once, {lost} did not come up")
    table.below(f"ci: {JOBS} at once, the 95th percentile", late, JOBS * alone / os.cpu_count(), lambda value: f"{value:.1f} s")
    floor_late, lost = at_once(crowd)
    table.compare(f"  the same, beside the bare API ({JOBS - lost} of {JOBS} came up)", late, floor_late, 1.1)
