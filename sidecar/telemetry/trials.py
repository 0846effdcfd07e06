"""What a trial counts with each response: page loads with a report-only header, and canaries.

A canary is a page load that also carries a report-only policy which every page violates: when its
report comes back, reports of that browser come through, and the silence of the others means
something.
"""

from __future__ import annotations

import hashlib
import hmac
import random
import secrets
import time
from collections.abc import Callable
from typing import Literal, NamedTuple

from sidecar.policy.browsers.support import binds_workers, reports, unreported
from sidecar.policy.browsers.trial import CANARY, REPORTS_PATH, ReportOnly
from sidecar.policy.engine.judge import PreparedDecision
from sidecar.policy.engine.plan import RoutePlan
from sidecar.policy.rules.classes import of_media_type
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import Engine, Fetch, engine_of
from sidecar.telemetry.metric_table import ENGINES, OF_ENGINES
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.rule_counters import RouteTally

FIRST = 20
"""Page loads of each engine that all carry a canary after an activation, for small sites."""
LASTS = 900
"""Seconds after which a canary's return is not counted any more."""
_OPEN = 20_000
"""Returned canaries that are remembered, so that none counts twice."""
_SECRETS = 4

_INSTEAD = ("waiting", "upgraded", "granted")
"""States of a report-only header that count as an outcome of their own (see `SEEN`)."""
_PAGES = frozenset({b"document", b"iframe", b"frame", b"fencedframe", b"object", b"embed"})


class Arrival(NamedTuple):
    """A canary's report that came on one `way`, of `ways` on which it must come."""

    canary: str
    engine: Engine
    way: str
    ways: int


class Trials:
    """Counts of one process. `secret` is shared in a fleet: each knows the others' canaries."""

    def __init__(
        self,
        metrics: Metrics,
        share: float,
        secret: bytes,
        clock: Callable[[], float] = time.time,
        draw: Callable[[], float] = random.random,
    ) -> None:
        self._share = share
        self.secret = secret
        self._secrets: tuple[bytes, ...] = (secret,)
        """Those of canaries that may still be on their way too."""
        self.on_arrival: Callable[[Arrival], None] = self.arrived
        """Takes each way on which a canary came back; a fleet joins the ways."""
        self._clock = clock
        self._draw = draw
        self._sent, self._returned, self._browsers = (
            {engine: metrics.counter(name, engine) for engine in ENGINES}
            for name in OF_ENGINES.values()
        )
        self._first = dict.fromkeys(ENGINES, 0)
        self._back: dict[str, set[str]] = {}

    def adopt(self, secret: bytes) -> None:
        """Sign with this from now on."""
        if secret != self.secret:
            self.secret = secret
            self._secrets = (secret, *self._secrets)[:_SECRETS]

    def activated(self) -> None:
        """Another plan is in force: the first page loads of each engine carry canaries again."""
        self._first = dict.fromkeys(ENGINES, 0)

    def count(
        self, tally: RouteTally, route: RoutePlan, facts: Facts, verdict: PreparedDecision
    ) -> bytes:
        """Count one response for each rule in trial; header lines to add: a canary, or b""."""
        browser = page_load(facts)
        if browser is None:
            if _of_service_worker(facts):
                self._worker(tally, verdict)
            elif (kind := _fetched(facts)) is not None:
                for index in {one.position for one in verdict.report_only}:
                    tally.outcome(index, kind)
            return b""
        engine, version = browser
        carried = by_api = False
        for index in route.trials:
            if index in verdict.skipped:
                continue
            line = route.rules[index]
            headers = [one for one in verdict.report_only if one.position == index]
            header = (line.named.rule.header or ("",))[0].lower().encode()
            states = [one.state for one in headers]
            instead = next((state for state in _INSTEAD if state in states), None)
            if not headers:
                # Outside the rule's share a page load says nothing of it; else nothing would be
                # changed.
                if all(one.mode == "trial" for one in verdict.findings if one.position == index):
                    tally.outcome(index, "safe")
            elif instead is not None:
                tally.outcome(index, instead)
            elif "silent" in states or not reports(header, engine, version):
                tally.outcome(index, "unknown")
            elif any(_part(one, engine) for one in headers):
                tally.outcome(index, "partial")
            elif (loads := tally.rules[index].loads) is not None:
                loads.n += 1.0
                carried = True
                names = {name for one in headers for name, _ in one.lines}
                by_api = by_api or b"Reporting-Endpoints" in names
        if not carried:
            return b""
        self._browsers[engine].n += 1.0
        return self._canary(engine, by_api=by_api)

    def _worker(self, tally: RouteTally, verdict: PreparedDecision) -> None:
        """A service worker's script: browsers that have it keep its old policy, unreported."""
        bound = {
            one.position
            for one in verdict.report_only
            if any(binds_workers(name.lower(), value) for name, value in one.lines)
        }
        for index in bound:
            tally.outcome(index, "worker")

    def returned(self, identity: str) -> None:
        """A canary's report came: counted once, when all the ways that it tries have delivered."""
        name, _, way = identity.partition("/")
        parts = name.split("-")
        if len(parts) != 4 or way not in ("u", "a") or parts[0] not in ENGINES:
            return
        engine, made, ways, mac = parts[0], parts[1], parts[2][:2], parts[3]
        signed = "-".join(parts[:3])
        if not any(hmac.compare_digest(_mac(one, signed), mac) for one in self._secrets):
            return
        moment = int(made, 16)
        if 0 <= self._clock() - moment + 60 <= LASTS + 60:
            self.on_arrival(Arrival(name, engine, way, 2 if ways == "ua" else 1))

    def arrived(self, arrival: Arrival) -> None:
        """Count it where it completes a canary all of whose ways ended here."""
        back = self._back.setdefault(arrival.canary, set())
        if arrival.way in back:
            return
        back.add(arrival.way)
        if len(back) == arrival.ways:
            self.complete(arrival)
        while len(self._back) > _OPEN:
            del self._back[next(iter(self._back))]

    def complete(self, arrival: Arrival) -> None:
        """Count a canary that is back."""
        self._returned[arrival.engine].n += 1.0

    def _canary(self, engine: Engine, *, by_api: bool) -> bytes:
        if self._first[engine] < FIRST:
            self._first[engine] += 1
        elif self._draw() >= self._share:
            return b""
        self._sent[engine].n += 1.0
        body = f"{engine}-{int(self._clock()):x}-{'ua' if by_api else 'u_'}{secrets.token_hex(6)}"
        path = f"{REPORTS_PATH}/canary/{body}-{_mac(self.secret, body)}"
        return canary_lines(path, engine, by_api=by_api)


def _mac(secret: bytes, body: str) -> str:
    return hmac.new(secret, body.encode(), hashlib.sha256).hexdigest()[:16]


def canary_lines(path: str, engine: Engine, *, by_api: bool) -> bytes:
    """Header lines that make any page load send a report to `path`/u, and by the Reporting API to
    /a.

    A preload of an address that no host serves costs no request, and `*` allows it nowhere (CSP3
    section 6.7.2.8): every page violates this policy once, and the page is not affected. Firefox
    checks no scheme that it does not know, and a data: address only where a script could fetch it.
    """
    preload, policy = f"<{CANARY}:>; rel=preload; as=image", "img-src *"
    if engine == "firefox":
        preload, policy = "<data:,>; rel=preload; as=fetch; crossorigin", "connect-src *"
    lines = f"Link: {preload}\r\n{_RO}: {policy}; report-uri {path}/u\r\n"
    if by_api:
        lines += f"{_RO}: {policy}; report-to sidecar-canary\r\n"
        lines += f'Reporting-Endpoints: sidecar-canary="{path}/a"\r\n'
    return lines.encode()


_RO = "Content-Security-Policy-Report-Only"


def _part(header: ReportOnly, engine: Engine) -> bool:
    """Whether this engine reports only a part of what the header would block."""
    return any(name == _RO.encode() and unreported(engine, value) for name, value in header.lines)


def page_load(facts: Facts) -> tuple[Engine, int] | None:
    """Engine and version of the browser that loads this as a page or frame; None for anything else.

    By Fetch Metadata where it is sent; on plain http names, where it is not, by Accept and
    User-Agent.
    """
    if facts.method not in ("GET", "POST") or not _is_page(facts):
        return None
    dest = mode = accept = agent = b""
    for name, value in facts.request:
        size = len(name)
        if size == 6 and name.lower() == b"accept":
            accept = value
        elif size == 10 and name.lower() == b"user-agent":
            agent = value
        elif size == 14 and name.lower() == b"sec-fetch-dest":
            dest = value
        elif size == 14 and name.lower() == b"sec-fetch-mode":
            mode = value
        elif size == 11 and name.lower() == b"sec-purpose" and b"prefetch" in value:
            return None
    # A service worker passes a page load on without saying for what it is.
    passed_on = dest == b"empty" and mode == b"navigate"
    if dest not in _PAGES if dest and not passed_on else b"text/html" not in accept:
        return None
    return engine_of(agent)


def _fetched(facts: Facts) -> Literal["script", "data"] | None:
    """Whether a browser fetched the response as a worker's script, or as data: a policy that comes
    with data does nothing (HTML section 7.3). None = neither, or not said, as for a page that a
    service worker fetched, or that was fetched ahead.

    By Fetch Metadata alone, which curl and probes do not send.
    """
    dest = next((value for name, value in facts.request if name.lower() == b"sec-fetch-dest"), b"")
    if not dest or dest in _PAGES or (_is_page(facts) and Fetch(facts).relayed):
        return None
    return "script" if dest in _WORKERS else "data"


_WORKERS = frozenset({b"worker", b"sharedworker", b"serviceworker"})


def _of_service_worker(facts: Facts) -> bool:
    """Whether it is a service worker's script (Service Workers section 4.5: `Service-Worker`)."""
    return any(len(name) == 14 and name.lower() == b"service-worker" for name, _ in facts.request)


def _is_page(facts: Facts) -> bool:
    for name, value in facts.fields:
        if len(name) == 12 and name.lower() == b"content-type":
            media = value.partition(b";")[0].strip().lower()
            return media == b"image/svg+xml" or of_media_type(value) == "html"
    return False
