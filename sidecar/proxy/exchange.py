"""One request and its response, in a straight line: the hot path.

Lives here: `serve`, and `Exchange` behind it. A request reads the active revision once and keeps it.
Every response that leaves, the upstream's or our own, has passed through the policy. Must not know how
bytes become messages (downstream, upstream), nor what the policy says.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sidecar.policy.engine.nonces import hidden
from sidecar.policy.rules.conditions import Facts
from sidecar.proxy.downstream import Downstream, Incoming
from sidecar.proxy.faults import ClientGone, Refused, UpstreamFailed
from sidecar.proxy.forwarding import Origin, new_nonce
from sidecar.proxy.http1.grammar import CHUNKED, IDEMPOTENT, UNTIL_CLOSE
from sidecar.proxy.http1.requests import Request, forwards_left, one_forward_less
from sidecar.proxy.http1.responses import Response
from sidecar.proxy.http1.writing import (
    LAST_CHUNK,
    chunk,
    request_head,
    response_head,
)
from sidecar.proxy.local_replies import local_reply
from sidecar.proxy.reporting import PREFIX as REPORTS_PREFIX
from sidecar.proxy.reporting import receive_report, report_key
from sidecar.proxy.tunnel import accepted, websocket
from sidecar.proxy.upload import Upload

if TYPE_CHECKING:
    from sidecar.policy.engine.plan import RoutePlan
    from sidecar.proxy.context import Context
    from sidecar.proxy.upstream import Connection
    from sidecar.telemetry.pages import PageCopy

_response_late: Final = partial(UpstreamFailed, 504, "response_timeout")
_idle_late: Final = partial(UpstreamFailed, 504, "idle_timeout")
_total_late: Final = partial(UpstreamFailed, 504, "total_timeout")
_NEVER: Final = float("inf")


def serve(context: Context, client: Downstream, incoming: Incoming) -> Coroutine[Any, None, bool]:
    """Serve one request; True = another may follow on the connection."""
    return Exchange(context, client, incoming).run()


class Exchange:
    """The state of one exchange. `_clean` turns true when nothing of it is left on the upstream connection."""

    __slots__ = (
        "_active", "_address", "_answered", "_body", "_clean", "_client", "_context", "_nonce", "_page", "_refusal", "_request",
        "_request_id", "_route", "_scheme", "_seen", "_settled", "_started", "_total", "_upload", "_upstream", "_waited",
    )  # fmt: skip

    def __init__(self, context: Context, client: Downstream, incoming: Incoming) -> None:
        self._context, self._client = context, client
        self._active = context.active()
        head, self._body = incoming
        self._seen: Iterable[tuple[bytes, bytes]] = head.head or ()
        self._request = None if isinstance(head, Refused) else head
        self._refusal = head if isinstance(head, Refused) else None
        self._scheme, self._address = client.peer.scheme, client.peer.address
        self._route: RoutePlan | None = None
        self._nonce = b""
        self._page: PageCopy | None = None
        self._request_id = ""
        self._upstream: Connection | None = None
        self._upload: Upload | None = None
        self._total: asyncio.TimerHandle | None = None
        self._started = context.loop.time()
        self._clean = self._answered = self._settled = False

    async def run(self) -> bool:
        """From the request's head to the last byte of the response, counted once, with nothing left behind."""
        context = self._context
        context.telemetry.in_flight.n += 1
        try:
            request, origin = self._admit()
            if request.path.startswith(REPORTS_PREFIX):
                key = report_key(context.settings, self._active.plan, request.path)
                if key is not None:
                    status = await receive_report(context, request, self._body, key, self._address)
                    return self._own(status, origin="report")
            if request.method == "OPTIONS" and (forwards := forwards_left(request)) is not None:
                if forwards == 0:
                    return self._own(204)
                one_forward_less(request)
            upstream, response = await self._ask(request, origin)
            if response.status == 101:
                return await self._switch(request, upstream, response)
            if response.length >= 0 and upstream.done:
                return self._relay_whole(request, upstream, response)
            return await self._relay(request, upstream, response)
        except Refused as refusal:
            self._request_id = self._request_id or context.forwarder.new_id()
            context.telemetry.request_rejected(
                refusal.reason,
                status=refusal.status,
                request_id=self._request_id,
                client=self._client.peer.address,
                head=self._seen,
            )
            return self._own(refusal.status, refusal.fields, close=self._unread())
        except UpstreamFailed as failure:
            self._failed(failure.reason, failure.detail)
            return self._own(failure.status, close=self._unread())
        except asyncio.CancelledError:
            if not self._settled:
                context.telemetry.aborts.n += 1
            raise
        finally:
            now = context.loop.time()
            self._settle(now)
            self._close(now)

    def _settle(self, now: float) -> None:
        """Count the request as served, once; a tunnel that follows counts as a tunnel only."""
        if not self._settled:
            self._settled = True
            self._context.telemetry.in_flight.n -= 1
            self._context.telemetry.request_seconds.observe(now - self._started)

    def _close(self, now: float) -> None:
        """Leave nothing behind, however the exchange ended."""
        if self._total is not None:
            self._total.cancel()
        if self._upload is not None:
            self._upload.close()
        if self._upstream is not None:
            self._context.pool.release(self._upstream, now, clean=self._clean)
            self._upstream = None

    def _admit(self) -> tuple[Request, Origin]:
        """Judge the head; raises Refused."""
        context, request = self._context, self._request
        if request is None:
            assert self._refusal is not None
            raise self._refusal
        bounds = context.bounds
        origin = context.forwarder.origin(self._client.peer, request)
        self._scheme, self._address = origin.scheme, origin.client
        self._request_id = origin.request_id
        if context.telemetry.in_flight.n > bounds.requests:
            raise Refused(503, "overload")
        if request.websocket and context.telemetry.tunnels.n >= bounds.tunnels:
            raise Refused(503, "tunnels")
        route = self._routed()
        if context.routed:
            self._context = context = context.routed.get(route.name, context)
        if request.length:
            who = origin.request_id, origin.client
            self._upload = Upload(context, self._client, request, self._body, route, who)
        if route.nonced:
            self._nonce = new_nonce()
            origin = origin._replace(lines=origin.lines + context.forwarder.nonce_line(self._nonce))
        return request, origin

    # To the upstream.

    async def _ask(self, request: Request, origin: Origin) -> tuple[Connection, Response]:
        """Send the request and wait for the head of its response; once more if a kept connection had died unused."""
        context, bounds = self._context, self._context.bounds
        added, looks = origin.lines, self._routed().judge.looks
        if request.websocket:
            added += b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        elif request.expects:
            added += b"Expect: 100-continue\r\n"
        data = request_head(request.method, request.target, request.lines, added)
        upload = self._upload
        if upload is not None and self._body.whole:
            data += upload.at_hand()
        pool, fresh = context.pool, False
        while True:
            asked = context.loop.time()
            taken = None if fresh else pool.take(asked)
            if taken is None:
                taken = await pool.acquire(fresh=fresh)
                asked = context.loop.time()
            upstream = self._upstream = taken
            if bounds.total and self._total is None:
                self._total = context.loop.call_later(bounds.total, self._expire)
            upstream.ask(request.method, data, looks, self._interim)
            if upload is not None and not upload.sent:
                upload.start(upstream)
            try:
                while (response := upstream.response) is None:
                    # While the body is under way its own clocks run; the upload starts this one at its end.
                    context.deadlines.set(
                        self._client, bounds.response if self._sent() else _NEVER, _response_late
                    )
                    await upstream.wake(self._client.turn())
            except UpstreamFailed as failure:
                if not (
                    failure.untouched
                    and upstream.reused
                    and not request.length
                    and request.method in IDEMPOTENT
                ):
                    raise
                context.telemetry.retries.n += 1
                pool.release(upstream, asked, clean=False)
                self._upstream, fresh = None, True
                continue
            waited = context.loop.time() - asked
            context.telemetry.upstream_seconds.observe(waited)
            if context.timing is not None:
                self._waited = waited
            return upstream, response

    def _interim(self, response: Response) -> None:
        """Pass a 1xx on: not to HTTP/1.0 (RFC 9110 section 15.2), and 100 only to who asked for it."""
        request = self._request
        assert request is not None
        if request.http10 or self._answered:
            return
        if response.status == 100:
            if self._upload is not None:
                self._upload.go_on()
        else:
            self._client.write(response_head(response.line, response.leaving(), b""))

    def _expire(self) -> None:
        if self._upstream is not None:
            self._upstream.abort(_total_late())

    # To the client.

    def _relay_whole(self, request: Request, upstream: Connection, response: Response) -> bool:
        """Pass a response on that is here to its end, in one piece."""
        keep_alive = request.keep_alive and not (self._unread() or self._context.draining)
        head = self._judged(response, "upstream", keep_alive=keep_alive)
        self._begin_response()
        body = upstream.take()
        self._client.write(head + body)
        if self._page is not None:
            self._page.take(body)
        return self._relayed(upstream, keep_alive=keep_alive)

    async def _relay(self, request: Request, upstream: Connection, response: Response) -> bool:
        """Pass the upstream's response through the policy and on, as it comes."""
        chunked = response.length == CHUNKED
        if chunked and request.http10:
            response.unchunk()
            chunked = False
        until_close = response.length == UNTIL_CLOSE
        keep_alive = request.keep_alive and not (
            until_close or self._unread() or self._context.draining
        )
        head = self._judged(response, "upstream", keep_alive=keep_alive)
        self._begin_response()
        try:
            await self._pass_body(upstream, head, chunked=chunked)
        except UpstreamFailed as failure:
            self._failed(failure.reason, failure.detail)
            self._cut(visible=not until_close)
            raise ClientGone from None
        except (Refused, ClientGone, ConnectionError):
            self._cut(visible=not until_close)
            raise ClientGone from None
        return self._relayed(upstream, keep_alive=keep_alive)

    def _relayed(self, upstream: Connection, *, keep_alive: bool) -> bool:
        """The response is out: what is left on either connection."""
        if self._page is not None:
            self._page.end()
        if upstream.extra:
            self._failed("extra_bytes")
        # An upload that gave up is over too, but the upstream still waits for the rest of that body.
        sent = self._sent()
        self._clean = sent and not upstream.extra
        return keep_alive and sent

    async def _pass_body(self, upstream: Connection, head: bytes, *, chunked: bool) -> None:
        client, deadlines, idle = self._client, self._context.deadlines, self._context.bounds.idle
        pending = head
        while True:
            piece = upstream.take()
            if self._page is not None:
                self._page.take(piece)
            if chunked:
                pending += chunk(piece)
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
                deadlines.set(client, idle, _idle_late)
                await upstream.wake(client.turn())

    async def _switch(self, request: Request, upstream: Connection, response: Response) -> bool:
        """Become a tunnel, when the upstream's 101 is what was asked for (RFC 9110 section 7.8, RFC 6455 section 4)."""
        if not accepted(request, response):
            raise UpstreamFailed(502, "upgrade")
        self._begin_response()
        head = response_head(
            response.line, response.leaving(), b"Connection: Upgrade\r\nUpgrade: websocket\r\n"
        )
        self._settle(self._context.loop.time())
        await websocket(self._context, self._client, upstream, head)
        return False

    def _own(
        self,
        status: int,
        extra: tuple[tuple[bytes, bytes], ...] = (),
        *,
        close: bool = False,
        origin: str = "sidecar",
    ) -> bool:
        """Respond ourselves; the connection ends when the request was not read to its end."""
        request = self._request
        response, body = local_reply(status, extra, self._routed().judge.looks)
        keep_alive = (
            request is not None and request.keep_alive and not (close or self._context.draining)
        )
        self._begin_response()
        head = self._judged(response, origin, keep_alive=keep_alive)
        asked = request or self._refusal
        head_only = asked is not None and asked.method == "HEAD"
        self._client.write(head if head_only else head + body)
        return keep_alive

    def _judged(self, response: Response, origin: str, *, keep_alive: bool) -> bytes:
        """The head as the policy wants it: decided, counted, told, serialised."""
        active, request, upload = self._active, self._request, self._upload
        method, host, path = self._asked()
        route, scheme = self._routed(), self._scheme
        judge, watched = route.judge, response.watched()
        sent: Iterable[tuple[bytes, bytes]] = response
        if route.nonced:
            self._nonce = self._nonce or new_nonce()
            sent = hidden(response, self._nonce)
        begun = b"" if upload is None else upload.begun
        facts = tuple.__new__(
            Facts,
            (method, host, path, scheme, self._seen, response.status, sent, self._address, begun),
        )
        verdict = judge.of_lines(facts, watched) if sent is response else judge(facts)
        tally, revision, request_id = active.tallies[route.name], active.revision, self._request_id
        self._context.telemetry.record(
            tally, revision, route, facts, verdict, origin=origin, request_id=request_id
        )
        if route.nonced:
            verdict = verdict.spelled(self._nonce)
        added = verdict.added
        if route.trials and origin == "upstream":
            added += self._context.telemetry.trials.count(tally, route, facts, verdict)
            self._page = self._context.telemetry.pages.copy(route, facts)
        if self._context.timing is not None and origin == "upstream":
            total = self._context.loop.time() - self._started
            added += self._context.timing(self._address, self._waited, total)
        if not keep_alive:
            added += b"Connection: close\r\n"
        elif request is not None and request.http10:
            added += b"Connection: keep-alive\r\n"
        return response_head(response.line, response.leaving(verdict.replaced), added)

    def _asked(self) -> tuple[str, str, str]:
        """Method, host and path, of a refused request as far as they could be read."""
        request, refusal = self._request, self._refusal
        if request is not None:
            return request.method, request.host, request.path
        assert refusal is not None
        return refusal.method, "", refusal.path

    def _routed(self) -> RoutePlan:
        """The route, which a request keeps."""
        if self._route is None:
            method, host, path = self._asked()
            self._route = self._active.plan.route(host, method, path)
        return self._route

    def _begin_response(self) -> None:
        """From here on nothing else may be sent to the client: no 1xx, no error response."""
        self._answered = True
        if self._upload is not None:
            self._upload.answered = True

    def _sent(self) -> bool:
        """The whole request has been passed on."""
        return self._upload is None or self._upload.sent

    def _failed(self, reason: str, detail: str = "") -> None:
        self._context.telemetry.upstream_failed(
            reason, request_id=self._request_id, detail=detail, head=self._seen
        )

    def _unread(self) -> bool:
        """The request has not been read to its end, or could not be."""
        return not self._body.whole or self._refusal is not None

    def _cut(self, *, visible: bool) -> None:
        """End the client's connection inside a body. A reset where the end of the connection would look like the end of the body."""
        if not visible:
            self._client.reset()
