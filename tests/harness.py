"""One process after another over the same folder, without its sockets.

`Harness`, a policy text whose meaning is its value and mode, and what clients get of it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidecar.policy.engine.plan import decide
from sidecar.revisions import Revisions
from sidecar.revisions.store import Store
from sidecar.telemetry import Events, Metrics, Telemetry
from tests.policy.making import facts
from tests.telemetry import Collected

BAD = "version: 1\nmode: enfroce\n"


def text(value: str = "DENY", mode: str = "enforce", comment: str = "") -> str:
    """A policy whose meaning is its value and mode."""
    return (
        f"# {comment}\nversion: 1\nmode: {mode}\nrules:\n  frames: {{header: X-Frame-Options,"
        f" action: set, value: {value}}}\n"
    )


class Harness:
    """One process after another over the same folder."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "policy.yaml"
        self.state = folder / "state"
        self.now = 1_000_000.0
        self.lines = Collected()
        self.metrics = Metrics(process=False)
        self.file.write_text(text())

    def process(self, **more: Any) -> Revisions:
        """A new process: nothing in memory, the folder as the last one left it."""
        self.lines, self.metrics = Collected(), Metrics(process=False)
        self.telemetry = Telemetry(Events(self.lines), self.metrics)
        return Revisions(
            self.file, Store(self.state), self.telemetry, clock=lambda: self.now, **more
        )

    async def started(self, **more: Any) -> Revisions:
        """A new process that has started."""
        made = self.process(**more)
        await made.start()
        return made

    def value(self, metric: str, *labels: str) -> float:
        """One number of the process's metrics."""
        return self.metrics.value(metric, *labels)

    def names(self) -> list[str]:
        """What was reported, in order."""
        return [event["event"] for event in self.lines.events]


def sent(made: Revisions) -> str:
    """What clients get now: the value of the header, - where it is only reported."""
    decision = decide(made.active.plan.routes[-1], facts())
    return next(
        (value.decode() for name, value in decision.fields if name == b"X-Frame-Options"), "-"
    )


async def edited(harness: Harness, made: Revisions, content: str) -> str:
    """Save the file and reload; what came of it."""
    harness.file.write_text(content)
    return await made.reload()
