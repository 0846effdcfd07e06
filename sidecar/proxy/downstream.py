"""The client's side of a connection: requests one by one, each as an exchange that is driven from here.

Lives here: `Downstream`. aiohttp brings llhttp and the streams of bodies; how requests follow each other,
what a parser error becomes and when a connection ends is decided here. One request is parsed at a time:
bytes behind it are held until it has been answered, so no later fault can reach an earlier response. Must
not know the upstream or the policy.
"""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import Coroutine
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from aiohttp.streams import EMPTY_PAYLOAD, StreamReader

from sidecar.proxy.faults import ClientGone, Refused
from sidecar.proxy.flow import Flow, Parser
from sidecar.proxy.parser import Incoming, make_parser, refusal_for
from sidecar.proxy.turns import Turn

if TYPE_CHECKING:
    from sidecar.proxy.forwarding import Peer
    from sidecar.proxy.listener import Listener

BUFFER: Final = 65_536
"""Bytes of a request body held for a slow upstream before the client is no longer read; twice at most."""

HELD: Final = 65_536
"""Bytes behind a request that is being answered; more are not read."""

LINGER_SECONDS: Final = 2.0
LINGER_BYTES: Final = 1 << 20
"""After an early response the client may still be sending; without reading on, a reset would destroy the response."""

FIRST_REQUEST: Final = 0.5
"""Seconds that a new connection has, while the process ends, for the request that it was opened for."""

_RESET: Final = struct.pack("ii", 1, 0)
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"

_idle_over: Final = partial(ClientGone, "idle")
_header_late: Final = partial(Refused, 408, "header_timeout")
_client_stuck: Final = partial(ClientGone, "stopped reading")


class Tunnelled(Protocol):
    """What a connection needs of the tunnel that it became a part of."""

    def from_client(self, data: bytes) -> None: ...
    def client_full(self) -> None: ...
    def client_ready(self) -> None: ...
    def client_lost(self) -> None: ...


class Downstream(Flow):
    """One client connection.

    `_work` is the exchange under way, a coroutine that this connection drives, and `_waiting` what it waits
    for: mostly a `Turn`, so that a response is passed on from where it was received.
    """

    peer: Peer

    def __init__(self, listener: Listener) -> None:
        context = self._context = listener.context
        self._listener, self._serve = listener, listener.serve
        super().__init__()
        self._loop = context.loop
        self._parser = self._new_parser()
        self._messages: list[Incoming] = []
        self._work: Coroutine[Any, None, bool] | None = None
        self._waiting: Turn | asyncio.Future[Any] | None = None
        self._body: StreamReader = EMPTY_PAYLOAD
        self._busy = False
        self._deaf = False
        self._last = False
        self._used = False
        self._chunked = False
        self._behind = False
        """The parser may hold bytes behind the request."""
        self._held = bytearray()
        self._head_bytes = self._framing = self._budget = 0
        self._head_started = False
        self._tunnel: Tunnelled | None = None

    def _new_parser(self) -> Parser:
        return make_parser(self, self._loop, self._context.settings.limits, BUFFER)

    # What the exchange asks.

    def write(self, data: bytes) -> None:
        """Send bytes; ask `writing_paused` before the next."""
        if self.transport is not None:
            self.transport.write(data)

    def turn(self) -> Turn:
        """Something that the exchange of this connection can wait for."""
        return Turn(self._advance)

    async def drained(self) -> None:
        """Wait until the client has read enough; raises ClientGone when it stops reading for timeouts.idle."""
        if self.writing_paused and self.transport is not None:
            turn = self._drained = self.turn()
            self._context.deadlines.set(self, self._context.bounds.idle, _client_stuck)
            await turn

    def reset(self) -> None:
        """End the connection so that the client cannot take what it has for the whole (RFC 9112 section 8)."""
        if self.transport is not None:
            raw = self.transport.get_extra_info("socket")
            if (
                raw is not None
            ):  # uvloop has none under TLS, where an end without close_notify is visible
                raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self.transport.abort()

    def upgrade(self, tunnel: Tunnelled) -> bytes:
        """From here on bytes go to `tunnel`; returns those that came behind the request."""
        tail = b""
        if self._parser is not None:
            _, _, tail = self._parser.feed_data(b"")
        self._tunnel = tunnel
        held, self._held = tail + self._held, bytearray()
        self._resume_transport()
        return held

    @property
    def tunnel(self) -> Tunnelled | None:
        """What this connection has become a part of."""
        return self._tunnel

    @property
    def begun(self) -> bool:
        """A request is being served, or has begun to arrive."""
        return self._busy or self._head_started

    def hurry(self) -> None:
        """The process ends: close a kept connection that waits, and give a new one a moment for its first request."""
        if self.begun or self.transport is None:
            return
        if self._used:
            self.transport.close()
        else:
            self._context.deadlines.set(self, FIRST_REQUEST, _idle_over)

    def set_exception(self, error: Exception) -> None:
        """A deadline has passed: the exchange goes on with this error; between requests the next is refused, or none is waited for."""
        self._context.deadlines.drop(self)
        if isinstance(self._waiting, Turn):
            self._waiting.set_exception(error)
        elif self._work is not None:
            return
        elif isinstance(error, Refused):
            self._refuse(error)
            self._advance()
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
        name, own = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        address = name[0] if isinstance(name, tuple) else ""
        port = own[1] if isinstance(own, tuple) else 0
        scheme = "http" if transport.get_extra_info("ssl_object") is None else "https"
        self.peer = context.forwarder.peer(address, port, scheme)
        super().connection_made(transport)
        stream.set_write_buffer_limits(2 * BUFFER)
        if connections.n > context.settings.limits.connections:
            context.telemetry.request_rejected("connections", status=0, client=address)
            stream.abort()
        else:
            self._advance()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Asyncio's protocol: ends the exchange."""
        self._context.telemetry.connections.n -= 1
        self._listener.closed(self)
        if self._tunnel is not None:
            self._tunnel.client_lost()
        if not self._body.is_eof():
            self._context.deadlines.drop(self._body)
        self._context.deadlines.drop(self)
        super().connection_lost(exc)
        # A future that is over already has called for `_resumed`, which sees that the client is gone.
        if (
            self._waiting is not None
            and not self._waiting.cancel()
            and isinstance(self._waiting, Turn)
        ):
            self._advance(asyncio.CancelledError())

    def _advance(self, error: BaseException | None = None) -> None:
        """Drive the exchange until it must wait, and those that follow, until no request is at hand."""
        while True:
            work, self._waiting = self._work, None
            if work is None:
                incoming = self._next()
                if incoming is None:
                    return
                work = self._work = self._serve(self, incoming)
            try:
                waiting = work.send(None) if error is None else work.throw(error)
            except StopIteration as served:
                self._work = None
                if not served.value:
                    self._linger()
                    return
            except BaseException as failure:
                self._work = None
                if not isinstance(failure, ClientGone | asyncio.CancelledError):
                    logging.getLogger(__name__).exception("exchange.crashed")
                    self.reset()
                self._end()
                return
            else:
                self._waiting = waiting
                if (
                    waiting.__class__ is not Turn
                ):  # a future of the loop's: taken as asyncio's tasks take one
                    waiting._asyncio_future_blocking = False  # noqa: SLF001
                    waiting.add_done_callback(self._resumed)
                return
            error = None

    def _resumed(self, _future: asyncio.Future[Any]) -> None:
        self._advance(asyncio.CancelledError() if self.transport is None else None)

    def _end(self) -> None:
        """Close; what was written still leaves, while the client reads."""
        if (transport := self.transport) is not None:
            transport.close()
            if transport.get_write_buffer_size():
                self._loop.call_later(self._context.bounds.idle, transport.abort)

    def _next(self) -> Incoming | None:
        """The next request; None = it has not come yet, or will not."""
        deadlines = self._context.deadlines
        if not self._messages and self.transport is not None:
            self._busy = False
            if self._held or self._behind:
                self._go_on()
        if not self._messages:
            closing = self._listener.closing and not self._head_started
            if self._deaf or (closing and self._used):
                self._end()
            elif self.transport is not None:
                bounds = self._context.bounds
                seconds = bounds.idle if self._used and not self._head_started else bounds.header
                deadlines.set(
                    self,
                    min(seconds, FIRST_REQUEST) if closing else seconds,
                    _header_late if self._head_started else _idle_over,
                )
            return None
        deadlines.drop(self)
        self._used = True
        return self._messages.pop()

    def _go_on(self) -> None:
        """Parse what came while the last request was served."""
        self._behind = False
        if self._chunked:
            self._renew()
        if not self._deaf:
            held, self._held = bytes(self._held), bytearray()
            self._feed(held)
            if len(held) > HELD:
                self._resume_transport()

    def _renew(self) -> None:
        """Start a clean parser behind a chunked request.

        aiohttp 3.14.5 hands the last trailer of a request to the next one as its first header. Where the
        client has already sent more, the next request may have it: then this one was the last.
        """
        parser, self._chunked = self._parser, False
        try:
            assert parser is not None
            parser.message_consumed()
            more, _, _ = parser.feed_data(b"")
            clean = not more and parser.feed_eof() is None
        except Exception:  # noqa: BLE001  (whatever it is, it was not a clean boundary)
            clean = False
        if clean:
            self._parser = self._new_parser()
        else:
            self._deaf = True

    # Reading.

    def data_received(self, data: bytes) -> None:
        """Asyncio's protocol; `data` is empty when a paused body is read again."""
        if self._tunnel is not None:
            self._tunnel.from_client(data)
        elif self._deaf:
            self._budget -= len(data)
            if self._budget < 0 and self.transport is not None and not self._busy:
                self.transport.abort()
        elif self._busy and self._body.is_eof():
            self._hold(data)
        else:
            self._feed(data)
            if self._messages and self._work is None:
                self._advance()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > HELD:
            self._pause_transport()

    def _feed(self, data: bytes) -> None:
        """Parse. Whatever goes wrong becomes a refusal: of the request being read, or in place of the next."""
        parser = self._parser
        if parser is None:
            return
        in_body = not self._body.is_eof()
        try:
            if not self._busy:
                parser.message_consumed()
            messages, _, _ = parser.feed_data(data)
        except Exception as error:  # noqa: BLE001  (no bytes from outside may raise out of here)
            self._refuse(refusal_for(error, self._context.settings.limits))
            return
        if messages:
            message, body = messages[0]
            taken, self._head_bytes, self._head_started = self._head_bytes + len(data), 0, False
            self._chunked, self._framing = bool(message.chunked), len(data)
            self._behind = not (body.is_eof() and data.find(b"\r\n\r\n") == len(data) - 4)
            self._body = body
            self._last = bool(message.should_close or message.upgrade)
            self._arrive(Incoming(message, body, taken))
        elif in_body:
            if self._chunked:
                self._count_framing(len(data))
        elif data:
            self._head_arrives(data)

    def _count_framing(self, taken: int) -> None:
        """Bound what chunk sizes, extensions and trailers may cost: the C parser does not."""
        self._framing += taken
        if (
            not self._body.is_eof()
            and self._framing
            > 2 * self._context.settings.limits.header_bytes + 17 * self._body.total_bytes
        ):
            self._refuse(Refused(400, "framing"))

    def _head_arrives(self, data: bytes) -> None:
        limits = self._context.settings.limits
        self._head_bytes += len(data)
        if self._head_bytes > limits.header_bytes + limits.target_bytes:
            self._refuse(Refused(431, "header_too_large"))
        elif not self._head_started and data.strip(b"\r\n"):
            self._head_started = True
            self._context.deadlines.set(self, self._context.bounds.header, _header_late)

    def _refuse(self, refusal: Refused) -> None:
        self._deaf, self._budget = True, LINGER_BYTES
        if self._body.is_eof():
            self._arrive(Incoming(refusal, EMPTY_PAYLOAD, 0))
        else:
            self._body.set_exception(refusal)
            # aiohttp's stream does not look again when a chunk's end has just woken its reader: say it once more.
            self._loop.call_soon(self._body.set_exception, refusal)

    def _arrive(self, incoming: Incoming) -> None:
        self._messages.append(incoming)
        self._busy = True

    def _linger(self) -> None:
        """Let the response reach a client that may still be sending: end our side, read on for a while."""
        transport = self.transport
        if transport is None or (self._last and self._body.is_eof() and not self._held):
            self._end()
            return
        self._deaf, self._busy, self._budget = True, False, LINGER_BYTES
        self._resume_transport()
        if transport.can_write_eof():
            with suppress(OSError):  # the client may have gone already
                transport.write_eof()
        self._context.deadlines.set(self, LINGER_SECONDS, _idle_over)

    def pause_writing(self) -> None:
        """Asyncio's protocol."""
        super().pause_writing()
        if self._tunnel is not None:
            self._tunnel.client_full()

    def resume_writing(self) -> None:
        """Asyncio's protocol."""
        super().resume_writing()
        if self._tunnel is not None:
            self._tunnel.client_ready()
