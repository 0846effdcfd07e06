"""The journal's entries: promotions (which were granted, and of which a revision has come), the
chain of hashes that shows an edit, and which entries and revisions may go.

Whoever can write the file can also seal all of it anew; therefore each change note quotes the last
hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from sidecar.policy.words import counted

Entry: TypeAlias = Mapping[str, Any]
Move: TypeAlias = Literal["enforce", "trial", "back"]
"""Where rules can be ordered to."""

GRANTED = ("promotion.granted", "step_back.granted")
"""Entries that allow an edit. Each has an id of its own (`promotion`), and the `revision` that the
edited text is; the entry of the activation that comes of it names the id again.
"""
_NEVER_CAME = "never in force: "
"""Before the reason of a promotion that was granted, where the edit never was put in force."""
_OF_THE_JOURNAL = ("previous", "hash", "fleet")


def latest(entries: Sequence[Entry], revision: str) -> dict[str, Any] | None:
    """The last promotion that allowed this revision, without its place in the journal."""
    for entry in reversed(entries):
        if entry["event"] in GRANTED and entry["revision"] == revision:
            return {key: value for key, value in entry.items() if key not in _OF_THE_JOURNAL}
    return None


def fulfilled(entries: Sequence[Entry]) -> set[str]:
    """The ids of the promotions of which a revision has come: one of its own, or that of a later
    promotion whose edit began with the text that this one had made. Nobody waits between two
    promotions for the first to be read.
    """
    done = {
        entry["promotion"]
        for entry in entries
        if "promotion" in entry and entry["event"] not in GRANTED
    }
    granted = sorted(
        (entry for entry in entries if entry["event"] in GRANTED and "after" in entry),
        key=lambda entry: str(entry["time"]),
    )
    came = set[str]()
    for entry in reversed(granted):
        if entry["after"] in came:
            done.add(entry["promotion"])
        if entry["promotion"] in done:
            came.add(entry["before"])
    return done


def unfulfilled(entry: Entry, done: Collection[str], active: str) -> bool:
    """Whether an entry allowed what is not in force (`active`) and never came to be (`done`)."""
    granted = entry["event"] in GRANTED
    return granted and entry["promotion"] not in done and entry["revision"] != active


def moved(entry: Entry) -> str:
    """The rules of an entry, each with where it goes; "" where it names none."""
    to = entry.get("to") or {}
    return ", ".join(
        f"{rule} to {to[rule]}" if rule in to else rule for rule in entry.get("rules", ())
    )


def in_words(
    entry: Entry, done: Collection[str], active: str, most: int | None = None
) -> tuple[str, str]:
    """What an entry is about, and why it came to be, with at most so many characters of problems;
    `done` and `active` as for `unfulfilled`.
    """
    what = moved(entry) or str(entry.get("revision") or entry.get("mode") or "")
    why = str(entry.get("reason") or "; ".join(entry.get("problems", ()))[:most])
    return what, f"{_NEVER_CAME}{why}" if unfulfilled(entry, done, active) else why


START = "0" * 64
"""What the first entry holds in place of a hash."""
SENT = 1000
"""Entries that the admin API sends at most: the beginning of a longer journal is not seen."""
COMPACTED = "journal.compacted"
"""The event of an entry that replaces dropped ones."""


class ChainCheck(NamedTuple):
    """A journal that was checked."""

    entries: int
    head: str
    """The hash of the last entry; `START` where there is none."""
    breaks: tuple[str, ...]
    """What was changed, in words; () = nothing."""

    def __str__(self) -> str:
        if self.breaks:
            return f"changed after it was written: {'; '.join(self.breaks[:5])}"
        number = counted(self.entries, "entry", "entries")
        return f"unbroken over its last {number}, up to sha256 {self.head}"


def sealed(entry: Entry, previous: str) -> dict[str, Any]:
    """The entry with the hash of the one before it, and its own (SHA-256 of its sorted JSON)."""
    linked = {**entry, "previous": previous}
    return {**linked, "hash": _digest(linked)}


def gap(dropped: Sequence[Entry]) -> dict[str, Any]:
    """The entry that replaces consecutive ones: their number, time, and both ends of the chain."""
    number = sum(one.get("entries", 1) if is_gap(one) else 1 for one in dropped)
    return {
        "time": dropped[-1]["time"],
        "event": COMPACTED,
        "who": "compaction",
        "reason": f"{counted(number, 'entry', 'entries')} beyond history.keep or history.age",
        "entries": number,
        "previous": dropped[0].get("previous", START),
        "hash": dropped[-1].get("hash", START),
    }


def is_gap(entry: Entry) -> bool:
    """Whether an entry replaces dropped ones."""
    return entry.get("event") == COMPACTED


def check(entries: Sequence[Entry]) -> ChainCheck:
    """Look whether each entry is as it was sealed and follows the one before; the oldest first."""
    breaks = []
    head = START if len(entries) < SENT else None
    for entry in entries:
        at = f"the entry of {entry.get('time')} ({entry.get('event')})"
        if head is not None and entry.get("previous") != head:
            breaks.append(f"before {at}, entries are missing or were put in")
        own = {name: value for name, value in entry.items() if name != "hash"}
        head = str(entry.get("hash", ""))
        if not is_gap(entry) and head != _digest(own):
            breaks.append(f"{at} was edited")
    return ChainCheck(len(entries), head or START, tuple(breaks))


def _digest(entry: Entry) -> str:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


_NAMES = ("revision", "parent", "left", "held_back")
"""Where entries name revisions."""


class Retention(NamedTuple):
    """So many journal entries, none older than `age` seconds before `now` (epoch seconds)."""

    keep: int
    age: float
    now: float


def kept_entries(
    entries: Sequence[Entry], state: Mapping[str, Any], bounds: Retention
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
    entries: Sequence[Entry],
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


def _needed_from(entries: Sequence[Entry], state: Mapping[str, Any]) -> int:
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


def _time(entry: Entry) -> float:
    try:
        return datetime.fromisoformat(str(entry["time"])).timestamp()
    except ValueError:
        return 0.0
