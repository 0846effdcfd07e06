"""What the admin page shows, from the data of the API: plain functions from data to what a template needs.

Must not know requests or templates.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.model import MODES

MEANING = {
    "enforce": "Headers are changed.",
    "trial": "Nothing is changed; browsers are asked what would break.",
    "report-only": "Nothing is changed; what would change is counted and logged.",
    "off": "No rule is judged.",
}
"""What a mode does, in one sentence."""
_WITNESSES = {
    "harmless": "nobody needs to",
    "proxy": "the sidecar",
    "browsers": "browsers, in a trial",
    "nobody": "nobody",
}
_TITLES = {
    "policy.activated": "In force",
    "policy.promoted": "Promoted",
    "policy.stepped_back": "Stepped back",
    "policy.rejected": "Refused",
    "policy.rolled_back": "Rolled back",
    "policy.unpinned": "Taken up again",
    "decision.followed": "Decided by the fleet",
    "decision.superseded": "Gave way in the fleet",
    "mode.overridden": "Mode limited",
}


def counts(rules: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """How many rules are in each mode that any is in, from off to enforce."""
    found = [(mode, sum(rule["mode"] == mode for rule in rules)) for mode in MODES]
    return [(mode, count) for mode, count in found if count]


def rule(item: Mapping[str, Any]) -> dict[str, Any]:
    """One rule's line and what stands behind it; open where something speaks against it."""
    trend = item["trend"]
    causes = sorted(item["causes"], key=lambda cause: -cause["count"])
    shown = [cause for cause in causes if cause["kind"] != "noise"]
    return {
        **item,
        "step": MODES.index(item["mode"]) + 1,
        "open": item["outcome"] == "fail",
        "causes": [{**cause, "whose": CAUSE_KINDS[cause["kind"]]} for cause in shown[:20]],
        "witnesses": [{**one, "who": _WITNESSES[one["kind"]]} for one in item["witnesses"]],
        "line": line(trend),
        "trend_text": "responses that violate the rule, in the last minutes: "
        + ", ".join(f"{number:g}" for number in trend),
    }


def line(numbers: Sequence[float]) -> str:
    """The points of a sparkline, 60 by 16; "" when there is nothing to draw."""
    if not numbers:
        return ""
    if len(numbers) == 1:
        numbers = (numbers[0], numbers[0])
    top = max(numbers) or 1.0
    return " ".join(
        f"{60 * at / (len(numbers) - 1):.1f},{15 - 14 * number / top:.1f}"
        for at, number in enumerate(numbers)
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
        names = ", ".join(dict.fromkeys(str(change["header"]) for change in data["changes"]))
        text = f"{data['http.request.method']} {data['url.path']} {data['http.response.status_code']}: {names}"
    else:
        keys = ("revision", "left", "mode", "who", "reason", "signal")
        text = ", ".join(f"{key} {data[key]}" for key in keys if data.get(key))
    return {"time": str(data["timestamp"]), "name": str(data["event"]), "text": text}


def entry(one: Mapping[str, Any], active: str) -> dict[str, Any]:
    """One entry of the journal as a point of the timeline."""
    to = one.get("to") or {}
    moved = ", ".join(
        f"{rule} to {to[rule]}" if rule in to else rule for rule in one.get("rules", ())
    )
    what = str(one.get("revision") or one.get("mode") or moved)
    why = str(one.get("override") or one.get("reason") or "; ".join(one.get("problems", ()))[:200])
    return {
        "time": str(one.get("time", time.strftime("%Y"))),
        "event": one["event"],
        "title": _TITLES.get(str(one["event"]), str(one["event"])),
        "what": what,
        "who": one.get("who", ""),
        "why": why,
        "diff": bool(one.get("revision")) and what != active,
    }
