"""Fills a registry with random images: fill.py URL IMAGES SEED. Of every ten, one is an index, one an artifact with a subject
and the list of referrers under its tag, one has an empty and a foreign layer, and one has several tags."""
import hashlib, json, random, sys, urllib.request

url, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
chance = random.Random(seed)
KIND = "application/vnd.oci.image.%s.v1+json"


def send(method, path, data=None, kind="application/octet-stream"):
    request = urllib.request.Request(path if "://" in path else url + path, data, {"Content-Type": kind}, method=method)
    return urllib.request.urlopen(request)


def blob(repository, data, kind):
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    place = send("POST", f"/v2/{repository}/blobs/uploads/", b"").headers["Location"]
    send("PUT", place + ("&" if "?" in place else "?") + "digest=" + digest, data)
    return {"mediaType": kind, "digest": digest, "size": len(data)}


def put(repository, reference, content):
    data = json.dumps(content).encode()
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    send("PUT", f"/v2/{repository}/manifests/{reference or digest}", data, content["mediaType"])
    return {"mediaType": content["mediaType"], "digest": digest, "size": len(data)}


shared = [chance.randbytes(chance.randint(10_000, 300_000)) for _ in range(5)]


def image(repository, reference, more=(), **fields):
    config = json.dumps({"architecture": "amd64", "os": "linux", "n": chance.random(), "created": "2026-01-02T00:00:00Z",
                         "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    layers = [chance.choice(shared), chance.randbytes(chance.randint(1, 100_000))]
    return put(repository, reference, {
        "schemaVersion": 2, "mediaType": KIND % "manifest", "config": blob(repository, config, KIND % "config"),
        "layers": [blob(repository, layer, "application/vnd.oci.image.layer.v1.tar") for layer in layers] + list(more), **fields})


for number in range(count):
    repository, tag, kind = f"team-{number % 7}/app-{number % 20}", f"v{number}", number % 10
    if kind == 0:
        children = [dict(image(repository, None), platform={"os": "linux", "architecture": name}) for name in ("amd64", "arm64")]
        put(repository, tag, {"schemaVersion": 2, "mediaType": KIND % "index", "manifests": children})
    elif kind == 1:
        about = image(repository, tag)
        signature = image(repository, None, subject=about, artifactType="application/vnd.test.signature")
        entry = dict(signature, artifactType="application/vnd.test.signature")
        put(repository, about["digest"].replace(":", "-"), {"schemaVersion": 2, "mediaType": KIND % "index", "manifests": [entry]})
    elif kind == 2:
        image(repository, tag, [blob(repository, b"", "application/vnd.oci.image.layer.v1.tar")])
    elif kind == 3:
        about = image(repository, tag)
        image(repository, about["digest"].replace(":", "-") + ".sig")
        image(repository, f"same-{number}")
    else:
        image(repository, tag)
large = chance.randbytes(40_000_000)
put("large/app", "1", {"schemaVersion": 2, "mediaType": KIND % "manifest", "config": blob("large/app", b"{}", KIND % "config"),
                       "layers": [blob("large/app", large, "application/vnd.oci.image.layer.v1.tar")]})
