"""Pushes, pulls and deletes for some seconds, as many clients do at once, and counts what fails and what is broken.

Usage: soak.py ADDRESS CA PASSWORD SECONDS SEED WITH_CLIENTS. Prints a line of JSON. Each push is pulled back and hashed. A small pool
of layers is shared, so that what one deletes another pushes again.
"""

import base64
import hashlib
import http.client
import json
import random
import ssl
import subprocess
import sys
import threading
import time

address, ca, password, seconds, seed, with_clients = sys.argv[1:7]
host, port = address.split(":")
end = time.time() + float(seconds)
counts, faults, lock = {}, [], threading.Lock()
INDEX = "application/vnd.oci.image.index.v1+json"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
context = ssl.create_default_context(cafile=ca)
login = "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()
pool = [f"shared layer {number} of {seed} ".encode() * (1 + number % 40) for number in range(40)]
repositories = ["soak/a", "soak/b", "soak/c"]


def count(what):
    with lock:
        counts[what] = counts.get(what, 0) + 1


def fault(kind, text):
    with lock:
        counts[kind] = counts.get(kind, 0) + 1
        if len(faults) < 40:
            faults.append(f"{time.time():.3f} {kind}: {text}")


def digest(content):
    return "sha256:" + hashlib.sha256(content).hexdigest()


class Refused(Exception):
    pass


class Client:
    def __init__(self, number):
        self.random = random.Random(f"{seed}/{number}")
        self.number = number
        self.connection = None

    def ask(self, method, path, body=None, kind=None):
        headers = {"Authorization": login}
        if kind:
            headers["Content-Type"] = kind
        if method in ("GET", "HEAD"):
            headers["Accept"] = f"{MANIFEST}, {INDEX}"
        # A server may close an idle connection at any time: a request that got no answer at all is sent once more, as clients do.
        for attempt in range(3):
            try:
                if self.connection is None:
                    self.connection = http.client.HTTPSConnection(host, int(port), context=context, timeout=100)
                self.connection.request(method, path, body=body, headers=headers)
                answer = self.connection.getresponse()
                return answer, answer.read()
            except (http.client.RemoteDisconnected, ConnectionResetError, BrokenPipeError, ssl.SSLEOFError):
                self.connection = None
                if attempt == 2:
                    raise

    def expect(self, codes, method, path, body=None, kind=None):
        answer, content = self.ask(method, path, body, kind)
        if answer.status not in codes:
            raise Refused(f"{method} {path}: {answer.status} {content[:200]!r}")
        return answer, content

    def blob(self, repository, content):
        """Looks for a blob, mounts it from elsewhere, or uploads it."""
        name = digest(content)
        answer, _ = self.expect((200, 404), "HEAD", f"/v2/{repository}/blobs/{name}")
        if answer.status == 200:
            return count("found")
        more = ""
        if self.random.random() < 0.4:
            more = f"?mount={name.replace(':', '%3A')}&from={self.random.choice(repositories)}"
        answer, _ = self.expect((201, 202), "POST", f"/v2/{repository}/blobs/uploads/{more}")
        if answer.status == 201:
            return count("mounted")
        place = answer.headers["Location"]
        place = place[place.index("/v2/"):]
        if self.random.random() < 0.5:
            answer, _ = self.expect((202,), "PATCH", place, content, "application/octet-stream")
            place = answer.headers["Location"]
            place = place[place.index("/v2/"):]
            content = b""
        if self.random.random() < 0.2:
            time.sleep(self.random.random())
        place += ("&" if "?" in place else "?") + f"digest={name}"
        self.expect((201,), "PUT", place, content, "application/octet-stream")
        return count("uploaded")

    def manifest(self, repository, reference, document, kind):
        content = json.dumps(document).encode()
        if self.random.random() < 0.2:
            time.sleep(self.random.random() * 2)
        self.expect((201,), "PUT", f"/v2/{repository}/manifests/{reference or digest(content)}", content, kind)
        return content

    def image(self, repository, reference, subject=None):
        """Pushes an image; gives its manifest and its blobs."""
        blobs = self.random.sample(pool, self.random.randint(1, 4))
        config = f"config {self.random.randint(0, 30)}".encode()
        blobs.insert(0, config)
        for blob in blobs:
            self.blob(repository, blob)
        described = [{"mediaType": "application/octet-stream", "digest": digest(b), "size": len(b)} for b in blobs]
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": described[0], "layers": described[1:],
                    # A manifest is one client's own: with it, 2.8 deletes the tags of everybody.
                    "annotations": {"client": str(self.number)}}
        if subject:
            document["subject"] = {"mediaType": MANIFEST, "digest": digest(subject), "size": len(subject)}
        return self.manifest(repository, reference, document, MANIFEST), blobs

    def push(self, tag):
        repository = self.random.choice(repositories)
        what = self.random.random()
        if what < 0.2:
            parts = [self.image(repository, None) for _ in range(2)]
            children = [{"mediaType": MANIFEST, "digest": digest(m), "size": len(m)} for m, _ in parts]
            document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": children}
            content = self.manifest(repository, tag, document, INDEX)
            wanted = [content] + [m for m, _ in parts]
            blobs = [blob for _, blobs in parts for blob in blobs]
        elif what < 0.35:
            # As signatures are: about another manifest, found by a tag that is made of its digest.
            content, blobs = self.image(repository, tag)
            about, more = self.image(repository, None, content)
            document = {"schemaVersion": 2, "mediaType": INDEX,
                        "manifests": [{"mediaType": MANIFEST, "digest": digest(about), "size": len(about)}]}
            index = self.manifest(repository, digest(content).replace(":", "-"), document, INDEX)
            wanted, blobs = [content, about, index], blobs + more
        else:
            content, blobs = self.image(repository, tag)
            wanted = [content]
        count("pushes")
        return repository, wanted, blobs

    def check(self, repository, tag, wanted, blobs):
        """Pulls what was pushed; a tag of this client is nobody else's."""
        _, found = self.ask("GET", f"/v2/{repository}/manifests/{tag}")
        if found != wanted[0]:
            return fault("broken", f"{repository}:{tag}: {found[:200]!r}")
        for content in wanted:
            answer, found = self.ask("GET", f"/v2/{repository}/manifests/{digest(content)}")
            if answer.status != 200 or found != content:
                return fault("broken", f"{repository}@{digest(content)} of {tag}: {answer.status} {found[:100]!r}")
        for blob in blobs:
            answer, found = self.ask("GET", f"/v2/{repository}/blobs/{digest(blob)}")
            if answer.status != 200 or found != blob:
                return fault("broken", f"{repository}@{digest(blob)} in {tag}: {answer.status} {found[:100]!r}")
        return count("checked")

    def run(self):
        tags = {}
        while time.time() < end:
            tag = f"t{self.number}-{self.random.randint(0, 4)}"
            try:
                pushed = self.push(tag)
                tags[pushed[0], tag] = pushed
                self.check(pushed[0], tag, *pushed[1:])
                known = list(tags)
                if self.random.random() < 0.5:
                    repository, other = key = self.random.choice(known)
                    self.check(repository, other, *tags[key][1:])
                if self.random.random() < 0.4:
                    repository, other = key = self.random.choice(known)
                    path = f"/v2/{repository}/manifests/{digest(tags[key][1][0])}"
                    answer, content = self.expect((202, 404, 500), "DELETE", path)
                    if answer.status == 500:
                        # 2.8 empties the link of a tag before it writes it, and a deletion that reads it then fails half done, with
                        # or without a collection. The tag that it leaves is pushed again.
                        if b'"UNKNOWN"' not in content or b'"detail":{}' not in content:
                            raise Refused(f"DELETE {path}: 500 {content[:200]!r}")
                        count("deletions that met a push")
                        self.image(repository, other)
                    gone = tags.pop(key)[1][0]
                    # Tags of the same manifest go with it, in 2.8 as in 3.x.
                    for other in [other for other, pushed in tags.items() if other[0] == repository and gone in pushed[1]]:
                        del tags[other]
                    count("deletes")
            except Refused as refused:
                fault("failed", str(refused))
                tags = {key: value for key, value in tags.items() if key[1] != tag}
            except (OSError, http.client.HTTPException) as error:
                fault("failed", f"{type(error).__name__}: {error}")
                self.connection = None
                tags = {key: value for key, value in tags.items() if key[1] != tag}
        for (repository, tag), pushed in tags.items():
            self.check(repository, tag, *pushed[1:])
            count("final")


def client_of_docker():
    """Pushes with docker and with skopeo images that share a layer with each other, and removes them."""
    number = 0
    while time.time() < end:
        number += 1
        tag = f"{address}/soak/docker:{number % 5}"
        script = (f"set -e; d=$(mktemp -d); echo {number % 7} >$d/file; tar -C $d -c file | docker import - soak-{port} >/dev/null; rm -r $d; "
                  f"docker tag soak-{port} {tag}; docker push -q {tag} >/dev/null; docker rmi {tag} >/dev/null; "
                  f"skopeo inspect --cert-dir $(dirname {ca}) --creds admin:{password} docker://{tag} >/dev/null; "
                  f"docker pull -q {tag} >/dev/null; docker rmi {tag} >/dev/null")
        if number % 3 == 0:
            script += f"; skopeo delete --cert-dir $(dirname {ca}) --creds admin:{password} docker://{tag}"
        ran = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=False)
        if ran.returncode:
            fault("failed", "docker: " + ran.stderr[-300:])
        else:
            count("docker")


threads = [threading.Thread(target=Client(number).run) for number in range(8)]
if with_clients == "yes":
    threads.append(threading.Thread(target=client_of_docker))
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(json.dumps({"counts": counts, "faults": faults}))
