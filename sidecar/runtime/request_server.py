"""What serves the requests of a service: the proxy in its own process, worker processes, or the
service's process itself.
"""

from __future__ import annotations

from sidecar.baseline import Cell
from sidecar.baseline.capture import Tally
from sidecar.policy.terms import Mode
from sidecar.proxy import DataPlane
from sidecar.revisions import Active
from sidecar.revisions.history import Revision
from sidecar.telemetry import Telemetry


class RequestServer:
    """What serves requests. As it is here it asks and informs nobody else: this process serves."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._tally = Tally()
        telemetry.observer = self._tally.observe

    async def start(self) -> list[str]:
        """Listen; returns the addresses."""
        return []

    async def publish(self, revision: Revision, ceiling: Mode | None) -> None:
        """Serve under this revision from now on, wherever it is not this process that serves."""

    def activated(self, active: Active) -> None:
        """The same where this process serves."""

    def sign(self, secret: bytes) -> None:
        """Sign canaries with this from now on, wherever it is not this process that serves."""

    async def refresh(self) -> None:
        """Bring the metrics up to date."""

    async def seen(self) -> tuple[Cell, ...]:
        """What the upstream sent, as header lines by route and class of response."""
        return self._tally.cells()

    def missing(self) -> int:
        """How many processes that should serve do not."""
        return 0

    async def upstream_reachable(self) -> bool:
        """Whether the upstream takes connections."""
        return True

    async def begin_drain(self) -> None:
        """Responses say `Connection: close` from now on."""

    async def drain(self) -> None:
        """Finish what is in flight."""

    def abort(self) -> None:
        """End at once."""


class ProxyServer(RequestServer):
    """The proxy in the service's own process."""

    def __init__(self, telemetry: Telemetry, proxy: DataPlane) -> None:
        super().__init__(telemetry)
        self._proxy = proxy

    async def start(self) -> list[str]:
        return await self._proxy.start()

    def activated(self, active: Active) -> None:
        """Serve under this from now on."""
        self._proxy.active = active

    async def upstream_reachable(self) -> bool:
        return await self._proxy.upstream_reachable()

    async def begin_drain(self) -> None:
        """Responses say `Connection: close` from now on."""
        self._proxy.draining = True

    async def drain(self) -> None:
        await self._proxy.drain()

    def abort(self) -> None:
        self._proxy.abort()
