"""Watches an activation that enforces more than before, and takes it back when responses get worse.

Only the service's own responses and failed exchanges count, so no client can fire it by what it
posts.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

from sidecar.policy.engine.plan import Plan
from sidecar.policy.model import Guard
from sidecar.policy.words import counted
from sidecar.revisions import Revisions
from sidecar.revisions.decision import Overtaken
from sidecar.revisions.history import OrderRefused
from sidecar.telemetry import Metrics, Telemetry

_BEFORE = 600
"""Seconds of the time before that are kept to compare with."""


class Counts(NamedTuple):
    """Sums since the start of the process, or between two such readings."""

    responses: float = 0.0
    client_errors: float = 0.0
    server_errors: float = 0.0
    upstream_errors: float = 0.0

    def since(self, earlier: Counts) -> Counts:
        """What was added; never negative (counters of removed routes go away)."""
        pairs = zip(self, earlier, strict=True)
        return Counts(*(max(0.0, now - before) for now, before in pairs))

    def shares(self) -> Mapping[str, float]:
        """Each kind of error as a share of all exchanges."""
        exchanges = self.responses + self.upstream_errors
        names = ("server_errors", "client_errors", "upstream_errors")
        return {name: getattr(self, name) / exchanges if exchanges else 0.0 for name in names}


class GuardBreach(NamedTuple):
    """Why the activation is taken back: the signal, its share before and now, the rise allowed."""

    signal: str
    before: float
    now: float
    allowed: float
    responses: float

    def __str__(self) -> str:
        name = self.signal.replace("_", " ")
        among = counted(self.responses, "response")
        return (
            f"{name} rose from {self.before:.1%} to {self.now:.1%} of {among};"
            f" {self.allowed:.1%} more is allowed"
        )


class ActivationWatch:
    """Readings of the counters over time, and the watch that is on, if one is."""

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.monotonic) -> None:
        self._metrics = metrics
        self._clock = clock
        self._readings: deque[tuple[float, Counts]] = deque(maxlen=_BEFORE)
        self._plan: Plan | None = None
        self._revision: str | None = None
        self.before: str | None = None
        """The revision to go back to; the one in force itself when only an override was lifted."""
        self._start: tuple[float, Counts] | None = None
        self._earlier = Counts()
        self.guard = Guard()
        self._gauge = metrics.counter("sidecar_guard_watching")

    def activated(self, revision: str, plan: Plan, guard: Guard | str) -> None:
        """A plan came in force: watch it when it enforces more than the one before."""
        more = self._plan is not None and enforces_more(self._plan, plan)
        self._plan = plan
        if more:
            self.before = self._revision
        self._revision = revision
        if not isinstance(guard, Guard) or not more:
            if not isinstance(guard, Guard) or self._start is None or not _enforced(plan):
                self._end()
            return
        now = self._read()
        self.guard = guard
        self._earlier = now.since(self._readings[0][1]) if self._readings else Counts()
        self._start = (self._clock(), now)
        self._gauge.n = 1

    def tick(self) -> GuardBreach | None:
        """Take a reading; a breach ends the watch and is returned once."""
        now, counts = self._clock(), self._read()
        if self._start is None:
            self._readings.append((now, counts))
            return None
        began, first = self._start
        breach = compare(self._earlier, counts.since(first), self.guard)
        if breach is not None or now - began > self.guard.window:
            self._end()
        return breach

    def _end(self) -> None:
        """What was seen under the watch is not the time before of the next one."""
        if self._start is not None:
            self._readings.clear()
        self._start = None
        self._gauge.n = 0

    def _read(self) -> Counts:
        name = "sidecar_responses_total"
        responses = self._metrics.totals(name, by="status_class", origin="upstream")
        errors = (responses.get("4xx", 0.0), responses.get("5xx", 0.0))
        failed = self._metrics.total("sidecar_upstream_errors_total")
        return Counts(sum(responses.values()), *errors, failed)


def compare(before: Counts, now: Counts, guard: Guard) -> GuardBreach | None:
    """The first signal whose share rose too far; None while too little was seen.

    With too little seen before, no server errors are assumed for the time before, and client errors
    are left out.
    """
    if now.responses + now.upstream_errors < guard.min_requests:
        return None
    known = before.responses + before.upstream_errors >= guard.min_requests
    was, shares = before.shares(), now.shares()
    for signal in ("server_errors", "upstream_errors", "client_errors"):
        if signal == "client_errors" and not known:
            continue
        share, allowed = (was[signal] if known else 0.0), getattr(guard, signal)
        if shares[signal] > share + allowed:
            return GuardBreach(signal, share, shares[signal], allowed, now.responses)
    return None


def enforces_more(before: Plan, after: Plan) -> bool:
    """Whether a rule enforces now that did not, or does so with another meaning."""
    return bool(_enforced(after) - _enforced(before))


def _enforced(plan: Plan) -> set[tuple[str, str, str]]:
    aside = {"mode", "owner", "reason", "expected", "rollback"}
    return {
        (route.name, line.name, line.named.rule.model_dump_json(exclude=aside))
        for route in plan.routes
        for line in route.rules
        if line.mode == "enforce"
    }


async def take_back(
    breach: GuardBreach,
    before: str | None,
    revisions: Revisions,
    telemetry: Telemetry,
    lacking: Callable[[], Awaitable[str]],
) -> None:
    """Put revision `before` in force again; where that fails, the mode falls to report-only.

    In a fleet every replica may see the breach: the first one for which nothing is `lacking` ("")
    takes it back for all.
    """
    now, reason = revisions.current.id, str(breach)
    telemetry.metrics.counter("sidecar_guard_fired_total", breach.signal).n += 1
    facts = {"revision": now, "signal": breach.signal, "reason": reason}
    telemetry.emit("guard.fired", level="error", **facts)
    if missing := await lacking():
        telemetry.emit("guard.waits", level="warning", revision=now, reason=missing)
        return
    try:
        if before is None or before == now:
            await revisions.set_mode("report-only", who="guard", reason=reason)
        else:
            order = {"who": "guard", "reason": reason, "cause": "guard", "leaving": now}
            await revisions.rollback(before, **order)
    except Overtaken as overtaken:  # another replica, or an operator, was quicker
        telemetry.emit("guard.overtaken", level="warning", detail=str(overtaken))
    except OrderRefused as refused:
        await revisions.set_mode("report-only", who="guard", reason=f"{breach}; {refused}")
