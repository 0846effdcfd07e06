"""The command: ``python -m bench``. Reads its options, runs what they ask, prints tables.

Exit status 0 when every measured demand is met, 1 when one is missed, 2 for wrong usage
or a machine that lacks nginx, wrk or taskset.
"""

import argparse
import json
import os
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from . import chart, report
from .load import Case, parse_case
from .machine import described
from .memory import Footprint, footprint, held
from .origin import origin, sink
from .peers import PEERS, PLAIN, SUBJECT, Peer, grown, program
from .process import ROOT, Cores, machine_seconds, own_seconds, share_out
from .profile import profile
from .rounds import PAGE, Results, contender, contenders, run_latency, run_starts, run_throughput
from .verify import Unfit

CASES = "1k-32,varied-32,64k-32,1m-8,100m-4,upload-1m-8,fresh-1k-32,websocket-32"
QUICK_CASES = "1k-32,upload-1m-8,fresh-1k-32,websocket-32"
VARIED = Case("varied", 32)
DOCUMENT = ROOT / "docs" / "performance.md"
NEEDED = ("nginx", "wrk", "taskset")
GIB = 1 << 30
QUICK_REQUESTS, QUICK_STREAM = 20_000, 256 << 20


@dataclass(slots=True)
class Run:
    """What one run needs, and what it has found so far."""

    options: argparse.Namespace
    peers: list[Peer]
    cores: Cores
    folder: Path
    begun: float = field(default_factory=time.monotonic)
    busy: float = field(default_factory=lambda: machine_seconds() - own_seconds())
    demands: list[report.Demand] = field(default_factory=list)
    found: dict[str, object] = field(default_factory=dict)

    def machine(self) -> str:
        """What the figures were taken on, and who else was at work meanwhile."""
        seconds = time.monotonic() - self.begun
        others = max(0.0, machine_seconds() - self.busy - own_seconds()) / seconds
        return described(self.peers, self.cores, seconds, others)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; exits with 2 and the reason when they are wrong."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick",
        action="store_true",
        help="one short round of four cases, under a minute for two peers",
    )
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default 3, quick 1)")
    parser.add_argument("--seconds", type=int, help="of each measurement (default 2, quick 1)")
    parser.add_argument("--peers", default=",".join(names), help="which, of: %(default)s")
    parser.add_argument(
        "--cases", help=f"[KIND-]SIZE-CONNECTIONS,... (default {CASES}; {PAGE} is always run)"
    )
    parser.add_argument(
        "--rate", type=float, help="requests a second for latency (default: half the sidecar's)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there too")
    parser.add_argument(
        "--write",
        nargs="?",
        const=DOCUMENT,
        type=Path,
        metavar="FILE",
        help=(
            "write the tables into this document, and the picture of them beside it (default"
            f" {DOCUMENT.relative_to(ROOT)})"
        ),
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--memory", action="store_true", help="resident memory instead of speed")
    what.add_argument(
        "--profile",
        metavar="PEER",
        nargs="?",
        const=SUBJECT,
        choices=names,
        help="where the time goes, instead of speed (default: the sidecar)",
    )
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 3)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.peers = options.peers.split(",")
    unknown = set(options.peers) - set(names)
    if unknown:
        parser.error(f"no such peer: {', '.join(sorted(unknown))} (there are: {', '.join(names)})")
    try:
        texts = options.cases or (QUICK_CASES if options.quick else CASES)
        options.cases = [parse_case(text) for text in texts.split(",")]
    except ValueError as error:
        parser.error(str(error))
    return options


def speed(run: Run) -> None:
    """Load of every kind, latency, idle connections, start-up, growth; the document when it was
    asked for.
    """
    options, results, larger = run.options, Results(), Results()
    cases = [*dict.fromkeys([PAGE, *options.cases])]
    pages = [case for case in cases if not case.taken]
    sizes = {case.size for case in [*pages, VARIED]}
    with origin(run.folder, sizes, run.cores.origin) as upstream:
        run_starts(run.peers, run.folder, upstream, run.cores, options.rounds, results)
        with contenders(run.peers, run.folder, upstream, run.cores, results) as present:
            # While the heap has no holes from bodies, which connections would fill unseen.
            results.held = {
                each.name: held(each, 100 if options.quick else 1000) for each in present
            }
            run_throughput(present, pages, options.rounds, options.seconds, results)
            run_latency(present, upstream, options.rounds, options.seconds, results, options.rate)
        subject = next((peer for peer in run.peers if peer.name in (SUBJECT, PLAIN)), None)
        if subject is not None:
            with contenders(grown(subject), run.folder, upstream, run.cores, larger) as present:
                run_throughput(present, [VARIED], options.rounds, options.seconds, larger)
    if taken := [case for case in cases if case.taken]:
        with (
            sink(run.folder, run.cores.origin) as upstream,
            contenders(run.peers, run.folder, upstream, run.cores, results) as present,
        ):
            run_throughput(present, taken, options.rounds, options.seconds, results)
    part = report.document(results, larger, run.machine())
    print(part)
    for name, reason in (results.skipped | larger.skipped).items():
        print(f"not measured: {name}: {reason}", file=sys.stderr)
    run.demands += report.speed_demands(results, larger)
    run.found["speed"], run.found["growth"] = asdict(results), asdict(larger)
    if options.write:
        write(options.write, part)


def write(document: Path, part: str) -> None:
    """Put what was measured into the document, and its picture, drawn from there, beside it."""
    text = report.rewritten(document.read_text("utf-8"), part)
    document.write_text(text, "utf-8")
    picture = document.parent / chart.PICTURE
    picture.parent.mkdir(exist_ok=True)
    picture.write_text(chart.drawn(chart.figures(text)), "utf-8")


def memory(run: Run) -> None:
    """Resident memory of every peer."""
    rows: dict[str, Footprint] = {}
    quick = run.options.quick
    requests, size = (QUICK_REQUESTS, QUICK_STREAM) if quick else (10 * QUICK_REQUESTS, GIB)
    with origin(run.folder, {PAGE.size}, run.cores.origin) as upstream:
        for peer in run.peers:
            try:
                rows[peer.name] = footprint(peer, run.folder, upstream, run.cores, requests, size)
            except (Unfit, ConnectionError) as error:
                print(f"not measured: {peer.name} ({error})")
    print(report.memory_table(rows), "", sep="\n")
    run.demands += report.memory_demands(rows.get(SUBJECT))
    print(report.demands_table(run.demands), "", run.machine(), sep="\n")
    run.found["memory"] = {name: asdict(row) for name, row in rows.items()}


def profiling(run: Run) -> None:
    """What one peer's time is made of."""
    (peer,) = run.peers
    with origin(run.folder, {PAGE.size}, run.cores.origin) as upstream:
        try:
            with contender(peer, run.folder, upstream, run.cores) as each:
                found, skipped = profile(each, max(3, run.options.seconds), run.cores)
        except Unfit as unfit:
            found, skipped = {}, {peer.name: str(unfit)}
    for title, rows in found.items():
        print(report.shares_table(f"{peer.name}: {title}", rows), "", sep="\n")
    for name, reason in skipped.items():
        print(f"not measured: {name} ({reason})")
    print(run.machine())
    run.found["profile"] = found


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit status."""
    options = parse(sys.argv[1:] if argv is None else argv)
    lacking = [name for name in NEEDED if program(name) is None]
    if lacking:
        print(f"the benchmark itself needs: {', '.join(lacking)}", file=sys.stderr)
        return 2
    # A plain TERM would skip the finally blocks that end the children.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    names = [options.profile] if options.profile else options.peers
    peers = [peer for peer in PEERS if peer.name in names]
    for peer in peers:
        peer.prepare()
    cores = share_out(sorted(os.sched_getaffinity(0)))
    os.sched_setaffinity(0, {cores.load})
    with TemporaryDirectory(prefix="bench-") as name:
        run = Run(options, peers, cores, Path(name))
        (memory if options.memory else profiling if options.profile else speed)(run)
    if options.json:
        options.json.write_text(json.dumps(run.found, indent=1) + "\n")
    return int(any(each.verdict == "missed" for each in run.demands))


if __name__ == "__main__":
    sys.exit(main())
