"""One process after another over the same folder, without its sockets.

Lives here: `World`, and a policy text whose meaning is its value and mode. Must not know what is proved with them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from sidecar.revisions import Revisions
from sidecar.store import Store
from sidecar.telemetry import Events, Metrics, Telemetry
from tests.telemetry import Collected


def text(value: str = "DENY", mode: str = "enforce", comment: str = "") -> str:
    """A policy whose meaning is its value and mode."""
    return f"# {comment}\nversion: 1\nmode: {mode}\nrules:\n  frames: {{header: X-Frame-Options, action: set, value: {value}}}\n"


class World:
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
        return Revisions(self.file, Store(self.state), self.telemetry, clock=lambda: self.now, **more)

    async def started(self, **more: Any) -> Revisions:
        """A new process that has started."""
        made = self.process(**more)
        await made.start()
        return made

    def value(self, metric: str, *labels: str) -> float:
        """One number of the process's metrics."""
        return self.metrics.value(metric, *labels)

    def names(self) -> list[str]:
        """What was told, in order."""
        return [event["event"] for event in self.lines.events]
