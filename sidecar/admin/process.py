"""What the control plane needs of the process around it, and what is in force, as data."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any, NamedTuple

from sidecar.admin.listener import Readiness
from sidecar.admin.orders import PromotionOrder
from sidecar.revisions import Revisions


class Process(NamedTuple):
    """Calls into the process; those that gather from workers are awaited."""

    facts: Callable[[], dict[str, Any]]
    ready: Callable[[], Readiness]
    refresh: Callable[[], Awaitable[None]]
    """Brings the metrics up to date."""
    evidence: Callable[[bool], Awaitable[dict[str, Any]]]
    """What each rule has seen here, or on all replicas of the fleet, asked now, and whose evidence
    it is; this and `reports` raise Refused without a fleet or its store.
    """
    rollout: Callable[[], Awaitable[dict[str, Any]]]
    """How far each rule is on its way to enforce, with the gate's verdict and its minimums."""
    baseline: Callable[[], Awaitable[dict[str, Any]]]
    """What the service sent so far, and how that differs from the baseline."""
    reports: Callable[[bool], Awaitable[dict[str, Any]]]
    """What browsers reported of rules in trial, here or to any replica."""
    pages: Callable[[], dict[str, Any]]
    """What pages in trial hold, by route, and the scripts that browsers loaded."""
    promotion: Callable[[PromotionOrder], Awaitable[dict[str, Any]]]
    """Decides on an order to move rules. Raises Refused, PolicyError, and ValueError where what
    came with the order is wrong.
    """
    fleet: Callable[[], Awaitable[dict[str, Any]]] | None = None
    """The fleet as this replica sees it; None = it decides alone."""
    token_file: str | None = None
    """The admin token's file, for commands that are copied from the page; None = no token."""


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
