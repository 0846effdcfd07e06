"""A client's connection as a transport, and what its bytes become: requests one by one, their
bodies, and what waits behind them.

One request is read at a time: bytes behind it are held until it has its response, so no later fault
can reach an earlier response.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, cast

from sidecar.proxy.body import Body
from sidecar.proxy.deadlines import NEVER
from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.bodies import Chunked, Sized
from sidecar.proxy.http1.grammar import CHUNKED, Excessive, Malformed, TooLarge
from sidecar.proxy.http1.requests import Request
from sidecar.proxy.http1.stream import RequestHeads
from sidecar.proxy.waiter import Waiter

if TYPE_CHECKING:
    from sidecar.proxy.context import Context
    from sidecar.proxy.tunnel import Tunnel

HELD: Final = 65_536
"""Bytes behind a request that is being served; more are not read."""

LINGER_BYTES: Final = 1 << 30
"""After an early response the client may still be sending, and many look at no response before they
have sent all; without reading on, a reset would destroy it.
"""
LINGER_PAUSE: Final = 5.0
"""Seconds without a byte after which such a client is read no longer."""

_NOTHING: Final = Sized(0)
_RESET: Final = struct.pack("ii", 1, 0)
header_late: Final = partial(Refused, 408, "header_timeout")


def end_in_time(
    loop: asyncio.AbstractEventLoop, transport: asyncio.Transport, patience: float
) -> None:
    """Behind `close`: what was written still leaves, as long as some of it does in `patience`
    seconds.
    """
    left = transport.get_write_buffer_size()

    def look() -> None:
        nonlocal left
        before, left = left, transport.get_write_buffer_size()
        if 0 < left < before:
            loop.call_later(patience, look)
        else:
            transport.abort()

    loop.call_later(patience, look)


class Incoming(asyncio.Protocol, ABC):
    """What a client's connection is without its exchanges. `transport` is None before the
    connection and after it; `due` and `late` are its deadline. `_incoming` is the request that is
    at hand, or the refusal in its place; `_busy` while it is being served, `_deaf` when no other
    will be read.
    """

    def __init__(self, context: Context, none: Body) -> None:
        self._loop = context.loop
        self._tunnel: Tunnel | None = None
        self.due: float = NEVER
        self.late: Callable[[], Exception] = TimeoutError
        self.transport: asyncio.Transport | None = None
        self.writing_paused = False
        self._drained: Waiter | None = None
        self._context = context
        self._heads = RequestHeads(context.requests, context.settings.limits)
        self._none = none
        self._body = none
        self._decoder: Sized | Chunked = _NOTHING
        self._incoming: Request | Refused | None = None
        self._busy = False
        self._deaf = False
        self._last = False
        self._head_started = False
        self._held = b""
        self._budget = 0
        self._lingers_until = 0.0

    @abstractmethod
    def arrived(self) -> None:
        """A request is at hand, or the refusal in its place."""

    def write(self, data: bytes) -> None:
        """Send bytes; ask `writing_paused` before the next."""
        if self.transport is not None:
            self.transport.write(data)

    def reset(self) -> None:
        """End it so that the client cannot take what it has for the whole (RFC 9112 section 8)."""
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
    def tunnel(self) -> Tunnel | None:
        """What this connection has become a part of."""
        return self._tunnel

    def expect(self, seconds: float, late: Callable[[], Exception]) -> None:
        """Go on with the error `late()` where nothing else has come in `seconds`."""
        self.due, self.late = self._loop.time() + seconds, late

    @property
    def begun(self) -> bool:
        """A request is being served, or has begun to arrive."""
        return self._busy or self._head_started

    def left(self) -> int:
        """Bytes of the body that are to come, where its length is known."""
        return self._decoder.left if isinstance(self._decoder, Sized) else 0

    def waits(self) -> bool:
        """Bytes of the body are here that nobody has taken."""
        return self._body.waiting

    def passed(self, size: int) -> None:
        """So many bytes of the body have been spliced."""
        assert isinstance(self._decoder, Sized)
        self._decoder.left -= size
        self._body.received += size

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
        if waiter is not None:
            waiter.set_result(None)
        if self._tunnel is not None:
            self._tunnel.client_ready()

    def data_received(self, data: bytes) -> None:
        """Asyncio's protocol."""
        if self._tunnel is not None:
            self._tunnel.from_client(data)
        elif self._deaf:
            self._budget -= len(data)
            if self.transport is None or self._busy:
                return
            if self._budget < 0:
                self.transport.abort()
            self.due = min(self._loop.time() + LINGER_PAUSE, self._lingers_until)
        elif not self._busy:
            self._feed_head(data)
            if self._incoming is not None:
                self.arrived()
        elif self._decoder.done:
            self._hold(data)
        else:
            self._feed_body(data)

    def _hold(self, data: bytes) -> None:
        """Keep what came behind the request."""
        self._held += data
        if len(self._held) > HELD:
            self.pause_transport()

    def _feed_head(self, data: bytes) -> None:
        """Read a head. Whatever goes wrong becomes a refusal in the request's place."""
        heads = self._heads
        try:
            request = heads.take(data)
            if request is None:
                if not self._head_started and heads.started:
                    self._head_started = True
                    self.expect(self._context.bounds.header, header_late)
                return
            self._body, self._decoder = self._none, _NOTHING
            self._last = not request.keep_alive
            rest, heads.rest = heads.rest, b""
            if request.length:
                self._begin_body(request, rest)
            elif rest:
                self._hold(rest)
        except Refused as refusal:
            self._body, self._decoder = self._none, _NOTHING
            self._refuse(refusal)
        else:
            self._arrive(request)

    def _begin_body(self, request: Request, rest: bytes) -> None:
        """Read on behind a head; Refused for what is wrong at once: the upstream is not asked."""
        limits = self._context.settings.limits
        self._body = Body(self._body_room)
        if request.length == CHUNKED:
            self._decoder = Chunked(limits.header_bytes, limits.headers, limits.body)
        else:
            self._decoder = Sized(request.length)
        if rest:
            try:
                self._pass_body(rest)
            except Refused as refusal:
                refusal.method, refusal.path = request.method, request.path
                refusal.head = request.head
                raise

    def _feed_body(self, data: bytes) -> None:
        try:
            self._pass_body(data)
        except Refused as refusal:
            self._refuse(refusal)

    def _pass_body(self, data: bytes) -> None:
        """Read a piece of the body; what is behind it waits for the next request's turn."""
        decoder = self._decoder
        try:
            piece = decoder.feed(data)
        except TooLarge:
            raise Refused(431, "header_too_large") from None
        except Excessive:
            raise Refused(413, "body_too_large") from None
        except Malformed:
            raise Refused(400, "framing") from None
        if decoder.done and decoder.rest:
            self._hold(decoder.rest)
        if self._body.push(piece, last=decoder.done):
            self.pause_transport()

    def _body_room(self) -> None:
        """The body has room again."""
        if len(self._held) <= HELD:
            self.resume_transport()

    def _refuse(self, refusal: Refused) -> None:
        """Read nothing more: the refusal is the response to the request at hand, or to what
        stands in the next one's place.
        """
        self._deaf, self._budget = True, LINGER_BYTES
        if self._body.whole:
            self._arrive(refusal)
        else:
            self._body.set_exception(refusal)

    def _arrive(self, incoming: Request | Refused) -> None:
        self._incoming = incoming
        self._busy, self._head_started = True, False
