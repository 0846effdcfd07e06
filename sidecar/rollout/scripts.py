"""Which scripts browsers say they loaded, by address and hash: what arrived there, whoever changed it on the way.

A policy asks for it by `'report-sha256'` in script-src. Lives here: `LoadedScripts`, bounded in number. Must not
know which of them are allowed. Source: CSP Level 3, reporting of hashes (`csp-hash`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any, Final

from sidecar.policy.browsers.reports import Report
from sidecar.rollout.clients import Clients

MAX_SCRIPTS: Final = 1000
"""Addresses with their hashes; of more, those seen least often give way."""
_MAX_CLIENTS: Final = 16
_MAX_PAGES: Final = 8


@dataclass(slots=True)
class _Loaded:
    first: float
    last: float
    count: int = 0
    clients: set[bytes] = field(default_factory=set)
    pages: dict[str, None] = field(default_factory=dict)


class LoadedScripts:
    """Scripts by address and hash; clients are known by a hash that this process alone can make."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._client = Clients()
        self._held: dict[tuple[str, str], _Loaded] = {}

    def add(self, report: Report, client: str) -> None:
        """Count one report of a script that was loaded."""
        key, now = (report.blocked, report.hash), self._clock()
        held = self._held.get(key)
        if held is None:
            if len(self._held) >= MAX_SCRIPTS:
                self._make_room()
            held = self._held[key] = _Loaded(now, now)
        held.count, held.last = held.count + 1, now
        if len(held.clients) < _MAX_CLIENTS:
            held.clients.add(self._client(client))
        if len(held.pages) < _MAX_PAGES:
            held.pages[report.document] = None

    def _make_room(self) -> None:
        for key in nsmallest(
            MAX_SCRIPTS // 10,
            self._held,
            key=lambda it: (self._held[it].count, self._held[it].last),
        ):
            del self._held[key]

    def data(self) -> list[dict[str, Any]]:
        """For JSON: each script with its hash, the most frequent first; times in epoch seconds."""
        return [
            {
                "url": url,
                "hash": digest,
                "count": held.count,
                "clients": len(held.clients),
                "pages": list(held.pages),
                "first": held.first,
                "last": held.last,
            }
            for (url, digest), held in sorted(self._held.items(), key=lambda it: -it[1].count)
        ]
