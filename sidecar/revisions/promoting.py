"""What a promotion may change: the mode and step of its rules. Must not know who promotes."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

from sidecar.policy.engine.resolve import Resolved
from sidecar.revisions.history import Refused, Revision

if TYPE_CHECKING:
    from sidecar.policy.engine.compare import RuleChange

_MOVES = {"mode", "step", "value"}
"""Keys of a rule on a ladder that a step changes."""


def admit(current: Revision, made: Revision, rules: Collection[str]) -> None:
    """Raise Refused if it is in force already, or changes more than these rules' modes."""
    if made.id == current.id:
        raise Refused(f"revision {made.id} is in force already")
    if more := beyond(current.resolved, made.resolved, rules):
        raise Refused(f"a promotion moves its rules alone, and this changes more: {more}")


def beyond(before: Resolved, after: Resolved, rules: Collection[str]) -> str:
    """What a policy changes beside the places of these rules, in a few words; "" = nothing."""
    from sidecar.policy.engine.compare import compare  # for promotions alone

    found = compare(before, after)
    about = [key.key for key in found.about if key.key != "mode"]
    other = [f"rule {change.rule}" for change in found.rules if not _moves(change, before, rules)]
    routes = ["routes"] if found.routes or found.order or found.reordered else []
    return ", ".join((*about, *dict.fromkeys(other), *routes))


def _moves(change: RuleChange, before: Resolved, rules: Collection[str]) -> bool:
    """Whether a change is a move of one of these rules, or keeps another as the ceiling rises."""
    climbs = any(
        named.rule.ladder is not None
        for route in before.routes
        for named in route.rules
        if named.name == change.rule
    )
    allowed = _MOVES if climbs else {"mode"}
    keys = {key.key for key in change.keys}
    if change.before == change.after and keys <= {"mode"}:
        return True
    return change.rule in rules and change.what == "changed" and keys <= allowed
