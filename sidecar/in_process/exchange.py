"""One request that the service serves itself: its route, and its response judged and counted."""

from __future__ import annotations

import re
import time
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

from sidecar.in_process.host import Host
from sidecar.policy.engine.nonces import hidden
from sidecar.policy.rules.conditions import Facts, RawFields
from sidecar.proxy.forwarding import new_nonce
from sidecar.proxy.local_replies import local_reply
from sidecar.proxy.reporting import PREFIX, TYPES, report_key

if TYPE_CHECKING:
    from sidecar.telemetry.pages import PageCopy

_ID: Final = re.compile(rb"[!-~]{1,128}")


class InProcessRequest(NamedTuple):
    """A request: the path as sent, if the server knows it; the lines without the nonce's header."""

    method: str
    host: str
    path: str
    scheme: str
    client: str
    lines: RawFields
    length: int
    """Bytes of the body as the client names them; 0 where it does not."""

    def first(self, key: bytes) -> bytes:
        """The value of the first line of this lower-case name, or b""."""
        return next((value for name, value in self.lines if name.lower() == key), b"")


class InProcessExchange:
    """What is known between a request and its response. The caller puts up to `reads_body` bytes of
    the request's body into `begun`, and gives the service the `nonce`, if it is not b"".
    """

    def __init__(self, host: Host, asked: InProcessRequest) -> None:
        self._host, self._asked, self._active = host, asked, host.active
        self._route = self._active.plan.route(asked.host, asked.method, asked.path)
        self._began = time.perf_counter()
        self._page: PageCopy | None = None
        self._open = True
        self.nonce = new_nonce() if self._route.nonced else b""
        self.reads_body = self._route.reads_body
        self.begun = b""
        kept = asked.first(host.settings.forwarding.request_id.lower().encode())
        self._id = kept.decode("ascii") if _ID.fullmatch(kept) else host.new_id()
        with host.lock:
            host.telemetry.in_flight.n += 1

    @property
    def report(self) -> str | None:
        """The key of a post of browser reports; None = the request is the service's."""
        path = self._asked.path
        if not path.startswith(PREFIX):
            return None
        return report_key(self._host.settings, self._active.plan, path)

    @property
    def most(self) -> int:
        """Bytes of a report's body."""
        return self._host.settings.reports.body

    def refused_report(self) -> int:
        """The status that refuses a post of reports; 0 = it is read."""
        if self._asked.method != "POST":
            return 405
        if self._media not in TYPES:
            return 415
        return 413 if self._asked.length > self.most else 0

    @property
    def _media(self) -> bytes:
        return self._asked.first(b"content-type").partition(b";")[0].strip(b" \t").lower()

    def take_report(self, key: str, body: bytes) -> None:
        """Record what a browser posted."""
        take, media = self._host.telemetry.browser_reports, self._media.decode("ascii")
        agent = self._asked.first(b"user-agent")
        self._host.post(partial(take, key, body, media, self._asked.client, agent))

    def too_large(self) -> bool:
        """Whether the policy refuses the request for its length; one it would is reported."""
        bound, mode = self._route.max_body, self._route.max_body_mode
        if bound is None or mode == "off" or self._asked.length <= bound:
            return False
        refused = mode == "enforce"
        self._record("body_too_large", 413, refused=refused)
        return refused

    def _record(self, reason: str, status: int, *, refused: bool = True) -> None:
        record = partial(self._host.telemetry.request_rejected, reason, refused=refused)
        who = {"request_id": self._id, "client": self._asked.client}
        self._host.post(partial(record, status=status, head=self._asked.lines, **who))

    def reject(self, status: int) -> tuple[int, RawFields, bytes]:
        """A local reply: status, lines as the policy makes them, body."""
        if status >= 400:
            self._record("report", status)
        return self.own(status, "sidecar" if status >= 400 else "report")

    def own(self, status: int, origin: str = "sidecar") -> tuple[int, RawFields, bytes]:
        """The same, without an event of its own."""
        extra = ((b"Allow", b"POST"),) if status == 405 else ()
        response, body = local_reply(status, extra)
        return status, self.judged(status, list(response), origin), body

    def judged(self, status: int, sent: RawFields, origin: str = "upstream") -> RawFields:
        """The lines of a response as they leave."""
        asked, route, host = self._asked, self._route, self._host
        lines = sent if not self.nonce else list(hidden(sent, self.nonce))
        method, place, path, scheme, client, request, _ = asked
        facts = Facts(method, place, path, scheme, request, status, lines, client, self.begun)
        verdict = route.judge(facts)
        tally, telemetry = self._active.tallies[route.name], host.telemetry
        record = partial(telemetry.record, tally, self._active.revision, route, facts, verdict)
        host.post(partial(record, origin=origin, request_id=self._id))
        added = b""
        if route.trials and origin == "upstream":
            with host.lock:
                added = telemetry.trials.count(tally, route, facts, verdict)
                self._page = telemetry.pages.copy(route, facts)
        leaving = (verdict.spelled(self.nonce) if self.nonce else verdict).fields(sent)
        return [*leaving, *_pairs(added)] if added else leaving

    @property
    def copies(self) -> bool:
        """Whether the response's body is copied as it passes."""
        return self._page is not None

    def passed(self, piece: bytes) -> None:
        """A part of the response's body."""
        if self._page is not None:
            self._page.take(piece)

    def end(self, *, whole: bool = True) -> None:
        """The response has been sent, or never will be; counted once."""
        if not self._open:
            return
        self._open = False
        host, spent = self._host, time.perf_counter() - self._began
        if self._page is not None and whole:
            host.post(self._page.end)
        with host.lock:
            host.telemetry.in_flight.n -= 1
        host.post(partial(host.telemetry.request_seconds.observe, spent))


def _pairs(lines: bytes) -> RawFields:
    split = (line.partition(b": ") for line in lines.split(b"\r\n") if line)
    return [(name, value) for name, _, value in split]
