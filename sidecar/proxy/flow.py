"""Flow control of a client connection, as aiohttp's parser and body streams ask it of their protocol.

Lives here: `Flow`, in the place of aiohttp's own base class so that it can be compiled with what stands on
it, and `Parser`. Must not know requests.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Protocol, cast

from aiohttp.tcp_helpers import tcp_keepalive, tcp_nodelay

from sidecar.proxy.turns import Turn


class Parser(Protocol):
    """aiohttp's request parser: what its one in C really gives is not of the types that its stubs name."""

    def feed_data(self, data: bytes, /) -> Any: ...
    def feed_eof(self) -> Any: ...
    def message_consumed(self) -> Any: ...
    def pause_reading(self) -> Any: ...


class Flow(asyncio.Protocol):
    """A transport that can be paused both ways. `transport` is None before the connection and after it."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self._drained: Turn | None = None
        self._parser: Parser | None = None
        self._reading_paused = False

    # What aiohttp's streams ask.

    @property
    def connected(self) -> bool:
        """The connection stands."""
        return self.transport is not None

    def pause_reading(self) -> None:
        """A body stream is full: neither the parser nor the transport goes on."""
        self._reading_paused = True
        if self._parser is not None:
            self._parser.pause_reading()
        self._pause_transport()

    def resume_reading(self, resume_parser: bool = True) -> None:  # noqa: FBT002  (aiohttp's signature)
        """A body stream has room again, or has ended; what the parser held back comes first."""
        self._reading_paused = False
        if resume_parser:
            self.data_received(b"")
        # That may have filled the stream again.
        if not self._reading_paused:
            self._resume_transport()

    def _pause_transport(self) -> None:
        if self.transport is not None:
            with suppress(RuntimeError):  # it is closing
                self.transport.pause_reading()

    def _resume_transport(self) -> None:
        if self.transport is not None:
            with suppress(RuntimeError):
                self.transport.resume_reading()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's protocol."""
        stream = self.transport = cast("asyncio.Transport", transport)
        tcp_nodelay(stream, True)
        tcp_keepalive(stream)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Asyncio's protocol."""
        self.transport = self._parser = self._drained = None

    def pause_writing(self) -> None:
        """Asyncio's protocol."""
        self.writing_paused = True

    def resume_writing(self) -> None:
        """Asyncio's protocol."""
        self.writing_paused = False
        turn, self._drained = self._drained, None
        if turn is not None and not turn.done():
            turn.set_result(None)
