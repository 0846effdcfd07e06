"""An upstream's name that moves, for real: a sidecar whose /etc/hosts is a file of the test, in
a mount namespace of its own.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.e2e.processes import Child, until
from tests.e2e.running import COMMAND, Sidecar
from tests.e2e.wire import Line, request
from tests.patience import PATIENCE

POLICY = "version: 1\nrules: {}\n"
PLAIN = request("GET", "/")

pytestmark = pytest.mark.skipif(
    subprocess.run(["unshare", "-rm", "true"], capture_output=True, check=False).returncode != 0,
    reason="unshare is not permitted",
)


class Hosts:
    """A hosts file, as the sidecar sees it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def say(self, *addresses: str) -> None:
        """Written in place: the mount holds on to the file."""
        self.path.write_text("".join(f"{address} service.test\n" for address in addresses))


class Named(Sidecar):
    """A sidecar with its own /etc/hosts."""

    hosts: Hosts

    def spawn(self, env: object = None, stdout: object = None) -> Child:
        self._runs += 1
        self._offset, self._events = 0, []
        self.config.write_text(json.dumps(self._settings), "utf-8")
        run = (*COMMAND, "run", "--config", str(self.config))
        inside = f"mount --bind {self.hosts.path} /etc/hosts && exec {' '.join(run)}"
        self.child = Child(
            ["unshare", "-rm", "sh", "-c", inside], self.folder / f"run-{self._runs}"
        )
        return self.child


@contextmanager
def origin(host: str, port: int = 0) -> Iterator[int]:
    """A service at one loopback address, which responds with that address; gives its port."""
    started, held = threading.Event(), {}
    writers = set[asyncio.StreamWriter]()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.add(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n" + host.encode())
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
            writers.discard(writer)

    async def main() -> None:
        server = await asyncio.start_server(serve, host, port)
        held["port"] = server.sockets[0].getsockname()[1]
        held["loop"], held["stop"] = asyncio.get_running_loop(), asyncio.Event()
        started.set()
        await held["stop"].wait()
        server.close()
        for writer in tuple(writers):
            writer.transport.abort()
        while writers:
            await asyncio.sleep(0)

    thread = threading.Thread(target=asyncio.run, args=(main(),), daemon=True)
    thread.start()
    assert started.wait(PATIENCE)
    try:
        yield held["port"]
    finally:
        held["loop"].call_soon_threadsafe(held["stop"].set)
        thread.join(PATIENCE)


@pytest.fixture
def hosts(tmp_path: Path) -> Hosts:
    return Hosts(tmp_path / "hosts")


def named(folder: Path, hosts: Hosts, port: int, age: str) -> Named:
    sidecar = Named(
        folder, POLICY, f"http://service.test:{port}", settings={"upstream_dns_age": age}
    )
    sidecar.hosts = hosts
    return sidecar.start()


def test_the_name_moves(tmp_path: Path, hosts: Hosts) -> None:
    """Old and new run side by side: kept connections, always busy, go over to the new address,
    and no request is lost.
    """
    hosts.say("127.0.0.2")
    with origin("127.0.0.2") as port, origin("127.0.0.3", port):
        sidecar = named(tmp_path, hosts, port, "100ms")
        with Line(sidecar.listen) as line:
            said = []

            def ask() -> bytes:
                line.send(PLAIN)
                response = line.response()
                assert response.status == 200
                said.append(response.body)
                return response.body

            assert ask() == b"127.0.0.2"
            hosts.say("127.0.0.3")
            until(lambda: ask() == b"127.0.0.3", "requests reach the new address")
            assert {ask() for _ in range(20)} == {b"127.0.0.3"}
            moved = sidecar.event("upstream.moved")
            assert (moved["before"], moved["after"]) == (["127.0.0.2"], ["127.0.0.3"])
        assert sidecar.metric("sidecar_upstream_errors_total") == 0
        assert sidecar.stop() == 0


def test_the_old_address_is_gone(tmp_path: Path, hosts: Hosts) -> None:
    """The old address refuses while it is still believed: the name is asked for again at once,
    and the request is served.
    """
    hosts.say("127.0.0.2")
    with origin("127.0.0.3") as port:
        with origin("127.0.0.2", port):
            sidecar = named(tmp_path, hosts, port, "1h")
            assert sidecar.get("/").body == b"127.0.0.2"
        hosts.say("127.0.0.3")
        assert [sidecar.get("/").body for _ in range(5)] == [b"127.0.0.3"] * 5
        assert sidecar.metric("sidecar_upstream_errors_total") == 0
        assert sidecar.stop() == 0


def test_the_name_is_gone(tmp_path: Path, hosts: Hosts) -> None:
    """A name that cannot be resolved any more leaves the known address in use; that is reported."""
    hosts.say("127.0.0.2")
    with origin("127.0.0.2") as port:
        sidecar = named(tmp_path, hosts, port, "100ms")
        assert sidecar.get("/").status == 200
        hosts.say()
        assert sidecar.event("upstream.unresolved")["host"] == "service.test"
        assert sidecar.get("/").body == b"127.0.0.2"
        assert sidecar.stop() == 0
