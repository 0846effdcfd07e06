"""A strict origin that records what it receives and responses by script.

It reads requests with h11, an independent reader, and keeps every byte: what h11 refuses is kept as
an error.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import h11

Script = Callable[["Line"], Awaitable[None]]
"""Plays one response on a connection."""


@dataclass
class Received:
    """One complete request as h11 read it."""

    method: str
    target: str
    headers: list[tuple[str, str]]
    body: bytes
    raw: bytes

    def values(self, name: str) -> list[str]:
        return [value for found, value in self.headers if found.lower() == name]


def reset_at_close(connection: Any) -> None:
    """Closing this socket, or what stands for one in asyncio, sends RST instead of FIN."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass
class Line:
    """One connection of the origin, for scripts."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    request: Received | None = None

    async def send(self, data: bytes, *, bytewise: bool = False) -> None:
        for piece in [data[at : at + 1] for at in range(len(data))] if bytewise else [data]:
            self.writer.write(piece)
            await self.writer.drain()
            await asyncio.sleep(0)

    def reset(self) -> None:
        reset_at_close(self.writer.get_extra_info("socket"))
        self.writer.transport.abort()


@dataclass
class Origin:
    """`script` answers requests to other targets than the canary's; `early` answers after the
    head, before the body.
    """

    requests: list[Received] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    script: Script | None = None
    early: Script | None = None
    connections: int = 0
    open: int = 0
    port: int = 0
    options: dict[str, Any] = field(default_factory=dict)
    """How to listen: `ssl`, `port` or a Unix `path`."""
    writers: set[asyncio.StreamWriter] = field(default_factory=set)

    async def start(self) -> asyncio.Server:
        if "path" in self.options:
            return await asyncio.start_unix_server(self._serve, **self.options)
        server = await asyncio.start_server(self._serve, "127.0.0.1", **{"port": 0, **self.options})
        self.port = server.sockets[0].getsockname()[1]
        return server

    def forget(self) -> None:
        self.requests.clear()
        self.errors.clear()
        self.script = self.early = None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open += 1
        self.writers.add(writer)
        line = Line(reader, writer)
        try:
            while await self._exchange(line):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open -= 1
            self.writers.discard(writer)
            writer.close()

    async def _exchange(self, line: Line) -> bool:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        raw, body, head = bytearray(), bytearray(), None
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError as error:
                self.errors.append(f"{error}: {bytes(raw)!r}")
                return False
            if event is h11.NEED_DATA:
                data = await line.reader.read(65_536)
                if not data:
                    if raw:
                        self.errors.append(f"incomplete: {bytes(raw[:300])!r}")
                    return False
                raw += data
                parser.receive_data(data)
            elif isinstance(event, h11.Request):
                head = event
                if self.early is not None and not event.target.startswith(b"/canary"):
                    line.request = _received(head, b"", raw)
                    await self.early(line)
                    if line.writer.is_closing():
                        return False
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return False
        if parser.trailing_data[0]:
            self.errors.append(f"pipelined: {parser.trailing_data[0]!r}")
        line.request = _received(head, bytes(body), raw)
        self.requests.append(line.request)
        if self.script is None or line.request.target.startswith("/canary"):
            await line.send(echo(line.request))
        else:
            await self.script(line)
        return not line.writer.is_closing()


def _received(head: h11.Request, body: bytes, raw: bytearray) -> Received:
    headers = [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, value in head.headers.raw_items()
    ]
    return Received(head.method.decode(), head.target.decode("latin-1"), headers, body, bytes(raw))


def echo(request: Received) -> bytes:
    """A response that names the request it belongs to."""
    body = f"{request.method} {request.target} {len(request.body)}".encode()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Origin: 1\r\n\r\n" % len(body)
    return head if request.method == "HEAD" else head + body
