"""Turns a decision into one event and a few counts, through structlog and prometheus_client."""

from __future__ import annotations

import json
import platform
import secrets
from collections.abc import Callable, Iterable
from dataclasses import asdict
from typing import Any, TypeAlias

import sidecar
from sidecar.lean import aiohttp_version
from sidecar.policy.browsers.cookie_breakage import CookieTest
from sidecar.policy.browsers.reports import BrowserReport, read_reports
from sidecar.policy.engine.judge import REMEMBERED, PreparedDecision
from sidecar.policy.engine.plan import Plan, RoutePlan
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import Fetch, engine_of
from sidecar.policy.rules.ladder import transport
from sidecar.policy.terms import MODES
from sidecar.policy.words import visible
from sidecar.settings import Settings
from sidecar.telemetry.counters import Cap
from sidecar.telemetry.events import Events, Stamp, as_json, shown
from sidecar.telemetry.metrics import Metrics
from sidecar.telemetry.pages import PageReader
from sidecar.telemetry.rule_counters import RouteTally
from sidecar.telemetry.spans import http_facts, server_facts, spans, trace_id
from sidecar.telemetry.trials import Trials

__all__ = ["Events", "Metrics", "RouteTally", "Telemetry", "Trials"]

_REJECTED = "sidecar_rejected_requests_total", "request.rejected", "warning"
_PASSED = "sidecar_would_reject_requests_total", "request.would_reject", "info"
_MAY_BREAK = frozenset({"break", "open", "unknown"})
_NAMED = frozenset({"break", "open"})
_SHOWN = 80
"""Characters of a path in an example."""
_WORD = 20
"""Characters of a word of Fetch Metadata there: the longest, `serviceworker`, has 13."""

Head: TypeAlias = Iterable[tuple[bytes, bytes]]
"""Header lines as (name, value)."""


class Telemetry:
    """Events and metrics of one process."""

    def __init__(
        self,
        events: Events,
        metrics: Metrics,
        settings: Settings | None = None,
        *,
        serves: bool = False,
        secret: bytes = b"",
    ) -> None:
        """With these settings, or the defaults; `serves`: spans are made of this process's
        requests. Raises PolicyError as `spans` does.
        """
        using = settings or Settings()
        self.events = events
        self.metrics = metrics
        self._cap = events.cap
        self._value_bytes = using.log.value_bytes
        self._server = server_facts(using.upstream)
        self._reports_cap = Cap(using.reports.per_second)
        self.in_flight = metrics.counter("sidecar_requests_in_flight")
        self.tunnels = metrics.counter("sidecar_tunnels_open")
        self.connections = metrics.counter("sidecar_connections_open")
        self.retries = metrics.counter("sidecar_upstream_retries_total")
        self.aborts = metrics.counter("sidecar_client_aborts_total")
        self.request_seconds = metrics.histogram("sidecar_request_duration_seconds")
        self.upstream_seconds = metrics.histogram("sidecar_upstream_duration_seconds")
        self.trial_report: Callable[[str, BrowserReport, str, str], None] = lambda *_: None
        """Takes a report on a rule in trial or of a loaded script: key, report, client, engine."""
        self.trials = Trials(metrics, using.trial.canary, secret or secrets.token_bytes(16))
        self.example: Callable[[str, str, str, str], None] = lambda *_: None
        """Takes a request that a rule would or may break: route, rule, outcome, and what it was."""
        self.pages = PageReader(using.trial.pages)
        self.spans = spans(using.traces, serves=serves)
        self.canary_returned: Callable[[str], None] = self.trials.returned
        self._suppressed = metrics.counter("sidecar_events_suppressed_total")
        self._rendered: dict[PreparedDecision, tuple[list[dict[str, object]], str]] = {}
        self._stamp = Stamp()
        self._watchers: list[Callable[[dict[str, object]], None]] = []
        self.observer: Callable[[RoutePlan, Facts], None] | None = None
        """Called with each response of the service, as it sent it; must cost little."""
        about = (sidecar.__version__, platform.python_version(), aiohttp_version())
        metrics.stand("sidecar_build_info", [about])

    def watch(self, watcher: Callable[[dict[str, object]], None]) -> Callable[[], None]:
        """Give every logged event to `watcher` too; returns the call that ends it."""
        self._watchers.append(watcher)
        return lambda: self._watchers.remove(watcher)

    def emit(self, event: str, *, level: str = "info", **facts: object) -> None:
        """Log an event, whatever the cap."""
        self.events.emit(event, level=level, **facts)
        self._show(event, level, facts)

    def _show(self, event: str, level: str, facts: dict[str, Any]) -> None:
        if self._watchers:
            data = {"event": event, "timestamp": f"{self._stamp()[:19]}Z", "level": level, **facts}
            for watcher in tuple(self._watchers):
                watcher(data)

    def pass_on(self, line: str) -> None:
        """Log an event that a worker made."""
        self.events.sink.write(line)
        if self._watchers:
            data = json.loads(line)
            for watcher in tuple(self._watchers):
                watcher(data)

    def record(
        self,
        tally: RouteTally,
        revision: str,
        route: RoutePlan,
        facts: Facts,
        verdict: PreparedDecision,
        *,
        origin: str,
        request_id: str,
    ) -> None:
        """Count one verdict on one response; log it when something changed or would have.

        `origin` is "upstream", "sidecar" (a response of our own), or "report" (to a browser's
        report, which says nothing about any rule).
        """
        if origin == "report":
            tally.responses["sidecar"][facts.status // 100 - 1].n += 1.0
            return
        # RFC 9110 section 15: a status beyond the known classes counts as 5xx.
        group = facts.status // 100 - 1 if 100 <= facts.status < 600 else 4
        tally.responses[origin][group].n += 1.0
        if self.observer is not None and origin == "upstream":
            self.observer(route, facts)
        tally.count(verdict)
        if route.breakage_tests or route.watchers or route.elsewhere:
            self._count_outcomes(tally, route, facts, verdict)
        if not verdict.findings or not self._cap.free() or not self.events.may_emit():
            return
        name = "header.changed" if verdict.changed else "header.would_change"
        about: dict[str, Any] = {
            "revision": revision,
            "route": route.name,
            "request_id": request_id,
            **http_facts(facts),
            **_trace(facts.request),
        }
        changes, rendered = self._changes(verdict)
        self.events.emit_changes(name, as_json(about)[1:-1], rendered)
        if self._watchers:
            self._show(name, "info", {**about, "changes": changes})

    def _count_outcomes(
        self, tally: RouteTally, route: RoutePlan, facts: Facts, verdict: PreparedDecision
    ) -> None:
        """Count what the request shows about rules: whether they would break it."""
        fetch, leaving = Fetch(facts), facts
        if verdict.changed:
            leaving = facts._replace(fields=verdict.fields(list(facts.fields)))
        for watcher, broken in tally.watched:
            if watcher.watch(leaving, fetch):
                broken.n += 1.0
        for index, breakage_test in route.breakage_tests:
            outcomes = tally.rules[index].outcomes
            # HSTS is never written over plain http, and plain http is the evidence against it.
            if index not in verdict.skipped or breakage_test is transport:
                outcome = breakage_test(leaving, fetch)
                if outcome in _MAY_BREAK and _unchanged(route, index, verdict):
                    outcome = "safe" if fetch.browser else "irrelevant"
                outcomes[outcome].n += 1.0
                if isinstance(breakage_test, CookieTest) and (seen := breakage_test.history()):
                    outcomes[seen].n += 1.0
            elif isinstance(breakage_test, CookieTest):
                # The rule leaves the response alone; the request may carry what it has written.
                outcome = breakage_test.beside(leaving, fetch)
                if outcome in _MAY_BREAK:
                    outcomes[outcome].n += 1.0
            else:
                continue
            if outcome in _NAMED and tally.is_new_example(index, outcome, facts.path):
                self.example(route.name, route.rules[index].name, outcome, _asked(facts, fetch))
        for number, (place, rule, at, test, outcomes) in enumerate(tally.elsewhere, 1):
            outcome = test.beside(leaving, fetch) if at < 0 or at in verdict.skipped else "safe"
            if outcome in _MAY_BREAK:
                outcomes[outcome].n += 1.0
            if outcome in _NAMED and tally.is_new_example(-number, outcome, facts.path):
                self.example(place, rule, outcome, _asked(facts, fetch))

    def opened(self, tally: RouteTally, route: RoutePlan, facts: Facts) -> None:
        """Count what a WebSocket's handshake shows of cookies; nothing else of it is judged."""
        fetch = Fetch(facts)
        for _, _, at, test, outcomes in tally.elsewhere:
            if at < 0 and test.sets:
                outcomes[test.of_socket(facts, fetch)].n += 1.0
        for index, breakage_test in route.breakage_tests:
            if isinstance(breakage_test, CookieTest):
                tally.rules[index].outcomes[breakage_test.of_socket(facts, fetch)].n += 1.0

    def _changes(self, verdict: PreparedDecision) -> tuple[list[dict[str, object]], str]:
        """A verdict's findings for an event, as data and JSON; kept for a verdict that recurs."""
        made = self._rendered.get(verdict)
        if made is None:
            data: list[dict[str, object]] = [
                {
                    "rule": finding.rule,
                    "header": finding.header,
                    "action": finding.action,
                    "kind": finding.kind,
                    "mode": finding.mode,
                    "before": shown(finding.header, finding.before, self._value_bytes),
                    "after": shown(finding.header, finding.after, self._value_bytes),
                }
                for finding in verdict.findings
            ]
            made = data, as_json(data)
            if verdict.remembered:
                if len(self._rendered) >= REMEMBERED:
                    self._rendered.clear()
                self._rendered[verdict] = made
        return made

    def upstream_failed(
        self, reason: str, *, request_id: str = "", detail: str = "", head: Head = ()
    ) -> None:
        """Count a failed exchange, by its reason, and log it, capped."""
        self.metrics.counter("sidecar_upstream_errors_total", reason).n += 1
        if self.events.may_emit():
            self.emit(
                "upstream.failed",
                level="warning",
                reason=reason,
                request_id=request_id,
                detail=detail[: self._value_bytes],
                **self._server,
                **_trace(head),
            )

    def request_rejected(
        self,
        reason: str,
        *,
        status: int,
        request_id: str = "",
        client: str = "",
        head: Head = (),
        refused: bool = True,
    ) -> None:
        """Count a request that the upstream never saw, by its reason, or that passes because the
        policy only reports (`refused` = False); log it, capped.
        """
        metric, event, level = _REJECTED if refused else _PASSED
        self.metrics.counter(metric, reason).n += 1
        if self.events.may_emit():
            facts: dict[str, Any] = {"http.response.status_code": status, "client.address": client}
            facts = {"reason": reason, "request_id": request_id, **facts, **_trace(head)}
            self.emit(event, level=level, **facts)

    def browser_reports(self, key: str, data: bytes, media: str, client: str, agent: bytes) -> None:
        """Count a browser's reports, pass on those on trials, and log them under their own cap."""
        if key.startswith("canary/"):
            self.canary_returned(key.removeprefix("canary/"))
            return
        engine = engine_of(agent)
        seen: set[BrowserReport] = set()
        for report in read_reports(data, media):
            if report in seen:  # Integrity-Policy's come twice
                continue
            seen.add(report)
            self.metrics.counter(
                "sidecar_browser_reports_total", report.type, report.directive, report.disposition
            ).n += 1
            if key or report.hash:
                self.trial_report(key, report, client, engine[0] if engine else "")
            if self._reports_cap.take() and self.events.may_emit():
                self.emit("browser.report", **asdict(report))

    def activated(self, plan: Plan, revision: str) -> dict[str, RouteTally]:
        """Bind the counters of a plan that is about to be put in force."""
        self._rendered.clear()
        self.trials.activated()
        self.pages.activated()
        tallies = self.metrics.bind(plan)
        self.metrics.stand("sidecar_policy_info", [(plan.name, revision)])
        rules = [(route.name, line) for route in plan.routes for line in route.rules]
        rows = [(route, line.name, line.demand) for route, line in rules if line.mode != "off"]
        self.metrics.stand("sidecar_rule_info", rows)
        for mode in MODES:
            self.metrics.counter("sidecar_mode", mode).n = float(mode == plan.mode)
        return tallies

    def tick(self) -> None:
        """Once a second: log how many events were suppressed, and bring the counter up to date."""
        self.events.emit_suppressed()
        self._suppressed.n = float(self._cap.missed + self.events.sink.dropped)


def _unchanged(route: RoutePlan, index: int, verdict: PreparedDecision) -> bool:
    """Whether a rule would leave this response as it is. Requests show what becomes of a cookie,
    not the responses that set it; those of a ladder show what comes next.
    """
    line = route.rules[index]
    if line.named.rule.header is None or line.breakage_test is transport:
        return False
    return all(one.position != index for one in verdict.findings)


def _asked(facts: Facts, fetch: Fetch) -> str:
    """What a request was, for people: its method and path, for what it was and from which site."""
    path = facts.path if len(facts.path) <= _SHOWN else f"{facts.path[:_SHOWN]}..."
    about = (word.decode("latin-1") for word in (fetch.site, fetch.dest) if word is not None)
    # Whoever asks writes these words too, up to a whole head of them.
    return visible(" ".join((facts.method, path, *(word[:_WORD] for word in about))))


def _trace(head: Head) -> dict[str, str]:
    found = trace_id(head)
    return {"trace_id": found} if found else {}
