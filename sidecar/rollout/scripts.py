"""Scripts that browsers say they loaded, by address and hash, as they arrived.

A policy asks for these reports by `'report-sha256'` in script-src. Source: CSP Level 3, reporting
of hashes (`csp-hash`).
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Final

from sidecar.policy.browsers.reports import BrowserReport
from sidecar.rollout.clients import Clients
from sidecar.rollout.served_pages import Occurrence, rarest

MAX_SCRIPTS: Final = 1000
"""Addresses with their hashes; of more, those seen least often are dropped."""
_PAGES: Final = 8
_PART: Final = 10
"""A tenth of what is held is dropped at once."""


class LoadedScripts:
    """Scripts by address and hash; clients are known by a hash that this process alone can make."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._client = Clients()
        self._held: dict[tuple[str, str], Occurrence] = {}

    def add(self, report: BrowserReport, client: str) -> None:
        """Count one report of a script that was loaded."""
        key, now = (report.blocked, report.hash), self._clock()
        if key not in self._held and len(self._held) >= MAX_SCRIPTS:
            for one in rarest(self._held, _PART):
                del self._held[one]
        held = self._held.setdefault(key, Occurrence(now, now))
        held.seen(now, self._client(client), report.document, _PAGES)

    def data(self) -> list[dict[str, Any]]:
        """For JSON: each script with its hash, the most frequent first; times in epoch seconds."""
        return [
            {"url": url, "hash": digest, "count": held.loads}
            | {name: value for name, value in held.data().items() if name != "loads"}
            for (url, digest), held in sorted(self._held.items(), key=lambda it: -it[1].loads)
        ]
