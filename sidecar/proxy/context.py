"""What every exchange of one process shares.

Lives here: `Context` and `Bounds`, nouns. Must not know how any of its parts works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.proxy.deadlines import Deadlines
from sidecar.proxy.forwarding import Forwarder
from sidecar.proxy.http1.requests import RequestReader
from sidecar.proxy.pool import Pool
from sidecar.settings import Settings
from sidecar.telemetry import Telemetry

if TYPE_CHECKING:
    from sidecar.revisions import Active

Reports = Callable[[str, bytes, str, str, bytes], None]
"""Takes one post of browser reports: the rest of its path, body, Content-Type, the client's address and User-Agent."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """The settings that every request looks at, as plain numbers: a model of pydantic's is slow to ask.

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


def bounds_of(settings: Settings) -> Bounds:
    """Taken from the settings once."""
    limits, timeouts = settings.limits, settings.timeouts
    times = (timeouts.header, timeouts.body_idle, timeouts.response, timeouts.idle, timeouts.total)
    return Bounds(limits.requests, limits.tunnels, limits.body, *map(float, times))


@dataclass(slots=True)
class Context:
    """`draining` is the one thing that changes: from then on responses end their connections."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    bounds: Bounds
    active: Callable[[], Active]
    telemetry: Telemetry
    deadlines: Deadlines
    pool: Pool
    forwarder: Forwarder
    requests: RequestReader
    reports: Reports
    draining: bool = False
