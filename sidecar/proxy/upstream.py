"""One connection to the upstream: one request at a time, one response for each, judged strictly.

A connection that says anything unasked is closed, never matched to a request.
"""

from __future__ import annotations

import asyncio
import atexit
import io
import os
import re
import select
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from sidecar.proxy.faults import UpstreamFailed
from sidecar.proxy.http1.bodies import Chunked
from sidecar.proxy.http1.grammar import CHUNKED, UNTIL_CLOSE, Malformed
from sidecar.proxy.http1.responses import Response, ResponseReader
from sidecar.proxy.waiter import Waiter
from sidecar.settings import Limits

if TYPE_CHECKING:
    from sidecar.proxy.exchange import Exchange
    from sidecar.proxy.tunnel import Tunnel

HIGH_WATER: Final = 131_072
"""Bytes of a body held for a slow client before the upstream is no longer read."""

_STORE: Final = io.BytesIO(bytes(262_144))
BUFFER: Final = _STORE.getbuffer()
"""Where every connection reads to, until its protocol has been called; its store makes bytes of
it at less cost than a view.
"""
FIRST: Final = BUFFER[:73_728]
"""For a head: a page fits behind it, and of a large body most is left to be spliced."""

# A store that is let go while it is viewed says so on stderr, since Python 3.13.
atexit.register(BUFFER.release)
atexit.register(FIRST.release)

MAX_INTERIM: Final = 16
_BARE_LF = re.compile(rb"(?<!\r)\n")

IDLE: Final = 0
HEAD: Final = 1  # asked, the head of the response is awaited
LENGTH: Final = 2  # then a body by its length,
CODED: Final = 3  # in chunks,
UNTIL_END: Final = 4  # or up to the end of the connection
DONE: Final = 5
TUNNEL: Final = 6
CLOSED: Final = 7
"""Where a connection stands in its exchange."""


class Connection(asyncio.BufferedProtocol):
    """`reused` from its second request on; `extra` when unasked bytes came; `secure`: over TLS."""

    transport: asyncio.Transport

    def __init__(self, limits: Limits, reader: ResponseReader) -> None:
        self._limits = limits
        self._arrived = select.poll()
        self._reader = reader
        self._state = IDLE
        self._buffer = b""
        self._pieces: list[bytes] = []
        self._size = 0
        self._reading = True
        self._left = 0
        self.failure: Exception | None = None
        """What ended the connection before its response was whole."""
        self._exchange: Exchange | None = None
        """For whom a request has been sent."""
        self._awaited: Waiter | None = None
        """What `wake` was given, while there is nothing new."""
        self._full = False
        self._room: Waiter | None = None
        """Ended when there is room again."""
        self._tunnel: Tunnel | None = None
        self.response: Response | None = None
        self.extra = False
        self.keep_alive = True
        self.reused = self.secure = False
        self.idle_since = 0.0
        self.address = ""
        """Where the pool connected it to, for an upstream with a name."""
        self.lost: Callable[[Connection], None] | None = None
        """Called when it has ended."""

    # What the exchange asks.

    def ask(self, method: str, data: bytes, looks: frozenset[bytes], exchange: Exchange) -> None:
        """Send a request's head, with what of its body is at hand; `exchange` is called with the
        outcome.

        `looks` are the lower-case names of the response's lines that rules look at.
        """
        self._method, self._looks, self._interims = method, looks, 0
        self._exchange = exchange
        self._state, self.response = HEAD, None
        self.transport.write(data)

    @property
    def done(self) -> bool:
        """The whole response has been received."""
        return self._state == DONE

    def wake(self, waiter: Waiter) -> Waiter:
        """`waiter`, to be ended when there is more, or nothing more; raises what ended it all."""
        if self.failure is not None:
            raise self.failure
        self._awaited = waiter
        return waiter

    def speaks(self) -> bool:
        """The loop has not read all that has come."""
        return not self.transport.is_closing() and bool(self._arrived.poll(0))

    def room(self, waiter: Waiter) -> Waiter | None:
        """`waiter`, to be ended when more may be written; None = it may."""
        self._room = waiter if self._full else None
        return self._room

    def take(self) -> bytes:
        """The bytes of the body that are at hand, b"" when none."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        if not self._reading and not self.transport.is_closing():
            self._reading = True
            self.transport.resume_reading()
        return data

    def left(self) -> int:
        """Bytes of the body that are to come, where its length is known."""
        return self._left if self._state == LENGTH else 0

    def waits(self) -> bool:
        """Bytes of the body are here that nobody has taken."""
        return bool(self._pieces)

    def passed(self, size: int) -> None:
        """So many bytes of the body have been spliced."""
        self._left -= size

    def abort(self, failure: Exception | None = None) -> None:
        """End it now; who waits gets `failure`."""
        self._fail(failure or UpstreamFailed(502, "closed"))
        if self._tunnel is None:  # a tunnel closes its ends itself, in order
            self.transport.abort()

    def tunnel(self, tunnel: Tunnel) -> bytes:
        """From here on bytes go to `tunnel`; returns those that came already."""
        self._state, self._tunnel = TUNNEL, tunnel
        return self.take()

    # What the pool asks.

    def leave(self) -> None:
        """The exchange is over, and is not called again."""
        self._exchange = None

    def release(self, now: float) -> None:
        """The response has been passed on; ready for the next request."""
        self._state, self.response, self.reused, self.idle_since = IDLE, None, True, now

    def usable(self) -> bool:
        """Nothing has arrived unasked, no byte and no end; the loop may not have looked yet. To be
        asked just before the request is sent: what comes in between is taken for its response.
        """
        if not self.keep_alive or self.transport.is_closing():
            return False
        return not self._arrived.poll(0)

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's protocol."""
        stream = self.transport = cast("asyncio.Transport", transport)
        self._arrived.register(stream.get_extra_info("socket").fileno(), select.POLLIN)
        self.secure = stream.get_extra_info("ssl_object") is not None
        stream.set_write_buffer_limits(HIGH_WATER)

    def get_buffer(self, sizehint: int) -> memoryview:
        """Asyncio's protocol."""
        return FIRST if self._state == HEAD else BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Asyncio's protocol."""
        _STORE.seek(0)
        self.data_received(_STORE.read(nbytes))

    def data_received(self, data: bytes) -> None:
        """Take what has been read."""
        if self._tunnel is not None:
            self._tunnel.from_upstream(data)
            return
        try:
            if self._state == HEAD:
                self._head(data)
            else:
                self._body(data)
        except UpstreamFailed as failure:
            self.abort(failure)
        else:
            self._wake()
            # Looked at when the exchange has had its turn: mostly it has passed on what came.
            if self._size > HIGH_WATER and self._reading and not self.transport.is_closing():
                self._reading = False
                self.transport.pause_reading()

    def eof_received(self) -> None:
        """Asyncio's protocol; the transport closes itself after it."""
        if self._state == UNTIL_END:
            self._state = DONE
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's protocol."""
        self.keep_alive = False
        if self.lost is not None:
            self.lost(self)
        if self._tunnel is not None:
            self._tunnel.lost()
            return
        if exc is not None and self._state not in (IDLE, DONE, CLOSED):
            self._rescue()
        if self._state not in (IDLE, DONE):
            untouched = self._state == HEAD and not self._buffer and not self._interims
            self._fail(
                UpstreamFailed(502, "closed" if untouched else "truncated", untouched=untouched)
            )
        self._wake()
        self._make_room()

    def pause_writing(self) -> None:
        """Asyncio's protocol."""
        if self._tunnel is not None:
            self._tunnel.upstream_full()
        else:
            self._full = True

    def resume_writing(self) -> None:
        """Asyncio's protocol."""
        if self._tunnel is not None:
            self._tunnel.upstream_ready()
        else:
            self._make_room()

    # Reading.

    def _head(self, data: bytes) -> None:
        seen = 0
        if self._buffer:
            seen = max(0, len(self._buffer) - 3)
            data = self._buffer + data
            self._buffer = b""
        # What has been looked at already is not read again before the end has come.
        while not seen or data.find(b"\r\n\r\n", seen) >= 0:
            response = self._reader.read(data, self._method, self._looks)
            if response is None:
                break
            head = response.head
            data = head.data[head.stop + 2 :]
            if response.status >= 200 or response.status == 101:
                self._begin(response, data)
                return
            self._interims += 1
            if self._interims > MAX_INTERIM:
                raise UpstreamFailed(502, "invalid_framing", "too many interim responses")
            if self._exchange is not None:
                self._exchange.interim(response)
            seen = 0
        self._buffer = data
        if len(data) > self._limits.header_bytes:
            raise UpstreamFailed(502, "header_too_large")
        if not data.startswith(b"HTTP/1."[: len(data)]) or _BARE_LF.search(data, seen):
            raise UpstreamFailed(502, "invalid_header")

    def _begin(self, response: Response, rest: bytes) -> None:
        self.response = response
        self.keep_alive = self.keep_alive and response.keep_alive
        self._left = response.length
        # All of it came at once, or there is none.
        if response.length == len(rest) and response.status != 101:
            if rest:
                self._pieces.append(rest)
            self._state = DONE
            return
        if response.status == 101 or response.length == UNTIL_CLOSE:
            self._state = UNTIL_END
        elif response.length == CHUNKED:
            self._state = CODED
            self._chunks = Chunked(self._limits.header_bytes, self._limits.headers)
        elif response.length:
            self._state = LENGTH
        else:
            self._state = DONE
        if rest:
            self._body(rest)

    def _body(self, data: bytes) -> None:
        if self._state == LENGTH:
            left = self._left - len(data)
            if left < 0:
                self._unasked()
                data = data[:left]
            self._push(data)
            self._left = max(left, 0)
            if not self._left:
                self._state = DONE
        elif self._state == CODED:
            self._coded(data)
        elif self._state == UNTIL_END:
            self._push(data)
        elif self._state == DONE:
            self._unasked()
        elif self._state == IDLE:
            self._unasked()
            self.transport.abort()

    def _coded(self, data: bytes) -> None:
        chunks = self._chunks
        try:
            piece = chunks.feed(data)
        except Malformed as fault:
            raise UpstreamFailed(502, "invalid_framing", str(fault)) from None
        if piece:
            self._push(piece)
        if chunks.done:
            self._state = DONE
            if chunks.rest:
                self._unasked()

    def _make_room(self) -> None:
        waiter, self._room, self._full = self._room, None, False
        if waiter is not None:
            waiter.set_result(None)

    def _push(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)

    def _unasked(self) -> None:
        self.extra, self.keep_alive = True, False

    def _fail(self, failure: Exception) -> None:
        self.keep_alive = False
        if self.failure is None and self._state != DONE:
            self._state, self.failure = CLOSED, failure
        self._wake()

    def _wake(self) -> None:
        waiter, exchange = self._awaited, self._exchange
        if waiter is not None:
            self._awaited = None
            if waiter.done():
                return
            if self.failure is None:
                waiter.set_result(None)
            else:
                waiter.set_exception(self.failure)
        elif exchange is not None and (self.response is not None or self.failure is not None):
            exchange.responded()

    def _rescue(self) -> None:
        """Read a response that the upstream sent before it closed on our upload, where writing
        failed first. Both loops close the descriptor behind this call.
        """
        raw = self.transport.get_extra_info("socket")
        if raw is None or self.transport.get_extra_info("ssl_object") is not None:
            return
        with suppress(OSError, UpstreamFailed):
            while self._state != DONE and (data := os.read(raw.fileno(), 65_536)):
                (self._head if self._state == HEAD else self._body)(data)
