"""What is done when the guard fires: what came in force goes back, by the way it came.

Lives here: one step. Must not know what the guard has seen.
"""

from __future__ import annotations

from sidecar.revisions import Revisions
from sidecar.revisions.decision import Overtaken
from sidecar.revisions.history import Refused
from sidecar.rollout.guard import Breach
from sidecar.telemetry import Telemetry


async def take_back(
    breach: Breach, before: str | None, revisions: Revisions, telemetry: Telemetry
) -> None:
    """Put revision `before` in force again; where it is none, or cannot be, the mode falls to report-only.

    In a fleet every replica may see the breach: the first one takes it back for all.
    """
    now = revisions.current.id
    telemetry.metrics.cell("sidecar_guard_fired_total", breach.signal).n += 1
    telemetry.tell(
        "guard.fired", level="error", revision=now, signal=breach.signal, reason=str(breach)
    )
    try:
        if before is None or before == now:
            await revisions.set_mode("report-only", who="guard", reason=str(breach))
        else:
            await revisions.rollback(
                before, who="guard", reason=str(breach), cause="guard", leaving=now
            )
    except Overtaken as overtaken:  # another replica, or an operator, was quicker
        telemetry.tell("guard.overtaken", level="warning", detail=str(overtaken))
    except Refused as refused:
        await revisions.set_mode("report-only", who="guard", reason=f"{breach}; {refused}")
