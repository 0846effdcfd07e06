"""Counters bound at activation, read at scrape: the hot path adds to plain numbers.

Lives here: the cells behind the table of metrics. Must not know events or the proxy.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from sidecar.policy.browsers.reports import CAUSE_KINDS, DISPOSITIONS
from sidecar.policy.engine.judge import REMEMBERED, PreparedDecision
from sidecar.policy.engine.plan import Plan, RoutePlan
from sidecar.policy.model import MODES
from sidecar.policy.rules.shares import Shared
from sidecar.telemetry.metric_table import (
    BUCKETS,
    CAUSES,
    ENGINES,
    FASTEST,
    METRICS,
    ORIGINS,
    REJECT_REASONS,
    RELOADS,
    SEEN,
    SIGNALS,
    UPSTREAM_REASONS,
    Labels,
)

Snapshot: TypeAlias = dict[str, list[tuple[Labels, list[float]]]]
"""Every cell as plain data, to be sent from a worker and summed: metric -> [(labels, numbers)]."""


class Counter:
    """One number."""

    __slots__ = ("n",)

    def __init__(self) -> None:
        self.n = 0.0


class Histogram:
    """Counts by bucket, and the sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0.0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[0 if seconds <= FASTEST else bisect_left(BUCKETS, seconds)] += 1.0
        self.total += seconds


class Bundle:
    """The cells that every response with one verdict adds one to, and how many responses have
    come since they were added to.
    """

    __slots__ = ("cells", "n")

    def __init__(self, cells: tuple[Counter, ...]) -> None:
        self.cells = cells
        self.n = 0.0

    def settle(self) -> None:
        """Bring the cells up to date."""
        count, self.n = self.n, 0.0
        if count:
            for cell in self.cells:
                cell.n += count


class RouteTally:
    """The cells of one route of one plan, bound once. Indices are those of the route's rules."""

    __slots__ = (
        "_bundles",
        "_live",
        "affected",
        "breaks",
        "changes",
        "evaluations",
        "loads",
        "oracles",
        "responses",
        "violations",
    )

    def __init__(self, metrics: Metrics, route: RoutePlan) -> None:
        self.responses = {
            origin: tuple(
                metrics.cell("sidecar_responses_total", route.name, f"{status}xx", origin)
                for status in range(1, 6)
            )
            for origin in ORIGINS
        }
        """By who made the response; the first is 1xx."""
        self.evaluations = tuple(
            (
                metrics.cell("sidecar_rule_evaluations_total", route.name, line.name, line.mode)
                if line.mode != "off"
                else Counter()
            )
            for line in route.rules
        )
        self.affected = tuple(
            (
                metrics.cell("sidecar_rule_affected_total", route.name, line.name, line.mode)
                if line.mode != "off"
                else Counter()
            )
            for line in route.rules
        )
        self.breaks = {
            (index, outcome): metrics.cell(
                "sidecar_would_break_total", route.name, line.name, outcome
            )
            for index, line in enumerate(route.rules)
            if line.mode != "off" and (line.oracle or index in route.trials)
            for outcome in SEEN
        }
        self.oracles = frozenset(index for index, _ in route.oracles)
        self.loads = {
            index: metrics.cell(
                "sidecar_trial_page_loads_total", route.name, route.rules[index].name
            )
            for index in route.trials
        }
        self.violations = {
            (check.index, kind, mode): metrics.cell(
                "sidecar_violations_total", route.name, check.rule, kind, mode
            )
            for check in route.checks
            for kind in check.kinds
            for mode in (
                (check.mode, "report-only") if isinstance(check, Shared) else (check.mode,)
            )
        }
        self.changes = {
            check.index: metrics.cell(
                "sidecar_header_changes_total", route.name, check.rule, check.action
            )
            for check in route.checks
            if check.made
        }
        self._bundles: dict[PreparedDecision, Bundle] = {}
        self._live = True

    def count(self, verdict: PreparedDecision) -> None:
        """Count one response with this verdict; cells of a verdict that will come again are
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
        if index not in self.oracles:
            self.breaks[index, outcome].n += 1.0

    def settle(self) -> None:
        """Bring every cell up to date."""
        for bundle in self._bundles.values():
            bundle.settle()

    def retire(self) -> None:
        """Another plan is in force: what requests on their way still count goes to the cells at
        once.
        """
        self.settle()
        self._bundles.clear()
        self._live = False

    def _counted(self, verdict: PreparedDecision) -> Iterator[Counter]:
        for index, cell in enumerate(self.evaluations):
            if index not in verdict.skipped:
                yield cell
        yield from (self.affected[index] for index in {one.position for one in verdict.findings})
        for finding in verdict.findings:
            yield self.violations[finding.position, finding.kind, finding.mode]
            if finding.made:
                yield self.changes[finding.position]


class Metrics:
    """All cells of this process. `process`: it reports on itself too (memory, files, Python)."""

    def __init__(self, *, process: bool = True) -> None:
        self._cells: dict[str, dict[Labels, Counter]] = {
            name: {} for name, row in METRICS.items() if row.kind != "histogram"
        }
        self._histograms = {
            name: Histogram() for name, row in METRICS.items() if row.kind == "histogram"
        }
        self._bound: tuple[RouteTally, ...] = ()
        self.others: list[Snapshot] = []
        """Snapshots of other processes that are summed into what is reported."""
        self._process = process
        self._zero()

    def _zero(self) -> None:
        for name, row in METRICS.items():
            if row.kind != "histogram" and not row.labels:
                self.cell(name)
        for name, values in (
            ("sidecar_upstream_errors_total", UPSTREAM_REASONS),
            ("sidecar_rejected_requests_total", REJECT_REASONS),
            ("sidecar_would_reject_requests_total", ("body_too_large",)),
            ("sidecar_config_reloads_total", RELOADS),
            ("sidecar_rollbacks_total", CAUSES),
            ("sidecar_guard_fired_total", SIGNALS),
            ("sidecar_mode", MODES),
        ):
            for value in values:
                self.cell(name, value)
        for engine in ENGINES:
            self.cell("sidecar_canaries_sent_total", engine)
            self.cell("sidecar_canaries_returned_total", engine)
            self.cell("sidecar_trial_browsers_total", engine)
        for disposition in DISPOSITIONS:
            self.cell("sidecar_browser_reports_total", "csp-violation", "other", disposition)

    def cell(self, metric: str, *labels: str) -> Counter:
        """The cell with these labels, made at first sight."""
        cells = self._cells[metric]
        found = cells.get(labels)
        if found is None:
            found = cells[labels] = Counter()
        return found

    def histogram(self, metric: str) -> Histogram:
        """The histogram of this name."""
        return self._histograms[metric]

    def bind(self, plan: Plan) -> dict[str, RouteTally]:
        """Tallies by route name, zero-initialised; cells of rules that are gone are dropped."""
        for tally in self._bound:
            tally.retire()
        bound = {route.name: RouteTally(self, route) for route in plan.routes}
        self._bound = tuple(bound.values())
        rules = {
            (route.name, line.name, line.mode)
            for route in plan.routes
            for line in route.rules
            if line.mode != "off"
        }
        names = {(route, rule) for route, rule, _ in rules}
        self._keep("sidecar_responses_total", lambda labels: labels[0] in bound)
        self._keep("sidecar_drift_total", lambda labels: labels[0] in bound)
        self._keep("sidecar_rule_evaluations_total", lambda labels: labels in rules)
        self._keep("sidecar_rule_affected_total", lambda labels: labels in rules)
        self._keep("sidecar_would_break_total", lambda labels: (labels[0], labels[1]) in names)
        tried = {
            (route.name, route.rules[index].name) for route in plan.routes for index in route.trials
        }
        for place in tried:
            for kind in CAUSE_KINDS:
                self.cell("sidecar_trial_reports_total", *place, kind)
        self._keep("sidecar_trial_page_loads_total", lambda labels: labels in tried)
        self._keep("sidecar_trial_reports_total", lambda labels: labels[:2] in tried)
        self._keep("sidecar_violations_total", lambda labels: (labels[0], labels[1]) in names)
        self._keep("sidecar_header_changes_total", lambda labels: (labels[0], labels[1]) in names)
        return bound

    def _keep(self, metric: str, kept: Any) -> None:
        cells = self._cells[metric]
        for labels in [labels for labels in cells if not kept(labels)]:
            del cells[labels]

    def only(self, metric: str, *labels: str) -> None:
        """Let this info metric stand with these labels alone, at 1."""
        self._cells[metric].clear()
        self.cell(metric, *labels).n = 1.0

    def stand(self, metric: str, rows: Iterable[Labels]) -> None:
        """Let this info metric stand with these rows of labels alone, each at 1."""
        self._cells[metric].clear()
        for labels in rows:
            self.cell(metric, *labels).n = 1.0

    def value(self, metric: str, *labels: str) -> float:
        """What would be exposed for one cell now, other processes included."""
        self.settle()
        own = self._cells[metric].get(labels)
        return (own.n if own else 0.0) + sum(
            numbers[0]
            for snapshot in self.others
            for found, numbers in snapshot.get(metric, ())
            if found == labels
        )

    def total(self, metric: str, **labels: str) -> float:
        """The sum over all cells whose labels are so, other processes included."""
        return sum(self.totals(metric, **labels).values())

    def totals(self, metric: str, by: str = "", **labels: str) -> dict[str, float]:
        """The same sum for each value of the label `by`; without it under ""."""
        self.settle()
        names = METRICS[metric].labels
        wanted = [(names.index(name), value) for name, value in labels.items()]
        place = names.index(by) if by else -1
        found: dict[str, float] = {}
        cells = [(having, cell.n) for having, cell in self._cells[metric].items()]
        for snapshot in self.others:
            cells += [(having, numbers[0]) for having, numbers in snapshot.get(metric, ())]
        for having, number in cells:
            if all(having[at] == value for at, value in wanted):
                key = having[place] if by else ""
                found[key] = found.get(key, 0.0) + number
        return found

    def settle(self) -> None:
        """Bring the cells up to date before they are read; called where requests are counted, in
        the loop's thread.
        """
        for tally in self._bound:
            tally.settle()

    def snapshot(self) -> Snapshot:
        """All settled cells as plain data; may be called from another thread (each copy is one
        step of the interpreter).
        """
        data: Snapshot = {
            name: [(labels, [cell.n]) for labels, cell in list(cells.items())]
            for name, cells in self._cells.items()
        }
        for name, histogram in self._histograms.items():
            data[name] = [((), [*histogram.counts, histogram.total])]
        return data

    def summed(self) -> dict[str, dict[Labels, list[float]]]:
        """Every cell by metric and labels, other processes included; may be called from another
        thread.
        """
        return _sum([self.snapshot(), *self.others])

    def render(self) -> bytes:
        """The text exposition format of the settled cells; may be called from another thread."""
        from sidecar.telemetry.exposition import exposed

        return exposed(self.summed(), process=self._process)


def _sum(snapshots: Iterable[Snapshot]) -> dict[str, dict[Labels, list[float]]]:
    summed: dict[str, dict[Labels, list[float]]] = {name: {} for name in METRICS}
    for snapshot in snapshots:
        for name, cells in snapshot.items():
            for labels, numbers in cells:
                held = summed[name].get(labels)
                summed[name][labels] = (
                    list(numbers)
                    if held is None
                    else [a + b for a, b in zip(held, numbers, strict=True)]
                )
    return summed
