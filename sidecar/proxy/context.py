"""What every exchange of one process shares.

Lives here: `Context`, a noun. Must not know how any of its parts works.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sidecar.proxy.deadlines import Deadlines
from sidecar.proxy.forwarding import Forwarder
from sidecar.proxy.pool import Pool
from sidecar.proxy.rules import RequestReader
from sidecar.settings import Settings
from sidecar.telemetry import Telemetry

if TYPE_CHECKING:
    from sidecar.revisions import Active

Reports = Callable[[bytes, str], None]
"""Takes one browser report: body and Content-Type."""


@dataclass(slots=True)
class Context:
    """`draining` is the one thing that changes: from then on answers end their connections."""

    loop: asyncio.AbstractEventLoop
    settings: Settings
    active: Callable[[], Active]
    telemetry: Telemetry
    deadlines: Deadlines
    pool: Pool
    forwarder: Forwarder
    requests: RequestReader
    reports: Reports | None
    draining: bool = False
