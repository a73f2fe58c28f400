"""`provision registry --flavor s3` beside the same calls made by AWS's own command line, on moto's server with IAM enforced."""

import json
import os
import select
import shlex
import socket
import subprocess
import threading
import time
from pathlib import Path

import compose
import engine
from measure import Cost, Failed, in_turn, median, read, run

PART = Path(__file__).resolve().parent.parent / "scripts/part.sh"
REGION = "us-east-1"
# What a call to a store in the same region takes over a network, about.
DELAY = 0.1
EVERYTHING = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


class Store:
    """Moto's server; its first three calls are free and make the owner, with whose key all others are made."""

    def __init__(self):
        self.address = read("sh", "-c", "ip -4 -o addr show docker0 | grep -oP 'inet \\K[0-9.]+'")
        self.port = engine.free_port()
        self.url = f"http://{self.address}:{self.port}"
        self.programs = Path(read(PART, "moto")) / "bin"
        command = [self.programs / "moto_server", "-H", self.address, "-p", str(self.port)]
        environment = {**os.environ, "INITIAL_NO_AUTH_ACTION_COUNT": "3"}
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, env=environment, **quiet)
        self.variables = {
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_CONFIG_FILE": "/dev/null",
            "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
        }
        self._wait()
        self.aws("iam create-user --user-name owner")
        self.aws("iam put-user-policy --user-name owner --policy-name all --policy-document", json.dumps(EVERYTHING))
        key = json.loads(self.aws("iam create-access-key --user-name owner"))["AccessKey"]
        self.variables.update(AWS_ACCESS_KEY_ID=key["AccessKeyId"], AWS_SECRET_ACCESS_KEY=key["SecretAccessKey"])

    def _wait(self):
        for _ in range(200):
            with socket.socket() as client:
                if client.connect_ex((self.address, self.port)) == 0:
                    return
            time.sleep(0.1)
        raise Failed("moto's server does not listen")

    def command(self, words, *more):
        return [self.programs / "aws", "--endpoint-url", self.url, *shlex.split(words), *more]

    def aws(self, words, *more):
        return read(*self.command(words, *more), **self.variables)

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Delay:
    """Stands before a store and holds each request back a while, as a network does; keeps the requests of one run."""

    def __init__(self, store):
        self.store, self.requests = store, []
        self.listener = socket.create_server((store.address, 0), backlog=64)
        self.port = self.listener.getsockname()[1]
        self.url = f"http://{store.address}:{self.port}"
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._pass, args=(client,), daemon=True).start()

    def _pass(self, client):
        with client, socket.create_connection((self.store.address, self.store.port)) as server:
            while True:
                ready, _, _ = select.select([client, server], [], [])
                for side in ready:
                    data = side.recv(1 << 16)
                    if not data:
                        return
                    if side is client:
                        self.requests.append(data)
                        time.sleep(DELAY)
                    (server if side is client else client).sendall(data)

    def slowest(self, requests):
        """The longest time that any of these requests takes alone, in seconds."""
        times = []
        for request in requests:
            with socket.create_connection((self.store.address, self.port)) as client:
                begun = time.perf_counter()
                client.sendall(request)
                client.recv(1 << 16)
                times.append(time.perf_counter() - begun)
        return max(times)


class Registry:
    """`provision registry --flavor s3` under one name, with a bucket of that name."""

    def __init__(self, program, name, folder, url, variables):
        self.program, self.name, self.url = program, name, url
        self.home, self.port = Path(folder) / name, engine.free_port()
        self.variables = {**variables, "PROVISION_HOME": self.home}

    def apply(self):
        flags = ["--flavor", "s3", "--bucket", self.name, "--endpoint", self.url, "--region", REGION, "--prefix", "images"]
        command = [self.program, "registry", "--name", self.name, "--port", self.port, "--trust", "no", "--yes"]
        return run(*command, *flags, **self.variables)

    def again(self):
        return run(self.program, "registry", "--name", self.name, **self.variables)

    def destroy(self):
        run(self.program, "destroy", self.name, "--yes", "--delete-data", self.name, **self.variables)


class ByHand:
    """The same by AWS's own command line, call after call, and `docker compose up`."""

    def __init__(self, name, store, project):
        self.name, self.store, self.project = name, store, project
        arn = f"arn:aws:s3:::{name}"
        objects = ["AbortMultipartUpload", "DeleteObject", "GetObject", "ListMultipartUploadParts", "PutObject"]
        listing = {"Effect": "Allow", "Action": ["s3:ListBucket", "s3:ListBucketMultipartUploads"], "Resource": arn}
        listing["Condition"] = {"StringLike": {"s3:prefix": ["images", "images/*"]}}
        using = {"Effect": "Allow", "Action": [f"s3:{action}" for action in objects], "Resource": f"{arn}/images/*"}
        self.policy = json.dumps({"Version": "2012-10-17", "Statement": [listing, using]})

    def calls(self):
        bucket, user = f"--bucket {self.name}", f"--user-name {self.name}"
        yield "sts get-caller-identity"
        yield f"s3api create-bucket {bucket}"
        yield f"s3api put-public-access-block {bucket} --public-access-block-configuration BlockPublicAcls=true,IgnorePublicAcls=true,BlockPublicPolicy=true,RestrictPublicBuckets=true"
        yield f"s3api put-bucket-encryption {bucket} --server-side-encryption-configuration 'Rules=[{{ApplyServerSideEncryptionByDefault={{SSEAlgorithm=AES256}}}}]'"
        yield f"s3api put-bucket-ownership-controls {bucket} --ownership-controls 'Rules=[{{ObjectOwnership=BucketOwnerEnforced}}]'"
        yield f"s3api put-bucket-lifecycle-configuration {bucket} --lifecycle-configuration 'Rules=[{{ID=abort,Status=Enabled,Filter={{Prefix=\"\"}},AbortIncompleteMultipartUpload={{DaysAfterInitiation=7}}}}]'"
        yield f"s3api put-bucket-tagging {bucket} --tagging 'TagSet=[{{Key=a,Value=b}}]'"
        yield f"iam create-user {user} --path /provision/ --tags Key=a,Value=b"
        yield f"iam put-user-policy {user} --policy-name provision --policy-document {shlex.quote(self.policy)}"
        yield f"iam create-access-key {user}"

    def up(self):
        wall = cpu = 0
        for words in self.calls():
            cost = run(*self.store.command(words), **self.store.variables)
            wall, cpu = wall + cost.wall, cpu + cost.cpu
        cost = self.project.up()
        return Cost(wall + cost.wall, cpu + cost.cpu)

    def down(self):
        self.project.stop()
        user = f"--user-name {self.name}"
        key = json.loads(self.store.aws(f"iam list-access-keys {user}"))["AccessKeyMetadata"][0]["AccessKeyId"]
        self.store.aws(f"iam delete-access-key {user} --access-key-id {key}")
        self.store.aws(f"iam delete-user-policy {user} --policy-name provision")
        self.store.aws(f"iam delete-user {user}")
        self.store.aws(f"s3api delete-bucket --bucket {self.name}")


def bench(table, program, folder, prefix, local):
    """`local` is what a second run takes of a registry that stores its images on this host, in seconds."""
    store = Store()
    try:
        registry = Registry(program, f"{prefix}-s3", folder, store.url, store.variables)
        registry.apply()
        _first_run(table, registry, store, folder, prefix)
        registry.destroy()
        _second_run(table, program, store, folder, prefix, local)
    finally:
        store.stop()


def _first_run(table, registry, store, folder, prefix):
    name = f"{prefix}-hand"
    port = engine.free_port()
    containers = engine.describe(f"{registry.name}-registry", f"{registry.name}-proxy")
    containers = [container.renamed(registry.name, name, registry.port, port) for container in containers]
    work = Path(folder) / "by-hand"
    work.mkdir(mode=0o700)
    project = compose.Project(name, containers, work, compose.obtain())
    project.first()
    project.stop()
    by_hand = ByHand(name, store, project)
    fresh = Registry(registry.program, f"{prefix}-fresh", folder, store.url, store.variables)

    def ours():
        cost = fresh.apply()
        fresh.destroy()
        return cost

    def peer():
        cost = by_hand.up()
        by_hand.down()
        return cost

    costs = list(in_turn(ours, peer))
    title = "S3: first run, beside aws and Compose"
    table.compare(title, *(median(found, "wall") for found in costs), 0.3)
    table.compare("  the same, CPU of the client", *(median(found, "cpu") for found in costs))
    project.down()


def _second_run(table, program, store, folder, prefix, local):
    delay = Delay(store)
    registry = Registry(program, f"{prefix}-far", folder, delay.url, store.variables)
    registry.apply()
    delay.requests.clear()
    registry.again()
    slowest = delay.slowest(list(delay.requests))
    costs = in_turn(registry.again)[0]
    title = "S3: second run, beside its slowest call"
    wall = median(costs, "wall")
    table.compare(title, wall, slowest)
    table.compare("  the same, without the local second run", wall - local, slowest, 1.3)
    registry.destroy()
