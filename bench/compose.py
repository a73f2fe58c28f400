"""The peer of a second run: Docker Compose with the same two containers."""

import io
import json
import os
import shutil
import tarfile
from pathlib import Path

import engine
from measure import Failed, read, run

RELEASE = "sid"


def cache():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "provision-bench"


def obtain():
    """The folder with Compose's plugin from Debian's newest release: the host keeps its own Compose, if it has one."""
    plugin = cache() / f"compose-{RELEASE}" / "usr/libexec/docker/cli-plugins/docker-compose"
    if not plugin.exists():
        print(f"fetching Docker Compose from Debian {RELEASE} into {cache()}", flush=True)
        _download(plugin.parents[4])
    return plugin.parent


def _mirror():
    """The archive that this host's own apt is set up with."""
    form = "$(REPO_URI) $(ORIGIN) $(RELEASE)"
    for line in read("apt-get", "indextargets", "--format", form, "Created-By: Packages").splitlines():
        words = line.split()
        if words[1:2] == ["Debian"] and "security" not in line:
            return words[0]
    raise Failed("apt knows no Debian archive to take Docker Compose from: run `apt-get update`")


def _download(target):
    work = cache() / "download"
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    keyring = "/usr/share/keyrings/debian-archive-keyring.gpg"
    signed = f"[signed-by={keyring}] " if Path(keyring).exists() else ""
    (work / "sources.list").write_text(f"deb {signed}{_mirror()} {RELEASE} main\n")
    # For this download only: nothing of the host's apt is changed.
    settings = {
        "Dir::Etc::sourcelist": work / "sources.list",
        "Dir::Etc::sourceparts": "-",
        "Dir::Etc::preferencesparts": "-",
        "Dir::State::lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Default-Release": "",
        "APT::Sandbox::User": "",
        "Acquire::Check-Valid-Until": "false",
        "Acquire::Languages": "none",
    }
    options = [word for name, value in settings.items() for word in ("-o", f"{name}={value}")]
    run("apt-get", *options, "update")
    run("env", "-C", work, "apt-get", *options, "download", "docker-compose")
    packages = list(work.glob("docker-compose_*.deb"))
    if len(packages) != 1:
        raise Failed(f"apt did not fetch docker-compose from {RELEASE}")
    unpacked = work / "unpacked"
    run("dpkg", "-x", packages[0], unpacked)
    shutil.rmtree(target, ignore_errors=True)
    unpacked.rename(target)
    shutil.rmtree(work)


class Project:
    """The containers as a project of Compose, in a folder of its own."""

    def __init__(self, name, containers, folder, plugins):
        self.name, self.containers, self.folder = name, containers, Path(folder)
        configuration = self.folder / "docker"
        configuration.mkdir(mode=0o700)
        (configuration / "cli-plugins").symlink_to(plugins)
        self.variables = {"DOCKER_CONFIG": configuration, "DOCKER_HOST": f"unix://{engine.socket_path()}"}
        text = json.dumps(self._file(), indent=2).replace("$", "$$")
        (self.folder / "compose.yaml").write_text(text)

    def _file(self):
        networks = {container.body["HostConfig"]["NetworkMode"] for container in self.containers}
        volumes = {name for container in self.containers for name in container.volumes().values()}
        return {
            "name": self.name,
            "services": {container.name: self._service(container) for container in self.containers},
            "networks": {name: {"name": name} for name in networks},
            "volumes": {name: {"name": name} for name in volumes},
        }

    def _service(self, container):
        body, host = container.body, container.body["HostConfig"]
        bindings = host.get("PortBindings", {}).items()
        ports = [f"{bound['HostPort']}:{port}" for port, found in bindings for bound in found]
        named = container.volumes().items()
        volumes = [{"type": "volume", "source": source, "target": target} for target, source in named]
        service = {
            "container_name": container.name,
            "image": body["Image"],
            "entrypoint": body.get("Entrypoint"),
            "command": body.get("Cmd"),
            "user": body["User"],
            "environment": body.get("Env"),
            "read_only": host["ReadonlyRootfs"],
            "cap_drop": host.get("CapDrop"),
            "security_opt": host.get("SecurityOpt"),
            "tmpfs": [f"{path}:{options}" for path, options in host.get("Tmpfs", {}).items()],
            "volumes": volumes + self._files(container),
            "networks": [host["NetworkMode"]],
            "ports": ports,
            "restart": host["RestartPolicy"]["Name"],
            "mem_limit": host["Memory"],
            "pids_limit": host["PidsLimit"],
        }
        return {key: value for key, value in service.items() if value}

    def _files(self, container):
        """Its files, written into the project's folder and mounted from there, as Compose does it."""
        mounts = []
        for folder, archive in container.archives.items():
            with tarfile.open(fileobj=io.BytesIO(archive)) as members:
                for member in members:
                    if not member.isfile():
                        continue
                    path = self.folder / f"{container.name}-{member.name}"
                    path.write_bytes(members.extractfile(member).read())
                    # The folder is closed to others; in the container, the file's own mode counts.
                    path.chmod(0o444)
                    target = f"{folder}/{member.name}"
                    mounts.append({"type": "bind", "source": str(path), "target": target, "read_only": True})
        return mounts

    def _compose(self, *words):
        return run("docker", "compose", "--file", self.folder / "compose.yaml", *words, **self.variables)

    def version(self):
        return read("docker", "compose", "version", "--short", **self.variables)

    def up(self):
        return self._compose("up", "-d")

    def stop(self):
        """Removes the containers with their anonymous volumes; the named ones and the network stay."""
        self._compose("rm", "--stop", "--force", "--volumes")

    def first(self):
        """Sets it up, with the folders in its volumes that Compose has no word for."""
        self._compose("create")
        for container in self.containers:
            for target in container.volumes():
                if target in container.archives:
                    engine.upload(container.name, target, container.archives[target])
        self.up()

    def end(self):
        """As somebody types it, for what is measured."""
        return self._compose("down", "--volumes")

    def down(self):
        self._compose("down", "--volumes", "--timeout", "0")
