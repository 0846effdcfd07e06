"""What the control plane needs of the process around it, given by the service.

Lives here: one noun. Must not know who fills it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from sidecar.admin.health import Readiness


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
    """What the pages of routes in trial hold, by route."""
    fleet: Callable[[], Awaitable[dict[str, Any]]] | None = None
    """The fleet as this replica sees it; None = it decides alone."""
