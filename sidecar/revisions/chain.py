"""The journal's chain: each entry holds the hash of the one before it, so that an edit shows.

Whoever can write the file can also seal all of it anew; therefore each change note quotes the last
hash.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sidecar.policy.words import counted

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


def sealed(entry: Mapping[str, Any], previous: str) -> dict[str, Any]:
    """The entry with the hash of the one before it, and its own (SHA-256 of its sorted JSON)."""
    linked = {**entry, "previous": previous}
    return {**linked, "hash": _digest(linked)}


def gap(dropped: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
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


def is_gap(entry: Mapping[str, Any]) -> bool:
    """Whether an entry replaces dropped ones."""
    return entry.get("event") == COMPACTED


def check(entries: Sequence[Mapping[str, Any]]) -> ChainCheck:
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


def _digest(entry: Mapping[str, Any]) -> str:
    text = json.dumps(entry, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
