#!/usr/bin/env -S python3 -B
"""Clients of a registry, many at once: some ask with the right password, some guess one, some never end what they say.

What they met is printed as JSON at the end.
"""

import argparse
import asyncio
import base64
import collections
import contextlib
import itertools
import json
import logging
import resource
import ssl
import statistics
import time
from pathlib import Path

# How many connections are being opened at once: more would be lost on the way.
OPENING = 200
PAUSE = 0.005  # seconds between two requests of a client


class Crowd:
    def __init__(self, given):
        self.given = given
        self.met = collections.Counter()
        self.times = []
        self.until = time.monotonic() + given.seconds
        self.tls = ssl.create_default_context(cafile=given.ca) if given.ca else ssl._create_unverified_context()
        self.tls.check_hostname = False
        self.opening = asyncio.Semaphore(OPENING)

    def goes_on(self):
        return time.monotonic() < self.until

    @contextlib.asynccontextmanager
    async def connection(self, tls=True):
        local = (self.given.source, 0) if self.given.source else None
        async with self.opening:
            opened = asyncio.open_connection(self.given.address, self.given.port, ssl=self.tls if tls else None, local_addr=local)
            reader, writer = await asyncio.wait_for(opened, self.given.timeout)
        try:
            yield reader, writer
        finally:
            writer.close()

    async def ask(self, reader, writer, password):
        """Sends one request, and gives the status of the answer and whether another may follow."""
        self.send(writer, password)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await body(reader, head)
        return int(head.split()[1]), b"\r\nconnection: close" not in head

    def send(self, writer, password):
        login = base64.b64encode(f"{self.given.user}:{password}".encode()).decode()
        writer.write(f"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nAuthorization: Basic {login}\r\n\r\n".encode())

    async def right(self, number):
        """A client that knows the password."""
        begun = time.monotonic()
        try:
            async with self.connection() as (reader, writer):
                status, _ = await asyncio.wait_for(self.ask(reader, writer, self.given.password), self.given.timeout)
        finally:
            self.times.append(time.monotonic() - begun)
        self.met[status] += 1
        await asyncio.sleep(PAUSE)

    async def wrong(self, number):
        """A client that tries one password after the other over one connection, as long as that is open."""
        guesses = (f"wrong-{number}-{self.met.total()}-{count}" for count in itertools.count())
        more = True
        async with self.connection() as (reader, writer):
            while more and self.goes_on():
                if self.given.leave:
                    self.send(writer, next(guesses))
                    await writer.drain()
                    self.met["left"] += 1
                    return
                status, more = await asyncio.wait_for(self.ask(reader, writer, next(guesses)), self.given.timeout)
                self.met[status] += 1

    async def slow(self, number):
        """A client whose header never ends. It says so in the clear: a server waits for the end before it tells."""
        async with self.connection(tls=not self.given.plain) as (reader, writer):
            writer.write(b"GET /v2/ HTTP/1.1\r\n")
            self.met["opened"] += 1
            if self.met["opened"] == self.given.connections:
                print("ready", flush=True)
            for count in itertools.count():
                if reader.at_eof() or not self.goes_on():
                    break
                writer.write(f"X-{count}: slow\r\n".encode())
                await asyncio.sleep(1)
            self.met["closed"] += self.goes_on()

    async def one(self, number):
        """One connection after the other, whatever becomes of them."""
        kind = {"ask": self.right, "guess": self.wrong, "slow": self.slow}[self.given.what]
        times = itertools.count() if self.given.connects is None else range(self.given.connects)
        for _ in itertools.takewhile(lambda _: self.goes_on(), times):
            try:
                await kind(number)
            except (OSError, EOFError, asyncio.TimeoutError) as error:
                self.met[type(error).__name__] += 1

    async def all(self):
        await asyncio.gather(*(self.one(number) for number in range(self.given.connections)))
        found = {"met": {str(key): count for key, count in self.met.items()}}
        if self.times:
            parts = statistics.quantiles(self.times, n=100, method="inclusive") if len(self.times) > 1 else self.times * 99
            found |= {"median": parts[49], "p99": parts[98], "longest": max(self.times)}
        print(json.dumps(found))


async def body(reader, head):
    """Reads the rest of an answer."""
    lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
    if b"content-length" in lines:
        await reader.readexactly(int(lines[b"content-length"]))
    elif lines.get(b"transfer-encoding") == b"chunked":
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=["ask", "guess", "slow"])
    parser.add_argument("address", help="where nginx listens")
    parser.add_argument("port", type=int)
    parser.add_argument("--source", help="the address that they come from")
    parser.add_argument("--ca", help="the authority that the server is trusted by; otherwise any is")
    parser.add_argument("--user", default="admin")
    parser.add_argument("--password-file", type=Path)
    parser.add_argument("--connections", type=int, default=4)
    parser.add_argument("--connects", type=int, help="how often each of them connects; who asks does it for each request")
    parser.add_argument("--seconds", type=float, default=10)
    parser.add_argument("--timeout", type=float, default=15, help="how long each waits for an answer, in seconds")
    parser.add_argument("--leave", action="store_true", help="guess, and do not wait for the answer")
    parser.add_argument("--plain", action="store_true", help="be slow without TLS, which costs the client less")
    given = parser.parse_args()
    given.password = given.password_file.read_text().strip() if given.password_file else ""
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    # A connection that is lost is counted, and needs no message.
    logging.getLogger("asyncio").setLevel(logging.CRITICAL)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asyncio.run(Crowd(given).all())


if __name__ == "__main__":
    main()
