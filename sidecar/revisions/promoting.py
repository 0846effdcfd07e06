"""What a promotion may change of a policy: the mode and the step of its rules, and nothing else.
Must not know who promotes.
"""

from __future__ import annotations

from collections.abc import Collection

from sidecar.policy.engine.compare import Comparison, RuleChange, compare
from sidecar.policy.engine.resolve import Resolved
from sidecar.revisions.history import Refused, Revision

_MOVES = {"mode", "step", "value"}
"""Keys of a rule on a ladder that a step changes."""


def admit(current: Revision, made: Revision, rules: Collection[str]) -> None:
    """Raise Refused where a revision is in force already, or is no promotion of these rules of
    it.
    """
    if made.id == current.id:
        raise Refused(f"revision {made.id} is in force already")
    if more := beyond(current.resolved, made.resolved, rules):
        raise Refused(f"a promotion moves its rules alone, and this changes more: {more}")


def beyond(before: Resolved, after: Resolved, rules: Collection[str]) -> str:
    """What a policy changes beside the places of these rules, in a few words; "" = nothing."""
    found = compare(before, after)
    about = [key.key for key in found.about if key.key != "mode"]
    other = [change.rule for change in found.rules if not _moves(change, before, rules)]
    return ", ".join((*about, *(f"rule {rule}" for rule in dict.fromkeys(other)), *_routes(found)))


def _routes(found: Comparison) -> tuple[str, ...]:
    return ("routes",) if found.routes or found.order or found.reordered else ()


def _moves(change: RuleChange, before: Resolved, rules: Collection[str]) -> bool:
    """Whether a change is a move of one of these rules, or keeps another where it is when the
    policy's ceiling rises.
    """
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
