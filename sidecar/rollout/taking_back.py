"""What happens when the guard fires: the activation is taken back the way it came."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from sidecar.revisions import Revisions
from sidecar.revisions.decision import Overtaken
from sidecar.revisions.history import Refused
from sidecar.rollout.guard import Breach
from sidecar.telemetry import Telemetry

Lacking: TypeAlias = Callable[[], Awaitable[str]]
"""Says what a fleet lacks to take back what came in force; "" = nothing."""


async def nothing() -> str:
    """A sidecar alone decides alone."""
    return ""


async def take_back(
    breach: Breach,
    before: str | None,
    revisions: Revisions,
    telemetry: Telemetry,
    lacking: Lacking = nothing,
) -> None:
    """Put revision `before` in force again; where that fails, the mode falls to report-only.

    In a fleet every replica may see the breach: the first one for which nothing is `lacking` takes
    it back for all.
    """
    now, reason = revisions.current.id, str(breach)
    telemetry.metrics.cell("sidecar_guard_fired_total", breach.signal).n += 1
    facts = {"revision": now, "signal": breach.signal, "reason": reason}
    telemetry.tell("guard.fired", level="error", **facts)
    if missing := await lacking():
        telemetry.tell("guard.waits", level="warning", revision=now, reason=missing)
        return
    try:
        if before is None or before == now:
            await revisions.set_mode("report-only", who="guard", reason=reason)
        else:
            order = {"who": "guard", "reason": reason, "cause": "guard", "leaving": now}
            await revisions.rollback(before, **order)
    except Overtaken as overtaken:  # another replica, or an operator, was quicker
        telemetry.tell("guard.overtaken", level="warning", detail=str(overtaken))
    except Refused as refused:
        await revisions.set_mode("report-only", who="guard", reason=f"{breach}; {refused}")
