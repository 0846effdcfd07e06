"""The change note: what was changed, why, who owns it, on what evidence, and how to undo it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sidecar.policy.words import number
from sidecar.revisions.entries import GRANTED, check, fulfilled, in_words, unfulfilled
from sidecar.rollout.edits import difference
from sidecar.rollout.model import span
from sidecar.templates import page

_LIFE = ("policy.activated", "policy.rolled_back", "decision.followed")
"""Entries with which a revision came in force."""
_CHANGES = (
    *_LIFE,
    *GRANTED,
    "promotion.refused",
    "policy.suggested",
    "mode.overridden",
    "policy.rejected",
)


def write_note(
    status: Mapping[str, Any],
    journal: Sequence[Mapping[str, Any]],
    evidence: Sequence[Mapping[str, Any]],
    texts: Mapping[str, str],
    since: str | None,
    drift: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """The note as data; every text is ready to be read.

    Args:
        status: what is in force, from the admin API.
        journal: all entries, oldest first.
        evidence: since the activation, from the admin API.
        texts: the texts of `since` and of the revision in force, by revision.
        since: the revision to start from; None = the one before the one in force.
        drift: from the baseline, as the admin API gives it; None = there is no baseline.

    Returns: `files`, each with path, before, after (SHA-256) and diff; `verdicts`, the gate's at
        each promotion; `waived`, ids of the causes that did not count, as the operator said;
        `before` and `after`, the evidence of the revision that was left, and since then; `journal`,
        whether it is as it was written, and its last hash.
    """
    start = since or status.get("parent") or status["revision"]
    entries = _after(journal, start)
    done, active = fulfilled(journal), status["revision"]
    promotions = [
        entry
        for entry in entries
        if entry["event"] in GRANTED and not unfulfilled(entry, done, active)
    ]
    left = next((entry.get("seen") or [] for entry in entries if entry["event"] in _LIFE), [])
    return {
        "policy": status["name"],
        **{name: status[name] for name in ("owner", "reason", "expected", "rollback", "revision")},
        "since": start,
        "mode": status["mode"],
        "files": _files(status, promotions, texts, start),
        "commands": [entry["command"] for entry in promotions if entry.get("command")],
        "verdicts": [verdict for entry in promotions for verdict in entry.get("verdicts", ())],
        "waived": [cause for entry in promotions for cause in entry.get("waived", ())],
        "before": left,
        "after": evidence,
        "timeline": [_point(entry, *in_words(entry, done, active)) for entry in entries],
        "journal": check(journal),
        "drift": drift,
    }


def _after(journal: Sequence[Mapping[str, Any]], start: str) -> list[Mapping[str, Any]]:
    """The entries after `start` last came in force, oldest first; all when it never did."""
    position = -1
    for index, entry in enumerate(journal):
        if entry.get("event") in _LIFE and entry.get("revision") == start:
            position = index
            if any(_came_after(later) == start for later in journal[index + 1 :]):
                break
    return [entry for entry in journal[position + 1 :] if entry.get("event") in _CHANGES]


def _came_after(entry: Mapping[str, Any]) -> str | None:
    """The revision that one was made of which came in force."""
    followed = entry.get("event") == "decision.followed"
    return entry.get("left") if followed else entry.get("parent")


def _files(
    status: Mapping[str, Any],
    promotions: Sequence[Mapping[str, Any]],
    texts: Mapping[str, str],
    start: str,
) -> list[dict[str, str]]:
    before, after = texts.get(start, ""), texts.get(status["revision"], "")
    files: dict[str, dict[str, str]] = {}
    for entry in promotions:
        if path := entry.get("file"):
            made = {"path": path, **{name: entry[name] for name in ("before", "after", "diff")}}
            if earlier := files.get(path):
                made |= {"before": earlier["before"], "diff": earlier["diff"] + made["diff"]}
            files[path] = made
    for path, found in files.items():
        if (found["before"], found["after"]) == (digest(before), digest(after)):
            found["diff"] = difference(before, after, f"{path} (before)", f"{path} (after)")
    if before != after and not files:
        path = str(status["source"])
        edit = difference(before, after, f"{path} ({start})", f"{path} ({status['revision']})")
        digests = {"before": digest(before), "after": digest(after)}
        files[path] = {"path": path, **digests, "diff": edit}
    return list(files.values())


def digest(text: str) -> str:
    """SHA-256 of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _point(entry: Mapping[str, Any], what: str, why: str) -> dict[str, str]:
    said = {name: str(entry.get(name, "")) for name in ("time", "event", "who")}
    return {**said, "what": what, "why": why}


def markdown(note: Mapping[str, Any], admin: str) -> str:
    """The note for people; `admin` is the address for the rollback command."""
    facts = {"note": note, "admin": admin, "compared": _comparison(note)}
    return page(
        "sidecar.rollout", "note.md.jinja", span=span, moment=_moment, number=number, **facts
    )


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds")


def _comparison(note: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    earlier = {(item["route"], item["rule"]): item for item in note["before"]}
    for item in note["after"]:
        held = earlier.get((item["route"], item["rule"]))
        was = (held["mode"], _affected(held)) if held else ("-", "-")
        left = _affected(item)
        if item["mode"] == "enforce":  # a violation was corrected before the response left
            left = f"0 of {number(item['evaluated'])}, as {number(item['affected'])} were corrected"
        if item["evaluated"] or (held and held["evaluated"]):
            yield (item["route"], item["rule"], *was, item["mode"], left)


def _affected(item: Mapping[str, Any]) -> str:
    return f"{number(item['affected'])} of {number(item['evaluated'])}"
