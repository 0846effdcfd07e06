"""Arithmetic and tables: samples in, medians, ratios and verdicts out.

Pure: must not start, load or read anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from rich.markup import escape
from rich.table import Table

from .load import Latency, Throughput
from .memory import Footprint
from .peers import REFERENCE, SUBJECT
from .rounds import Results

MIB = 1 << 20
NONE = "-"


@dataclass(frozen=True, slots=True)
class Demand:
    """A number that the sidecar has to reach, and what was measured (None: not measured)."""

    text: str
    limit: float
    measured: float | None
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """``met``, ``missed`` or ``not measured``."""
        if self.measured is None:
            return "not measured"
        fine = self.measured <= self.limit if self.at_most else self.measured >= self.limit
        return "met" if fine else "missed"


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """Median of the ratios round by round: what slows a whole round cancels out.

    Raises ZeroDivisionError when theirs holds a zero, ValueError when the rounds do not match.
    """
    return median(a / b for a, b in zip(ours, theirs, strict=True))


def ratio(
    samples: Mapping[str, Sequence[Throughput]], ours: str, theirs: str, *, by_cpu: bool = False
) -> float | None:
    """How many times the rate of ``theirs`` ``ours`` gives (or per CPU second); None if unknown."""
    if not samples.get(ours) or not samples.get(theirs):
        return None
    if by_cpu:
        return paired_ratio(
            [s.cpu_each for s in samples[theirs]], [s.cpu_each for s in samples[ours]]
        )
    return paired_ratio([s.rate for s in samples[ours]], [s.rate for s in samples[theirs]])


def shown(number: float | None, form: str = "{:.2f}") -> str:
    """A number for a cell, a dash for none."""
    return NONE if number is None else form.format(number)


def _table(title: str, columns: Iterable[str]) -> Table:
    table = Table(title=title, title_justify="left")
    for index, column in enumerate(columns):
        table.add_column(column, justify="right" if index else "left", no_wrap=True)
    return table


def throughput_table(case: str, samples: Mapping[str, Sequence[Throughput]]) -> Table:
    """One case: medians, what a request costs, ratios to the reference and of the subject to each."""
    table = _table(
        f"{case}: body size - connections",
        [
            "proxy",
            "req/s",
            "lowest..highest",
            "errors",
            "CPU us/req",
            "cores busy",
            f"x {REFERENCE}",
            "same by CPU",
            f"{SUBJECT} x this",
            "same by CPU",
        ],
    )
    for name, rows in samples.items():
        rates = [row.rate for row in rows]
        table.add_row(
            name,
            f"{median(rates):,.0f}",
            f"{min(rates):,.0f}..{max(rates):,.0f}",
            f"{sum(row.errors for row in rows)}",
            f"{median(row.cpu_each for row in rows):,.1f}",
            f"{median(row.busy for row in rows):.2f}",
            shown(ratio(samples, name, REFERENCE)),
            shown(ratio(samples, name, REFERENCE, by_cpu=True)),
            shown(ratio(samples, SUBJECT, name)),
            shown(ratio(samples, SUBJECT, name, by_cpu=True)),
        )
    return table


def p99_ratio(samples: Mapping[str, Sequence[Latency]], ours: str, theirs: str) -> float | None:
    """How many times the p99 of ``theirs`` that of ``ours`` is; None if unknown."""
    if not samples.get(ours) or not samples.get(theirs):
        return None
    return paired_ratio([s.p99 for s in samples[ours]], [s.p99 for s in samples[theirs]])


def latency_table(offered: float, samples: Mapping[str, Sequence[Latency]]) -> Table:
    """Open-loop latency at the same offered rate."""
    table = _table(
        f"latency at {offered:,.0f} requests a second offered, ms from the moment each was due",
        ["proxy", "p50", "p99", "worst", "answered/s", "lost", f"p99 x {REFERENCE}"],
    )
    for name, rows in samples.items():
        table.add_row(
            name,
            f"{median(row.p50 for row in rows):.2f}",
            f"{median(row.p99 for row in rows):.2f}",
            f"{max(row.worst for row in rows):.2f}",
            f"{median(row.achieved for row in rows):,.0f}",
            f"{sum(row.lost for row in rows)}",
            shown(p99_ratio(samples, name, REFERENCE)),
        )
    return table


def memory_table(rows: Mapping[str, Footprint]) -> Table:
    """Resident memory in MiB: idle, while streaming through slow readers, over many requests."""
    table = _table(
        "resident memory, MiB",
        [
            "proxy",
            "idle",
            "streaming, peak",
            "growth",
            "requests",
            "after a tenth",
            "after all",
            "growth",
        ],
    )
    for name, row in rows.items():
        sizes = (row.idle, row.streaming, row.streaming - row.idle)
        later = (row.early, row.late, row.late - row.early)
        cells = [f"{size / MIB:.1f}" for size in (*sizes, *later)]
        table.add_row(name, *cells[:3], f"{row.requests:,}", *cells[3:])
    return table


def shares_table(title: str, rows: Sequence[tuple[str, float]]) -> Table:
    """One breakdown of a profile."""
    table = _table(title, ["where", "share"])
    for name, share in rows:
        table.add_row(escape(name), f"{share:.1%}")
    return table


def demands_table(demands: Sequence[Demand]) -> Table:
    """What the sidecar has to reach beside what it reached."""
    table = _table(f"demands on {SUBJECT}", ["demand", "limit", "measured", "verdict"])
    for each in demands:
        sign = "<=" if each.at_most else ">="
        table.add_row(each.text, f"{sign} {each.limit:g}", shown(each.measured), each.verdict)
    return table


SPEED = (
    ("1k-32", "envoy", 1.2),
    ("1k-32", "caddy", 1.5),
    ("1k-32", "aiohttp", 3.0),
    ("1k-32", "nginx", 0.35),
    ("10m-8", "nginx", 0.5),
)
P99_TIMES = 2.5
WORKERS_TIMES = 1.7
IDLE_MIB = 80
STREAMING_MIB = 20
DRIFT_MIB = 5


def speed_demands(results: Results) -> list[Demand]:
    """Throughput and latency."""
    found = [
        Demand(
            f"{case}: times {peer}", limit, ratio(results.throughput.get(case, {}), SUBJECT, peer)
        )
        for case, peer, limit in SPEED
    ]
    p99 = p99_ratio(results.latency, SUBJECT, REFERENCE)
    return [
        *found,
        Demand(f"p99 at the same rate: times {REFERENCE}", P99_TIMES, p99, at_most=True),
    ]


def memory_demands(row: Footprint | None) -> list[Demand]:
    """Resident memory."""
    idle, streaming, drift = None, None, None
    if row:
        idle = row.idle / MIB
        streaming = (row.streaming - row.idle) / MIB
        drift = (row.late - row.early) / MIB
    return [
        Demand("MiB idle", IDLE_MIB, idle, at_most=True),
        Demand("MiB grown while streaming", STREAMING_MIB, streaming, at_most=True),
        Demand("MiB grown over the requests", DRIFT_MIB, drift, at_most=True),
    ]
