"""What the admin page shows: functions from the API's data to what a template needs."""

from __future__ import annotations

import difflib
import re
import shlex
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.browsers.trial import CANARY
from sidecar.policy.data import read_table
from sidecar.policy.terms import MODES
from sidecar.policy.words import counted
from sidecar.revisions.entries import fulfilled, in_words

_WORDS: Mapping[str, Mapping[str, str]] = read_table("sidecar.admin", "words.json")
"""The page's words: what a mode does (`meaning`), who can tell (`witnesses`), the gate's outcomes
(`verdicts`), who did it where it was no named person (`who`), what happened (`titles`).
"""
MEANING = _WORDS["meaning"]
_OF_FILES = ("promote", "suggest")
"""The verbs that edit the policy file."""
_OF_FLEETS = ("status", "rollback", "mode", "evidence", "reports", "promote", "suggest")
"""The verbs that can ask or order all replicas."""
INTERVAL = 10
"""Seconds of one number of a trend."""
_BARS = 30
MAX_CLIENTS = 16
"""Clients of a cause are counted up to here."""


class CommandContext(NamedTuple):
    """What a copied command needs to work wherever it is pasted."""

    policy: str
    host: str
    """Of the admin listener."""
    token_file: str | None = None
    fleet: bool = False


def counts(rules: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """How many rules are in each mode that any is in, from off to enforce."""
    found = [(mode, sum(rule["mode"] == mode for rule in rules)) for mode in MODES]
    return [(mode, count) for mode, count in found if count]


def rule(item: Mapping[str, Any], here: CommandContext) -> dict[str, Any]:
    """One rule's line and its details, which are open where it would break the site."""
    trend = item["trend"]
    causes = sorted(item["causes"], key=lambda one: -one["count"])
    shown = [cause(one, item["rule"], here) for one in causes if one["kind"] != "noise"][:20]
    listed = tuple(f"[{one['id']}]" for one in shown)
    modes = {place["mode"] for place in item["places"]}
    places = [f"{place['mode']} on {place['route']}" for place in item["places"][:4]]
    more = ["..."] if len(item["places"]) > len(places) else []
    return {
        **item,
        "command": whole(item["command"], here),
        "step": MODES.index(item["mode"]) + 1,
        "mixed": ", ".join(places + more) if len(modes) > 1 else "",
        "verdict": _WORDS["verdicts"][item["outcome"]],
        "open": item["outcome"] == "fail",
        "causes": shown,
        "reasons": [text for text in item["reasons"] if not text.endswith(listed)],
        "witnesses": [
            {**one, "who": _WORDS["witnesses"][one["kind"]]} for one in item["witnesses"]
        ],
        "line": line(trend),
        "trend_text": (
            f"responses that it changes or would change, in each {INTERVAL} seconds, the latest"
            " last: " + ", ".join(f"{count:,.0f}" for count in trend)
        ),
    }


def cause(one: Mapping[str, Any], rule: str, here: CommandContext) -> dict[str, Any]:
    """One cause as people want to read it: what, whose, and what to do about it."""
    more = " or more" if one["clients"] >= MAX_CLIENTS else ""
    todo, command = "The site needs it: let the policy allow it, or change the page.", ""
    if one["kind"] not in ("served", "script"):
        todo = "Nothing shows that the site needs it: if the site can do without, waive it."
        command = whole(f"sidecar promote {rule} --waive {one['id']}", here)
    return {
        **one,
        "what": _what(one),
        "blocked_text": one["sample"] or one["blocked"] or one["directive"],
        "who": f"{counted(one['clients'], 'client')}{more}",
        "whose": CAUSE_KINDS[one["kind"]],
        "why": "" if one["kind"] == "served" else one["why"],  # its kind says so
        "todo": todo,
        "command": command,
    }


def _what(one: Mapping[str, Any]) -> str:
    """The kind of thing that was blocked."""
    if one["blocked"] == "inline":
        return "Inline code"
    if ":" in one["blocked"]:
        return "Address"
    if one["sample"]:
        return "Code"
    return "Keyword" if one["blocked"] else "Feature"


def whole(command: str, here: CommandContext) -> str:
    """A command with the options that it needs in any folder; "" stays ""."""
    if not command:
        return ""
    verb = command.split()[1]
    parts = [command]
    if here.fleet and verb in _OF_FLEETS:
        parts.append("--fleet")
    if verb in _OF_FILES:
        parts.append(f"--policy {shlex.quote(here.policy)}")
    parts.append(f"--admin http://{here.host}")
    if here.token_file:
        parts.append(f"--token-file {shlex.quote(here.token_file)}")
    return " ".join(parts)


def replicas(fleet: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The replicas of a fleet, each with how far it is behind ("" = it is not)."""
    made = []
    for one in fleet["replicas"] or ():
        version = one.get("version")
        behind = fleet["version"] - version if isinstance(version, int) else 0
        mode, revision = one.get("mode", "mode not known"), one.get("revision", "not known")
        made.append(
            {
                "name": one["replica"],
                "own": one["replica"] == fleet["replica"],
                "does": f"{mode}, revision {revision}",
                "ago": one["ago"],
                "behind": f"{counted(behind, 'decision')} behind" if behind > 0 else "",
            }
        )
    return made


def line(numbers: Sequence[float]) -> str:
    """A bar chart as an SVG path in a box of 60 by 16, the latest at the right; "" without numbers.

    The highest bar fills the box; an interval without any has none.
    """
    top = max(numbers, default=0.0) or 1.0
    latest = numbers[-_BARS:]
    first = 60 - 2 * len(latest)
    return " ".join(
        f"M{first + 2 * at + 1},15.5 V{15.5 - (14.5 * number / top):.1f}"
        for at, number in enumerate(latest)
    )


def difference(before: str | None, after: str) -> list[tuple[str, str]]:
    """A unified diff as lines with their kind; empty where there is no text before."""
    if before is None:
        return []
    kinds = {"+": "added", "-": "removed", "@": "place"}
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=2)
    return [(kinds.get(text[:1], "same"), text) for text in list(lines)[2:]]


def event(data: Mapping[str, Any]) -> dict[str, str]:
    """One logged event as a line."""
    if "changes" in data:
        made = [one for one in data["changes"] if one.get("mode") == "enforce"]
        left = len(data["changes"]) - len(made) if made else 0
        names = ", ".join(dict.fromkeys(str(one["header"]) for one in made or data["changes"]))
        status = data["http.response.status_code"]
        text = f"{data['http.request.method']} {data['url.path']} {status}: {names}"
        text += f"; would change {left} more" if left else ""
    elif data.get("blocked") == CANARY:
        text = f"a test report came back from {data['document']}"
    elif "directive" in data:
        blocks = "would block" if data.get("disposition") == "report" else "blocks"
        text = f"{data['directive']} {blocks} {data['blocked']} on {data['document']}"
    else:
        keys = ("revision", "left", "mode", "who", "reason", "signal")
        text = ", ".join(f"{key} {data[key]}" for key in keys if data.get(key))
    time = str(data["timestamp"]).replace("T", " ")
    return {"time": time, "name": str(data["event"]), "text": text}


def timeline(journal: Sequence[Mapping[str, Any]], active: str) -> list[dict[str, Any]]:
    """The last 50 journal entries, newest first, with a mark where the active revision began."""
    done = fulfilled(journal)
    made = [entry(one, active, done) for one in journal[::-1][:50]]
    now = next((at for at, one in enumerate(made) if one["now"]), -1)
    return [{**one, "now": at == now} for at, one in enumerate(made)]


def entry(one: Mapping[str, Any], active: str, done: Collection[str] = ()) -> dict[str, Any]:
    """One entry of the journal as a point of the timeline; `done` are the promotions of which a
    revision has come.
    """
    what, why = in_words(one, done, active, 200)
    revision = bool(one.get("revision")) and what == one["revision"]
    event, place = str(one.get("decided") or one["event"]), ""
    if one["event"] == "decision.followed":
        place = f", on {one.get('replica', '')}"
        if event == "mode.overridden":
            event, what, revision = "mode.followed", str(one["mode"]), False
    lifted = one["event"] == "mode.overridden" and one.get("mode") == "enforce"
    return {
        "time": _short(str(one.get("time", time.strftime("%Y")))),
        "event": one["event"],
        "title": "Limit lifted" if lifted else _WORDS["titles"].get(event, event),
        "what": "" if lifted else what,
        "who": f"{who(str(one.get('who', '')))}{place}",
        "why": why,
        "now": revision and what == active and one["event"] != "policy.rejected",
        "diff": revision and what != active,
    }


def who(name: str) -> str:
    """Who did something, in words."""
    return _WORDS["who"].get(name, name)


def _short(stamp: str) -> str:
    """An ISO timestamp of the journal to the second, as the page writes moments."""
    return re.sub(r"T(\d\d:\d\d:\d\d)\.\d+", r" \1", stamp)
