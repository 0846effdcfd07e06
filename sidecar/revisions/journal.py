"""Records the life of revisions: events, counts, the journal and the state on disk.

It reads `revisions` and changes only its `problems`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from sidecar.policy.terms import Mode, PolicyError
from sidecar.revisions.decision import FleetClient, FleetDecision
from sidecar.revisions.history import History
from sidecar.telemetry import Telemetry

if TYPE_CHECKING:
    from sidecar.revisions import Revisions

Result = Literal["activated", "unchanged", "rejected", "pinned"]


class Journal:
    """Events are reported before anything is kept; what could not be kept is reported too."""

    def __init__(
        self,
        revisions: Revisions,
        history: History,
        telemetry: Telemetry,
        fleet: FleetClient | None,
        clock: Callable[[], float],
    ) -> None:
        self._of = revisions
        self._history = history
        self._telemetry = telemetry
        self._fleet = fleet
        self._clock = clock
        self.unsaved: str | None = None
        """Why what is in force could not be saved, so that a restart would forget it; None = it is
        saved.
        """
        self._waiting: deque[dict[str, Any]] = deque(maxlen=100)
        """Entries that the disk refused; they come before the next one."""
        self._keeping = asyncio.Lock()

    async def record(
        self, entry: dict[str, Any], *, shared: bool = True, surely: bool = False
    ) -> None:
        """Add what an operator decided, or did elsewhere, to the journal, and report it; `shared`:
        to the fleet too, where it does not come from there; `surely`: or raise OSError, and do
        neither.
        """
        noted = {key: value for key, value in entry.items() if key != "diff"}
        facts = {key: value for key, value in noted.items() if key != "event"}
        if surely:
            await self.keep(entry, state=False, surely=True)
        self._telemetry.emit(str(entry["event"]), level="warning", **facts)
        if not surely:
            await self.keep(entry, state=False)
        if self._fleet is not None and shared:
            await self._fleet.note(noted)

    def reloaded(self, result: Result) -> Result:
        """Count the result of a reload."""
        metrics = self._telemetry.metrics
        metrics.counter("sidecar_config_reloads_total", result).n += 1
        good = result != "rejected"
        metrics.counter("sidecar_config_last_reload_successful").n = float(good)
        if good:
            self._of.problems = ()
            metrics.counter(
                "sidecar_config_last_reload_success_timestamp_seconds"
            ).n = self._clock()
        return result

    async def rejected(self, who: str) -> None:
        """The file was refused for `problems`."""
        self.reloaded("rejected")
        facts = {"who": who, "problems": [str(problem) for problem in self._of.problems[:20]]}
        where = {"source": str(self._of.file), "in_force": self._of.current.id}
        self._telemetry.emit("policy.rejected", level="error", **where, **facts)
        await self.keep({"event": "policy.rejected", **facts}, state=False)

    async def activated(self, who: str) -> None:
        """A revision of the file, or the last good one, came in force."""
        current = self._of.current
        about = current.resolved.policy
        facts: dict[str, Any] = {
            "revision": current.id,
            "parent": current.parent,
            "name": about.name,
            "owner": about.owner,
            "mode": self._of.mode,
            "who": who,
            **await self._promotion(),
            "reason": about.reason,
        }
        self._telemetry.emit("policy.activated", source=current.source, **facts)
        if override := self._of.override:
            self.mode(override.mode, override.who, override.reason)
        await self.keep({"event": "policy.activated", "seen": self._of.left, **facts})

    async def learned(self, decision: FleetDecision) -> None:
        """Keep the promotion that comes with a decision of the fleet, where it is not known yet."""
        known, came = await self.promotion(decision.revision), decision.promotion
        if came is not None and (known is None or known["promotion"] != came["promotion"]):
            await self.record({"replica": decision.replica, **came}, shared=False)

    async def followed(self, decision: FleetDecision, left: str) -> None:
        """The fleet's decision came in force."""
        await self.learned(decision)
        facts = {
            "decided": decision.event,
            "revision": decision.revision,
            "left": left,
            "mode": self._of.mode,
            "who": decision.who,
            "reason": decision.reason,
            "replica": decision.replica,
            **await self._promotion(),
        }
        self._telemetry.emit("decision.followed", level="warning", fleet=decision.version, **facts)
        await self.keep({"event": "decision.followed", "seen": self._of.left, **facts})

    def refused(self, decision: FleetDecision, error: PolicyError) -> None:
        """The fleet's decision cannot be put in force here."""
        facts = {"fleet": decision.version, "revision": decision.revision}
        problems = [str(problem) for problem in error.problems[:20]]
        self._telemetry.emit(
            "decision.refused", level="error", **facts, replica=decision.replica, problems=problems
        )

    async def superseded(self, lost: FleetDecision | str, holds: FleetDecision) -> None:
        """Of two decisions taken apart, while the store was away, one gave way to the other."""
        facts = {"lost": str(lost), "revision": holds.revision, "holds": str(holds)}
        self._telemetry.emit("decision.superseded", level="warning", fleet=holds.version, **facts)
        await self.keep({"event": "decision.superseded", **facts})

    def pinned(self) -> None:
        """The file's revision is held back."""
        revision = self._of.current.id
        self._telemetry.emit("policy.pinned", revision=revision, held_back=self._of.pinned)

    def mode(self, mode: Mode, who: str, reason: str) -> None:
        """The override was set, or lifted."""
        modes = {"mode": self._of.mode, "policy_mode": self._of.current.resolved.mode}
        until = self._of.override.until if self._of.override else None
        facts = {"override": mode, **modes, "who": who, "reason": reason, "until": until}
        self._telemetry.emit("mode.overridden", level="warning", **facts)

    async def promotion(self, revision: str) -> dict[str, Any] | None:
        """The last promotion that allowed this revision; None where none did, or the disk does
        not say.
        """
        with contextlib.suppress(OSError):
            return await asyncio.to_thread(self._history.promotion, revision)
        return None

    async def _promotion(self) -> dict[str, str]:
        """Which promotion the revision in force comes of; nothing where it comes of none."""
        with contextlib.suppress(OSError):
            found = await asyncio.to_thread(self._history.waiting, self._of.current.id)
            return {"promotion": found} if found else {}
        return {}

    async def keep_up(self) -> None:
        """Save again what the disk refused, or what somebody has deleted."""
        if (
            self.unsaved
            or self._waiting
            or not await asyncio.to_thread(self._history.store.holds_state)
        ):
            await self.keep(None)

    async def keep(
        self, entry: dict[str, Any] | None, *, state: bool = True, surely: bool = False
    ) -> None:
        """Write a journal entry (None = none) and, unless it did not change, the state. What the
        disk refuses waits for the next time, or with `surely` is dropped and raised.
        """
        async with self._keeping:
            current = self._of.current
            at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
            stamped = None if entry is None else {"time": at, **entry}
            saved = {
                "active": current.id,
                "pinned": self._of.pinned,
                "parents": self._history.parents,
                "override": asdict(self._of.override) if self._of.override else None,
            }
            if self._fleet is not None:
                if stamped is not None:
                    stamped["fleet"] = self._fleet.version
                saved["fleet"] = self._fleet.saved()
            if stamped is not None:
                self._waiting.append(stamped)
            due = state or self.unsaved is not None
            try:
                await asyncio.to_thread(
                    self._history.keep, current, self._waiting, saved if due else None
                )
            except OSError as error:
                self.unsaved = (error.strerror or str(error)) if due else self.unsaved
                self._telemetry.emit("state.failed", level="error", detail=str(error))
                if surely and stamped is not None and stamped in self._waiting:
                    self._waiting.remove(stamped)
                    raise
            else:
                self.unsaved = None
