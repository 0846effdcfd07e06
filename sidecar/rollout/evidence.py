"""When is it safe to enforce? What this process's counters say of each rule since it came as it is
now.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple, TypeAlias

from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.browsers.trial import by_api
from sidecar.policy.browsers.witness import replacing, witnesses
from sidecar.policy.engine.plan import Plan, RoutePlan, RuleLine
from sidecar.policy.terms import KINDS
from sidecar.rollout.model import Cause, Climb, Evidence, TrialEvidence
from sidecar.telemetry import Metrics
from sidecar.telemetry.metric_table import ENGINES, OF_ENGINES, SEEN
from sidecar.telemetry.rule_counters import EXAMPLES


class SentAges:
    """The ages of Strict-Transport-Security that responses carried, and when each was sent last, by
    rule and route; read from the counters, once a second.

    A browser keeps the latest that it got, and may never come again: what was sent at a higher step
    of a ladder counts until its age has passed.
    """

    def __init__(self) -> None:
        self._sent: dict[str, dict[int, float]] = {}
        self._counted: dict[str, float] = {}

    def note(self, routes: Iterable[RoutePlan], metrics: Metrics, now: float) -> None:
        """Take down what has been sent since the last call, all of it under these routes."""
        for route in routes:
            for line in route.rules:
                rule, place = line.named.rule, f"{route.name}/{line.name}"
                if rule.ladder is None or line.mode != "enforce":
                    continue
                counted = metrics.read(metrics.rule(route.name, line.name).evaluated)
                if counted > self._counted.get(place, 0.0):
                    age = rule.ladder[(rule.step or 1) - 1]
                    self._sent.setdefault(place, {})[age] = now
                self._counted[place] = counted

    def kept(self, route: str, rule: str) -> tuple[int, float]:
        """The age (seconds) that browsers keep longest, and its end (epoch seconds); (0, 0.0) =
        none.
        """
        ends = {age: last + age for age, last in self._sent.get(f"{route}/{rule}", {}).items()}
        return max(ends.items(), key=lambda item: item[1], default=(0, 0.0))

    def saved(self, route: str, rule: str) -> dict[str, float]:
        """As data, for JSON."""
        return {str(age): last for age, last in self._sent.get(f"{route}/{rule}", {}).items()}

    def restore(self, place: str, saved: Mapping[str, float]) -> None:
        """Take what `saved` returned; `place` is ROUTE/RULE."""
        self._sent[place] = {int(age): float(last) for age, last in saved.items()}


SETTLE = 5.0
"""Seconds in which `report-uri` has delivered what it will."""
SETTLE_API = 70.0
"""The same for the Reporting API, which now and then waits a minute."""

_JUMP = 5.0
"""Seconds by which the clock may stray from one tick to the next without having been set."""

Causes: TypeAlias = Callable[[str, str], tuple[Cause, ...]]
"""The causes that browsers reported of a rule on a route."""


class EvidenceStore:
    """The counters' readings when each rule came as it is now; evidence is what was added since.

    A rule whose meaning, mode and scope did not change keeps its evidence over an activation, and
    over a restart where `restore` is given what `saved` returned. Only time in which the sidecar
    ran counts as watched: `steady` is a clock that nobody sets.
    """

    def __init__(
        self,
        metrics: Metrics,
        clock: Callable[[], float] = time.time,
        causes: Causes = lambda _route, _rule: (),
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._metrics = metrics
        self._clock = clock
        self._causes = causes
        self._steady = steady
        self._ticked: tuple[float, float] | None = None
        self._past: deque[tuple[float, dict[tuple[str, ...], float]]] = deque()
        self._routes: Sequence[RoutePlan] = ()
        self._starts: dict[tuple[str, str], _Start] = {}
        self.meanings: Mapping[tuple[str, str], str] = {}
        """The meaning of each rule in force, by route and rule."""
        self._earlier: dict[str, dict[str, Any]] = {}
        self._examples: dict[tuple[str, str], dict[str, list[str]]] = {}
        self._sent_ages = SentAges()

    def activated(self, plan: Plan) -> None:
        """Note the counters for every rule that is new, or different from before."""
        self._note_ages()
        marks: dict[tuple[str, str], _Start] = {}
        for route in plan.routes:
            for line in route.rules:
                place, meaning = (route.name, line.name), f"{line.meaning}{line.scope}"
                held = self._starts.get(place)
                if held is not None and held.meaning == meaning:
                    marks[place] = held
                    continue
                saved = self._earlier.pop(f"{route.name}/{line.name}", {})
                carried = saved.get("counts", {}) if saved.get("meaning") == meaning else {}
                counts = {
                    key: value - carried.get(key, 0.0)
                    for key, value in self._counts(route, line).items()
                }
                watched = saved.get("watched", 0.0) if carried else 0.0
                late = saved.get("unsettled", 0.0) if carried else 0.0
                marks[place] = _Start(meaning, self._clock() - watched, counts, watched, late)
        self._examples = {
            place: found
            for place, found in self._examples.items()
            if place in marks and marks[place] is self._starts.get(place)
        }
        self._routes, self._starts = plan.routes, marks
        self.meanings = {place: mark.meaning for place, mark in marks.items()}

    def example(self, route: str, rule: str, outcome: str, what: str) -> None:
        """Keep one of the first requests that a rule would or may break (`outcome`)."""
        held = self._examples.setdefault((route, rule), {}).setdefault(outcome, [])
        if len(held) < EXAMPLES and what not in held:
            held.append(what)

    def tick(self) -> None:
        """Called each second: note what trials have sent, so that it can be reported what has
        had time to report.
        """
        self._note_ages()
        self._follow_clock()
        sent: dict[tuple[str, ...], float] = {
            (route.name, line.name): self._metrics.read(loads)
            for route in self._routes
            for line in (route.rules[index] for index in route.trials)
            if (loads := self._metrics.rule(route.name, line.name).loads) is not None
        }
        if sent:
            sent |= {
                (engine,): self._metrics.value(OF_ENGINES["sent"], engine) for engine in ENGINES
            }
            self._past.append((self._clock(), sent))
        while self._past and (not sent or self._past[0][0] < self._clock() - SETTLE_API - 5):
            self._past.popleft()

    def _follow_clock(self) -> None:
        """Where the clock was set, or the machine slept: move what happened before as far."""
        now, steady = self._clock(), self._steady()
        if self._ticked is not None:
            jump = now - self._ticked[0] - (steady - self._ticked[1])
            if abs(jump) > _JUMP:
                self._starts = {
                    place: mark._replace(since=mark.since + jump)
                    for place, mark in self._starts.items()
                }
                self._past = deque((at + jump, sent) for at, sent in self._past)
        self._ticked = now, steady

    def _settled(self, place: tuple[str, ...], settle: float) -> float:
        """What a counter of a trial said `settle` seconds ago; 0 before it was first noted."""
        latest = self._clock() - settle
        return next(
            (held.get(place, 0.0) for at, held in reversed(self._past) if at <= latest), 0.0
        )

    def evidence(self) -> list[Evidence]:
        """What each rule on each route has seen, in the order of the policy."""
        self._note_ages()
        return [self._of(route, line) for route in self._routes for line in route.rules]

    def shared(self) -> list[dict[str, Any]]:
        """The evidence as data, each with its rule's meaning, for other replicas to sum (see
        `summing`).
        """
        watches = self.watches()
        return [
            {
                **asdict(item),
                "meaning": self._starts[item.route, item.rule].meaning,
                "watched": watches[item.route, item.rule][0],
                "run": watches[item.route, item.rule][1],
            }
            for item in self.evidence()
            if item.evaluated or item.trial.reports or item.climb
        ]

    def watches(self) -> dict[tuple[str, str], tuple[float, float]]:
        """For how many seconds each rule was watched: in all, and by this process without a
        break.
        """
        now = self._clock()
        return {
            place: (max(0.0, now - mark.since), max(0.0, now - mark.since - mark.carried))
            for place, mark in self._starts.items()
        }

    def saved(self) -> dict[str, Any]:
        """The evidence as data, to be kept over a restart."""
        self._note_ages()
        held = {}
        for route in self._routes:
            for line in route.rules:
                mark = self._starts[route.name, line.name]
                grown = self._grown(route, line, mark)
                settled = self._settled_loads(route, line, mark, grown)[1]
                held[f"{route.name}/{line.name}"] = {
                    "meaning": mark.meaning,
                    "watched": self._clock() - mark.since,
                    "counts": grown,
                    "unsettled": grown.get("loads", 0.0) - settled,
                    "sent": self._sent_ages.saved(route.name, line.name),
                }
        return held

    def restore(self, saved: Mapping[str, dict[str, Any]]) -> None:
        """Take what `saved` once returned; used by the next activation."""
        self._earlier = dict(saved)
        for place, value in self._earlier.items():
            self._sent_ages.restore(place, value.get("sent", {}))

    def _note_ages(self) -> None:
        self._sent_ages.note(self._routes, self._metrics, self._clock())

    def _of(self, route: RoutePlan, line: RuleLine) -> Evidence:
        mark, rule = self._starts[route.name, line.name], line.named.rule
        grown, also, climb = self._grown(route, line, mark), replacing(rule), None
        examples = self._examples.get((route.name, line.name), {})
        if rule.ladder is not None:
            kept = self._sent_ages.kept(route.name, line.name)
            climb = Climb(rule.step or 1, rule.ladder, *kept)
        return Evidence(
            *(route.name, line.name, line.mode, mark.since, grown["evaluated"], grown["affected"]),
            kinds={kind: grown[kind] for kind in KINDS if grown.get(kind)},
            outcomes={outcome: grown[outcome] for outcome in SEEN if outcome in grown},
            witnesses=tuple(asdict(witness) for witness in witnesses(rule)),
            trial=self._trial(route, line, mark, grown) if "loads" in grown else TrialEvidence(),
            climb=climb,
            demand=line.says,
            subject=line.demand,
            replacing=() if also is None else (asdict(also),),
            examples={key: tuple(found) for key, found in examples.items()},
        ).witnessed()

    def _trial(
        self, route: RoutePlan, line: RuleLine, mark: _Start, grown: Mapping[str, float]
    ) -> TrialEvidence:
        """What the trial of a rule has shown; settled counts are those of a moment ago, since
        reports take their time.
        """
        settle, settled = self._settled_loads(route, line, mark, grown)
        canaries: dict[str, tuple[float, float]] = {
            engine: (
                max(0.0, self._settled((engine,), settle) - mark.counts.get(f"sent {engine}", 0.0)),
                grown[f"returned {engine}"],
            )
            for engine in ENGINES
        }
        engines: dict[str, float] = {engine: grown[f"browser {engine}"] for engine in ENGINES}
        reports = {kind: grown[f"report {kind}"] for kind in CAUSE_KINDS}
        causes = self._causes(route.name, line.name)
        return TrialEvidence(grown["loads"], settle, settled, canaries, reports, causes, engines)

    def _settled_loads(
        self, route: RoutePlan, line: RuleLine, mark: _Start, grown: Mapping[str, float]
    ) -> tuple[float, float]:
        """How many seconds reports of a rule may take, and of how many page loads they have had
        them.
        """
        settle = SETTLE_API if by_api(line.named.rule) else SETTLE
        settled = self._settled((route.name, line.name), settle) - mark.counts.get("loads", 0.0)
        if self._clock() - mark.since - mark.carried < settle:
            settled -= mark.unsettled
        return settle, min(grown.get("loads", 0.0), max(0.0, settled))

    def _grown(self, route: RoutePlan, line: RuleLine, mark: _Start) -> dict[str, float]:
        counts = self._counts(route, line).items()
        return {key: value - mark.counts.get(key, 0.0) for key, value in counts}

    def _counts(self, route: RoutePlan, line: RuleLine) -> dict[str, float]:
        rule, read = self._metrics.rule(route.name, line.name), self._metrics.read
        counts = {"evaluated": read(rule.evaluated), "affected": read(rule.affected)}
        for kind in KINDS:
            counts[kind] = read(rule.violations.get((kind, line.mode)))
        if line.breakage_test is not None or rule.loads is not None:
            counts |= {outcome: read(rule.outcomes.get(outcome)) for outcome in SEEN}
        if rule.loads is not None:
            counts["loads"] = read(rule.loads)
            counts |= {f"report {kind}": read(rule.reports[kind]) for kind in CAUSE_KINDS}
            for engine in ENGINES:
                for what, metric in OF_ENGINES.items():
                    counts[f"{what} {engine}"] = self._metrics.value(metric, engine)
        return counts


class ViolationTrend:
    """Responses with a violation in each of the last 30 intervals of ten seconds, by route and
    rule. What the evidence holds when it is made came in no interval.
    """

    def __init__(self, store: EvidenceStore) -> None:
        self._store = store
        self._ticks = 0
        self._last = self._affected()
        self._added: dict[tuple[str, str], deque[float]] = {}

    def tick(self) -> None:
        """Called once a second."""
        self._ticks += 1
        if self._ticks % 10:
            return
        now = self._affected()
        self._added = {place: self._added.get(place) or deque(maxlen=30) for place in now}
        for place, affected in now.items():
            self._added[place].append(max(0.0, affected - self._last.get(place, 0.0)))
        self._last = now

    def of(self, route: str, rule: str) -> list[float]:
        """The numbers of one rule, oldest first."""
        return list(self._added.get((route, rule), ()))

    def _affected(self) -> dict[tuple[str, str], float]:
        return {(item.route, item.rule): item.affected for item in self._store.evidence()}


class _Start(NamedTuple):
    meaning: str
    since: float
    counts: Mapping[str, float]
    carried: float
    """Seconds that were watched before this process began."""
    unsettled: float
    """Page loads then whose reports had not had time to come."""
