"""The floor of a first run: the engine's own requests, prepared beforehand and sent by curl in the best order."""

import json
from pathlib import Path
from urllib.parse import quote

import engine
from measure import run

SCRIPT = Path(__file__).with_name("raw-api.sh")


class Raw:
    """The containers as files that curl reads: see raw-api.sh."""

    def __init__(self, name, containers, folder, port, password, authority):
        self.name, self.containers, self.folder = name, containers, Path(folder)
        network = containers[0].body["HostConfig"]["NetworkMode"]
        self.network = network
        self.volumes = sorted({volume for container in containers for volume in container.volumes().values()})
        volumes = [self._post("/volumes/create", volume, {"Name": volume}) for volume in self.volumes]
        self._write("volumes", volumes, "parallel")
        self._write("network", [self._post("/networks/create", "network", {"Name": network, "CheckDuplicate": True})])
        for container, title in zip(containers, ("registry", "proxy")):
            self._write(title, self._container(container), "fail-early")
            self._write(f"{title}-start", [self._request("POST", f"/containers/{container.name}/start")])
        poll = [f'url = "https://localhost:{port}/v2/"', f'user = "admin:{password}"', f'cacert = "{authority}"']
        self._write("poll", [[*poll, 'noproxy = "*"', "fail", "silent", 'output = "/dev/null"']])

    def _write(self, title, requests, *options):
        text = "\nnext\n".join("\n".join(lines) for lines in requests)
        (self.folder / f"{title}.curl").write_text("\n".join([*options, text, ""]))

    def _request(self, method, path, *more):
        address = [f'unix-socket = "{engine.socket_path()}"', f'url = "http://docker/{engine.VERSION}{path}"']
        return [*address, f"request = {method}", *QUIET, *more]

    def _post(self, path, title, body):
        (self.folder / f"{title}.json").write_text(json.dumps(body))
        return self._request("POST", path, 'header = "Content-Type: application/json"', f'data-binary = "@{title}.json"')

    def _container(self, container):
        """Created, and its files uploaded: one after the other over one connection."""
        requests = [self._post(f"/containers/create?name={container.name}", container.name, container.body)]
        for number, (folder, archive) in enumerate(sorted(container.archives.items())):
            tar = f"{container.name}-{number}.tar"
            (self.folder / tar).write_bytes(archive)
            path = f"/containers/{container.name}/archive?path={quote(folder)}"
            content = ['header = "Content-Type: application/x-tar"', f'data-binary = "@{tar}"']
            requests.append(self._request("PUT", path, *content))
        return requests

    def up(self):
        """Until the registry answers through the proxy."""
        return run("/bin/sh", SCRIPT, self.folder)

    def down(self):
        for container in self.containers:
            engine.request("DELETE", f"/containers/{container.name}?force=1&v=1")
        for volume in self.volumes:
            engine.request("DELETE", f"/volumes/{volume}")
        engine.request("DELETE", f"/networks/{self.network}")


# What is answered is shown only if the script fails.
QUIET = ["fail-with-body", "silent", "show-error", 'output = "/dev/stderr"']
