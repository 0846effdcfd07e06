"""Which journal entries and revisions may go, and which a review or a rollback still needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sidecar.revisions.granted import GRANTED

_NAMES = ("revision", "parent", "left", "held_back")
"""Where entries name revisions."""


class Retention(NamedTuple):
    """So many journal entries, none older than `age` seconds before `now` (epoch seconds)."""

    keep: int
    age: float
    now: float


def kept_entries(
    entries: Sequence[Mapping[str, Any]], state: Mapping[str, Any], bounds: Retention
) -> list[int]:
    """The indices of the entries that stay.

    Beyond the bounds stays what the change note needs: all since the revision before the active one
    came in force, and since the one before the last promotion; not refused texts, which changed
    nothing.
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
    bounds: Retention,
) -> set[str]:
    """The revisions whose texts stay: active, held back, named by a kept entry, or recent.

    `entries` are those that stay; `written` is when each text was written, in epoch seconds.
    """
    active = state.get("active")
    named = {entry.get(name) for entry in entries for name in _NAMES}
    named |= {active, state.get("pinned"), (state.get("parents") or {}).get(active)}
    latest = sorted(written, key=written.__getitem__, reverse=True)[: bounds.keep]
    young = {name for name in latest if written[name] >= bounds.now - bounds.age}
    return written.keys() & (named | young)


def pruned(state: Mapping[str, Any], kept: set[str]) -> dict[str, Any]:
    """The state without the parents of revisions that are gone; the oldest that stays has none."""
    known = ((name, up) for name, up in (state.get("parents") or {}).items() if name in kept)
    return {**state, "parents": {name: up if up in kept else None for name, up in known}}


def _needed_from(entries: Sequence[Mapping[str, Any]], state: Mapping[str, Any]) -> int:
    """The index of the first entry that the change note of the active revision may quote."""
    active = state.get("active")
    parent = (state.get("parents") or {}).get(active)
    changes = [index for index, entry in enumerate(entries) if "parent" in entry or "left" in entry]
    needed = [len(entries)]
    for name in filter(None, (active, parent)):
        needed += [at for at in changes if entries[at].get("revision") == name][-1:]
    promotions = [at for at, entry in enumerate(entries) if entry["event"] in GRANTED]
    if promotions:
        needed.append(max((at for at in changes if at < promotions[-1]), default=0))
    return min(needed)


def _time(entry: Mapping[str, Any]) -> float:
    try:
        return datetime.fromisoformat(str(entry["time"])).timestamp()
    except ValueError:
        return 0.0
