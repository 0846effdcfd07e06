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


async def promoted(
    revisions: Revisions, evidence: FleetEvidence, admin: Callable[[], str], order: PromotionOrder
) -> dict[str, Any]:
    """Carry out an order: judge it, journal the decision and, in a fleet, put the edit in force.
    What is decided stands in the journal before anybody learns of it.

    Returns the decision as data, with the `promotion`'s id where it is granted. What is said by the
    policy already, or only tried (`dry_run`), is not journalled. `admin` gives the address of the
    admin listener.

    Raises:
        Refused: the fleet cannot be asked, or something else was decided meanwhile.
        PolicyError: the edit cannot be made.
        ValueError: the order's minimums or its evidence are none.
    """
    minimums, current = Minimums.of(order.minimums), revisions.current
    seen = await _gathered(order, evidence, admin)
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
        await revisions.journal.record(entry, surely=surely)
    except OSError as error:
        why = error.strerror or str(error)
        raise OrderRefused(
            f"the journal cannot be written ({why}), and no promotion goes without an entry:"
            " let the state folder be writable, with room on its disk"
        ) from error
    if made.granted and order.fleet:
        event = "policy.stepped_back" if made.move == "back" else "policy.promoted"
        reason = ", ".join(f"{rule} to {where}" for rule, where in made.to.items())
        about = {"event": event, "who": order.who, "reason": reason, "leaving": current.id}
        data["revision"] = (await revisions.promote(made.edited, **about)).id
    return data


async def _gathered(
    order: PromotionOrder, evidence: FleetEvidence, admin: Callable[[], str]
) -> GatheredEvidence:
    """The evidence that the order is judged on."""
    if order.evidence is not None:
        return await asyncio.to_thread(gathered, order.evidence)
    if order.fleet and order.move != "back":
        found, about = await evidence.gathered()
        return GatheredEvidence(found, time.time(), source(about), tuple(about["silent"]))
    url = admin() if admin().startswith("unix:") else f"http://{admin()}"
    return GatheredEvidence(await evidence.own(), time.time(), url)


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
