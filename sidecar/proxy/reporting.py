"""Browser reports that arrive on the data listener.

Lives here: `receive_report`: reads one report within its limit and hands it on. Must not know what
reports say, nor how they are told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from aiohttp.streams import StreamReader

from sidecar.proxy.faults import Refused
from sidecar.proxy.rules import Request

if TYPE_CHECKING:
    from sidecar.proxy.context import Context

PATH: Final = "/.well-known/sidecar/reports"
_TYPES = frozenset({b"application/csp-report", b"application/reports+json"})


async def receive_report(context: Context, request: Request, body: StreamReader) -> int:
    """Take one report; returns the status of the answer.

    Raises:
        Refused: 405, 413, 415 or 408.
    """
    if request.method != "POST":
        raise Refused(405, "report", fields=((b"Allow", b"POST"),))
    types = [value for name, value in request.fields if name.lower() == b"content-type"]
    media = types[0].partition(b";")[0].strip(b" \t").lower() if len(types) == 1 else b""
    if media not in _TYPES:
        raise Refused(415, "report")
    limit = context.settings.reports.body
    if request.length > limit:
        raise Refused(413, "report")
    taken = bytearray()
    context.deadlines.set(body, context.settings.timeouts.body_idle, lambda: Refused(408, "body_timeout"))
    try:
        while not body.at_eof():
            taken += await body.readany()
            if len(taken) > limit:
                raise Refused(413, "report")
    finally:
        context.deadlines.drop(body)
    assert context.reports is not None
    context.reports(bytes(taken), media.decode("ascii"))
    return 204
