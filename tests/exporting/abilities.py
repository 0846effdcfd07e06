"""What each target can say: one small policy for each ability, exported, and the gaps that come of
it.

The table of docs/export.md.
"""

from __future__ import annotations

from typing import Any

from sidecar.exporting import TARGETS, export
from sidecar.policy.engine.resolve import resolve

X = "X-Frame-Options"
SET = {"header": X, "action": "set", "value": "DENY"}


def _cookie(**attributes: Any) -> dict[str, Any]:
    return {"cookie": "s*", "attributes": attributes}


def _when(**when: Any) -> dict[str, Any]:
    return {**SET, "when": {key.replace("_", "-"): value for key, value in when.items()}}


ABILITIES: dict[str, dict[str, Any]] = {
    "`set`": {"it": SET},
    "`default`": {"it": {"header": X, "action": "default", "value": "DENY"}},
    "`append`": {"it": {"header": "Vary", "action": "append", "value": "Origin"}},
    "`remove`": {"it": {"header": "X-Powered-By", "action": "remove"}},
    "`remove` of `Server`": {"it": {"header": "Server", "action": "remove"}},
    "`merge`": {"it": {"header": "Vary", "action": "merge", "value": "Origin"}},
    "cookies: Secure, HttpOnly, SameSite": {
        "it": _cookie(Secure=True, HttpOnly=True, SameSite="Lax")
    },
    "cookies: Path, Domain": {"it": _cookie(Path="/", Domain=False)},
    "cookies: Partitioned": {"it": _cookie(Partitioned=True)},
    "`when: scheme`": {"it": _when(scheme="https")},
    "`when: status`": {"it": _when(status=["404", "5xx"])},
    "`when: class`": {"it": _when(**{"class": ["html", "docs"]})},
    "`when: content-type`": {"it": _when(content_type="text/html")},
    "`when: request`": {"it": _when(request={"Origin": "https://*"})},
    "`when: response`, present or not": {"it": _when(response={"X-Odd": False})},
    "`when: response`, a pattern": {"it": _when(response={"X-Odd": "a*"})},
    "`when: response`, a pattern with `*` inside": {"it": _when(response={"X-Odd": "a*b"})},
    "conditions, on a header that may repeat": {
        "it": {
            "header": "Content-Security-Policy",
            "action": "set",
            "value": "default-src 'self'",
            "when": {"class": "html"},
        }
    },
    "a condition on what another rule wrote": {
        "one": {"header": "X-Odd", "action": "set", "value": "1"},
        "two": _when(response={"X-Odd": "1"}),
    },
}
ROUTES = {
    "routes": [
        {
            "name": "api",
            "match": {"host": "*.shop.example", "method": "GET", "path": "/api/**"},
            "rules": {"it": SET},
        }
    ]
}


def table() -> str:
    """A row for each ability, a column for each target."""
    lines = [f"| rule or condition | {' | '.join(TARGETS)} |", f"|---{'|---' * len(TARGETS)}|"]
    rows = [(name, {"rules": rules}) for name, rules in ABILITIES.items()]
    rows.append(("routes by host, method and path", ROUTES))
    reasons: list[str] = []
    for name, policy in rows:
        resolved = resolve({"version": 1, "mode": "enforce", **policy}, {})
        cells = [_cell(target, export(resolved, target).gaps, reasons) for target in TARGETS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    numbered = [f"{number}. {reason}" for number, reason in enumerate(reasons, 1)]
    limits = [f"- **{name}**: {' '.join(target.limits)}" for name, target in TARGETS.items()]
    checked = [f"- **{name}**: {target.checked}." for name, target in TARGETS.items()]
    return "\n".join(
        [
            *lines,
            "",
            *numbered,
            "",
            "In general, whatever the policy says:",
            "",
            *limits,
            "",
            "Which one the tests ask:",
            "",
            *checked,
        ]
    )


def _cell(target: str, gaps: Any, reasons: list[str]) -> str:
    found = [gap for gap in gaps if gap.weight != "note"]
    if not found:
        return "yes"
    numbers = []
    for gap in found:
        reason = f"{gap.text[:1].upper()}{gap.text[1:]}."
        if reason not in reasons:
            reasons.append(reason)
        numbers.append(str(reasons.index(reason) + 1))
    word = "no" if any(gap.weight == "lost" for gap in found) else "nearly"
    return f"{word} ({', '.join(dict.fromkeys(numbers))})"
