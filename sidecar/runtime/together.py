"""The evidence of a fleet at one of its replicas: what this one saw, what the others say they saw, and both as one.

Lives here: `Together`. Must not know how replicas reach each other, nor how a verdict is reached.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from typing import Any

from sidecar.fleet.exchange import StoreError
from sidecar.fleet.member import Member
from sidecar.fleet.sharing import Seen, needed
from sidecar.policy.engine.plan import Plan
from sidecar.policy.words import counted
from sidecar.revisions.history import Refused
from sidecar.rollout.causes import Causes
from sidecar.rollout.evidence import EvidenceStore
from sidecar.rollout.overview import Trend, overview
from sidecar.rollout.summing import merged, rows_of, summed, with_causes
from sidecar.rollout.testimony import Evidence, Minimums, span


class Together:
    """What of one replica is shared, and what is made of that of all. Without a fleet all is this sidecar's own."""

    def __init__(self, book: EvidenceStore, causes: Causes) -> None:
        self.member: Member | None = None
        self._book = book
        self._causes = causes

    def seen(self) -> Seen:
        """What this replica saw, for the others."""
        return {"evidence": self._book.shared(), "overflow": self._causes.overflow}

    def evidence(self) -> list[Evidence]:
        """What this replica saw, with the causes that browsers reported to any of the fleet."""
        own = self._book.evidence()
        if self.member is None:
            return own
        return with_causes(own, self._rows(self.member.sharing.others))

    def rollout(self, plan: Plan, trend: Trend) -> dict[str, Any]:
        """Where each rule stands on its way to enforce, by what all replicas saw when they last said it."""
        own = self._book.evidence()
        others = self._rows(self.member.sharing.others) if self.member else []
        minimums, at = Minimums(), time.time()
        views = overview(plan, summed(own, others), minimums, at, trend)
        return {"at": at, "minimums": asdict(minimums), "rules": [view.data() for view in views]}

    async def fleet_evidence(self) -> dict[str, Any]:
        """What all replicas saw, asked now: `evidence`, and whose it is; raises Refused where nobody can be asked."""
        seen, about = await self._gathered()
        found = summed(self._book.evidence(), self._rows(seen))
        return {"evidence": [item.data() for item in found], "fleet": about}

    async def fleet_reports(self) -> dict[str, Any]:
        """The causes of all replicas, asked now; raises Refused where nobody can be asked."""
        seen, about = await self._gathered()
        every = summed(self._book.evidence(), self._rows(seen))
        overflow = sum(_count(one.get("overflow")) for one in seen.values())
        causes = [cause for item in every for cause in item.trial.causes]
        return {
            "causes": merged(causes),
            "overflow": self._causes.overflow + overflow,
            "fleet": about,
        }

    async def lacking(self, quorum: float, window: float) -> str:
        """What a breach of the guard here lacks before all go back (see `take_back`); who cannot ask the others decides alone."""
        if self.member is None or (quorum == 1 and isinstance(quorum, int)):
            return ""
        try:
            votes, alive = await self.member.sharing.vote(str(self.member.version), window)
        except StoreError:
            return ""
        enough = needed(quorum, alive)
        if votes >= enough:
            return ""
        return f"{votes} of {counted(alive, 'replica')} saw it in the last {span(window)}; fleet.quorum asks for {enough}"

    async def _gathered(self) -> tuple[Mapping[str, Seen], dict[str, Any]]:
        """What the others saw, and who is heard."""
        if self.member is None:
            raise Refused("this sidecar is in no fleet; set fleet.url, or leave --fleet out")
        try:
            found = await self.member.sharing.gather()
        except StoreError as error:
            raise Refused(
                f"the fleet {self.member.name} cannot be asked: {error}; "
                "without --fleet this replica alone is asked"
            ) from error
        others = {one: seen for one, seen in found.seen.items() if one != self.member.replica}
        about = {
            "name": self.member.name,
            "version": self.member.version,
            "alive": found.alive,
            "gone": len(found.seen) - (found.alive - len(found.silent)),
            "silent": list(found.silent),
        }
        return others, about

    def _rows(self, others: Mapping[str, Seen]) -> list[Evidence]:
        return list(_rows(others.values(), self._book.meanings))


def _rows(seen: Iterable[Seen], meanings: Mapping[tuple[str, str], str]) -> Iterable[Evidence]:
    for one in seen:
        yield from rows_of(one.get("evidence"), meanings)


def _count(found: object) -> int:
    return found if type(found) is int and found > 0 else 0
