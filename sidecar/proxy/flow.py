"""A client's connection as a transport: paused and let go on, both ways.

Lives here: `Flow`. Must not know requests.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from contextlib import suppress
from typing import Final, cast

from sidecar.proxy.turns import Turn

_RESET: Final = struct.pack("ii", 1, 0)


class Flow(asyncio.Protocol):
    """`transport` is None before the connection and after it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self._drained: Turn | None = None

    def write(self, data: bytes) -> None:
        """Send bytes; ask `writing_paused` before the next."""
        if self.transport is not None:
            self.transport.write(data)

    def reset(self) -> None:
        """End the connection so that the client cannot take what it has for the whole (RFC 9112 section 8)."""
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

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's protocol."""
        stream = self.transport = cast("asyncio.Transport", transport)
        raw = stream.get_extra_info("socket")
        if raw is not None and raw.family in (socket.AF_INET, socket.AF_INET6):
            with suppress(OSError):  # the client may have gone already
                raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Asyncio's protocol."""
        self.transport = self._drained = None

    def pause_writing(self) -> None:
        """Asyncio's protocol."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """Asyncio's protocol."""
        self.writing_paused = False
        turn, self._drained = self._drained, None
        if turn is not None and not turn.done():
            turn.set_result(None)
