"""The command: ``python -m bench``. Reads its options, runs what they ask, prints tables.

Exit status 0 when every measured demand is met, 1 when one is missed, 2 for wrong usage
or a machine that lacks nginx, wrk or taskset.
"""

import argparse
import json
import os
import platform
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from . import report
from .load import parse_case
from .memory import Footprint, footprint
from .origin import origin
from .peers import PEERS, SUBJECT, program
from .process import Cores, machine_seconds, own_seconds, share_out
from .profile import profile
from .rounds import PAGE, Entry, Results, contender, contenders, run_latency, run_throughput
from .verify import Unfit

CASES = "1k-1,1k-32,varied-32,1k-256,100k-32,10m-8"
QUICK_CASES = "1k-32,100k-32,10m-8"
SHARED = (
    "Too few cores: the load shares one with the proxy, so the gain is judged by CPU time a request "
    "(what the workers could give with a core each), not by requests a second."
)
LATENCY_ROUNDS = 3
"""Each has thousands of samples already; more rounds would carry a full run over ten minutes."""
QUICK_REQUESTS = 20_000
NEEDED = ("nginx", "wrk", "taskset")
GIB = 1 << 30
QUICK_STREAM = 256 << 20


@dataclass(slots=True)
class Run:
    """What one run needs, and what it has found so far."""

    options: argparse.Namespace
    entries: list[Entry]
    cores: Cores
    console: Console
    demands: list[report.Demand] = field(default_factory=list)
    found: dict[str, object] = field(default_factory=dict)

    def tell_skipped(self, skipped: dict[str, str]) -> None:
        """Absent peers by name, with the reason."""
        self.found["skipped"] = skipped
        for name, reason in skipped.items():
            self.console.print(f"skipped: {name} ({reason})", markup=False, highlight=False)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options; exits with 2 and the reason when they are wrong."""
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--quick", action="store_true", help="one short round of three cases, under a minute"
    )
    parser.add_argument("--rounds", type=int, help="interleaved rounds (default 5, quick 1)")
    parser.add_argument(
        "--seconds", type=int, help="of load for each measurement (default 2, quick 1)"
    )
    parser.add_argument("--peers", default=",".join(names), help="which, of: %(default)s")
    parser.add_argument(
        "--cases", help=f"SIZE-CONNECTIONS,... (default {CASES}; {PAGE} is always run)"
    )
    parser.add_argument(
        "--rate", type=float, help="requests a second for latency (default: half the sidecar's)"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample there too")
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
    what.add_argument(
        "--workers", type=int, metavar="N", help="N workers beside one, instead of the peers"
    )
    parser.add_argument("--requests", type=int, help="for --memory (default 200000)")
    options = parser.parse_args(argv)
    options.rounds = options.rounds or (1 if options.quick else 5)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.requests = options.requests or (
        QUICK_REQUESTS if options.quick else 10 * QUICK_REQUESTS
    )
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


def speed(run: Run, folder: Path, upstream: int) -> None:
    """Throughput of every case, then latency at one rate for all."""
    options, results = run.options, Results()
    with contenders(run.entries, folder, upstream, run.cores, results) as present:
        if present:
            cases = dict.fromkeys([*options.cases, PAGE])
            run_throughput(present, list(cases), options.rounds, options.seconds, results)
            run_latency(
                present,
                upstream,
                min(options.rounds, LATENCY_ROUNDS),
                options.seconds,
                results,
                options.rate,
            )
    for case, samples in results.throughput.items():
        run.console.print(report.throughput_table(case, samples), "")
    run.console.print(report.latency_table(results.offered, results.latency), "")
    run.tell_skipped(results.skipped)
    run.demands += report.speed_demands(results)
    run.found["speed"] = asdict(results)


def scaling(run: Run, folder: Path, upstream: int) -> None:
    """N workers of the sidecar beside one."""
    options, results = run.options, Results()
    with contenders(run.entries, folder, upstream, run.cores, results) as present:
        run_throughput(present, [PAGE], options.rounds, options.seconds, results)
    one, many = run.entries
    samples = results.throughput[str(PAGE)]
    run.console.print(report.throughput_table(str(PAGE), samples), "")
    run.tell_skipped(results.skipped)
    if run.cores.shared:
        run.console.print(SHARED)
    gain = report.ratio(samples, many.name, one.name, by_cpu=run.cores.shared)
    if gain is not None and run.cores.shared:
        gain *= many.workers
    run.demands.append(report.Demand(f"{many.name}: times {one.name}", report.WORKERS_TIMES, gain))
    run.found["scaling"] = asdict(results)


def memory(run: Run, folder: Path, upstream: int) -> None:
    """Resident memory of every peer."""
    rows: dict[str, Footprint] = {}
    skipped: dict[str, str] = {}
    size = QUICK_STREAM if run.options.quick else GIB
    for entry in run.entries:
        try:
            rows[entry.name] = footprint(
                entry, folder, upstream, run.cores, run.options.requests, size
            )
        except (Unfit, ConnectionError) as error:
            skipped[entry.name] = str(error)
    run.console.print(report.memory_table(rows), "")
    run.tell_skipped(skipped)
    run.demands += report.memory_demands(rows.get(SUBJECT))
    run.found["memory"] = {name: asdict(row) for name, row in rows.items()}


def profiling(run: Run, folder: Path, upstream: int) -> None:
    """What one peer's time is made of."""
    try:
        with contender(run.entries[0], folder, upstream, run.cores) as each:
            found, skipped = profile(each, max(3, run.options.seconds), run.cores)
    except Unfit as unfit:
        found, skipped = {}, {run.entries[0].name: str(unfit)}
    for title, rows in found.items():
        run.console.print(report.shares_table(f"{run.entries[0].name}: {title}", rows), "")
    run.tell_skipped(skipped)
    run.found["profile"] = found


def entered(options: argparse.Namespace) -> list[Entry]:
    """Who takes part: the peers asked for, or one peer for a profile, or the sidecar twice."""
    row = {peer.name: peer for peer in PEERS}
    if options.workers:
        subject = row[SUBJECT]
        return [
            Entry(SUBJECT, subject),
            Entry(f"{SUBJECT}-{options.workers}", subject, options.workers),
        ]
    names = [options.profile] if options.profile else options.peers
    return [Entry(name, row[name]) for name in names]


def machine(cores: Cores, begin: float, busy: float) -> str:
    """What the figures were taken on; ``begin`` and ``busy`` (by others) are of the run's start.

    Work of others is reported because it bends the figures: latency first, CPU a request least.
    """
    seconds = time.monotonic() - begin
    others = max(0.0, machine_seconds() - busy - own_seconds()) / seconds
    proxy = ", ".join(map(str, cores.proxy))
    places = f"proxy on core {proxy}, load on {cores.load}, origin on {cores.origin}"
    return (
        f"{platform.platform()}, Python {platform.python_version()}; {places}; "
        f"took {seconds:.0f} s, while others used {others:.2f} of {os.cpu_count()} cores"
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; returns the exit status."""
    options = parse(sys.argv[1:] if argv is None else argv)
    lacking = [name for name in NEEDED if program(name) is None]
    if lacking:
        print(f"the benchmark itself needs: {', '.join(lacking)}", file=sys.stderr)
        return 2
    # A plain TERM would skip the finally blocks that end the children.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    cores = share_out(sorted(os.sched_getaffinity(0)), options.workers or 1)
    os.sched_setaffinity(0, {cores.load})
    console = Console(width=None if sys.stdout.isatty() else 160)
    run = Run(options, entered(options), cores, console)
    begin, busy = time.monotonic(), machine_seconds() - own_seconds()
    task = (
        memory
        if options.memory
        else profiling
        if options.profile
        else scaling
        if options.workers
        else speed
    )
    with TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        sizes = {case.size for case in [*options.cases, PAGE]}
        with origin(folder, sizes, cores.origin) as upstream:
            task(run, folder, upstream)
    run.found["machine"] = machine(cores, begin, busy)
    if run.demands:
        console.print(report.demands_table(run.demands), "")
    console.print(run.found["machine"], markup=False, highlight=False)
    if options.json:
        options.json.write_text(json.dumps(run.found, indent=1) + "\n")
    return int(any(each.verdict == "missed" for each in run.demands))


if __name__ == "__main__":
    sys.exit(main())
