"""Browser reports that arrive on the data listener."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from sidecar.policy.browsers.trial import REPORTS_PATH
from sidecar.policy.engine.plan import Plan
from sidecar.proxy.body import Body
from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.grammar import CONTINUE
from sidecar.proxy.http1.requests import Request

if TYPE_CHECKING:
    from sidecar.proxy.context import Context
    from sidecar.proxy.downstream import Downstream
    from sidecar.settings import Settings

PREFIX: Final = "/.well-known/sidecar/"
TYPES = frozenset({b"application/csp-report", b"application/reports+json"})
"""The media types of reports."""


def report_key(settings: Settings, plan: Plan, path: str) -> str | None:
    """What follows the reports' path: "" for the site's own reports, a rule's key or a canary; None
    = the service's path.

    The site's own are taken where the settings say so; those of a trial whenever a rule is in
    trial.
    """
    if path == REPORTS_PATH:
        return "" if settings.reports.enabled else None
    if not path.startswith(f"{REPORTS_PATH}/") or not (plan.trials or settings.reports.enabled):
        return None
    return path.removeprefix(f"{REPORTS_PATH}/")


async def receive_report(
    context: Context, request: Request, body: Body, client: Downstream, key: str, address: str
) -> int:
    """Take one post of reports from `client`, who says to have this address; returns the status of
    the response.

    Raises:
        Refused: 405, 413, 415 or 408.
    """
    if request.method != "POST":
        raise Refused(405, "report", fields=((b"Allow", b"POST"),))
    types = request.head.values(b"content-type")
    media = types[0].partition(b";")[0].strip(b" \t").lower() if len(types) == 1 else b""
    if media not in TYPES:
        raise Refused(415, "report")
    limit = context.settings.reports.body
    if request.length > limit:
        raise Refused(413, "report")
    if request.expects and not body.received:
        client.write(CONTINUE)
    taken = bytearray()
    context.deadlines.set(
        body, context.settings.timeouts.body_idle, lambda: Refused(408, "body_timeout")
    )
    try:
        while not body.over:
            taken += await body.some(client.waiter())
            if len(taken) > limit:
                raise Refused(413, "report")
    finally:
        context.deadlines.drop(body)
    agents = request.head.values(b"user-agent")
    context.reports(key, bytes(taken), media.decode("ascii"), address, agents[0] if agents else b"")
    return 204
