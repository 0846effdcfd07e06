"""Proofs of the telling: events, metrics, and what joins them."""

from __future__ import annotations

import json
from typing import Any


class Collected:
    """Lines kept in memory, and as data."""

    def __init__(self) -> None:
        self.dropped = 0
        self.lines: list[str] = []

    def write(self, line: str) -> None:
        """Keep one line."""
        self.lines.append(line)

    @property
    def events(self) -> list[dict[str, Any]]:
        """The lines as data."""
        return [json.loads(line) for line in self.lines]

    def named(self, *names: str) -> list[dict[str, Any]]:
        """Those of these names."""
        return [event for event in self.events if event["event"] in names]
