"""Arithmetic and tables: samples in, medians, ratios, verdicts and the document's part out.

Pure: must not start, load or read anything.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from .load import FRESH, MESSAGES, UPLOAD, Case, Latency, Throughput, parse_case
from .memory import Footprint
from .origin import VARIED
from .peers import PLAIN, REFERENCE, SUBJECT
from .rounds import Results

MIB = 1 << 20
NONE = "-"
STANDING = (
    "From the command to ready; memory of an idle connection; latency of 1 KiB from the moment that"
    " a request was due, all at one rate, half of what the sidecar can do:"
)
BEGIN, END = "<!-- measured by python -m bench -->", "<!-- end of what was measured -->"


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


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table in Markdown whose columns line up on a terminal too."""
    every = [tuple(columns), *map(tuple, rows)]
    widths = [max(map(len, column)) for column in zip(*every, strict=True)]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |"
        for row in every
    ]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def described(case: Case) -> str:
    """A case as people say it."""
    size = case.size.replace("k", " KiB").replace("m", " MiB")
    what = {
        UPLOAD: f"uploads of {size}",
        FRESH: f"{size}, a new connection for each",
        MESSAGES: "WebSocket, 128 bytes there and back",
    }.get(case.kind, "1 KiB, varied: own cookies, ids and ETags" if case.size == VARIED else size)
    return f"{what} ({case.connections})"


def load_table(results: Results) -> str:
    """Rates and CPU time of every case: medians."""
    names = [*dict.fromkeys(name for row in results.throughput.values() for name in row)]
    rows = [
        [described(parse_case(case)), *(_load(samples.get(name)) for name in names)]
        for case, samples in results.throughput.items()
    ]
    return table(["a second, CPU each (connections)", *names], rows)


def _load(rows: Sequence[Throughput] | None) -> str:
    if not rows:
        return NONE
    rate, cpu = median(row.rate for row in rows), median(row.cpu_each for row in rows)
    errors = sum(row.errors for row in rows)
    text = f"{rate:,.0f}, {cpu:,.1f} us" if rate >= 100 else f"{rate:,.1f}, {cpu / 1000:,.1f} ms"
    return text + (f", {errors} errors" if errors else "")


def ratio_table(results: Results) -> str:
    """What the sidecar gives beside each peer: for the same CPU time, and by rate."""
    peers = dict.fromkeys(name for row in results.throughput.values() for name in row)
    pairs = [(SUBJECT, name) for name in peers if name != SUBJECT] + [(PLAIN, REFERENCE)]
    pairs = [(ours, theirs) for ours, theirs in pairs if {ours, theirs} <= peers.keys()]
    rows = [
        [
            described(parse_case(case)),
            *(
                f"{shown(ratio(samples, *pair, by_cpu=True))} ({shown(ratio(samples, *pair))})"
                for pair in pairs
            ),
        ]
        for case, samples in results.throughput.items()
    ]
    return table(["by CPU (by rate)", *(f"{ours} : {theirs}" for ours, theirs in pairs)], rows)


def p99_ratio(samples: Mapping[str, Sequence[Latency]], ours: str, theirs: str) -> float | None:
    """How many times the p99 of ``theirs`` that of ``ours`` is; None if unknown."""
    if not samples.get(ours) or not samples.get(theirs):
        return None
    return paired_ratio([s.p99 for s in samples[ours]], [s.p99 for s in samples[theirs]])


def standing_table(results: Results) -> str:
    """Start-up, memory of idle connections, latency."""
    rows = []
    for name in dict.fromkeys([*results.starts, *results.held, *results.latency]):
        starts, delays = results.starts.get(name), results.latency.get(name)
        held = results.held.get(name)
        rows.append(
            [
                name,
                *(
                    [
                        f"{1000 * median(each):.0f} ms"
                        for each in zip(*((s.took, s.cpu) for s in starts), strict=True)
                    ]
                    if starts
                    else [NONE, NONE]
                ),
                shown(None if held is None else held / 1024, "{:.1f} KiB"),
                *(
                    [
                        f"{median(each):.2f} ms"
                        for each in zip(*((d.p50, d.p99) for d in delays), strict=True)
                    ]
                    if delays
                    else [NONE, NONE]
                ),
                f"{sum(d.lost for d in delays)}" if delays else NONE,
            ]
        )
    at = f"at {results.offered:,.0f}/s"
    return table(
        ["proxy", "to ready", "of CPU", "an idle connection", f"p50 {at}", f"p99 {at}", "lost"],
        rows,
    )


def grown_table(results: Results) -> str:
    """CPU time of a response by the size of the policy."""
    samples = next(iter(results.throughput.values()), {})
    first = next(iter(samples), "")
    rows = [
        [
            name,
            f"{median(row.cpu_each for row in rows):.1f} us",
            shown(grown_ratio(samples, first, name)),
        ]
        for name, rows in samples.items()
    ]
    return table(["policy", "CPU each", "beside the first"], rows)


def grown_ratio(samples: Mapping[str, Sequence[Throughput]], first: str, name: str) -> float | None:
    """How many times the CPU time of ``first`` a response costs under ``name``."""
    return ratio(samples, first, name, by_cpu=True)


def memory_table(rows: Mapping[str, Footprint]) -> str:
    """Resident memory in MiB: idle, while streaming through slow readers, over many requests."""
    lines = []
    for name, row in rows.items():
        sizes = (row.idle, row.streaming, row.streaming - row.idle)
        later = (row.early, row.late, row.late - row.early)
        cells = [f"{size / MIB:.1f}" for size in (*sizes, *later)]
        lines.append([name, *cells[:3], f"{row.requests:,}", *cells[3:]])
    columns = ["MiB", "idle", "streaming, peak", "growth", "requests", "after a tenth"]
    return table([*columns, "after all", "growth"], lines)


def shares_table(title: str, rows: Sequence[tuple[str, float]]) -> str:
    """One breakdown of a profile."""
    return table([title, "share"], [(name, f"{share:.1%}") for name, share in rows])


def demands_table(demands: Sequence[Demand]) -> str:
    """What the sidecar has to reach beside what it reached."""
    return table(
        ["demand", "limit", "measured", "verdict"],
        [
            (
                each.text,
                f"{'at most' if each.at_most else 'at least'} {each.limit:g}",
                shown(each.measured),
                each.verdict,
            )
            for each in demands
        ],
    )


SPEED = (
    (SUBJECT, REFERENCE, "1k-32", 0.8),
    (SUBJECT, REFERENCE, "varied-32", 0.8),
    (SUBJECT, "envoy", "1k-32", 2.5),
    (SUBJECT, "envoy", "varied-32", 2.5),
    (PLAIN, REFERENCE, "varied-32", 0.3),
    (SUBJECT, REFERENCE, "1m-8", 1.2),
    (SUBJECT, REFERENCE, "upload-1m-8", 1.5),
    (SUBJECT, REFERENCE, "fresh-1k-32", 0.8),
)
"""Whose work beside whose, for the same CPU time."""
GROWTH_TIMES = 1.1
READY_SECONDS = 0.35
IDLE_MIB = 80
STREAMING_MIB = 20
DRIFT_MIB = 5


def speed_demands(results: Results, grown: Results) -> list[Demand]:
    """Throughput by CPU time, growth, start-up."""
    found = [
        Demand(
            f"{ours} : {theirs}, {described(parse_case(case))}",
            limit,
            ratio(results.throughput.get(case, {}), ours, theirs, by_cpu=True),
        )
        for ours, theirs, case, limit in SPEED
    ]
    samples = next(iter(grown.throughput.values()), {})
    first, *larger = samples or [""]
    found += [
        Demand(
            f"CPU with {name} : {first}",
            GROWTH_TIMES,
            grown_ratio(samples, first, name),
            at_most=True,
        )
        for name in larger
    ]
    starts = results.starts.get(SUBJECT)
    took = median(each.took for each in starts) if starts else None
    return [*found, Demand("seconds to ready", READY_SECONDS, took, at_most=True)]


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


def document(results: Results, grown: Results, machine: str) -> str:
    """Everything of one run of speed, in Markdown."""
    skipped = results.skipped | grown.skipped
    parts = [
        load_table(results),
        (
            "How much the sidecar does for the CPU time in which another does one (in brackets: by"
            " rate):"
        ),
        ratio_table(results),
        STANDING,
        standing_table(results),
        "Larger policies, on varied traffic:",
        grown_table(grown),
        demands_table(speed_demands(results, grown)),
        *([f"Not measured: {'; '.join(skipped)}."] if skipped else []),
        machine,
    ]
    return "\n\n".join(parts)


def rewritten(text: str, part: str) -> str:
    """A document with its measured part replaced. Raises ValueError when it has no place for
    one.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"the document has no lines {BEGIN} and {END}")
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"
