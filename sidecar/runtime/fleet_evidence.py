"""The evidence of a fleet at one of its replicas: what this one saw, what the others say they saw,
and both as one.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from sidecar.fleet.member import FleetMember
from sidecar.fleet.sharing import Report, Seen, StoreError, needed, unpacked
from sidecar.policy.engine.plan import Plan
from sidecar.policy.words import counted
from sidecar.revisions.history import OrderRefused
from sidecar.rollout.causes import Causes
from sidecar.rollout.evidence import EvidenceStore
from sidecar.rollout.model import Evidence, Minimums, span
from sidecar.rollout.summing import (
    Meanings,
    Watch,
    merged,
    rows_of,
    summed,
    together,
    with_causes,
)

if TYPE_CHECKING:
    from sidecar.rollout.overview import Trend


class FleetEvidence:
    """What of one replica is shared, and what is made of that of all. Without a fleet all is
    this sidecar's own.
    """

    def __init__(
        self, store: EvidenceStore, causes: Causes, refresh: Callable[[], Awaitable[None]]
    ) -> None:
        self.member: FleetMember | None = None
        self._store = store
        self._causes = causes
        self._refresh = refresh
        self._read: dict[str, _Read] = {}

    def seen(self) -> Seen:
        """What this replica saw, for the others."""
        return {"evidence": self._store.shared(), "overflow": self._causes.overflow}

    async def own(self) -> list[Evidence]:
        """What this replica saw, with the causes that browsers reported to any of the fleet."""
        await self._refresh()
        return await asyncio.to_thread(with_causes, self._store.evidence(), await self._others())

    async def rollout(self, plan: Plan, trend: Trend) -> dict[str, Any]:
        """Where each rule stands on its way to enforce, by what all replicas saw when they last
        said it.
        """
        from sidecar.rollout.overview import overview  # when somebody looks

        await self._refresh()
        others, at = await self._others(), time.time()
        found = await asyncio.to_thread(self._summed, others)
        minimums = Minimums()
        rules = overview(plan, found, minimums, at, trend)
        return {"at": at, "minimums": asdict(minimums), "rules": rules}

    async def evidence(self, fleet: bool) -> dict[str, Any]:
        """What each rule has seen here, or with `fleet` on all replicas, asked now, and whose that
        is; raises Refused where nobody can be asked.
        """
        found, about = await self.gathered() if fleet else (await self.own(), None)
        rows = [item.data() for item in found]
        return {"evidence": rows, "fleet": about} if fleet else {"evidence": rows}

    async def reports(self, fleet: bool) -> dict[str, Any]:
        """What browsers reported of rules in trial, as causes; as `evidence`."""
        if not fleet:
            return self._causes.summary()
        found, about = await self.gathered()
        causes = map(asdict, merged(cause for item in found for cause in item.trial.causes))
        overflow = self._causes.overflow + sum(one.overflow for one in self._read.values())
        return {"causes": [*causes], "overflow": overflow, "fleet": about}

    async def lacking(self, quorum: float, window: float) -> str:
        """What a breach of the guard here lacks before all go back (see `take_back`); who cannot
        ask the others decides alone.
        """
        if self.member is None or (quorum == 1 and isinstance(quorum, int)):
            return ""
        try:
            votes, alive = await self.member.sharing.vote(str(self.member.version), window)
        except StoreError:
            return ""
        enough = needed(quorum, alive)
        if votes >= enough:
            return ""
        return (
            f"{votes} of {counted(alive, 'replica')} saw it in the last {span(window)};"
            f" fleet.quorum asks for {enough}"
        )

    async def gathered(self) -> tuple[list[Evidence], dict[str, Any]]:
        """The evidence of all replicas, asked now, and which of them responded; raises Refused as
        above.
        """
        if self.member is None:
            raise OrderRefused("this sidecar is in no fleet; set fleet.url, or leave --fleet out")
        await self._refresh()
        try:
            others, silent, alive = await self.member.sharing.gather()
        except StoreError as error:
            raise OrderRefused(
                f"the fleet {self.member.name} cannot be asked: {error}; "
                "without --fleet this replica alone is asked"
            ) from error
        rows = await asyncio.to_thread(self._rows, others)
        found = await asyncio.to_thread(self._summed, rows)
        about = {
            "name": self.member.name,
            "version": self.member.version,
            "alive": alive,
            "gone": len(others) + 1 - alive + len(silent),
            "silent": silent,
        }
        return found, about

    async def _others(self) -> list[Evidence]:
        """What the other replicas said last; nothing without a fleet."""
        if self.member is None:
            return []
        return await asyncio.to_thread(self._rows, await self.member.sharing.received())

    def _summed(self, others: list[Evidence]) -> list[Evidence]:
        """What this replica saw and what the others did, watched for as long as any did."""
        at, known = self.member.sharing.at if self.member else 0.0, [*self._read.values()]
        watched = {
            place: together(
                [Watch(*own, at), *(one.watches[place] for one in known if place in one.watches)]
            )
            for place, own in self._store.watches().items()
        }
        return summed(self._store.evidence(), others, watched, time.time())

    def _rows(self, others: Mapping[str, Report]) -> list[Evidence]:
        """Read what others said, and again only what is new."""
        meanings, held = self._store.meanings, self._read
        self._read = {
            one: (
                known
                if (known := held.get(one)) and known.said == said and known.meanings is meanings
                else _Read.of(said, meanings)
            )
            for one, said in others.items()
        }
        return [row for one in self._read.values() for row in one.rows]


class _Read(NamedTuple):
    """What one replica said, read against the rules in force."""

    said: Report
    meanings: Meanings
    rows: list[Evidence]
    overflow: int
    watches: Mapping[tuple[str, str], Watch]

    @classmethod
    def of(cls, said: Report, meanings: Meanings) -> _Read:
        seen = unpacked(said.data) or {}
        lost = seen.get("overflow")
        rows, watches = rows_of(seen.get("evidence"), meanings, said.at)
        return cls(said, meanings, rows, lost if type(lost) is int and lost > 0 else 0, watches)
