"""Promotions in the journal: which were granted, and of which a revision has come."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, Literal, TypeAlias

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
