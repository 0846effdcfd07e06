"""What the control plane needs of the process around it, given by the service.

Lives here: two nouns. Must not know who fills it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Protocol

from sidecar.admin.health import Readiness


class Together(Protocol):
    """What all replicas saw, asked now. Raises Refused without a fleet, and while its store is
    away.
    """

    async def fleet_evidence(self) -> dict[str, Any]:
        """What each rule has seen on all of them, and whose evidence it is."""

    async def fleet_reports(self) -> dict[str, Any]:
        """What browsers reported to any of them."""


@dataclass(frozen=True, slots=True)
class Process:
    """Calls into the process; those that gather from workers are awaited."""

    facts: Callable[[], dict[str, Any]]
    ready: Callable[[], Readiness]
    refresh: Callable[[], Awaitable[None]]
    """Brings the metrics up to date."""
    evidence: Callable[[], Awaitable[list[dict[str, Any]]]]
    rollout: Callable[[], Awaitable[dict[str, Any]]]
    """Where each rule stands on its way to enforce, with the gate's verdict and its minimums."""
    baseline: Callable[[], Awaitable[dict[str, Any]]]
    """What the service sent so far, and how that differs from the baseline."""
    causes: Callable[[], dict[str, Any]]
    """What browsers reported of rules in trial."""
    pages: Callable[[], dict[str, Any]]
    """What the pages of routes in trial hold, by route; and the scripts that browsers said they
    loaded.
    """
    together: Together
    fleet: Callable[[], Awaitable[dict[str, Any]]] | None = None
    """The fleet as this replica sees it; None = it decides alone."""
    token_file: str | None = None
    """Where the admin token stands, for commands that are copied from the page; None = there is
    none.
    """
