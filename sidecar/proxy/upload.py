"""A request's body on its way to the upstream, under the policy's bound."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sidecar.proxy.faults import Refused, UpstreamFailed
from sidecar.proxy.http1.grammar import CHUNKED, CONTINUE, LAST_CHUNK, chunk
from sidecar.proxy.splice import Splice, splice
from sidecar.proxy.waiter import Waiter

if TYPE_CHECKING:
    from sidecar.policy.engine.plan import RoutePlan
    from sidecar.proxy.body import Body
    from sidecar.proxy.context import Context
    from sidecar.proxy.downstream import Downstream
    from sidecar.proxy.http1.requests import Request
    from sidecar.proxy.upstream import Connection

CONTINUE_AFTER = 1.0
"""Seconds after which a client that waits for 100 gets it though the upstream has sent nothing
(RFC 9110 section 10.1.1).
"""

TURNS: Final = 4
"""Turns of the loop that it has for reading: asyncio's next one begins with what was called for."""
_BOUNDLESS: Final = 1 << 62
_body_late: Final = partial(Refused, 408, "body_timeout")
_idle_late: Final = partial(UpstreamFailed, 504, "idle_timeout")
_response_late: Final = partial(UpstreamFailed, 504, "response_timeout")


class Upload:
    """`sent` when all of the body has been passed on; `begun` holds its first bytes where rules
    look at them.

    `answered` is set when the response begins: no 100 may follow. The policy's own bound is in
    enforce a limit, in report-only a mark that is reported when it is passed.

    Raises:
        Refused: 413 when the body's length is beyond the bound.
    """

    __slots__ = (
        "_asked_for",
        "_body",
        "_bound",
        "_client",
        "_context",
        "_continue",
        "_request",
        "_room",
        "_sending",
        "_spliced",
        "_upstream",
        "_waiter",
        "_watched",
        "_who",
        "answered",
        "begun",
        "sent",
    )

    def __init__(
        self,
        context: Context,
        client: Downstream,
        request: Request,
        body: Body,
        route: RoutePlan,
        who: tuple[str, str],
    ) -> None:
        self._context, self._client, self._request, self._body = context, client, request, body
        self._who = who
        """Request id and client's address, for events."""
        self._room, self._bound = context.bounds.body, _BOUNDLESS
        self._watched, self.begun = route.reads_body, b""
        self._sending: Coroutine[Any, None, None] | None = None
        self._waiter: Waiter | None = None
        """What `_sending` waits for."""
        self._upstream: Connection | None = None
        self._continue: asyncio.TimerHandle | None = None
        self._spliced: Splice | None = None
        self.answered = self.sent = self._asked_for = False
        if route.max_body is None or route.max_body_mode == "off":
            return
        if route.max_body_mode == "enforce":
            self._room = min(self._room, route.max_body)
            if request.length > self._room:
                raise Refused(413, "body_too_large")
        else:
            self._bound = route.max_body
            self._report(max(request.length, body.received))

    def at_hand(self) -> bytes:
        """A body that is here whole, as it is sent; raises Refused when it is beyond the bound."""
        piece = self._body.take()
        self.begun = piece[: self._watched]
        self.sent = True
        if self._request.length != CHUNKED:
            return piece
        self._judge(len(piece))
        return chunk(piece) + LAST_CHUNK

    def start(self, upstream: Connection) -> None:
        """Carry the body as it arrives; a failure ends the upstream's connection."""
        if self._request.expects:
            self._continue = self._context.loop.call_later(CONTINUE_AFTER, self.go_on)
        self._upstream, self._sending = upstream, self._send(upstream)
        self._advance()

    def go_on(self) -> None:
        """Tell the client, once, to send its body."""
        if self._continue is not None:
            self._continue.cancel()
        if not (self._asked_for or self.answered):
            self._asked_for = True
            self._client.write(CONTINUE)

    def close(self) -> None:
        """Leave nothing behind."""
        if self._continue is not None:
            self._continue.cancel()
        if self._waiter is not None:
            self._waiter.cancel()
        sending, self._sending = self._sending, None
        if sending is not None:
            sending.close()
        if self._spliced is not None:
            self._spliced.end()

    def _advance(self) -> None:
        """Go on until there is nothing to send, or no room for it."""
        sending, upstream = self._sending, self._upstream
        assert sending is not None
        assert upstream is not None
        try:
            self._waiter = sending.send(None)
        except StopIteration:
            self._sending = None
        except (Refused, UpstreamFailed) as failure:
            self._sending = None
            upstream.abort(failure)

    async def _send(self, upstream: Connection) -> None:
        context, body = self._context, self._body
        bounds, deadlines = context.bounds, context.deadlines
        taken, chunked = 0, self._request.length == CHUNKED
        alive = partial(deadlines.set, body, bounds.body_idle, _body_late)
        try:
            while not body.over:
                alive()
                piece = await body.some(Waiter(self._advance))
                deadlines.drop(body)
                self.begun += piece[: self._watched - len(self.begun)]
                taken += len(piece)
                self._judge(taken)
                if upstream.secure:
                    await self._listen(upstream)
                if upstream.done or upstream.failure is not None:
                    return
                if piece:
                    upstream.transport.write(chunk(piece) if chunked else piece)
                if not chunked and self._spliced is None and len(self.begun) == self._watched:
                    source, target = self._client.transport, upstream.transport
                    self._spliced = splice(context.pipe, self._client, source, target, alive)
                while (room := upstream.room(Waiter(self._advance))) is not None:
                    unread = upstream.transport.get_write_buffer_size()
                    deadlines.set(room, bounds.idle, _idle_late)
                    try:
                        await room
                    except UpstreamFailed:
                        if upstream.transport.get_write_buffer_size() >= unread:
                            raise
                    finally:
                        deadlines.drop(room)
            if chunked and not upstream.transport.is_closing():
                upstream.transport.write(LAST_CHUNK)
            self.sent = True
            if upstream.response is None:
                self._client.expect(bounds.response, _response_late)
        finally:
            deadlines.drop(body)

    async def _listen(self, upstream: Connection) -> None:
        """Let the loop read what the upstream has said. It may have closed behind its response:
        writing fails then, and under TLS nothing can be read once that has ended.
        """
        for _ in range(TURNS):
            if not upstream.speaks():
                return
            turn = Waiter(self._advance)
            self._context.loop.call_soon(turn.set_result, None)
            await turn

    def _judge(self, size: int) -> None:
        """So many bytes of a body have come whose length was not said before."""
        self._report(size)
        if size > self._room:
            raise Refused(413, "body_too_large")

    def _report(self, size: int) -> None:
        if size > self._bound:
            self._bound = _BOUNDLESS
            request_id, address = self._who
            self._context.telemetry.request_rejected(
                "body_too_large",
                status=413,
                request_id=request_id,
                client=address,
                head=self._request.head,
                refused=False,
            )
