"""How long a rollback on one replica takes until the last of a fleet serves it, and what clients
see meanwhile.

`python -m bench.fleet [REPLICAS [ROLLBACKS]]` starts a Redis, a small service and the replicas,
asks each replica on kept connections all the time, rolls back and puts the file in force again. A
response is lost when its exchange failed or is no 200, and mixed when its two marks are not of one
revision. Times are measured at the clients, so they include the pause between two requests. Must
not know how replicas agree.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from tests.e2e.running import Sidecar
from tests.fleet.server import Server

PAUSE = 0.02
"""Seconds between two requests on one connection."""
BETWEEN = 0.5
"""Seconds of steady traffic between two rollbacks."""
POLICY = """\
version: 1
name: bench
mode: enforce
rules:
  first: {{header: X-First, action: set, value: {0}}}
  last: {{header: X-Last, action: set, value: {0}}}
"""


class Client:
    """One kept connection to one replica; what it saw."""

    def __init__(self, port: int) -> None:
        self.port = port
        self.seen = ""
        self.asked = self.lost = self.mixed = 0
        self.since = 0.0
        """When `seen` was first seen."""

    async def run(self) -> None:
        """Ask for ever."""
        while True:
            try:
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                while True:
                    self.asked += 1
                    writer.write(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")
                    self._judge(await reader.readuntil(b"\r\n\r\n"))
                    await reader.readexactly(2)
                    await asyncio.sleep(PAUSE)
            except (OSError, EOFError, ValueError):
                self.lost += 1

    def _judge(self, head: bytes) -> None:
        lines = [line.partition(b": ") for line in head.split(b"\r\n")]
        marks = {value for name, _, value in lines if name in (b"X-First", b"X-Last")}
        self.lost += not head.startswith(b"HTTP/1.1 200")
        self.mixed += len(marks) != 1
        mark = b"".join(marks).decode()
        if mark != self.seen:
            self.seen, self.since = mark, time.perf_counter()


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """The service: two bytes to everybody."""
    try:
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
    except (OSError, EOFError, asyncio.CancelledError):
        writer.close()


async def order(sidecar: Sidecar, path: str, **body: object) -> None:
    """Give an order; raise when it is refused."""
    reader, writer = await asyncio.open_connection(*sidecar.admin_address)
    data = json.dumps(body).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type:"
        f" application/json\r\nContent-Length: {len(data)}\r\nConnection: close\r\n\r\n"
    )
    writer.write(head.encode() + data)
    response = await reader.read()
    writer.close()
    if not response.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(response.decode())


async def all_see(clients: list[Client], mark: str) -> None:
    """Wait until every client sees this revision."""
    async with asyncio.timeout(30):
        while any(client.seen != mark for client in clients):
            await asyncio.sleep(0.005)


async def measure(folder: Path, stack: ExitStack, replicas: int, rollbacks: int) -> None:
    """Start, measure, print."""
    origin = await asyncio.start_server(serve, "127.0.0.1", 0)
    upstream = f"http://127.0.0.1:{origin.sockets[0].getsockname()[1]}"
    store = Server(folder / "redis")
    stack.callback(store.close)
    fleet = []
    for number in range(replicas):
        settings = {"fleet": {"url": store.url, "name": "bench"}}
        made = Sidecar(folder / str(number), POLICY.format("one"), upstream, settings=settings)
        stack.callback(made.stop)
        fleet.append(await asyncio.to_thread(made.start))
    clients = [Client(one.listen[1]) for one in fleet for _ in range(2)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    await all_see(clients, "one")
    fleet[0].write(POLICY.format("two"))
    await all_see(clients, "two")
    took = []
    for number in range(rollbacks):
        begun = time.perf_counter()
        await order(fleet[number % replicas], "/-/rollback")
        await all_see(clients, "one")
        took.append(max(client.since for client in clients) - begun)
        await order(fleet[0], "/-/reload", unpin=True)
        await all_see(clients, "two")
        await asyncio.sleep(BETWEEN)
    for task in tasks:
        task.cancel()
    asked, lost, mixed = (
        sum(getattr(client, name) for client in clients) for name in ("asked", "lost", "mixed")
    )
    print(
        f"{replicas} replicas, {rollbacks} rollbacks: median {statistics.median(took) * 1000:.0f}"
        f" ms, slowest {max(took) * 1000:.0f} ms until the last client saw it; {asked} responses,"
        f" {lost} lost, {mixed} mixed; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )


def main() -> None:
    """Numbers of the command line: replicas and rollbacks."""
    replicas, rollbacks = ([int(word) for word in sys.argv[1:]] + [8, 15][len(sys.argv) - 1 :])[:2]
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        asyncio.run(measure(Path(folder), stack, replicas, rollbacks))


if __name__ == "__main__":
    main()
