"""One request and its response, in a straight line: the hot path.

A request reads the active revision once and keeps it. Every response that leaves, the upstream's or
our own, has passed through the policy.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Final

from sidecar.proxy.deadlines import NEVER
from sidecar.proxy.faults import ClientGone, Refused, UpstreamFailed
from sidecar.proxy.forwarding import ClientOrigin, new_nonce
from sidecar.proxy.http1.grammar import (
    BODILESS,
    CHUNKED,
    IDEMPOTENT,
    LAST_CHUNK,
    UNTIL_CLOSE,
    chunk,
    message,
)
from sidecar.proxy.http1.requests import Request
from sidecar.proxy.http1.responses import Response
from sidecar.proxy.local_replies import AGAIN
from sidecar.proxy.reporting import PREFIX as REPORTS_PREFIX
from sidecar.proxy.responder import Responder, Rest
from sidecar.proxy.splice import splice
from sidecar.proxy.tunnel import accepted, websocket
from sidecar.proxy.upload import Upload

if TYPE_CHECKING:
    from sidecar.proxy.body import Body
    from sidecar.proxy.context import Context
    from sidecar.proxy.downstream import Downstream
    from sidecar.proxy.upstream import Connection

APART: Final = 65_536
"""Bytes from which on a piece of a body is written by itself: copying it behind the head costs
more than another write.
"""

NOT_CONNECTED: Final = frozenset({"refused", "unreachable", "connect_timeout"})
"""Reasons why no byte of a request has been sent: it may be sent again, whatever it asks for."""

_response_late: Final = partial(UpstreamFailed, 504, "response_timeout")
_idle_late: Final = partial(UpstreamFailed, 504, "idle_timeout")
_total_late: Final = partial(UpstreamFailed, 504, "total_timeout")


class Exchange(Responder):
    """The state of one exchange: `begin` asks the upstream, `respond` passes on what came of it.

    Both go straight on as long as all is at hand, which is the common way. Whoever calls them gets
    the rest as a coroutine to be driven where something must be waited for: a connection, the
    request's body, more of the response, a tunnel's end. `_clean` turns true when nothing of it is
    left on the upstream connection.
    """

    __slots__ = ("_clean", "_data", "_listening", "_origin", "_sent_at", "_total", "_upstream")

    def __init__(
        self, context: Context, client: Downstream, head: Request | Refused, body: Body
    ) -> None:
        super().__init__(context, client, head, body)
        self._origin: ClientOrigin | None = None
        self._data = b""
        self._upstream: Connection | None = None
        self._total: asyncio.TimerHandle | None = None
        self._sent_at = self._started
        self._clean = self._listening = False

    def begin(self) -> Rest | bool | None:
        """Judge the request, ask the upstream. None = go on with `respond`; a bool = it is over."""
        context = self._context
        context.telemetry.in_flight.n += 1
        try:
            request = self._admit()
            if self._path.startswith(REPORTS_PREFIX) or self._method == "OPTIONS":
                special = self._special(request)
                if special is not None:
                    return self._wait(special)
            self._data = self._written(request)
            upstream = context.pool.take(self._started) if self._sent() else None
            if upstream is None:
                return self._wait(self._ask())
            self._put(request, upstream)
        except Refused as refusal:
            keep_alive = self._refused(refusal)
            self._leave(self._started)
            return keep_alive
        except BaseException:
            self._leave(self._context.loop.time())
            raise
        client = self._client
        client.due, client.late = self._started + self._context.bounds.response, _response_late
        self._listening = True
        return None

    def responded(self) -> None:
        """The upstream has responded, or will not. A coroutine under way has its own waiter."""
        if self._listening:
            self._listening = False
            self._client.advance()

    def respond(self) -> Rest | bool:
        """Pass on what the upstream has responded."""
        upstream, request = self._upstream, self._request
        assert upstream is not None
        assert request is not None
        if upstream.failure is not None:
            return self._wait(self._give_up(upstream.failure))
        response = upstream.response
        assert response is not None
        now = self._response_begins()
        if not upstream.done or response.length < 0 or response.status == 101:
            return self._wait(self._relay(request, upstream, response))
        try:
            keep_alive = self._relay_whole(request, upstream, response)
        except BaseException:
            self._leave(now)
            raise
        self._leave(now)
        return keep_alive

    def fail(self, failure: Exception) -> Rest:
        """The response that is awaited comes too late."""
        self._listening = False
        return self._wait(self._give_up(failure))

    def abandon(self) -> None:
        """The client has gone while the response is awaited."""
        self._listening = False
        self._context.telemetry.aborts.n += 1
        self._leave(self._context.loop.time())

    async def _wait(self, rest: Rest) -> bool:
        """The rest of the exchange, however it ends: counted once, with nothing left behind."""
        try:
            return await rest
        except Refused as refusal:
            return self._refused(refusal)
        except UpstreamFailed as failure:
            self._failed(failure.reason, failure.detail)
            again = failure.status != 503 and failure.reason in NOT_CONNECTED
            return self._own(failure.status, AGAIN if again else ())
        except asyncio.CancelledError:
            if not self._settled:
                self._context.telemetry.aborts.n += 1
            raise
        finally:
            self._leave(self._context.loop.time())

    def _leave(self, now: float) -> None:
        """Leave nothing behind, however the exchange ended."""
        self._settle(now)
        if self._total is not None:
            self._total.cancel()
        if self._upload is not None:
            self._upload.close()
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.leave()
            self._context.pool.release(upstream, now, clean=self._clean)

    def _admit(self) -> Request:
        """Judge the head; raises Refused."""
        context, request = self._context, self._request
        if request is None:
            assert self._refusal is not None
            raise self._refusal
        bounds = context.bounds
        origin = self._origin = context.forwarder.origin(self._client.peer, request)
        self._scheme, self._address = origin.scheme, origin.client
        self._request_id = origin.request_id
        if context.telemetry.in_flight.n > bounds.requests:
            raise Refused(503, "overload")
        if request.websocket and context.telemetry.tunnels.n >= bounds.tunnels:
            raise Refused(503, "tunnels")
        route = self._route
        if context.routed:
            self._context = context = context.routed.get(route.name, context)
        if request.length:
            who = origin.request_id, origin.client
            self._upload = Upload(context, self._client, request, self._body, route, who)
        if route.nonced:
            self._nonce = new_nonce()
            origin.lines += context.forwarder.nonce_line(self._nonce)
        return request

    # To the upstream.

    def _written(self, request: Request) -> bytes:
        """The request's head, with its body if at hand; raises Refused when that is too large."""
        assert self._origin is not None
        added = self._origin.lines
        if request.websocket:
            added += b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        elif request.expects:
            added += b"Expect: 100-continue\r\n"
        data = message(request.lines, added)
        if self._upload is not None and self._body.whole:
            data += self._upload.at_hand()
        return data

    def _put(self, request: Request, upstream: Connection) -> None:
        """Send the request."""
        self._upstream, total = upstream, self._context.bounds.total
        if total and self._total is None:
            self._total = self._context.loop.call_at(self._started + total, self._expire)
        upstream.ask(request.method, self._data, self._route.judge.looks, self)

    async def _ask(self, *, fresh: bool = False) -> bool:
        """Ask on a connection that must be waited for, or with a body that is still on its way."""
        context, request, client, upload = self._context, self._request, self._client, self._upload
        assert request is not None
        upstream = await context.pool.acquire(fresh=fresh)
        self._sent_at = context.loop.time()
        self._put(request, upstream)
        if upload is not None and not upload.sent:
            upload.start(upstream)
        # While the body is under way its own clocks run; the upload starts this one at its end. No
        # piece of a head starts it anew.
        client.expect(context.bounds.response if self._sent() else NEVER, _response_late)
        try:
            while (response := upstream.response) is None:
                await upstream.wake(client.waiter())
        except UpstreamFailed as failure:
            return await self._give_up(failure)
        self._response_begins()
        if upstream.done and response.length >= 0 and response.status != 101:
            return self._relay_whole(request, upstream, response)
        return await self._relay(request, upstream, response)

    async def _give_up(self, failure: Exception) -> bool:
        """Ask once more if a kept connection had died unused; raises the failure otherwise."""
        upstream, request = self._upstream, self._request
        assert upstream is not None
        assert request is not None
        if not (
            isinstance(failure, UpstreamFailed)
            and failure.untouched
            and upstream.reused
            and not request.length
            and request.method in IDEMPOTENT
        ):
            raise failure
        self._context.telemetry.retries.n += 1
        self._upstream = None
        upstream.leave()
        self._context.pool.release(upstream, self._sent_at, clean=False)
        return await self._ask(fresh=True)

    def _response_begins(self) -> float:
        """The head of the response is here: how long that took. Returns the time."""
        now = self._context.loop.time()
        self._waited = now - self._sent_at
        self._context.telemetry.upstream_seconds.observe(self._waited)
        return now

    def interim(self, response: Response) -> None:
        """Pass a 1xx on: not to HTTP/1.0 (RFC 9110 section 15.2), 100 once to who waits for it."""
        request = self._request
        assert request is not None
        if request.http10 or self._answered:
            return
        if response.status == 100 and request.expects:
            if self._upload is not None:
                self._upload.go_on()
        else:
            self._client.write(message(response.leaving(), b""))

    def _expire(self) -> None:
        self._total = None  # set again where another connection is being waited for
        if self._upstream is not None:
            self._upstream.abort(_total_late())

    # To the client.

    def _relay_whole(self, request: Request, upstream: Connection, response: Response) -> bool:
        """Pass a response on that is here to its end, in one piece."""
        keep_alive = request.keep_alive and self._sent() and not self._context.draining
        body = upstream.take()
        if request.http10:
            response.unchunk()  # to HEAD, or with 304
        data = self._judged(response, "upstream", keep_alive=keep_alive, body=body)
        self._begin_response()
        self._client.write(data)
        if self._page is not None:
            self._page.take(body)
        return self._relayed(upstream, keep_alive=keep_alive)

    async def _relay(self, request: Request, upstream: Connection, response: Response) -> bool:
        """Pass the upstream's response through the policy and on, as it comes."""
        if response.status == 101:
            return await self._switch(request, upstream, response)
        chunked = response.length == CHUNKED
        if chunked and request.http10:
            response.unchunk()
            chunked = False
        until_close = response.length == UNTIL_CLOSE
        keep_alive = (
            request.keep_alive and self._sent() and not (until_close or self._context.draining)
        )
        head = self._judged(response, "upstream", keep_alive=keep_alive)
        self._begin_response()
        try:
            await self._pass_body(upstream, head, chunked=chunked)
        except (UpstreamFailed, Refused, ClientGone, ConnectionError) as failure:
            if isinstance(failure, UpstreamFailed):
                self._failed(failure.reason, failure.detail)
            elif isinstance(failure, Refused):  # what came of the body during the response
                self._rejected(failure, response.status)
            else:
                self._context.telemetry.aborts.n += 1
            if until_close:  # or the end of the connection would look like the end of the body
                self._client.reset()
            raise ClientGone from None
        return self._relayed(upstream, keep_alive=keep_alive)

    def _relayed(self, upstream: Connection, *, keep_alive: bool) -> bool:
        """The response is out: what is left on either connection."""
        if self._page is not None:
            self._page.end()
        if upstream.extra:
            self._failed("extra_bytes")
        # An upload that gave up is over too, but the upstream still waits for the rest of that
        # body. And who does not read a body may take it for requests, and respond to them.
        self._clean = not upstream.extra and (
            self._upload is None or (self._upload.sent and self._method not in BODILESS)
        )
        return keep_alive

    async def _pass_body(self, upstream: Connection, head: bytes, *, chunked: bool) -> None:
        """Pass a body on as it comes, most of a large one unread. Failures end both connections."""
        spliced = None
        if self._page is None:
            pipe, client = self._context.pipe, self._client
            alive = partial(client.expect, self._context.bounds.idle, _idle_late)
            spliced = splice(pipe, upstream, upstream.transport, client.transport, alive)
        await self._pass_pieces(upstream, head, chunked=chunked)
        if spliced is not None:
            spliced.end()

    async def _pass_pieces(self, upstream: Connection, head: bytes, *, chunked: bool) -> None:
        client, idle = self._client, self._context.bounds.idle
        pending = head
        while True:
            piece = upstream.take()
            if self._page is not None:
                self._page.take(piece)
            if chunked:
                pending += chunk(piece)
            elif len(piece) > APART and pending:
                client.write(pending)
                pending = piece
            elif piece:
                pending = pending + piece if pending else piece
            if upstream.done:
                client.write(pending + LAST_CHUNK if chunked else pending)
                return
            if pending:
                client.write(pending)
                pending = b""
            if client.writing_paused:
                await client.drained()
            else:
                client.expect(idle, _idle_late)
                await upstream.wake(client.waiter())

    async def _switch(self, request: Request, upstream: Connection, response: Response) -> bool:
        """Become a tunnel, when the upstream's 101 is what was asked for (RFC 9110 section 7.8,
        RFC 6455 section 4).
        """
        if not accepted(request, response):
            raise UpstreamFailed(502, "upgrade")
        self._begin_response()
        self._opened()
        added = b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        head = message(response.leaving(), added)
        self._settle(self._context.loop.time())
        await websocket(self._context, self._client, upstream, head)
        return False

    def _sent(self) -> bool:
        """The whole request has been passed on."""
        return self._upload is None or self._upload.sent
