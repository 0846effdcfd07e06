"""What is in force, as data: for the API, the page and the state event."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from sidecar.revisions import Revisions


def override(revisions: Revisions) -> dict[str, Any] | None:
    """The runtime ceiling as data."""
    return asdict(revisions.override) if revisions.override else None


def status(revisions: Revisions) -> dict[str, Any]:
    """What is in force, as data."""
    current, plan = revisions.current, revisions.active.plan
    about = current.resolved.policy
    return {
        **about.model_dump(include={"name", "owner", "reason", "expected", "rollback"}),
        "revision": current.id,
        "parent": current.parent,
        "source": current.source,
        "in_file": revisions.in_file,
        "activated": current.activated,
        "who": current.who,
        "mode": plan.mode,
        "policy_mode": current.resolved.mode,
        "override": override(revisions),
        "pinned": revisions.pinned,
        "unsaved": revisions.journal.unsaved,
        "problems": [str(problem) for problem in revisions.problems],
        "routes": [
            {
                "name": route.name,
                "rules": [
                    {"name": line.name, "mode": line.mode, "ceiling": line.ceiling}
                    for line in route.rules
                ],
            }
            for route in plan.routes
        ],
    }
