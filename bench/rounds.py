"""Interleaved rounds: start every proxy, then A B C A B C, so that a slow minute hits all alike.

Joins peers, processes and load; must not know how results are shown.
"""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TypeVar

from .load import Case, Latency, Throughput, latency, throughput, warm
from .origin import size_in_bytes
from .peers import SUBJECT, Peer, Site
from .process import Cores, free_port, running
from .verify import Unfit, await_fit

T = TypeVar("T")
PAGE = Case("1k", 32)
"""The small page at a usual number of connections: for warming, latency and memory."""
HEADROOM = 1.25
"""A proxy nearer than this to its limit is saturated: its latency is the queue's, not its own."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A peer as entered: under which name, with how many workers."""

    name: str
    peer: Peer
    workers: int = 1


@dataclass(frozen=True, slots=True)
class Contender:
    """An entry that runs and has proved itself fit."""

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
    skipped: dict[str, str] = field(default_factory=dict)

    def drop(self, name: str, reason: str) -> None:
        """Take a contender out whole: half of its samples would not be comparable."""
        self.skipped[name] = reason
        self.latency.pop(name, None)
        for samples in self.throughput.values():
            samples.pop(name, None)


@contextmanager
def contender(entry: Entry, folder: Path, upstream: int, cores: Cores) -> Iterator[Contender]:
    """One entry, started, fit and warm. Raises Unfit with the reason."""
    missing = entry.peer.missing()
    if missing:
        raise Unfit(missing)
    home = folder / entry.name
    home.mkdir()
    log = home / "output.log"
    site = Site(home, free_port(), upstream, entry.workers)
    pinned = cores.proxy[: entry.workers]
    with running(entry.peer.command(site), cores=pinned, log=log) as child:
        await_fit(child, log, site.port, f"/{PAGE.size}", size_in_bytes(PAGE.size))
        yield Contender(entry.name, child.pid, site.port, home)


@contextmanager
def contenders(
    entries: Sequence[Entry], folder: Path, upstream: int, cores: Cores, results: Results
) -> Iterator[list[Contender]]:
    """All entries that can run, warm; the others are noted in ``results.skipped``."""
    with ExitStack() as stack:
        ready = []
        for entry in entries:
            try:
                ready.append(stack.enter_context(contender(entry, folder, upstream, cores)))
            except Unfit as unfit:
                results.skipped[entry.name] = str(unfit)
        for each in ready:
            warm(each.port, PAGE, each.folder)
        yield ready


def in_turn(
    present: list[Contender], results: Results, measure: Callable[[Contender], T]
) -> Iterator[tuple[str, T]]:
    """Measure each contender once; one that breaks leaves the field, named."""
    for each in tuple(present):
        try:
            yield each.name, measure(each)
        except (ValueError, subprocess.SubprocessError) as error:
            present.remove(each)
            results.drop(each.name, f"broke under load: {error}")


def run_throughput(
    present: list[Contender], cases: Sequence[Case], rounds: int, seconds: int, results: Results
) -> None:
    """Every case of every contender once a round."""
    for _ in range(rounds):
        for case in cases:
            samples = results.throughput.setdefault(str(case), {})

            def measure(each: Contender, case: Case = case) -> Throughput:
                return throughput(each.pid, each.port, case, seconds, each.folder)

            for name, sample in in_turn(present, results, measure):
                samples.setdefault(name, []).append(sample)


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

        for name, sample in in_turn([floor, *fit], results, measure):
            results.latency.setdefault(name, []).append(sample)
