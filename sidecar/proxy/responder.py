"""A request as the policy sees it, the heads of responses to it as the policy wants them, and
responses of our own.

Every response that leaves, the upstream's or our own, is judged here, once.
"""

from __future__ import annotations

import re
from collections.abc import Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sidecar.policy.engine.nonces import hidden
from sidecar.policy.rules.conditions import Facts
from sidecar.proxy.faults import Refused
from sidecar.proxy.forwarding import new_nonce
from sidecar.proxy.http1.grammar import message
from sidecar.proxy.http1.requests import Request
from sidecar.proxy.http1.responses import Response
from sidecar.proxy.local_replies import local_reply
from sidecar.proxy.reporting import receive_report, report_key

if TYPE_CHECKING:
    from sidecar.proxy.body import Body
    from sidecar.proxy.context import Context
    from sidecar.proxy.downstream import Downstream
    from sidecar.proxy.upload import Upload
    from sidecar.telemetry.pages import PageCopy


Rest: TypeAlias = Coroutine[Any, None, bool]
"""What is left of an exchange that has to wait; True = another may follow on the connection."""


class Responder:
    """Judges the responses to one request, or to what was refused in its place, under the revision
    that was active when it came.
    """

    __slots__ = (
        "_active",
        "_address",
        "_answered",
        "_body",
        "_client",
        "_context",
        "_host",
        "_method",
        "_nonce",
        "_page",
        "_path",
        "_refusal",
        "_request",
        "_request_id",
        "_route",
        "_scheme",
        "_seen",
        "_settled",
        "_span",
        "_started",
        "_upload",
        "_waited",
    )

    def __init__(
        self, context: Context, client: Downstream, head: Request | Refused, body: Body
    ) -> None:
        active = context.active
        self._context, self._client, self._body, self._active = context, client, body, active
        self._request: Request | None = None
        self._refusal: Refused | None = None
        self._seen: Iterable[tuple[bytes, bytes]]
        self._method, self._path = head.method, head.path
        if isinstance(head, Request):
            self._request, self._seen, self._host = head, head.head, head.host
        else:
            self._refusal, self._seen, self._host = head, head.head or (), ""
        self._route = active.plan.route(self._host, self._method, self._path)
        self._scheme, self._address = client.peer.scheme, client.peer.address
        self._nonce = b""
        self._page: PageCopy | None = None
        self._span: Any = None  # of OpenTelemetry, where it is on
        self._request_id = ""
        self._upload: Upload | None = None
        self._started = context.loop.time()
        self._waited = 0.0
        self._answered = self._settled = False

    def _judged(
        self, response: Response, origin: str, *, keep_alive: bool, body: bytes = b""
    ) -> bytes:
        """The head as the policy wants it, decided, counted and logged; `body` behind it."""
        active, request, upload, route = self._active, self._request, self._upload, self._route
        judge, watched = route.judge, response.head.watched()
        sent: Iterable[tuple[bytes, bytes]] = response
        if route.nonced:
            self._nonce = self._nonce or new_nonce()
            sent = hidden(response, self._nonce)
        begun = b"" if upload is None else upload.begun
        said = self._method, self._host, self._path, self._scheme
        facts = tuple.__new__(
            Facts, (*said, self._seen, response.status, sent, self._address, begun)
        )
        verdict = judge.of_lines(facts, watched) if sent is response else judge(facts)
        tally, revision, request_id = active.tallies[route.name], active.revision, self._request_id
        self._context.telemetry.record(
            tally, revision, route, facts, verdict, origin=origin, request_id=request_id
        )
        if (spans := self._context.telemetry.spans) is not None:
            age, trusted = self._context.loop.time() - self._started, self._client.peer.trusted
            about = route.name, revision, request_id
            self._span = spans.begin(facts, verdict, about, trusted=trusted, age=age)
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
        return message(response.leaving(verdict.replaced), added, body)

    def _opened(self) -> None:
        """A tunnel begins: its handshake tells of cookies."""
        route = self._route
        if route.breakage_tests or route.elsewhere:
            said = self._method, self._host, self._path, self._scheme
            facts = Facts(*said, self._seen, 101, (), self._address)
            self._context.telemetry.opened(self._active.tallies[route.name], route, facts)

    def _refused(self, refusal: Refused) -> bool:
        self._request_id = self._request_id or self._context.forwarder.new_id()
        self._rejected(refusal, refusal.status)
        return self._own(refusal.status, refusal.fields)

    def _rejected(self, refusal: Refused, status: int) -> None:
        self._context.telemetry.request_rejected(
            refusal.reason,
            status=status,
            request_id=self._request_id,
            client=self._client.peer.address,
            head=self._seen,
        )

    def _own(
        self, status: int, extra: tuple[tuple[bytes, bytes], ...] = (), *, origin: str = "sidecar"
    ) -> bool:
        """Respond ourselves; the connection ends when the request was not read to its end."""
        request = self._request
        response, body = local_reply(status, extra, self._route.judge.looks)
        keep_alive = (
            request is not None
            and request.keep_alive
            and not (self._unread() or self._context.draining)
        )
        self._begin_response()
        sent = b"" if self._method == "HEAD" else body
        self._client.write(self._judged(response, origin, keep_alive=keep_alive, body=sent))
        return keep_alive

    def _special(self, request: Request) -> Rest | None:
        """What the upstream is not asked for; Max-Forwards is counted down on the way."""
        key = report_key(self._context.settings, self._active.plan, request.path)
        if key is not None:
            return self._take_report(request, key)
        if request.method == "OPTIONS" and not _passes_on(request):
            return self._no_further()
        return None

    async def _take_report(self, request: Request, key: str) -> bool:
        body, client = self._body, self._client
        status = await receive_report(self._context, request, body, client, key, self._address)
        return self._own(status, origin="report")

    async def _no_further(self) -> bool:
        return self._own(204)

    def _begin_response(self) -> None:
        """From here on nothing else may be sent to the client: no 1xx, no error response."""
        self._answered = True
        if self._upload is not None:
            self._upload.answered = True

    def _failed(self, reason: str, detail: str = "") -> None:
        self._context.telemetry.upstream_failed(
            reason, request_id=self._request_id, detail=detail, head=self._seen
        )

    def _unread(self) -> bool:
        """The request has not been read to its end, or could not be."""
        return not self._body.whole or self._refusal is not None

    def _settle(self, now: float) -> None:
        """Count the request as served, once; a tunnel that follows counts as a tunnel only."""
        if not self._settled:
            self._settled = True
            self._context.telemetry.in_flight.n -= 1
            self._context.telemetry.request_seconds.observe(now - self._started)
            if self._span is not None:
                self._span.end()


_FORWARDS = re.compile(rb"(?im)^(max-forwards:[\t ]*)([0-9]+)(?=[\t ]*\r$)")
_MOST: Final = 10**18
"""A larger number of forwards is read as this."""


def _passes_on(request: Request) -> bool:
    """Count Max-Forwards down, how many proxies a request may still pass; False when it may pass
    none (RFC 9110 section 7.6.2).
    """
    head = b"".join(request.lines)
    if any(_forwards(digits) == 0 for _, digits in _FORWARDS.findall(head)):
        return False
    less = _FORWARDS.sub(lambda found: b"%b%d" % (found[1], _forwards(found[2]) - 1), head)
    request.lines = [less]
    return True


def _forwards(digits: bytes) -> int:
    digits = digits.lstrip(b"0") or b"0"
    return int(digits) if len(digits) <= 18 else _MOST
