"""What is counted of the rules of a compiled plan: typed counters that requests add to, and that
both the exposition and the evidence read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias, TypeVar

from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.engine.judge import REMEMBERED, PreparedDecision
from sidecar.policy.engine.plan import Plan, RoutePlan
from sidecar.policy.rules.checks import Check
from sidecar.policy.rules.shares import ShareCheck
from sidecar.policy.terms import Mode, ViolationKind
from sidecar.telemetry.counters import Counter
from sidecar.telemetry.metric_table import SEEN, Labels

Rules: TypeAlias = Mapping[tuple[str, str], "RuleCounters"]
"""By route and rule."""
Key = TypeVar("Key")
EXAMPLES = 3
"""Requests that are named for each rule and outcome."""


@dataclass(frozen=True, slots=True)
class RuleCounters:
    """The counters of one rule on one route. One that is off counts nothing."""

    mode: Mode = "off"
    evaluated: Counter = field(default_factory=Counter)
    """Responses that it judged in this mode."""
    affected: Counter = field(default_factory=Counter)
    """Responses of which it complained in this mode."""
    violations: Mapping[tuple[ViolationKind, Mode], Counter] = field(default_factory=dict)
    """By kind and mode; those of earlier modes stay."""
    changes: Mapping[str, Counter] = field(default_factory=dict)
    """By action; those of earlier actions stay."""
    changed: Counter | None = None
    """The one of its action now; None where it changes nothing."""
    outcomes: Mapping[str, Counter] = field(default_factory=dict)
    """By what requests, or page loads in trial, say it would have done to them; none where they
    cannot say.
    """
    loads: Counter | None = None
    """Page loads that carried its report-only header; None where it has none in trial."""
    reports: Mapping[str, Counter] = field(default_factory=dict)
    """Of browsers in trial, by kind of cause."""

    def all(self) -> Iterator[Counter]:
        """Those that are exposed."""
        if self.mode == "off":
            return
        yield from (self.evaluated, self.affected)
        yield from () if self.loads is None else (self.loads,)
        for group in (self.violations, self.changes, self.outcomes, self.reports):
            yield from group.values()


def rule_counters(plan: Plan, held: Rules) -> dict[tuple[str, str], RuleCounters]:
    """Counters for every rule of a plan; what `held`, of the plan before, counts of the same goes
    on.
    """
    found = {}
    for route in plan.routes:
        checks = defaultdict[int, list[Check]](list)
        for check in route.checks:
            checks[check.index].append(check)
        for index, line in enumerate(route.rules):
            was = held.get((route.name, line.name), RuleCounters())
            found[route.name, line.name] = _following(was, route, index, checks[index])
    return found


def _following(
    was: RuleCounters, route: RoutePlan, index: int, checks: Sequence[Check]
) -> RuleCounters:
    """The counters of a rule, which go on from what it was."""
    line, tried = route.rules[index], index in route.trials
    place = route.name, line.name
    if line.mode == "off":
        return RuleCounters()
    same = was.mode == line.mode
    moded = *place, line.mode
    kinds: dict[tuple[ViolationKind, Mode], Labels] = {
        (kind, mode): (*place, kind, mode)
        for check in checks
        for kind in check.kinds
        for mode in (
            (check.mode, "report-only") if isinstance(check, ShareCheck) else (check.mode,)
        )
    }
    actions: dict[str, Labels] = {
        check.action: (*place, check.action) for check in checks if check.made
    }
    seen = SEEN if line.breakage_test or tried else ()
    causes = {kind: (*place, kind) for kind in CAUSE_KINDS}
    outcomes = {outcome: (*place, outcome) for outcome in seen}
    changes = _going_on(was.changes, "sidecar_header_changes_total", actions)
    loads = was.loads or Counter("sidecar_trial_page_loads_total", place)
    return RuleCounters(
        line.mode,
        was.evaluated if same else Counter("sidecar_rule_evaluations_total", moded),
        was.affected if same else Counter("sidecar_rule_affected_total", moded),
        _going_on(was.violations, "sidecar_violations_total", kinds),
        changes,
        changes[next(reversed(actions))] if actions else None,
        _going_on(was.outcomes, "sidecar_would_break_total", outcomes),
        loads if tried else None,
        _going_on(was.reports, "sidecar_trial_reports_total", causes) if tried else {},
    )


def _going_on(
    was: Mapping[Key, Counter], metric: str, wanted: Mapping[Key, Labels]
) -> dict[Key, Counter]:
    """The counters that were, and those that are wanted beside them."""
    return {**{key: Counter(metric, labels) for key, labels in wanted.items()}, **was}


class Bundle:
    """The counters that every response with one verdict adds one to, and how many responses have
    come since they were added to.
    """

    __slots__ = ("counters", "n")

    def __init__(self, counters: tuple[Counter, ...]) -> None:
        self.counters = counters
        self.n = 0.0

    def settle(self) -> None:
        """Bring the counters up to date."""
        count, self.n = self.n, 0.0
        if count:
            for counter in self.counters:
                counter.n += count


class RouteTally:
    """The counters of one route of one plan, bound once. Indices are those of the route's rules."""

    __slots__ = (
        *("_bundles", "_live", "_named", "breakage_tests", "elsewhere", "responses", "rules"),
        "watched",
    )

    def __init__(
        self, route: RoutePlan, rules: Rules, responses: Mapping[str, tuple[Counter, ...]]
    ) -> None:
        self.responses = responses
        """By who made the response; the first is 1xx."""
        self.rules = tuple(rules[route.name, line.name] for line in route.rules)
        self.breakage_tests = frozenset(index for index, _ in route.breakage_tests)
        self.watched = tuple(
            (watcher, rules[place, rule].outcomes["break"])
            for place, rule, watcher in route.watchers
        )
        """Breakage tests of the whole policy, each with what it adds to."""
        self.elsewhere = tuple((*entry, rules[entry[:2]].outcomes) for entry in route.elsewhere)
        """Tests of other routes' cookies, as there, and what each adds to."""
        self._bundles: dict[PreparedDecision, Bundle] = {}
        self._live = True
        self._named: dict[tuple[int, str], set[str]] = {}

    def count(self, verdict: PreparedDecision) -> None:
        """Count one response with this verdict; counters of a verdict that will come again are
        brought up to date by `settle`.
        """
        bundle = self._bundles.get(verdict)
        if bundle is None:
            bundle = Bundle(tuple(self._counted(verdict)))
            bundle.n = 1.0
            if not (self._live and verdict.remembered):
                bundle.settle()
                return
            if len(self._bundles) >= REMEMBERED:
                self.settle()
                self._bundles.clear()
            self._bundles[verdict] = bundle
        else:
            bundle.n += 1.0

    def outcome(self, index: int, outcome: str) -> None:
        """Count what a page load in trial says of a rule, unless requests themselves say it."""
        if index not in self.breakage_tests:
            self.rules[index].outcomes[outcome].n += 1.0

    def is_new_example(self, index: int, outcome: str, path: str) -> bool:
        """Whether this is one of the first paths on which a rule had the outcome."""
        paths = self._named.setdefault((index, outcome), set())
        if len(paths) >= EXAMPLES or path in paths:
            return False
        paths.add(path)
        return True

    def settle(self) -> None:
        """Bring every counter up to date."""
        for bundle in self._bundles.values():
            bundle.settle()

    def retire(self) -> None:
        """Another plan is in force: what requests on their way still count goes to the counters
        at once.
        """
        self.settle()
        self._bundles.clear()
        self._live = False

    def _counted(self, verdict: PreparedDecision) -> Iterator[Counter]:
        for index, rule in enumerate(self.rules):
            if rule.mode != "off" and index not in verdict.skipped:
                yield rule.evaluated
        yield from (self.rules[index].affected for index in {f.position for f in verdict.findings})
        for finding in verdict.findings:
            rule = self.rules[finding.position]
            yield rule.violations[finding.kind, finding.mode]
            if finding.made and rule.changed is not None:
                yield rule.changed
