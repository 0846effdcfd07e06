"""All numbers of one process, behind the table of metrics, read at scrape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TypeAlias

from sidecar.policy.browsers.reports import DISPOSITIONS
from sidecar.policy.engine.plan import Plan
from sidecar.policy.terms import MODES
from sidecar.telemetry.counters import Counter, Histogram
from sidecar.telemetry.metric_table import (
    ENGINES,
    METRICS,
    OF_ENGINES,
    ORIGINS,
    STATUS_CLASSES,
    Labels,
)
from sidecar.telemetry.rule_counters import RouteTally, RuleCounters, rule_counters

Snapshot: TypeAlias = dict[str, list[tuple[Labels, list[float]]]]
"""Every cell as plain data, to be sent from a worker and summed: metric -> [(labels, numbers)].

Buckets of a native histogram stand beside its own cell, each with its number as the label.
"""


class Metrics:
    """All cells of this process. `process`: it reports on itself too (memory, files, Python);
    `native`: histograms are kept as native ones too.
    """

    def __init__(self, *, process: bool = True, native: bool = False) -> None:
        self._cells: dict[str, dict[Labels, Counter]] = {
            name: {} for name, row in METRICS.items() if row.kind != "histogram"
        }
        self._histograms = {
            name: Histogram(native=native)
            for name, row in METRICS.items()
            if row.kind == "histogram"
        }
        self._rules: dict[tuple[str, str], RuleCounters] = {}
        self._bound: tuple[RouteTally, ...] = ()
        self._others: list[Snapshot] = []
        self._of_others: dict[tuple[str, Labels], float] = {}
        self.native = native
        self._process = process
        self._zero()

    def _zero(self) -> None:
        for name, row in METRICS.items():
            if row.kind != "histogram" and not row.labels:
                self.counter(name)
            for value in row.values:
                self.counter(name, value)
        for mode in MODES:
            self.counter("sidecar_mode", mode)
        for engine in ENGINES:
            for name in OF_ENGINES.values():
                self.counter(name, engine)
        for disposition in DISPOSITIONS:
            self.counter("sidecar_browser_reports_total", "csp-violation", "other", disposition)

    def counter(self, metric: str, *labels: str) -> Counter:
        """The counter with these labels, made at first sight."""
        cells = self._cells[metric]
        found = cells.get(labels)
        if found is None:
            found = cells[labels] = Counter(metric, labels)
        return found

    def histogram(self, metric: str) -> Histogram:
        """The histogram of this name."""
        return self._histograms[metric]

    @property
    def others(self) -> list[Snapshot]:
        """Snapshots of other processes that are summed into what is reported."""
        return self._others

    @others.setter
    def others(self, snapshots: list[Snapshot]) -> None:
        held: dict[tuple[str, Labels], float] = {}
        for snapshot in snapshots:
            for metric, cells in snapshot.items():
                for labels, numbers in cells:
                    held[metric, labels] = held.get((metric, labels), 0.0) + numbers[0]
        self._others, self._of_others = snapshots, held

    def bind(self, plan: Plan) -> dict[str, RouteTally]:
        """Tallies by route name, zero-initialised; what counts rules that are gone is dropped."""
        for tally in self._bound:
            tally.retire()
        self._rules = rules = rule_counters(plan, self._rules)
        bound = {
            route.name: RouteTally(route, rules, self._responses(route.name))
            for route in plan.routes
        }
        self._bound = tuple(bound.values())
        for metric in ("sidecar_responses_total", "sidecar_drift_total"):
            cells = self._cells[metric]
            for labels in [labels for labels in cells if labels[0] not in bound]:
                del cells[labels]
        return bound

    def _responses(self, route: str) -> dict[str, tuple[Counter, ...]]:
        """By who made the response; the first is 1xx."""
        return {
            origin: tuple(
                self.counter("sidecar_responses_total", route, status, origin)
                for status in STATUS_CLASSES
            )
            for origin in ORIGINS
        }

    def rule(self, route: str, rule: str) -> RuleCounters:
        """The counters of a rule of the plan that is bound, brought up to date."""
        self.settle()
        return self._rules[route, rule]

    def read(self, counter: Counter | None) -> float:
        """What would be exposed for a counter now, other processes included; 0 where none is."""
        if counter is None:
            return 0.0
        return counter.n + self._of_others.get((counter.metric, counter.labels), 0.0)

    def stand(self, metric: str, rows: Iterable[Labels]) -> None:
        """Let this info metric stand with these rows of labels alone, each at 1."""
        self._cells[metric].clear()
        for labels in rows:
            self.counter(metric, *labels).n = 1.0

    def value(self, metric: str, *labels: str) -> float:
        """What would be exposed for one series now, other processes included."""
        self.settle()
        found = self._cells[metric].get(labels)
        if found is None:
            of_rules = (one for rule in self._rules.values() for one in rule.all())
            found = next((c for c in of_rules if (c.metric, c.labels) == (metric, labels)), None)
        return self.read(found or Counter(metric, labels))

    def _own(self) -> Iterator[Counter]:
        """Every counter of this process; may be gone through in another thread."""
        for cells in self._cells.values():
            yield from list(cells.values())
        for rule in self._rules.values():
            yield from rule.all()

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
        cells = [(one.labels, one.n) for one in self._own() if one.metric == metric]
        for snapshot in self._others:
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
        data: Snapshot = {name: [] for name in self._cells}
        for one in self._own():
            data[one.metric].append((one.labels, [one.n]))
        for name, histogram in self._histograms.items():
            data[name] = [((), [*histogram.counts, histogram.total])]
            data[name] += [
                ((str(at),), [count]) for at, count in list((histogram.sparse or {}).items())
            ]
        return data

    def summed(self) -> dict[str, dict[Labels, list[float]]]:
        """Every cell by metric and labels, other processes included; may be called from another
        thread.
        """
        return added([self.snapshot(), *self._others])

    def render(self, *, messages: bool = False) -> bytes:
        """The settled cells as text, or as `messages` of protobuf with native histograms; may be
        called from another thread.
        """
        from sidecar.telemetry.exposition import as_messages, as_text

        return (as_messages if messages else as_text)(self.summed(), process=self._process)


def added(snapshots: Iterable[Snapshot]) -> dict[str, dict[Labels, list[float]]]:
    """Every cell of these by metric and labels, with its sums."""
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
