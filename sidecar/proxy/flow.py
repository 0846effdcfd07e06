"""A client's connection as a transport: paused and let go on, both ways, and ended in time."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from typing import Final, Protocol, cast

from sidecar.proxy.deadlines import NEVER
from sidecar.proxy.waiter import Waiter

_RESET: Final = struct.pack("ii", 1, 0)


class ClientTunnel(Protocol):
    """What a connection needs of the tunnel that it became a part of."""

    def from_client(self, data: bytes) -> None: ...
    def client_full(self) -> None: ...
    def client_ready(self) -> None: ...
    def client_lost(self) -> None: ...


class Flow(asyncio.Protocol):
    """`transport` is None before the connection and after it; `due` and `late` are its deadline."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._tunnel: ClientTunnel | None = None
        self.due: float = NEVER
        self.late: Callable[[], Exception] = TimeoutError
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self._drained: Waiter | None = None

    def write(self, data: bytes) -> None:
        """Send bytes; ask `writing_paused` before the next."""
        if self.transport is not None:
            self.transport.write(data)

    def reset(self) -> None:
        """End the connection so that the client cannot take what it has for the whole (RFC 9112
        section 8).
        """
        if self.transport is not None:
            raw = self.transport.get_extra_info("socket")
            # uvloop has none under TLS, where an end without close_notify is visible
            if raw is not None:
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def pause_transport(self) -> None:
        """Read no more for now."""
        if self.transport is not None:
            with suppress(RuntimeError):  # it is closing
                self.transport.pause_reading()

    def resume_transport(self) -> None:
        """Read on."""
        if self.transport is not None:
            with suppress(RuntimeError):
                self.transport.resume_reading()

    @property
    def tunnel(self) -> ClientTunnel | None:
        """What this connection has become a part of."""
        return self._tunnel

    def expect(self, seconds: float, late: Callable[[], Exception]) -> None:
        """Go on with the error `late()` where nothing else has come in `seconds`."""
        self.due, self.late = self._loop.time() + seconds, late

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's protocol."""
        self.transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Asyncio's protocol."""
        self.transport = self._drained = None

    def pause_writing(self) -> None:
        """Asyncio's protocol."""
        self.writing_paused = True
        if self._tunnel is not None:
            self._tunnel.client_full()

    def resume_writing(self) -> None:
        """Asyncio's protocol."""
        self.writing_paused = False
        waiter, self._drained = self._drained, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
        if self._tunnel is not None:
            self._tunnel.client_ready()
