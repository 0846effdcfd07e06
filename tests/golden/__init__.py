"""Golden files: policies as people write them, and beside each the exact words that it earns.

`outcome`, the words. `python -m tests.golden` writes them anew; read the difference before you
commit it.
"""

from __future__ import annotations

from pathlib import Path

from sidecar.policy.engine.resolve import NamedRule, Resolved
from sidecar.policy.terms import PolicyError
from sidecar.source import load_policy

POLICIES = sorted((Path(__file__).parent / "policies").glob("*.yaml"))


def outcome(policy: Path) -> str:
    """What `check` finds: every problem, or the complete policy rule by rule."""
    try:
        return _complete(load_policy(policy.read_bytes(), policy.name))
    except PolicyError as error:
        return "".join(f"{problem}\n" for problem in error.problems)


def _complete(resolved: Resolved) -> str:
    lines = [f"ok: {resolved.policy.name}, {resolved.mode}"]
    for route in resolved.routes:
        lines.append(
            f"route {route.name}:"
            f" {_plain(route.match)}{f' mode={route.mode}' if route.mode else ''}"
        )
        lines.extend(f"  {_rule(named)}" for named in route.rules)
    return "\n".join(lines) + "\n"


def _rule(named: NamedRule) -> str:
    return f"{named.name} ({', '.join(dict.fromkeys(named.origin.values()))}): {_plain(named.rule)}"


def _plain(model: object) -> str:
    data = model.model_dump(exclude_none=True, by_alias=True)  # type: ignore[attr-defined]
    return " ".join(f"{key}={value!r}" for key, value in data.items()) or "everything"
