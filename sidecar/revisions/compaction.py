"""Keeps the state folder within the settings' bounds, at start and then hourly."""

from __future__ import annotations

import asyncio
import time
from typing import Final

from sidecar.revisions.retention import Retention
from sidecar.revisions.store import Store
from sidecar.settings import History
from sidecar.telemetry import Telemetry

EVERY: Final = 3600.0
"""Seconds between two compactions."""


class Compaction:
    """Calls `Store.compact`; what the disk refuses is reported, and stops nothing."""

    def __init__(self, store: Store, setting: History, telemetry: Telemetry) -> None:
        self._store, self._setting, self._telemetry = store, setting, telemetry
        self._done = 0.0

    async def tick(self, *, starting: bool = False) -> None:
        """Compact, when it is time or before the start."""
        if not starting and time.monotonic() - self._done < EVERY:
            return
        self._done = time.monotonic()
        bounds = Retention(self._setting.keep, self._setting.age, time.time())
        try:
            entries, revisions = await asyncio.to_thread(
                self._store.compact, bounds, starting=starting
            )
        except OSError as error:
            self._telemetry.emit("state.failed", level="error", detail=str(error))
            return
        if entries or revisions:
            self._telemetry.emit("state.compacted", entries=entries, revisions=revisions)
