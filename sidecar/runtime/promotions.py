"""Orders to move rules, from the evidence to the journal and, in a fleet, to all replicas."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from sidecar.admin.orders import PromotionOrder
from sidecar.policy.terms import PolicyError
from sidecar.revisions import Revisions
from sidecar.revisions.history import OrderRefused, Revision
from sidecar.rollout.model import GatheredEvidence, Minimums, gathered
from sidecar.rollout.summing import source
from sidecar.runtime.fleet_evidence import FleetEvidence
from sidecar.source import load_policy

if TYPE_CHECKING:
    from sidecar.rollout.deciding import Promotion


class Promotions:
    """Decides on orders. What is decided stands in the journal before anybody learns of it."""

    def __init__(
        self,
        revisions: Revisions,
        evidence: FleetEvidence,
        admin: Callable[[], str],
    ) -> None:
        self._revisions = revisions
        self._evidence = evidence
        self._admin = admin

    async def decide(self, order: PromotionOrder) -> dict[str, Any]:
        """Carry out an order: judge it, journal the decision and, in a fleet, put the edit in
        force.

        Returns the decision as data, with the `promotion`'s id where it is granted. What is said
        by the policy already, or only tried (`dry_run`), is not journalled.

        Raises:
            Refused: the fleet cannot be asked, or something else was decided meanwhile.
            PolicyError: the edit cannot be made.
            ValueError: the order's minimums or its evidence are none.
        """
        minimums, current = Minimums.of(order.minimums), self._revisions.current
        seen = await self._gathered(order)
        made = await asyncio.to_thread(_decided, order, current, seen, minimums)
        data = made.data() | {"promotion": None, "revision": None}
        if order.dry_run or not made.changes:
            return data
        entry = {**made.entry(), "command": order.command, "who": order.who}
        if made.granted:
            data["promotion"] = entry["promotion"] = secrets.token_hex(4)
        # Back is a way out, which no disk may close.
        surely = made.granted and made.move != "back"
        try:
            await self._revisions.journal.record(entry, surely=surely)
        except OSError as error:
            why = error.strerror or str(error)
            raise OrderRefused(
                f"the journal cannot be written ({why}), and no promotion goes without an entry:"
                " let the state folder be writable, with room on its disk"
            ) from error
        if made.granted and order.fleet:
            data["revision"] = await self._in_force(made, order.who, current.id)
        return data

    async def _in_force(self, made: Promotion, who: str, leaving: str) -> str:
        event = "policy.stepped_back" if made.move == "back" else "policy.promoted"
        reason = ", ".join(f"{rule} to {where}" for rule, where in made.to.items())
        about = {"event": event, "who": who, "reason": reason, "leaving": leaving}
        return (await self._revisions.promote(made.edited, **about)).id

    async def _gathered(self, order: PromotionOrder) -> GatheredEvidence:
        """The evidence that the order is judged on."""
        if order.evidence is not None:
            return await asyncio.to_thread(gathered, order.evidence)
        if order.fleet and order.move != "back":
            found, about = await self._evidence.gathered()
            return GatheredEvidence(found, time.time(), source(about), tuple(about["silent"]))
        admin = self._admin()
        url = admin if admin.startswith("unix:") else f"http://{admin}"
        return GatheredEvidence(await self._evidence.own(), time.time(), url)


def _decided(
    order: PromotionOrder, current: Revision, seen: GatheredEvidence, minimums: Minimums
) -> Promotion:
    from sidecar.rollout.deciding import decide  # for promotions alone

    policy = order.policy, order.file
    if order.fleet and not _is(order, current.id):
        policy = current.text, f"revision {current.id}"
    return decide(order.rules, order.move, policy, seen, minimums, order.waived, order.override)


def _is(order: PromotionOrder, revision: str) -> bool:
    """Whether the text of the order is this revision, in words of its own."""
    try:
        return load_policy(order.policy.encode(), order.file).revision() == revision
    except PolicyError:
        return False
