"""The data plane and its origin in one background loop, and a blocking client for them.

One stage serves many cases, on a loop whose clock tests may move, so that nobody waits for a
deadline. Responses are read with h11, so that whatever the proxy emits must satisfy an independent
reader.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from typing import Any

import h11

from sidecar.policy.engine.plan import compile_policy
from sidecar.proxy import DataPlane
from sidecar.revisions import Active
from sidecar.runtime.settings_file import layered
from sidecar.settings import Settings
from sidecar.source import load_policy
from sidecar.telemetry import Events, Metrics, Telemetry
from sidecar.telemetry.events import QueuedOutput
from tests.patience import PATIENCE
from tests.wire.origin import Origin

POLICY = (
    "version: 1\nname: wire\nmode: enforce\nrules:\n  mark: {header: X-Policy, action: set, value:"
    " 'on'}\n"
)


class Lines(QueuedOutput):
    """Events in memory."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.dropped = 0

    def write(self, line: str) -> None:
        self.lines.append(line)

    def close(self, timeout: float = 2.0) -> None:
        pass


class _Errors(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.seen: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(self.format(record))


def active_for(policy: str, telemetry: Telemetry, revision: str = "r1") -> Active:
    """A snapshot as the revisions make it."""
    plan = compile_policy(load_policy(policy.encode(), "policy.yaml"))
    return Active(revision, plan, telemetry.activated(plan, revision))


class MovedLoop(asyncio.SelectorEventLoop):
    """A loop whose clock can be moved on."""

    ahead = 0.0

    def time(self) -> float:
        return super().time() + self.ahead


@dataclass
class Stage:
    """A running pair. `complaints` holds log records and loop errors: there must be none."""

    settings: dict[str, Any] = field(default_factory=dict)
    policy: str = POLICY
    upstream: str | None = None
    listen: str = "127.0.0.1:0"
    origin: Origin = field(default_factory=Origin)
    reports: Any = field(default=lambda *_: None)
    loop_factory: Callable[[], asyncio.AbstractEventLoop] = MovedLoop

    @contextlib.contextmanager
    def running(self) -> Iterator[Stage]:
        started = threading.Event()
        self._errors = _Errors()
        logging.getLogger().addHandler(self._errors)
        thread = threading.Thread(target=self._run, args=(started,), daemon=True)
        thread.start()
        assert started.wait(PATIENCE)
        try:
            yield self
        finally:
            self.loop.call_soon_threadsafe(self._stop.set)
            thread.join(PATIENCE)
            logging.getLogger().removeHandler(self._errors)
            assert not thread.is_alive()

    def _run(self, started: threading.Event) -> None:
        with asyncio.Runner(loop_factory=self.loop_factory) as runner:
            runner.run(self._main(started))

    async def _main(self, started: threading.Event) -> None:
        self.loop = asyncio.get_running_loop()
        self.loop.set_exception_handler(
            lambda _loop, context: self._errors.seen.append(str(context))
        )
        self._stop = asyncio.Event()
        server = await self.origin.start()
        flags = {
            "upstream": self.upstream or f"http://127.0.0.1:{self.origin.port}",
            "listen": self.listen,
        }
        self.configured: Settings = layered(self.settings, {}, flags)
        self.events = Lines()
        self.telemetry = Telemetry(
            Events(self.events, per_second=1_000_000), Metrics(process=False)
        )
        self.plane = DataPlane(self.configured, self.telemetry, reports=self.reports)
        self.active = active_for(self.policy, self.telemetry)
        self.bound = (await self.plane.start())[0]
        host, _, port = self.bound.rpartition(":")
        self.address = (host, int(port) if port.isdigit() else 0)
        started.set()
        await self._stop.wait()
        self.plane.abort()
        server.close()
        for writer in tuple(self.origin.writers):
            writer.transport.abort()
        for _ in range(50):
            if not self.origin.open and not self.telemetry.connections.n:
                break
            await asyncio.sleep(0.02)

    @property
    def active(self) -> Active:
        return self.plane.active

    @active.setter
    def active(self, value: Active) -> None:
        self.plane.active = value

    @property
    def complaints(self) -> list[str]:
        return self._errors.seen

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run something in the stage's loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)

    def count(self, metric: str, *labels: str) -> float:
        return self.telemetry.metrics.value(metric, *labels)

    def connect(self) -> socket.socket:
        if self.bound.startswith("unix:"):
            made = socket.socket(socket.AF_UNIX)
            made.settimeout(PATIENCE)
            made.connect(self.bound[5:])
            return made
        made = socket.create_connection(self.address, timeout=PATIENCE)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return made

    def canary(self) -> None:
        """A fresh client gets exactly its own response, and nothing went wrong inside."""
        mark = os.urandom(6).hex()
        reply = self.talk(b"GET /canary/%b HTTP/1.1\r\nHost: c\r\n\r\n" % mark.encode())[0]
        assert reply.body == f"GET /canary/{mark} 0".encode()
        assert self.complaints == []

    def talk(self, data: bytes, **how: Any) -> list[Reply]:
        with self.connect() as client:
            return talk(client, data, **how)

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something holds in the stage's loop."""

        async def poll() -> None:
            while not true():
                await asyncio.sleep(0.002)

        self.call(poll())

    def forward(self, seconds: float) -> None:
        """Let so much of the loop's time go by at once, after it has read what has been sent to
        it.
        """

        async def move() -> None:
            for _ in range(3):
                await asyncio.sleep(0)
            assert isinstance(self.loop, MovedLoop)
            self.loop.ahead += seconds

        self.call(move())

    @contextlib.contextmanager
    def flying(self) -> Iterator[None]:
        """A block in which ten seconds of the loop's time go by in a few milliseconds of ours."""
        over = threading.Event()

        def fly() -> None:
            while not over.wait(0.005):
                self.forward(10)

        thread = threading.Thread(target=fly, daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join(PATIENCE)

    def settle(self) -> None:
        """Wait until nothing is in flight."""
        self.until(lambda: not self.telemetry.in_flight.n and not self.telemetry.connections.n)


@dataclass
class Reply:
    """One response as h11 read it; `whole` is false when the connection ended inside it."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    interim: list[int]
    whole: bool = True
    version: str = "1.1"

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found.lower() == name]


def send(client: socket.socket, data: bytes, *, bytewise: bool = False) -> None:
    """Send; that the proxy may close while bytes are still leaving is part of the game."""
    with contextlib.suppress(ConnectionError):
        if bytewise:
            for at in range(len(data)):
                client.send(data[at : at + 1])
        else:
            client.sendall(data)


def talk(
    client: socket.socket,
    data: bytes,
    *,
    bytewise: bool = False,
    method: str = "GET",
    responses: int = 1,
) -> list[Reply]:
    """Send bytes, read up to `responses` responses; fewer when the connection ends. Raises
    TimeoutError for a hang.
    """
    send(client, data, bytewise=bytewise)
    return read_responses(client, method=method, responses=responses)


def read_responses(
    client: socket.socket, *, method: str = "GET", responses: int = 1, rest: bytes = b""
) -> list[Reply]:
    found: list[Reply] = []
    while len(found) < responses:
        reply, rest = _read_one(client, method, rest)
        if reply is None:
            break
        found.append(reply)
    return found


def _read_one(client: socket.socket, method: str, rest: bytes) -> tuple[Reply | None, bytes]:
    pieces: list[bytes] = []
    reply, rest = _read_head_and(pieces, client, method, rest)
    if reply is not None:
        reply.body = b"".join(pieces)
    return reply, rest


def _read_head_and(
    pieces: list[bytes], client: socket.socket, method: str, rest: bytes
) -> tuple[Reply | None, bytes]:
    parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=1 << 20)
    parser.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    parser.send(h11.EndOfMessage())
    if rest:
        parser.receive_data(rest)
    reply: Reply | None = None
    interim: list[int] = []
    while True:
        try:
            event = parser.next_event()
        except h11.RemoteProtocolError:
            if reply is None:
                if parser.their_state is h11.ERROR and not parser.trailing_data[0]:
                    return None, b""
                raise
            reply.whole = False
            return reply, b""
        if event is h11.NEED_DATA:
            try:
                data = client.recv(65_536)
            except ConnectionError:
                if reply is not None:
                    reply.whole = False
                return reply, b""
            parser.receive_data(data)
        elif isinstance(event, h11.InformationalResponse):
            interim.append(event.status_code)
        elif isinstance(event, h11.Response):
            headers = [
                (name.decode("latin-1"), value.decode("latin-1"))
                for name, value in event.headers.raw_items()
            ]
            reply = Reply(
                event.status_code, headers, b"", interim, version=event.http_version.decode()
            )
        elif isinstance(event, h11.Data):
            assert reply is not None
            pieces.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage):
            return reply, parser.trailing_data[0]
        else:
            return reply, b""
