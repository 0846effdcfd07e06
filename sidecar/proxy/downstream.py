"""The client's side of a connection: requests one by one, each as an exchange that is driven from
here.

How requests follow each other and when a connection ends is decided here.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, cast

from sidecar.proxy.deadlines import NEVER
from sidecar.proxy.exchange import Exchange
from sidecar.proxy.faults import ClientGone, Refused
from sidecar.proxy.http1.requests import Request
from sidecar.proxy.incoming import (
    HELD,
    LINGER_BYTES,
    LINGER_PAUSE,
    Incoming,
    end_in_time,
    header_late,
)
from sidecar.proxy.responder import Rest
from sidecar.proxy.waiter import Waiter

if TYPE_CHECKING:
    from sidecar.proxy.forwarding import Peer
    from sidecar.proxy.listener import Listener
    from sidecar.proxy.proxy_protocol import ProxiedClient
    from sidecar.proxy.tunnel import Tunnel

HIGH_WATER: Final = 131_072
"""Bytes of responses that wait for a slow client before more is written."""

LINGER_SECONDS: Final = 30.0
"""How long a client that got an early response is read on, up to LINGER_BYTES."""

FIRST_REQUEST: Final = 0.5
"""Seconds that a new connection has, while the process ends, for the request it was opened for,
and that an old one has after its last response.
"""

_idle_over: Final = partial(ClientGone, "idle")
_client_stuck: Final = partial(ClientGone, "stopped reading")


class Downstream(Incoming):
    """One client connection.

    `_exchange` is the one under way. Where it must wait for more than the response's head, `_rest`
    is a coroutine that this connection drives, and `_waiting` what that waits for: mostly a
    `Waiter`, so that bytes are passed on from where they were received.
    """

    peer: Peer

    def __init__(self, listener: Listener, source: ProxiedClient | None = None) -> None:
        super().__init__(listener.context, listener.no_body)
        self._source = source
        self._listener = listener
        self._exchange: Exchange | None = None
        self._rest: Rest | None = None
        self._waiting: Waiter | asyncio.Future[Any] | None = None
        self._used = False
        self._unread = 0
        """Bytes that the client had still to read when it was last looked at."""

    # What the exchange asks.

    def waiter(self) -> Waiter:
        """Something that the exchange of this connection can wait for."""
        return Waiter(self.advance)

    async def drained(self) -> None:
        """Wait until the client has read enough; ClientGone when it reads none for long."""
        if self.writing_paused and self.transport is not None:
            await self._until_drained(self.transport)

    def upgrade(self, tunnel: Tunnel) -> bytes:
        """From here on bytes go to `tunnel`; returns those that came behind the request."""
        self._tunnel = tunnel
        held, self._held = self._held, b""
        self.resume_transport()
        return held

    def end_soon(self) -> None:
        """The process ends: close a kept connection that waits, give a new one a moment."""
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
        if self._reads_on():
            return
        if isinstance(self._waiting, Waiter):
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

    def arrived(self) -> None:
        """A request is at hand, or the refusal in its place."""
        if self._exchange is None:
            self.advance()

    # The life of the connection.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's protocol; sheds what is above the limit before anything is spent on it."""
        context = self._context
        stream = cast("asyncio.Transport", transport)
        connections = context.telemetry.connections
        connections.n += 1
        self._listener.open.add(self)
        context.deadlines.watch(self)
        name = transport.get_extra_info("peername")
        address, port = name[0] if isinstance(name, tuple) else "", self._listener.port
        scheme = "http" if transport.get_extra_info("ssl_object") is None else "https"
        if self._source is not None:
            address, port = self._source.address, self._source.port
            scheme = "https" if self._source.tls else scheme
        self.peer = context.forwarder.peer(address, port, scheme)
        super().connection_made(transport)
        stream.set_write_buffer_limits(HIGH_WATER)
        if connections.n > self._listener.most:
            context.telemetry.request_rejected("connections", status=0, client=address)
            stream.abort()
        else:
            self.advance()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Asyncio's protocol: ends the exchange."""
        self._context.telemetry.connections.n -= 1
        self._listener.closed(self)
        if self._tunnel is not None:
            self._tunnel.lost()
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
        if waiting is not None and not waiting.cancel() and isinstance(waiting, Waiter):
            self.advance(asyncio.CancelledError())

    def advance(self, error: BaseException | None = None) -> None:
        """Go on with the exchange, and those that follow, until it must wait or none is at hand."""
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
        if self.writing_paused and self._busy and self.transport is not None:
            # Responses to requests that came ahead wait too, for a client that does not read.
            self._until_drained(self.transport)
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
        if waiting.__class__ is not Waiter:  # a future: taken as asyncio's tasks take one
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
                end_in_time(self._loop, transport, self._context.bounds.idle)

    def _until_drained(self, transport: asyncio.Transport) -> Waiter:
        waiter = self._drained = self.waiter()
        self._unread = transport.get_write_buffer_size()
        self.expect(self._context.bounds.idle, _client_stuck)
        return waiter

    def _reads_on(self) -> bool:
        """A client that is waited for has read something, though not enough: it gets more time."""
        if self._drained is None or self.transport is None:
            return False
        left = self.transport.get_write_buffer_size()
        if left >= self._unread:
            return False
        self._unread = left
        self.expect(self._context.bounds.idle, _client_stuck)
        return True

    def _next(self) -> Request | Refused | None:
        """The next request, or the refusal in its place; None = it has not come, or will not."""
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
                header_late if self._head_started else _idle_over,
            )

    def _ends(self, transport: asyncio.Transport) -> bool:
        """Nothing more of the client matters: it has said so, or TLS has no end of one side alone
        and it waits for the end of the response.
        """
        return self._last or not (self._deaf or transport.can_write_eof())

    def _linger(self) -> None:
        """Let the response reach a client that may still send: end our side, read on a while."""
        transport = self.transport
        if transport is None or (self._body.whole and not self._held and self._ends(transport)):
            self._end()
            return
        self._deaf, self._busy, self._budget = True, False, LINGER_BYTES
        self.resume_transport()
        if transport.can_write_eof():
            with suppress(OSError):  # the client may have gone already
                transport.write_eof()
        self._lingers_until = self._loop.time() + LINGER_SECONDS
        # Who has sent all has no response at stake, and may keep the connection as long as we do.
        ended = self._body.whole and self._listener.closing
        self.expect(FIRST_REQUEST if ended else LINGER_PAUSE, _idle_over)
