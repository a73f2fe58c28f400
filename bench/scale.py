"""Playbooks with many resources, beside `cp` and `sync` of the same files."""

import tempfile
from pathlib import Path

from measure import median, megabytes, milliseconds, peak_memory, run

def playbook(count, out):
    """So many files, each with one reference."""
    lines = ["about: many", "resources:"]
    for number in range(count):
        content = "{{ f0.path }}" if number else "first"
        lines += [f"  - file: f{number}", f"    path: {out}/{number}", f'    content: "{content}"']
    return "\n".join(lines) + "\n"


class Many:
    def __init__(self, program, folder, count):
        self.program, self.count, self.folder = program, count, Path(folder) / f"many-{count}"
        self.folder.mkdir()
        self.out = self.folder / "out"
        self.file = self.folder / "x.yml"
        self.file.write_text(playbook(count, self.out))
        self.variables = {"PROVISION_HOME": self.folder / "home"}

    def plan(self):
        return run(self.program, "plan", self.file, **self.variables)

    def memory(self):
        return peak_memory(self.program, "plan", self.file, **self.variables)

    def apply(self):
        return run(self.program, "apply", self.file, **self.variables)

    def status(self):
        return run(self.program, "status", "x", **self.variables)

    def destroy(self):
        return run(self.program, "destroy", "x", "--yes", **self.variables)

    def copy(self):
        return run("sh", "-c", f"rm -rf {self.folder}/copy && cp -r {self.out} {self.folder}/copy && sync -f {self.folder}/copy")

    def remove(self):
        return run("rm", "-rf", self.folder / "copy")


class Parts:
    """So many parts of one kind in one text, of which nothing is made: a playbook's graph, or a look at a host."""

    def __init__(self, program, folder):
        self.program, self.folder = program, Path(folder)

    def graph(self, field, part, count):
        head = "resources:\n  - container: box\n    image: nginx:1.30\n"
        text = head + f"    {field}:\n" + "".join(part.format(number) for number in range(count))
        (self.folder / "parts.yml").write_text(text)
        return lambda: run(self.program, "graph", self.folder / "parts.yml")

    def host(self, name, site, bundle=""):
        root = self.folder / name
        for path, text in (("nginx/sites-enabled/registry", site), ("nginx/one", "gzip off;"), ("docker/certs.d/all.crt", bundle)):
            (root / "etc" / path).parent.mkdir(parents=True, exist_ok=True)
            (root / "etc" / path).write_text(text)
        out = self.folder / f"{name}.yml"
        def look():
            out.unlink(missing_ok=True)
            return run(self.program, "adopt", "--root", root, "--out", out)
        return look

    def all(self):
        server = "server {{ listen 443 ssl; proxy_pass http://localhost:5000; {} }}\n"
        block = "-----BEGIN CERTIFICATE-----\nMA==\n-----END CERTIFICATE-----\n"
        yield "100,000 keys of a mapping", self.graph("env", "      K{}: v\n", 100_000)
        yield "100,000 texts of several lines", self.graph("command", "      - |\n        {}\n        b\n", 100_000)
        yield "80,000 includes of a site", self.host("includes", server.format("include one;" * 80_000))
        yield "a bundle of 15,000 blocks, which is refused", self.host("bundle", server.format(""), block * 15_000)


def bench(table, program, folder):
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for name, look in Parts(program, work).all():
            table.below(name, median([look() for _ in range(3)], "cpu"), 2.0, milliseconds)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        for count in (1_000, 10_000):
            many = Many(program, work, count)
            table.below(f"plan of {count} files", median([many.plan() for _ in range(3)], "wall"), 1.0, milliseconds)
            if count == 10_000:
                table.below("  peak memory", many.memory(), 100e6, megabytes)
            first = many.apply()
            many.status()
            table.compare(f"apply of {count} files, beside cp and sync", first.wall, many.copy().wall)
            table.below("  the same, alone", first.wall, count / 1000, milliseconds)
            table.compare(f"destroy of {count} files, beside rm", many.destroy().wall, many.remove().wall)
