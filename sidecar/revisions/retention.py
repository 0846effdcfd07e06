"""What of the journal and the kept revisions may go, and what a review or a rollback still needs.

Lives here: the choice, over entries and names. Must not know files.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

_PROMOTIONS = ("policy.promoted", "policy.stepped_back")
_NAMES = ("revision", "parent", "left", "held_back")
"""Where entries name revisions."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """At most so many journal entries, none older than `age` seconds before `now` (epoch
    seconds).
    """

    keep: int
    age: float
    now: float


def kept_entries(
    entries: Sequence[Mapping[str, Any]], state: Mapping[str, Any], bounds: Bounds
) -> list[int]:
    """The places of the entries that stay.

    Beyond the bounds stays what the note tells of what is in force: all since the revision before
    it came in force, and since the one before the last promotion, but not the texts that were
    refused, which changed nothing.
    """
    cut = max(len(entries) - bounds.keep, 0)
    while cut < len(entries) and _time(entries[cut]) < bounds.now - bounds.age:
        cut += 1
    needed = _needed_from(entries, state)
    return [
        index
        for index, entry in enumerate(entries)
        if index >= cut or (index >= needed and entry["event"] != "policy.rejected")
    ]


def kept_revisions(
    entries: Sequence[Mapping[str, Any]],
    state: Mapping[str, Any],
    written: Mapping[str, float],
    bounds: Bounds,
) -> set[str]:
    """The revisions whose texts stay: in force, pinned away, named by a kept entry, or among the
    last within the bounds.

    Args:
        entries: those that stay.
        state: as it is saved.
        written: when each text was written, in epoch seconds.
        bounds: as for the entries.
    """
    active = state.get("active")
    named = {entry.get(name) for entry in entries for name in _NAMES}
    named |= {active, state.get("pinned"), (state.get("parents") or {}).get(active)}
    latest = sorted(written, key=written.__getitem__, reverse=True)[: bounds.keep]
    young = {name for name in latest if written[name] >= bounds.now - bounds.age}
    return written.keys() & (named | young)


def pruned(state: Mapping[str, Any], kept: set[str]) -> dict[str, Any]:
    """The state without the parents of revisions that are gone; the oldest that stays has none."""
    parents = state.get("parents") or {}
    return {
        **state,
        "parents": {
            name: parent if parent in kept else None
            for name, parent in parents.items()
            if name in kept
        },
    }


def _needed_from(entries: Sequence[Mapping[str, Any]], state: Mapping[str, Any]) -> int:
    """The first entry that the note of what is in force may tell of."""
    active = state.get("active")
    parent = (state.get("parents") or {}).get(active)
    changes = [index for index, entry in enumerate(entries) if "parent" in entry or "left" in entry]
    needed = [
        max((index for index in changes if entries[index].get("revision") == name), default=None)
        for name in (active, parent)
        if name is not None
    ]
    promoted = max(
        (index for index, entry in enumerate(entries) if entry["event"] in _PROMOTIONS),
        default=None,
    )
    if promoted is not None:
        # A promotion is recorded before or after its own activation, so two of them are taken.
        before = [index for index in changes if index < promoted]
        needed.append(before[-2] if len(before) > 1 else 0)
    return min((index for index in needed if index is not None), default=len(entries))


def _time(entry: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(entry["time"])).timestamp()
    except ValueError:
        return 0.0
