"""The final note: what was changed, why, who owns it, on what evidence, and how to undo it.

Lives here: the note from the journal, the status and the evidence, as data and as Markdown. Must
not know where these come from.
"""

from __future__ import annotations

import difflib
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from sidecar.policy.words import counted
from sidecar.revisions.chain import Check, check
from sidecar.rollout.testimony import span

_CHANGES = (
    "policy.activated",
    "policy.rolled_back",
    "policy.promoted",
    "policy.stepped_back",
    "policy.suggested",
    "mode.overridden",
    "policy.rejected",
)

_MOVES = ("policy.promoted", "policy.stepped_back")
"""Edits of the file that a command made: each with its rules, the file, the diff."""


@dataclass(frozen=True, slots=True)
class Note:
    """The note as data; every text is ready to be read."""

    policy: str
    owner: str
    reason: str
    expected: str
    rollback: str
    revision: str
    since: str
    mode: str
    files: Sequence[Mapping[str, str]]
    """Each with path, before, after (SHA-256) and diff."""
    commands: Sequence[str]
    verdicts: Sequence[Mapping[str, Any]]
    """What the gate said at each promotion, with the moment of its numbers and the query for
    them.
    """
    waived: Sequence[str]
    """Ids of the causes that did not count, as the operator said."""
    before: Sequence[Mapping[str, Any]]
    """Evidence of the revision that was left, by rule and route."""
    after: Sequence[Mapping[str, Any]]
    """Evidence since then."""
    timeline: Sequence[Mapping[str, str]]
    journal: Check
    """Whether the journal that all of this is taken from is as it was written, and its last
    hash.
    """
    drift: Mapping[str, Any] | None = None
    """What differs from the configured baseline now; None = no baseline is configured."""

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def write_note(
    status: Mapping[str, Any],
    journal: Sequence[Mapping[str, Any]],
    evidence: Sequence[Mapping[str, Any]],
    texts: Mapping[str, str],
    since: str | None,
    drift: Mapping[str, Any] | None = None,
) -> Note:
    """Build the note.

    Args:
        status: what is in force, as the admin API tells it.
        journal: all entries, oldest first.
        evidence: since the activation, as the admin API tells it.
        texts: the texts of `since` and of the revision in force, by revision.
        since: the revision to start from; None = the one before the one in force.
        drift: what the sidecar says of its baseline, None = it has none.
    """
    start = since or status.get("parent") or status["revision"]
    entries = _after(journal, start)
    promotions = [entry for entry in entries if entry["event"] in _MOVES]
    left = next(
        (
            entry.get("seen") or []
            for entry in entries
            if entry["event"] in ("policy.activated", "policy.rolled_back")
        ),
        [],
    )
    return Note(
        policy=status["name"],
        owner=status["owner"],
        reason=status["reason"],
        expected=status["expected"],
        rollback=status["rollback"],
        revision=status["revision"],
        since=start,
        mode=status["mode"],
        files=_files(status, promotions, texts, start),
        commands=[entry["command"] for entry in promotions if entry.get("command")],
        verdicts=[verdict for entry in promotions for verdict in entry.get("verdicts", ())],
        waived=[cause for entry in promotions for cause in entry.get("waived", ())],
        before=left,
        after=evidence,
        timeline=[_told(entry) for entry in entries],
        journal=check(journal),
        drift=drift,
    )


def _after(journal: Sequence[Mapping[str, Any]], start: str) -> list[Mapping[str, Any]]:
    """The entries after `start` last came in force, the oldest first; all of them when it never
    did.
    """
    position = -1
    for index, entry in enumerate(journal):
        if (
            entry.get("event") in ("policy.activated", "policy.rolled_back")
            and entry.get("revision") == start
        ):
            position = index
            if not any(later.get("parent") == start for later in journal[index + 1 :]):
                continue
            break
    return [entry for entry in journal[position + 1 :] if entry.get("event") in _CHANGES]


def _files(
    status: Mapping[str, Any],
    promotions: Sequence[Mapping[str, Any]],
    texts: Mapping[str, str],
    start: str,
) -> list[dict[str, str]]:
    before, after = texts.get(start, ""), texts.get(status["revision"], "")
    files = {
        entry["file"]: {
            "path": entry["file"],
            "before": entry["before"],
            "after": entry["after"],
            "diff": entry["diff"],
        }
        for entry in promotions
        if entry.get("file")
    }
    if before != after and not files:
        path = str(status["source"])
        lines = difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            f"{path} ({start})",
            f"{path} ({status['revision']})",
        )
        files[path] = {
            "path": path,
            "before": digest(before),
            "after": digest(after),
            "diff": "".join(lines),
        }
    return list(files.values())


def digest(text: str) -> str:
    """SHA-256 of a file's text."""
    return hashlib.sha256(text.encode()).hexdigest()


def _told(entry: Mapping[str, Any]) -> dict[str, str]:
    what = str(entry.get("revision") or entry.get("mode") or "")
    if entry["event"] == "policy.suggested":
        what = ", ".join(entry["rules"])
    if entry["event"] in _MOVES:
        to = entry.get("to", {})
        what = ", ".join(f"{rule} to {to[rule]}" if rule in to else rule for rule in entry["rules"])
    why = str(entry.get("override") or entry.get("reason") or "; ".join(entry.get("problems", ())))
    return {
        "time": str(entry.get("time", "")),
        "event": str(entry["event"]),
        "what": what,
        "who": str(entry.get("who", "")),
        "why": why,
    }


def markdown(note: Note, admin: str) -> str:
    """The note for people; `admin` is the address for the rollback command."""
    lines = [
        f"# Change note: {note.policy}",
        "",
        f"- **Reason:** {note.reason or '(none given)'}",
        f"- **Owner:** {note.owner or '(none given)'}",
        f"- **Expected result:** {note.expected or '(none given)'}",
        f"- **Revision:** {note.since} -> {note.revision} (mode {note.mode})",
        f"- **Roll back:** `sidecar rollback --to {note.since} --admin {admin}`"
        + (f" ({note.rollback})" if note.rollback else ""),
        "",
        "## Files touched",
        "",
    ]
    for file in note.files:
        lines += [
            f"`{file['path']}`",
            "",
            f"- before: sha256 {file['before']}",
            f"- after: sha256 {file['after']}",
            "",
            "```diff",
            file["diff"].rstrip("\n"),
            "```",
            "",
        ]
    if not note.files:
        lines += ["None: the text of the policy is the same.", ""]
    lines += [
        "## Commands used",
        "",
        *([f"    {command}" for command in note.commands] or ["The file was edited by hand."]),
        "",
    ]
    if note.verdicts:
        lines += [
            "## Evidence at the promotion",
            "",
            (
                "| rule | verdict | witness | responses judged | watched for | would break |"
                " unknown | reasons |"
            ),
            "|---|---|---|---|---|---|---|---|",
        ]
        for verdict in note.verdicts:
            numbers = (
                f"{verdict['evaluated']:g} | {span(verdict['elapsed'])} | {verdict['breaks']:g} |"
                f" {verdict['unknown']:g}"
            )
            witness = ", ".join(verdict.get("witnesses", ())) or "none"
            lines.append(
                f"| {verdict['rule']} | {verdict['outcome']} | {witness} | {numbers} |"
                f" {'; '.join(verdict['reasons'])} |"
            )
        lines += ["", *(line for verdict in note.verdicts for line in _asked(verdict))]
    if note.waived:
        lines += [f"Causes that did not count (`--waive`): {', '.join(note.waived)}.", ""]
    lines += [
        "## Before and after",
        "",
        (
            "| route | rule | mode before | responses with a violation before | mode after |"
            " responses with a violation after |"
        ),
        "|---|---|---|---|---|---|",
    ]
    lines += _comparison(note)
    if note.drift is not None:
        lines += [
            "",
            (
                "The service differs from its baseline in"
                f" {counted(len(note.drift.get('findings', ())), 'way')} now (`sidecar drift` lists"
                " them)."
            ),
        ]
    lines += [
        "",
        "## What happened",
        "",
        "| time | event | what | who | why |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {' | '.join(_cell(entry[key]) for key in ('time', 'event', 'what', 'who', 'why'))} |"
        for entry in note.timeline
    ]
    lines += ["", f"The journal is {note.journal}."]
    return "\n".join(lines) + "\n"


def _asked(verdict: Mapping[str, Any]) -> list[str]:
    """Of which moment a verdict's numbers are, and how to get them again; nothing in a journal
    that does not know.
    """
    if "at" not in verdict:
        return []
    moment = datetime.fromtimestamp(verdict["at"], UTC).isoformat(timespec="seconds")
    if not verdict["query"]:
        return [f"{verdict['rule']}: counted by {verdict['source']} until {moment}.", ""]
    return [
        (
            f"{verdict['rule']}: {verdict['source']} at {moment} (`time={verdict['at']:.0f}`);"
            " asked again for that time it gives the same number:"
        ),
        "",
        f"    {verdict['query']}",
        "",
    ]


def _comparison(note: Note) -> list[str]:
    earlier = {(item["route"], item["rule"]): item for item in note.before}
    rows = []
    for item in note.after:
        held = earlier.get((item["route"], item["rule"]))
        was = f"{held['mode']} | {held['affected']:g} of {held['evaluated']:g}" if held else "- | -"
        if item["evaluated"] or (held and held["evaluated"]):
            rows.append(
                f"| {item['route']} | {item['rule']} | {was} | {item['mode']} |"
                f" {_left_wrong(item)} |"
            )
    return rows


def _left_wrong(item: Mapping[str, Any]) -> str:
    """In enforce a violation was answered by a change before the response left."""
    if item["mode"] == "enforce":
        return f"0 of {item['evaluated']:g} left so; {item['affected']:g} were put right"
    return f"{item['affected']:g} of {item['evaluated']:g}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")
