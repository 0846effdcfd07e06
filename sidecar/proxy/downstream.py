"""The client's side of a connection: requests one by one, each as an exchange that is driven from
here.

Lives here: `Downstream`. How requests follow each other, what their bytes become and when a
connection ends is decided here. One request is read at a time: bytes behind it are held until it
has its response, so no later fault can reach an earlier response. Must not know the upstream or the
policy.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from sidecar.proxy.body import Body
from sidecar.proxy.deadlines import NEVER
from sidecar.proxy.exchange import Exchange, Rest
from sidecar.proxy.faults import ClientGone, Refused
from sidecar.proxy.flow import Flow, Tunnelled
from sidecar.proxy.http1.bodies import Chunked, Decoder, Sized
from sidecar.proxy.http1.grammar import CHUNKED, Malformed, TooLarge
from sidecar.proxy.http1.requests import Request
from sidecar.proxy.http1.stream import RequestHeads
from sidecar.proxy.turns import Turn

if TYPE_CHECKING:
    from sidecar.proxy.forwarding import Peer
    from sidecar.proxy.listener import Listener
    from sidecar.proxy.proxy_protocol import Source

HIGH_WATER: Final = 131_072
"""Bytes of responses that wait for a slow client before more is written."""

HELD: Final = 65_536
"""Bytes behind a request that is being served; more are not read."""

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1 << 20
"""After an early response the client may still be sending; without reading on, a reset would
destroy the response.
"""

FIRST_REQUEST: Final = 0.5
"""Seconds that a new connection has, while the process ends, for the request that it was opened
for.
"""

_NOTHING: Final[Decoder] = Sized(0)
_idle_over: Final = partial(ClientGone, "idle")
_header_late: Final = partial(Refused, 408, "header_timeout")
_client_stuck: Final = partial(ClientGone, "stopped reading")


class Downstream(Flow):
    """One client connection.

    `_exchange` is the one under way. Where it must wait for more than the response's head, `_rest`
    is a coroutine that this connection drives, and `_waiting` what that waits for: mostly a `Turn`,
    so that bytes are passed on from where they were received.
    """

    peer: Peer

    def __init__(self, listener: Listener, source: Source | None = None) -> None:
        context = self._context = listener.context
        self._source = source
        self._listener = listener
        super().__init__(context.loop)
        self._heads = RequestHeads(context.requests, context.settings.limits)
        self._none = listener.no_body
        self._body, self._decoder = self._none, _NOTHING
        self._incoming: Request | Refused | None = None
        self._exchange: Exchange | None = None
        self._rest: Rest | None = None
        self._waiting: Turn | asyncio.Future[Any] | None = None
        self._busy = False
        self._deaf = False
        self._last = False
        self._used = False
        self._head_started = False
        self._held = b""
        self._budget = 0

    # What the exchange asks.

    def turn(self) -> Turn:
        """Something that the exchange of this connection can wait for."""
        return Turn(self.advance)

    async def drained(self) -> None:
        """Wait until the client has read enough; raises ClientGone when it stops reading for
        timeouts.idle.
        """
        if self.writing_paused and self.transport is not None:
            turn = self._drained = self.turn()
            self.expect(self._context.bounds.idle, _client_stuck)
            await turn

    def upgrade(self, tunnel: Tunnelled) -> bytes:
        """From here on bytes go to `tunnel`; returns those that came behind the request."""
        self._tunnel = tunnel
        held, self._held = self._held, b""
        self.resume_transport()
        return held

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

    def hurry(self) -> None:
        """The process ends: close a kept connection that waits, and give a new one a moment for
        its first request.
        """
        if self.begun or self.transport is None:
            return
        if self._used:
            self.transport.close()
        else:
            self.expect(FIRST_REQUEST, _idle_over)

    def set_exception(self, error: Exception) -> None:
        """A deadline has passed: the exchange goes on with this error; between requests the next
        is refused, or none is waited for.
        """
        self.due = NEVER
        if isinstance(self._waiting, Turn):
            self._waiting.set_exception(error)
        elif self._rest is not None:
            return
        elif self._exchange is not None:
            self._rest = self._exchange.fail(error)
            self.advance()
        elif isinstance(error, Refused):
            self._refuse(error)
            self.advance()
        else:
            self._end()

    # The life of the connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's protocol; sheds what is above the limit before anything is spent on it."""
        context = self._context
        stream = cast("asyncio.Transport", transport)
        connections = context.telemetry.connections
        connections.n += 1
        self._listener.open.add(self)
        context.deadlines.timed.add(self)
        name, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        address = name[0] if isinstance(name, tuple) else ""
        port = own[1] if isinstance(own, tuple) else 0
        scheme = "http" if transport.get_extra_info("ssl_object") is None else "https"
        if self._source is not None:
            address, port = self._source.address, self._source.port
            scheme = "https" if self._source.tls else scheme
        self.peer = context.forwarder.peer(address, port, scheme)
        super().connection_made(transport)
        stream.set_write_buffer_limits(HIGH_WATER)
        if connections.n > context.settings.limits.connections:
            context.telemetry.request_rejected("connections", status=0, client=address)
            stream.abort()
        else:
            self.advance()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Asyncio's protocol: ends the exchange."""
        self._context.telemetry.connections.n -= 1
        self._listener.closed(self)
        if self._tunnel is not None:
            self._tunnel.client_lost()
        if not self._body.whole:
            self._context.deadlines.drop(self._body)
        # It knows this connection: nothing is left to the garbage collector.
        self._body = self._none
        self._context.deadlines.timed.discard(self)
        super().connection_lost(exc)
        if self._exchange is not None and self._rest is None:
            exchange, self._exchange = self._exchange, None
            exchange.abandon()
        # A future that is over already has called for `_resumed`, which sees that the client is
        # gone.
        waiting = self._waiting
        if waiting is not None and not waiting.cancel() and isinstance(waiting, Turn):
            self.advance(asyncio.CancelledError())

    def advance(self, error: BaseException | None = None) -> None:
        """Go on with the exchange until it must wait, and with those that follow, until no
        request is at hand.
        """
        try:
            while self._step(error):
                error = None
        except BaseException as failure:
            self._exchange = self._rest = None
            if not isinstance(failure, ClientGone | asyncio.CancelledError):
                logging.getLogger(__name__).exception("exchange.crashed")
                self.reset()
            self._end()

    def _step(self, error: BaseException | None) -> bool:
        """One step; whether another may follow at once."""
        if self._rest is not None:
            return self._drive(self._rest, error)
        if self._exchange is not None:
            return self._goes_on(self._exchange.respond())
        if self.writing_paused and self._busy:
            # Responses to requests that came ahead wait too, for a client that does not read.
            self._drained = self.turn()
            self.expect(self._context.bounds.idle, _client_stuck)
            return False
        incoming = self._next()
        if incoming is None:
            return False
        self._exchange = Exchange(self._context, self, incoming, self._body)
        outcome = self._exchange.begin()
        return outcome is not None and self._goes_on(outcome)

    def _goes_on(self, outcome: Rest | bool) -> bool:
        """Take the end of an exchange, or what is left of it."""
        if not isinstance(outcome, bool):
            self._rest = outcome
            return True
        self._exchange = self._rest = None
        if not outcome:
            self._linger()
        return outcome

    def _drive(self, rest: Rest, error: BaseException | None) -> bool:
        """Let a coroutine go on until it waits, or is over."""
        self._waiting = None
        try:
            waiting = rest.send(None) if error is None else rest.throw(error)
        except StopIteration as served:
            return self._goes_on(served.value)
        self._waiting = waiting
        if waiting.__class__ is not Turn:  # a future: taken as asyncio's tasks take one
            waiting._asyncio_future_blocking = False  # noqa: SLF001
            waiting.add_done_callback(self._resumed)
        return False

    def _resumed(self, _future: asyncio.Future[Any]) -> None:
        self.advance(asyncio.CancelledError() if self.transport is None else None)

    def _end(self) -> None:
        """Close; what was written still leaves, while the client reads."""
        if (transport := self.transport) is not None:
            transport.close()
            if transport.get_write_buffer_size():
                self._loop.call_later(self._context.bounds.idle, transport.abort)

    def _next(self) -> Request | Refused | None:
        """The next request, or the refusal in its place; None = it has not come yet, or will
        not.
        """
        if self._incoming is None and self.transport is not None:
            self._busy = False
            if self._held and not self._deaf:
                held, self._held = self._held, b""
                if len(held) > HELD:
                    self.resume_transport()
                self._feed_head(held)
        incoming, self._incoming = self._incoming, None
        if incoming is None:
            self._await_request()
        else:
            self.due, self._used = NEVER, True
        return incoming

    def _await_request(self) -> None:
        """Nothing is at hand: how long the next request may take, or that none may come."""
        closing = self._listener.closing and not self._head_started
        if self._deaf or (closing and self._used):
            self._end()
        elif self.transport is not None:
            bounds = self._context.bounds
            seconds = bounds.idle if self._used and not self._head_started else bounds.header
            self.expect(
                min(seconds, FIRST_REQUEST) if closing else seconds,
                _header_late if self._head_started else _idle_over,
            )

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Asyncio's protocol."""
        if self._tunnel is not None:
            self._tunnel.from_client(data)
        elif self._deaf:
            self._budget -= len(data)
            if self._budget < 0 and self.transport is not None and not self._busy:
                self.transport.abort()
        elif not self._busy:
            self._feed_head(data)
            if self._incoming is not None and self._exchange is None:
                self.advance()
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
                    self.expect(self._context.bounds.header, _header_late)
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
        """Read on behind a head; raises Refused for what is wrong at once, so that the upstream
        is not asked.
        """
        limits = self._context.settings.limits
        self._body = Body(self._body_room)
        if request.length == CHUNKED:
            self._decoder = Chunked(limits.header_bytes, limits.headers)
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
        """Read a piece of the body; what is left over behind it waits for the next request's
        turn.
        """
        decoder = self._decoder
        try:
            piece = decoder.feed(data)
        except TooLarge:
            raise Refused(431, "header_too_large") from None
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

    def _linger(self) -> None:
        """Let the response reach a client that may still be sending: end our side, read on for a
        while.
        """
        transport = self.transport
        if transport is None or (self._last and self._body.whole and not self._held):
            self._end()
            return
        self._deaf, self._busy, self._budget = True, False, LINGER_BYTES
        self.resume_transport()
        if transport.can_write_eof():
            with suppress(OSError):  # the client may have gone already
                transport.write_eof()
        self.expect(LINGER_SECONDS, _idle_over)
