"""The blog beside Docker Compose: from the command to the first page, and with nothing to do."""

import json
import tarfile
import io
import time
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import quote

import compose
import engine
from measure import Cost, Failed, in_turn, median, run, then

# A start takes seconds: fewer of them are enough.
ROUNDS = 5
# Seconds between two of Compose's looks at a container's health. It waits for them, so it gets its best.
INTERVAL = 1


class Blog:
    """`provision blog` under one name, with a folder of its own for all that it keeps."""

    def __init__(self, program, name, folder):
        self.program, self.name, self.home, self.port = program, name, Path(folder) / name, engine.free_port()

    def apply(self):
        command = [self.program, "blog", "--name", self.name, "--port", self.port, "--yes"]
        return run(*command, PROVISION_HOME=self.home)

    def first(self):
        return until_served(self.apply, self.port)

    def destroy(self):
        run(self.program, "destroy", self.name, "--yes", PROVISION_HOME=self.home)


class Peer:
    """The same two containers, with the same files and checks, as a project of Compose."""

    def __init__(self, blog, name, folder):
        self.name, self.port, self.folder = name, engine.free_port(), Path(folder) / name
        self.folder.mkdir(mode=0o700)
        configuration = self.folder / "docker"
        configuration.mkdir()
        (configuration / "cli-plugins").symlink_to(compose.obtain())
        self.variables = {"DOCKER_CONFIG": configuration, "DOCKER_HOST": f"unix://{engine.socket_path()}"}
        services = {"db": self._service(f"{blog.name}-db", blog), "site": self._service(blog.name, blog)}
        services["site"]["links"] = ["db:mysql"]
        volumes = {"data": {}, "html": {}}
        text = json.dumps({"name": name, "services": services, "volumes": volumes}, indent=2)
        (self.folder / "compose.yaml").write_text(text.replace("$", "$$"))

    def _service(self, container, blog):
        found = json.loads(engine.request("GET", f"/containers/{container}/json"))
        config, host, check = found["Config"], found["HostConfig"], found["Config"]["Healthcheck"]
        files = engine.request("GET", f"/containers/{container}/archive?path={quote('/etc/provision')}")
        volumes = [
            {"type": "volume", "source": mount["Source"].removeprefix(f"{blog.name}-"), "target": mount["Target"]}
            for mount in host["Mounts"]
        ]
        service = {
            "image": config["Image"],
            "user": config["User"],
            "environment": config["Env"],
            "cap_drop": host["CapDrop"],
            "security_opt": host["SecurityOpt"],
            "volumes": volumes + self._files(container, files),
            "ports": [f"{self.port}:{port.split('/')[0]}" for port in host["PortBindings"] or {}],
            "restart": host["RestartPolicy"]["Name"],
            "mem_limit": host["Memory"],
            "pids_limit": host["PidsLimit"],
            "healthcheck": {
                "test": check["Test"],
                "interval": f"{INTERVAL}s",
                "timeout": f"{check['Timeout']}ns",
                "retries": check["Retries"],
                "start_period": f"{check.get('StartPeriod', 0)}ns",
            },
        }
        return {key: value for key, value in service.items() if value}

    def _files(self, container, archive):
        mounts = []
        with tarfile.open(fileobj=io.BytesIO(archive)) as members:
            for member in filter(tarfile.TarInfo.isfile, members):
                path = self.folder / f"{container}-{Path(member.name).name}"
                path.write_bytes(members.extractfile(member).read())
                # The folder is closed to others; each container sees its own.
                path.chmod(0o444)
                target = f"/etc/provision/{Path(member.name).name}"
                mounts.append({"type": "bind", "source": str(path), "target": target, "read_only": True})
        return mounts

    def _compose(self, *words):
        return run("docker", "compose", "--file", self.folder / "compose.yaml", *words, **self.variables)

    def up(self):
        return self._compose("up", "-d", "--wait")

    def first(self):
        return until_served(self.up, self.port)

    def down(self):
        self._compose("down", "--volumes", "--timeout", "0")


def until_served(command, port):
    """The cost of a command and of the time until WordPress serves a page after it."""
    begun = time.perf_counter()
    cost = command()
    while not _served(port):
        if time.perf_counter() - begun > 120:
            raise Failed(f"no page is served on port {port}")
        time.sleep(0.01)
    return Cost(time.perf_counter() - begun, cost.cpu)


def _served(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/wp-admin/install.php", timeout=20) as answer:
            return b"WordPress" in answer.read()
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


def bench(table, program, prefix, folder):
    # Images are made or pulled now, so that no run that counts does it.
    blog = Blog(program, f"{prefix}-blog", folder)
    blog.apply()
    peer = Peer(blog, f"{prefix}-blog-compose", folder)
    peer.up()
    costs = in_turn(blog.apply, peer.up)
    table.compare("blog, second run, beside Compose", *(median(found, "wall") for found in costs), 0.5)
    blog.destroy()
    peer.down()

    costs = in_turn(then(blog.first, blog.destroy), then(peer.first, peer.down), rounds=ROUNDS)
    table.compare("blog, to the first page, beside Compose", *(median(found, "wall") for found in costs), 1.05)
    table.compare("  the same, CPU of the client", *(median(found, "cpu") for found in costs))
