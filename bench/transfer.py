"""`provision push` beside a loop of `docker push` and skopeo, and `provision migrate` beside `skopeo sync` and bare curl."""

import json
import os
import shutil
import subprocess
from pathlib import Path

from measure import in_turn, median, megabytes, peak_memory, read, run

ROUNDS = 3
IMAGES = 8
BASE, OWN = 160_000_000, 55_000_000
LARGE = 1 << 30
FILLED = Path(__file__).resolve().parent.parent / "tests/live/filled.py"


class Place:
    """A registry of ours, and what clients need to use it."""

    def __init__(self, registry):
        self.registry, self.host = registry, f"localhost:{registry.port}"
        registry.apply()
        self.login = f"admin:{registry.tell('secrets', 'password')}"
        self.authority = registry.tell("output", "ca")
        self.store = Path(read("docker", "volume", "inspect", f"{registry.name}-data", "--format", "{{.Mountpoint}}"))
        self.docker = registry.home / "docker"
        self.docker.mkdir()
        login = ["docker", "login", "-u", "admin", "--password-stdin", self.host]
        subprocess.run(login, input=self.login.split(":")[1], env={**os.environ, "DOCKER_CONFIG": str(self.docker)}, text=True, check=True, capture_output=True)

    def empty(self):
        # The registry remembers what it had, so it starts anew.
        run("docker", "stop", f"{self.registry.name}-registry")
        shutil.rmtree(self.store / "docker/registry", ignore_errors=True)
        shutil.rmtree(self.registry.home / "cache", ignore_errors=True)
        run("docker", "start", f"{self.registry.name}-registry")
        self.curl("/v2/", "--retry", "50", "--retry-delay", "0", "--retry-all-errors")

    def size(self):
        return sum(path.stat().st_size for path in self.store.rglob("data"))

    def curl(self, path, *options):
        return read("curl", "-sf", "--cacert", self.authority, "-u", self.login, *options, f"https://{self.host}{path}")


def pieces():
    """Files of this machine, as many bytes as the images need."""
    found = (Path(folder) / name for top in ("/usr/lib", "/usr/share", "/usr/bin") for folder, _, names in os.walk(top) for name in sorted(names))
    return (path for path in found if path.is_file() and not path.is_symlink())


def fill(folder, size, files):
    folder.mkdir()
    while size > 0:
        path = next(files)
        copy = folder / f"{len(os.listdir(folder))}-{path.name}"
        shutil.copyfile(path, copy)
        size -= copy.stat().st_size


def images(prefix, folder):
    """Eight images that share one layer."""
    files, work = pieces(), Path(folder) / "images"
    work.mkdir()
    fill(work / "base", BASE, files)
    run("sh", "-c", f"tar -C {work}/base -c . | docker import - {prefix}/base:1")
    names = []
    for number in range(IMAGES):
        context = work / f"context{number}"
        context.mkdir()
        fill(context / "own", OWN, files)
        (context / "Dockerfile").write_text(f"FROM {prefix}/base:1\nCOPY own /own\n")
        names.append(f"{prefix}/app{number}:1")
        run("docker", "build", "-q", "-t", names[-1], context, DOCKER_BUILDKIT=0)
    return names


def push(table, program, prefix, folder, registry):
    place, names = Place(registry), images(prefix, folder)
    sizes = {}

    def side(name, take):
        def measured():
            place.empty()
            cost = take()
            sizes[name] = place.size()
            return cost

        return measured

    def ours():
        return run(program, "push", registry.name, *names, PROVISION_HOME=registry.home)

    def docker():
        script = "; ".join(f"docker tag {name} {place.host}/{name}; docker push -q {place.host}/{name}; docker rmi {place.host}/{name}" for name in names)
        return run("sh", "-ec", script, DOCKER_CONFIG=place.docker)

    def skopeo():
        options = f"--insecure-policy -q --dest-tls-verify=false --dest-creds {place.login}"
        return run("sh", "-ec", "; ".join(f"skopeo copy {options} docker-daemon:{name} docker://{place.host}/{name}" for name in names))

    costs = in_turn(side("ours", ours), side("docker", docker), side("skopeo", skopeo), rounds=ROUNDS)
    wall = [median(found, "wall") for found in costs]
    table.compare("push of 8 images, beside `docker push`", wall[0], wall[1], 0.25)
    table.compare("  the same, beside skopeo", wall[0], wall[2], 0.25)
    table.below("  bytes in the registry, beside docker's", sizes["ours"], 1.1 * sizes["docker"], megabytes)
    place.empty()
    ours(), docker()
    costs = in_turn(ours, docker, rounds=ROUNDS)
    table.compare("  again, nothing to push", *(median(found, "wall") for found in costs), 1)
    place.empty()
    memory = peak_memory(program, "push", registry.name, *names, PROVISION_HOME=registry.home)
    table.below("  peak memory", memory, 100e6, megabytes)
    run("docker", "rmi", "-f", *names, f"{prefix}/base:1")
    registry.destroy()


def migrate(table, program, folder, registries):
    source, target = (Place(registry) for registry in registries)
    filler = Path(folder) / "fill.py"
    # The script speaks plain HTTP; here it is given a login and an authority.
    head = "import base64, ssl, urllib.request\n" + (
        f"context = ssl.create_default_context(cafile={source.authority!r})\n"
        "opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context))\n"
        f"opener.addheaders = [('Authorization', 'Basic ' + base64.b64encode({source.login!r}.encode()).decode())]\n"
        "urllib.request.install_opener(opener)\n"
    )
    filler.write_text(head + FILLED.read_text())
    run("python3", filler, f"https://{source.host}", 200, 3)
    # skopeo fails at a repository without tags, such as what the probe of the set-up leaves.
    listed = json.loads(source.curl("/v2/_catalog?n=1000"))["repositories"]
    repositories = [name for name in listed if json.loads(source.curl(f"/v2/{name}/tags/list"))["tags"]]
    homes = target.registry.home
    shutil.copytree(source.registry.home / "deployments" / source.registry.name, homes / "deployments" / source.registry.name)

    def then_empty(take):
        def measured():
            target.empty()
            return take()

        return measured

    def ours(*more):
        return run(program, "migrate", source.registry.name, target.registry.name, *more, PROVISION_HOME=homes)

    def skopeo():
        options = f"--insecure-policy --all --src docker --dest docker --src-tls-verify=false --dest-tls-verify=false --src-creds {source.login} --dest-creds {target.login}"
        script = "; ".join(f"skopeo sync {options} {source.host}/{name} {target.host}/{os.path.dirname(name)}" for name in repositories)
        return run("sh", "-ec", script)

    costs = in_turn(then_empty(ours), then_empty(skopeo), rounds=ROUNDS)
    table.compare("migrate of 200 images, beside `skopeo sync`", *(median(found, "wall") for found in costs), 0.34)
    blob = large(source, folder)
    script = (
        f"place=$(curl -sf --cacert {target.authority} -u {target.login} -X POST -D - -o /dev/null https://{target.host}/v2/big/app/blobs/uploads/ | tr -d '\\r' | sed -n 's/^[Ll]ocation: //p'); "
        f"curl -sf --cacert {source.authority} -u {source.login} https://{source.host}/v2/big/app/blobs/{blob} | "
        f"curl -sf --cacert {target.authority} -u {target.login} -H 'Content-Type: application/octet-stream' -T - \"$place&digest={blob}\""
    )
    costs = in_turn(then_empty(lambda: ours("--match", "big/*")), then_empty(lambda: run("bash", "-eo", "pipefail", "-c", script)), rounds=ROUNDS)
    table.compare("  a layer of 1 GiB, beside `curl | curl`", *(median(found, "wall") for found in costs), 1.11)
    target.empty()
    memory = peak_memory(program, "migrate", source.registry.name, target.registry.name, "--match", "big/*", PROVISION_HOME=homes)
    table.below("  peak memory", memory, 100e6, megabytes)
    shutil.rmtree(homes / "deployments" / source.registry.name)
    for registry in registries:
        registry.destroy()


def large(place, folder):
    """Puts an image with one large layer into a registry, and gives the layer's digest."""
    work = Path(folder) / "large"
    (work / "blobs/sha256").mkdir(parents=True)
    run("sh", "-c", f"head -c {LARGE} /dev/urandom >{work}/layer")
    digest = {}
    (work / "config").write_text('{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}')
    kind = "application/vnd.oci.image.{}.v1{}"
    for name in ("layer", "config"):
        digest[name] = read("sha256sum", work / name).split()[0]
    entries = {name: {"mediaType": kind.format(*form), "digest": f"sha256:{digest[name]}", "size": (work / name).stat().st_size} for name, form in (("layer", ("layer", ".tar")), ("config", ("config", "+json")))}
    (work / "manifest").write_text(json.dumps({"schemaVersion": 2, "mediaType": kind.format("manifest", "+json"), "config": entries["config"], "layers": [entries["layer"]]}))
    digest["manifest"] = read("sha256sum", work / "manifest").split()[0]
    for name, value in digest.items():
        os.rename(work / name, work / "blobs/sha256" / value)
    size = (work / "blobs/sha256" / digest["manifest"]).stat().st_size
    index = {"mediaType": kind.format("manifest", "+json"), "digest": f"sha256:{digest['manifest']}", "size": size, "annotations": {"org.opencontainers.image.ref.name": "1"}}
    (work / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [index]}))
    (work / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    run("skopeo", "copy", "-q", "--insecure-policy", "--dest-tls-verify=false", "--dest-creds", place.login, f"oci:{work}:1", f"docker://{place.host}/big/app:1")
    shutil.rmtree(work)
    return f"sha256:{digest['layer']}"


def bench(table, program, prefix, folder, registry, only=None):
    """`registry` makes a registry of ours by a name."""
    if only != "migrate":
        push(table, program, prefix, folder, registry(f"{prefix}-push", folder))
    if only != "push":
        migrate(table, program, folder, [registry(f"{prefix}-{name}", folder) for name in ("from", "to")])
