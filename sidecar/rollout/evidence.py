"""When is it safe to enforce? What the counters say of each rule, and the verdict against stated minimums.

Lives here: evidence from this process's counters, and the gate. Must not know where numbers are shown,
or how a promotion is written. Numbers from a fleet come by `prometheus`.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from sidecar.policy.breakage import OUTCOMES
from sidecar.policy.model import KINDS, MODES, Mode
from sidecar.policy.plan import Plan, RoutePlan, RuleLine
from sidecar.telemetry import Metrics

Outcome: TypeAlias = Literal["pass", "fail", "inconclusive"]

_ADD, _REMOVE = ("missing",), ("forbidden",)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one rule on one route has seen since `since` (epoch seconds): answers, and kinds of violation.

    `affected` answers had at least one violation. `outcomes` counts what requests say would have broken;
    empty where they cannot say.
    """

    route: str
    rule: str
    mode: Mode
    since: float
    evaluated: float
    affected: float
    kinds: Mapping[str, float] = field(default_factory=dict)
    outcomes: Mapping[str, float] = field(default_factory=dict)

    @property
    def right(self) -> float:
        """Answers that were right already."""
        return self.evaluated - self.affected

    def data(self) -> dict[str, Any]:
        """For JSON: the fields, and what they mean for the answers."""
        replaced = sum(count for kind, count in self.kinds.items() if kind not in (*_ADD, *_REMOVE))
        told = {"add": self.kinds.get("missing", 0.0), "replace": replaced, "remove": self.kinds.get("forbidden", 0.0)}
        return {**asdict(self), "kinds": dict(self.kinds), "outcomes": dict(self.outcomes), "right": self.right, "would": told}


@dataclass(frozen=True, slots=True)
class Minimums:
    """What must have been seen before a rule may enforce; `time` in seconds, `breaks` is a budget."""

    requests: int = 1000
    time: float = 86_400.0
    routes: int = 1
    breaks: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pass, fail, or not enough known; every reason with its numbers."""

    rule: str
    outcome: Outcome
    reasons: tuple[str, ...]
    evaluated: float
    elapsed: float
    breaks: float
    unknown: float


def judge(rule: str, evidence: Iterable[Evidence], minimums: Minimums, now: float) -> Verdict:
    """The gate for one rule over all its routes."""
    own = [item for item in evidence if item.rule == rule]
    live = [item for item in own if item.mode != "off"]
    evaluated = sum(item.evaluated for item in live)
    elapsed = min((now - item.since for item in live), default=0.0)
    seen = [item.route for item in live if item.evaluated > 0]
    breaks = sum(item.outcomes.get("break", 0.0) for item in live)
    unknown = sum(item.outcomes.get("unknown", 0.0) for item in live)
    failing: list[str] = []
    lacking: list[str] = []
    met: list[str] = []
    if not live:
        lacking.append("the rule is not judged on any route (unknown, or off)")
    (failing if breaks > minimums.breaks else met).append(f"{breaks:g} requests would have broken, {minimums.breaks} are allowed")
    (lacking if evaluated < minimums.requests else met).append(f"{evaluated:g} answers judged, {minimums.requests} are needed")
    (lacking if elapsed < minimums.time else met).append(f"watched for {span(elapsed)}, {span(minimums.time)} are needed")
    (lacking if len(seen) < minimums.routes else met).append(f"seen on {len(seen)} of {len(live)} routes, {minimums.routes} are needed")
    unseen = [item.route for item in live if item.route not in seen]
    notes = [f"no answer yet on route {', '.join(unseen)}"] if unseen and seen else []
    if unknown:
        notes.append(f"{unknown:g} requests do not say where they came from")
    outcome: Outcome = "fail" if failing else "inconclusive" if lacking else "pass"
    return Verdict(rule, outcome, (*failing, *lacking, *met, *notes), evaluated, elapsed, breaks, unknown)


def parse_mode(text: str) -> Mode:
    """A mode's word as it stands in a label; anything else counts as report-only."""
    return next((mode for mode in MODES if mode == text), "report-only")


def from_data(data: Mapping[str, Any]) -> Evidence:
    """Evidence from what `Evidence.data` said, as the admin API sends it."""
    numbers = {key: data[key] for key in ("since", "evaluated", "affected", "kinds", "outcomes")}
    return Evidence(data["route"], data["rule"], parse_mode(data["mode"]), **numbers)


def span(seconds: float) -> str:
    """Seconds for people: 45s, 12m, 5h 30m, 2d 3h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    big, small = ((whole // 3600, "h"), (whole % 3600 // 60, "m")) if whole < 86_400 else ((whole // 86_400, "d"), (whole % 86_400 // 3600, "h"))
    return f"{big[0]}{big[1]} {small[0]}{small[1]}" if small[0] else f"{big[0]}{big[1]}"


class Book:
    """The counters' readings when each rule came as it is now; evidence is what was added since.

    A rule whose meaning and mode did not change keeps its evidence over an activation, and over a restart
    where `restore` is given what `saved` returned.
    """

    def __init__(self, metrics: Metrics, clock: Callable[[], float] = time.time) -> None:
        self._metrics = metrics
        self._clock = clock
        self._plan: Plan | None = None
        self._marks: dict[tuple[str, str], _Mark] = {}
        self._earlier: dict[str, dict[str, Any]] = {}

    def activated(self, plan: Plan) -> None:
        """Note the counters for every rule that is new, or different from before."""
        marks: dict[tuple[str, str], _Mark] = {}
        for route in plan.routes:
            for line in route.rules:
                place, meaning = (route.name, line.name), _meaning(line)
                held = self._marks.get(place)
                if held is not None and held.meaning == meaning:
                    marks[place] = held
                    continue
                saved = self._earlier.pop(f"{route.name}/{line.name}", {})
                carried = saved.get("counts", {}) if saved.get("meaning") == meaning else {}
                counts = {key: value - carried.get(key, 0.0) for key, value in self._counts(route, line).items()}
                marks[place] = _Mark(meaning, saved["since"] if carried else self._clock(), counts)
        self._plan, self._marks = plan, marks

    def evidence(self) -> list[Evidence]:
        """What each rule on each route has seen, in the order of the policy."""
        return [self._of(route, line) for route in (self._plan.routes if self._plan else ()) for line in route.rules]

    def saved(self) -> dict[str, Any]:
        """The evidence as data, to be kept over a restart."""
        held = {}
        for route in self._plan.routes if self._plan else ():
            for line in route.rules:
                mark, counts = self._marks[route.name, line.name], self._counts(route, line)
                grown = {key: value - mark.counts.get(key, 0.0) for key, value in counts.items()}
                held[f"{route.name}/{line.name}"] = {"meaning": mark.meaning, "since": mark.since, "counts": grown}
        return held

    def restore(self, saved: object) -> None:
        """Take what `saved` once returned; used by the next activation."""
        if isinstance(saved, dict):
            self._earlier = {key: value for key, value in saved.items() if isinstance(value, dict)}

    def _of(self, route: RoutePlan, line: RuleLine) -> Evidence:
        mark = self._marks[route.name, line.name]
        grown = {key: value - mark.counts.get(key, 0.0) for key, value in self._counts(route, line).items()}
        kinds: dict[str, float] = {kind: grown[kind] for kind in KINDS if grown.get(kind)}
        outcomes: dict[str, float] = {outcome: grown[outcome] for outcome in OUTCOMES if outcome in grown}
        return Evidence(route.name, line.name, line.mode, mark.since, grown["evaluated"], grown["affected"], kinds, outcomes)

    def _counts(self, route: RoutePlan, line: RuleLine) -> dict[str, float]:
        value = self._metrics.value
        counts = {
            "evaluated": value("sidecar_rule_evaluations_total", route.name, line.name, line.mode),
            "affected": value("sidecar_rule_affected_total", route.name, line.name, line.mode),
        }
        for kind in KINDS:
            counts[kind] = value("sidecar_violations_total", route.name, line.name, kind, line.mode)
        if line.oracle is not None:
            for outcome in OUTCOMES:
                counts[outcome] = value("sidecar_would_break_total", route.name, line.name, outcome)
        return counts


class Trend:
    """Answers with a violation in each of the last 30 intervals of ten seconds, by route and rule."""

    def __init__(self, book: Book, interval: int = 10, kept: int = 30) -> None:
        self._book = book
        self._interval = interval
        self._ticks = 0
        self._kept = kept
        self._last: dict[tuple[str, str], float] = {}
        self._added: dict[tuple[str, str], deque[float]] = {}

    def tick(self) -> None:
        """Called once a second."""
        self._ticks += 1
        if self._ticks % self._interval:
            return
        now = {(item.route, item.rule): item.affected for item in self._book.evidence()}
        self._added = {place: self._added.get(place) or deque(maxlen=self._kept) for place in now}
        for place, affected in now.items():
            self._added[place].append(max(0.0, affected - self._last.get(place, 0.0)))
        self._last = now

    def of(self, route: str, rule: str) -> list[float]:
        """The numbers of one rule, oldest first."""
        return list(self._added.get((route, rule), ()))


@dataclass(frozen=True, slots=True)
class _Mark:
    meaning: str
    since: float
    counts: Mapping[str, float]


def _meaning(line: RuleLine) -> str:
    text = json.dumps([line.mode, line.named.rule.model_dump(mode="json", exclude_none=True)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
