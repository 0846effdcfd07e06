"""Interleaved rounds: start every proxy, then A B C A B C, so that a slow minute hits all alike.

Joins peers, processes and load; must not know how results are shown.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from tempfile import mkdtemp
from typing import TypeVar

from .load import Case, Latency, Throughput, latency, throughput, warm
from .origin import size_in_bytes
from .peers import SUBJECT, Peer, Site
from .process import Cores, free_port, running
from .start import Start, started
from .verify import Unfit, await_fit

T = TypeVar("T")
LATENCY = "latency"
PAGE = Case("1k", 32)
"""The small page at a usual number of connections: for warming, latency and memory."""
HEADROOM = 1.25
"""A proxy nearer than this to its limit is saturated: its latency is the queue's, not its own."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A peer that runs and has proved itself fit."""

    name: str
    pid: int
    port: int
    folder: Path


@dataclass(slots=True)
class Results:
    """Samples in round order, per case and name; who was skipped, and why."""

    throughput: dict[str, dict[str, list[Throughput]]] = field(default_factory=dict)
    latency: dict[str, list[Latency]] = field(default_factory=dict)
    offered: float = 0.0
    """Requests a second at which latency was measured."""
    held: dict[str, float] = field(default_factory=dict)
    """Bytes of resident memory for each idle connection."""
    starts: dict[str, list[Start]] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    def drop(self, what: str, name: str, reason: str) -> None:
        """Leave out what a contender did in one case: a part of its samples would not be
        comparable.
        """
        self.skipped[f"{name}, {what}"] = reason
        (self.latency if what == LATENCY else self.throughput[what]).pop(name, None)


@contextmanager
def contender(peer: Peer, folder: Path, upstream: int, cores: Cores) -> Iterator[Contender]:
    """One peer, started, fit and warm. Raises Unfit with the reason."""
    missing = peer.missing()
    if missing:
        raise Unfit(missing)
    home = Path(mkdtemp(prefix="peer-", dir=folder))
    log = home / "output.log"
    site = Site(home, free_port(), upstream)
    with running(peer.command(site), cores=[cores.proxy], log=log) as child:
        await_fit(child, log, site.port, f"/{PAGE.size}", size_in_bytes(PAGE.size))
        yield Contender(peer.name, child.pid, site.port, home)


@contextmanager
def contenders(
    peers: Sequence[Peer], folder: Path, upstream: int, cores: Cores, results: Results
) -> Iterator[list[Contender]]:
    """All peers that can run, warm; the others are noted in ``results.skipped``."""
    with ExitStack() as stack:
        ready = []
        for peer in peers:
            try:
                ready.append(stack.enter_context(contender(peer, folder, upstream, cores)))
            except Unfit as unfit:
                results.skipped[peer.name] = str(unfit)
        for each in ready:
            warm(each.port, PAGE, each.folder)
        yield ready


def in_turn(
    present: list[Contender], what: str, results: Results, measure: Callable[[Contender], T]
) -> Iterator[tuple[str, T]]:
    """Measure each contender once; one that fails in this is left out of it, named."""
    for each in present:
        if f"{each.name}, {what}" in results.skipped:
            continue
        try:
            yield each.name, measure(each)
        except (ValueError, subprocess.SubprocessError) as error:
            results.drop(what, each.name, str(error))


def run_throughput(
    present: list[Contender], cases: Sequence[Case], rounds: int, seconds: int, results: Results
) -> None:
    """Every case of every contender once a round."""
    for _ in range(rounds):
        for case in cases:
            samples = results.throughput.setdefault(str(case), {})

            def measure(each: Contender, case: Case = case) -> Throughput:
                return throughput(each.pid, each.port, case, seconds, each.folder)

            for name, sample in in_turn(present, str(case), results, measure):
                samples.setdefault(name, []).append(sample)


def run_starts(
    peers: Sequence[Peer], folder: Path, upstream: int, cores: Cores, rounds: int, results: Results
) -> None:
    """Each peer that can run started once a round, after a start that is not counted."""
    for at in range(rounds + 1):
        for peer in peers:
            if peer.missing() or peer.name in results.skipped:
                continue
            home = Path(mkdtemp(prefix="start-", dir=folder))
            site = Site(home, free_port(), upstream, free_port())
            ready = (site.health, "/readyz") if peer.probed else (site.port, f"/{PAGE.size}")
            try:
                found = started(peer.command(site), cores.proxy, home / "output.log", *ready)
            except Unfit as unfit:
                results.skipped[f"{peer.name}, start"] = str(unfit)
                continue
            if at:
                results.starts.setdefault(peer.name, []).append(found)


def bearable(rates: Mapping[str, float]) -> float:
    """Half of what the subject can do, or, in its absence, of what the slowest can."""
    return rates.get(SUBJECT, min(rates.values())) / 2


def run_latency(
    present: list[Contender],
    origin: int,
    rounds: int,
    seconds: int,
    results: Results,
    rate: float | None,
) -> None:
    """Latency of the small page at one rate for all, the origin alone as the floor.

    Needs the small page's throughput, to leave out those who are near saturation at that rate.
    """
    samples = results.throughput[str(PAGE)]
    rates = {name: median([each.rate for each in rows]) for name, rows in samples.items()}
    if not rates:
        return
    results.offered = rate or bearable(rates)
    fit = [each for each in present if rates[each.name] > results.offered * HEADROOM]
    floor = Contender("(origin alone)", 0, origin, Path())
    for _ in range(rounds):

        def measure(each: Contender) -> Latency:
            return latency(each.port, PAGE, results.offered, seconds)

        for name, sample in in_turn([floor, *fit], LATENCY, results, measure):
            results.latency.setdefault(name, []).append(sample)
