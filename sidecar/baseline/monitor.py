"""Compares a running sidecar with its baseline once a minute; drift is counted and logged."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sidecar.baseline import Baseline, Cell, since, stamp
from sidecar.policy.terms import PolicyError, Problem
from sidecar.telemetry import Telemetry

if TYPE_CHECKING:
    from sidecar.baseline.drift import DriftFinding, DriftReport

EVERY = 60.0
"""Seconds between two checks."""


class DriftMonitor:
    """What the service sends, and the file that it is compared with, if any.

    `seen` gives the cells of all workers since the start; `routes` the names of the plan in force.
    """

    def __init__(
        self,
        file: str | None,
        seen: Callable[[], Awaitable[tuple[Cell, ...]]],
        routes: Callable[[], Iterable[str]],
        telemetry: Telemetry,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._file = None if file is None else Path(file)
        self._seen = seen
        self._routes = routes
        self._telemetry = telemetry
        self._clock = clock
        self._bytes = b""
        self._baseline = Baseline()
        self._last: tuple[Cell, ...] = ()
        self._checked = clock()
        self._standing: set[tuple[str, str]] = set()
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Read the file, before anything listens.

        Raises:
            PolicyError: it cannot be read, or is no baseline.
        """
        if self._file is not None:
            await self._read(self._file)

    async def tick(self) -> None:
        """Called each second: check when a minute has passed."""
        if self._file is not None and self._clock() - self._checked >= EVERY:
            await self.check(self._file)

    async def reported(self) -> dict[str, Any]:
        """What the service sent so far, as a baseline, and what drifted since the last check."""
        from sidecar.baseline.file import to_data

        report = None if self._file is None else await self.check(self._file)
        cells = await self._seen() if report is None else self._last
        return {
            "tally": to_data(Baseline(cells, stamp(time.time()))),
            "drift": None if report is None else {"file": str(self._file), **report.data()},
        }

    async def check(self, file: Path) -> DriftReport:
        """Compare what came since the last check; count every finding, log new ones."""
        from sidecar.baseline.drift import DRIFT_KINDS, drift

        async with self._turn:
            try:  # it may have been accepted anew; a broken one leaves the old one in force
                await self._read(file)
            except PolicyError as error:
                problems = [str(problem) for problem in error.problems][:20]
                self._telemetry.emit("baseline.rejected", level="error", problems=problems)
            cells = await self._seen()
            report = drift(self._baseline, since(cells, self._last))
            self._last, self._checked = cells, self._clock()
            counters = {
                (route, kind): self._telemetry.metrics.counter("sidecar_drift_total", route, kind)
                for route in self._routes()
                for kind in DRIFT_KINDS
            }
            for found in report.findings:
                if counter := counters.get((found.route, found.kind)):
                    counter.n += 1
            self._log(report.findings)
            return report

    def _log(self, findings: Iterable[DriftFinding]) -> None:
        standing: set[tuple[str, str]] = set()
        for found in findings:
            key = (found.place, found.kind)
            standing.add(key)
            if key not in self._standing:
                self._telemetry.emit("baseline.drifted", level=found.severity, **asdict(found))
        self._standing = standing

    async def _read(self, file: Path) -> None:
        try:
            data = await asyncio.to_thread(file.read_bytes)
        except OSError as error:
            text = f"the baseline cannot be read: {error.strerror}"
            problem = Problem(text, "make one with: sidecar capture", file=str(file))
            raise PolicyError((problem,)) from error
        if data != self._bytes:
            from sidecar.baseline.file import read_baseline

            self._baseline = await asyncio.to_thread(read_baseline, data, str(file))
            self._bytes = data
