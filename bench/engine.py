"""The Docker engine over its socket, and a reading of what provision made there."""

import contextlib
import copy
import http.client
import io
import json
import os
import random
import socket
import tarfile
from dataclasses import dataclass
from urllib.parse import quote

from measure import Failed, read

VERSION = "v1.41"
# What provision sets of a container: see src/resource/docker/container/body.rs.
CONFIG = "Image Entrypoint Cmd User Env Labels ExposedPorts".split()
HOST_CONFIG = (
    "PortBindings RestartPolicy Memory PidsLimit ReadonlyRootfs CapDrop CapAdd SecurityOpt Tmpfs Mounts NetworkMode"
).split()


def socket_path():
    address = os.environ.get("DOCKER_HOST", "unix:///var/run/docker.sock")
    if not address.startswith("unix://"):
        raise Failed(f"the benches need an engine on a unix socket, not `DOCKER_HOST={address}`")
    return address.removeprefix("unix://")


class _Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(socket_path())


def request(method, path, body=None, kind="application/json"):
    """Sends one request and gives the answer's bytes. A 404 of a DELETE is as good as a success."""
    connection = _Connection("docker")
    connection.request(method, f"/{VERSION}{path}", body, {"Content-Type": kind})
    answer = connection.getresponse()
    data = answer.read()
    connection.close()
    if answer.status >= 400 and not (method == "DELETE" and answer.status == 404):
        raise Failed(f"{method} {path}: {answer.status} {data.decode(errors='replace').strip()}")
    return data


def upload(container, folder, archive):
    request("PUT", f"/containers/{container}/archive?path={quote(folder)}", archive, "application/x-tar")


@dataclass
class Container:
    """A container as a request to create it, and the archives that are uploaded into it, by folder."""

    name: str
    body: dict
    archives: dict

    def volumes(self):
        """Targets of the volumes that have a name."""
        return {mount["Target"]: mount["Source"] for mount in self.body["HostConfig"]["Mounts"] if mount.get("Source")}

    def renamed(self, old, new, old_port, new_port):
        """The same under another name and port."""
        text = json.dumps(self.body).replace(old, new).replace(f'"{old_port}"', f'"{new_port}"')
        # Not provision's own any more.
        body = json.loads(text.replace('"provision.', '"bench.'))
        archives = {folder: _repack(data, old_port, new_port) for folder, data in self.archives.items()}
        return Container(self.name.replace(old, new), body, archives)


def describe(*names):
    """Reads containers that provision made. A volume that two of them share is filled by the first."""
    filled = set()
    return [_describe(name, filled) for name in names]


def _describe(name, filled):
    found = json.loads(request("GET", f"/containers/{name}/json"))
    config, host = found["Config"], found["HostConfig"]
    network = host["NetworkMode"]
    body = {key: config[key] for key in CONFIG if config.get(key)}
    body["HostConfig"] = {key: host[key] for key in HOST_CONFIG if host.get(key)}
    body["NetworkingConfig"] = {"EndpointsConfig": {network: {}}}
    container = Container(name, copy.deepcopy(body), {})
    for mount in host["Mounts"]:
        if mount.get("Source") in filled:
            continue
        found = request("GET", f"/containers/{name}/archive?path={quote(mount['Target'])}")
        archive = _entries(found, folders_only=bool(mount.get("Source")))
        if archive:
            container.archives[mount["Target"]] = archive
            filled |= {mount["Source"]} if mount.get("Source") else set()
    return container


def _entries(data, folders_only):
    """The first level of a downloaded folder, as an archive to upload into that folder; none if there is nothing."""
    packed, count = io.BytesIO(), 0
    with tarfile.open(fileobj=io.BytesIO(data)) as source, tarfile.open(fileobj=packed, mode="w") as target:
        for member in source:
            inner = member.name.strip("/").split("/")[1:]
            if len(inner) != 1 or (folders_only and not member.isdir()):
                continue
            content = source.extractfile(member)
            member.name = inner[0]
            target.addfile(member, content)
            count += 1
    return packed.getvalue() if count else None


def _repack(data, old_port, new_port):
    """The same archive for another port, which stands in the configuration of nginx."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(data)) as source, tarfile.open(fileobj=packed, mode="w") as target:
        for member in source:
            content = source.extractfile(member)
            text = content.read() if content else b""
            if member.name == "nginx.conf":
                text = text.replace(str(old_port).encode(), str(new_port).encode())
            member.size = len(text)
            target.addfile(member, io.BytesIO(text))
    return packed.getvalue()


def free_port():
    """A free port below those that the kernel gives to clients, one of which could take it between two runs."""
    for port in random.sample(range(10000, 30000), 100):
        with socket.socket() as listener, contextlib.suppress(OSError):
            listener.bind(("", port))
            return port
    raise Failed("no free port found")


def sweep(prefix):
    """Removes every container, volume and network whose name begins with `prefix`."""
    named = f"name=^/?{prefix}"
    for kind, listing, removal in (
        ("container", ["ls", "--all"], ["rm", "--force", "--volumes"]),
        ("volume", ["ls"], ["rm", "--force"]),
        ("network", ["ls"], ["rm"]),
    ):
        found = read("docker", kind, *listing, "--quiet", "--filter", named if kind == "container" else f"name=^{prefix}").split()
        if found:
            read("docker", kind, *removal, *found)
