"""What the control plane needs of the process around it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from sidecar.admin.health import Readiness
from sidecar.admin.orders import PromotionOrder


class Process(NamedTuple):
    """Calls into the process; those that gather from workers are awaited."""

    facts: Callable[[], dict[str, Any]]
    ready: Callable[[], Readiness]
    refresh: Callable[[], Awaitable[None]]
    """Brings the metrics up to date."""
    evidence: Callable[[], Awaitable[list[dict[str, Any]]]]
    rollout: Callable[[], Awaitable[dict[str, Any]]]
    """How far each rule is on its way to enforce, with the gate's verdict and its minimums."""
    baseline: Callable[[], Awaitable[dict[str, Any]]]
    """What the service sent so far, and how that differs from the baseline."""
    causes: Callable[[], dict[str, Any]]
    """What browsers reported of rules in trial."""
    pages: Callable[[], dict[str, Any]]
    """What pages in trial hold, by route, and the scripts that browsers loaded."""
    fleet_evidence: Callable[[], Awaitable[dict[str, Any]]]
    """What each rule has seen on all replicas, asked now, and whose evidence it is; this and the
    next raise Refused without a fleet or its store.
    """
    fleet_reports: Callable[[], Awaitable[dict[str, Any]]]
    """What browsers reported to any of them."""
    promotion: Callable[[PromotionOrder], Awaitable[dict[str, Any]]]
    """Decides on an order to move rules. Raises Refused, PolicyError, and ValueError where what
    came with the order is wrong.
    """
    fleet: Callable[[], Awaitable[dict[str, Any]]] | None = None
    """The fleet as this replica sees it; None = it decides alone."""
    token_file: str | None = None
    """The admin token's file, for commands that are copied from the page; None = no token."""
