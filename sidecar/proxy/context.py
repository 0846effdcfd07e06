"""What every exchange of one process shares."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sidecar.proxy.deadlines import Deadlines
from sidecar.proxy.forwarding import Forwarder, Timing
from sidecar.proxy.http1.requests import RequestReader
from sidecar.proxy.pool import Pool
from sidecar.proxy.splice import Pipe
from sidecar.settings import Settings
from sidecar.telemetry import Telemetry

if TYPE_CHECKING:
    from sidecar.revisions import Active

Reports = Callable[[str, bytes, str, str, bytes], None]
"""Takes a post of browser reports: rest of the path, body, Content-Type, address, User-Agent."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """The settings that every request looks at, as plain numbers: a model of pydantic's is slow to
    ask.

    `requests`, `tunnels` and `body` of the limits, the others of the timeouts in seconds.
    """

    requests: int
    tunnels: int
    body: int
    header: float
    body_idle: float
    response: float
    idle: float
    total: float


def bounds_of(settings: Settings) -> RequestLimits:
    """Taken from the settings once."""
    limits, timeouts = settings.limits, settings.timeouts
    times = (timeouts.header, timeouts.body_idle, timeouts.response, timeouts.idle, timeouts.total)
    return RequestLimits(limits.requests, limits.tunnels, limits.body, *map(float, times))


@dataclass(slots=True)
class Context:
    """What changes: `active`, which each request reads once, and `draining`: from then on
    responses end their connections.

    `routed` has the contexts of the routes with timeouts of their own, by name.
    """

    loop: asyncio.AbstractEventLoop
    settings: Settings
    bounds: RequestLimits
    telemetry: Telemetry
    deadlines: Deadlines
    pool: Pool
    forwarder: Forwarder
    requests: RequestReader
    reports: Reports
    pipe: Pipe | None
    timing: Timing | None = None
    active: Active = field(init=False)
    draining: bool = False
    routed: dict[str, Context] = field(default_factory=dict)

    def drain(self, *, draining: bool) -> None:
        """Set `draining` here and for every route."""
        for context in (self, *self.routed.values()):
            context.draining = draining


def by_route(context: Context) -> dict[str, Context]:
    """The contexts of the routes that the settings give timeouts of their own."""
    return {
        name: replace(context, bounds=replace(context.bounds, **own.model_dump(exclude_none=True)))
        for name, own in context.settings.timeouts.routes.items()
    }
