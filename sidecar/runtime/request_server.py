"""What serves the requests of a service: the proxy in its own process, worker processes, or the
service's process itself.
"""

from __future__ import annotations

from typing import Protocol

from sidecar.baseline import Cell
from sidecar.baseline.capture import Tally
from sidecar.policy.terms import Mode
from sidecar.proxy import DataPlane
from sidecar.revisions import Active
from sidecar.revisions.history import Revision
from sidecar.telemetry import Telemetry


class RequestServer(Protocol):
    """What serves requests, in one process or in several."""

    async def start(self) -> list[str]:
        """Listen; returns the addresses."""

    async def publish(self, revision: Revision, ceiling: Mode | None) -> None:
        """Serve under this revision from now on, wherever it is not this process that serves."""

    def activated(self, active: Active) -> None:
        """The same where this process serves."""

    def sign(self, secret: bytes) -> None:
        """Sign canaries with this from now on, as above."""

    async def refresh(self) -> None:
        """Bring the metrics up to date, as above."""

    async def seen(self) -> tuple[Cell, ...]:
        """What the upstream sent, as header lines by route and class of response."""

    def missing(self) -> int:
        """How many processes that should serve do not."""

    async def upstream_reachable(self) -> bool:
        """Whether the upstream takes connections."""

    async def begin_drain(self) -> None:
        """Responses say `Connection: close` from now on."""

    async def drain(self) -> None:
        """Finish what is in flight."""

    def abort(self) -> None:
        """End at once."""


class SingleProcessServer:
    """What is the same wherever the service's own process serves: nobody else has to be asked or
    informed.
    """

    def __init__(self, telemetry: Telemetry) -> None:
        self._tally = Tally()
        telemetry.observer = self._tally.observe

    async def publish(self, revision: Revision, ceiling: Mode | None) -> None:
        """Nothing to do."""

    def activated(self, active: Active) -> None:
        """Nothing to do."""

    def sign(self, secret: bytes) -> None:
        """Nothing to do."""

    async def refresh(self) -> None:
        """Nothing to do."""

    async def seen(self) -> tuple[Cell, ...]:
        """What the upstream sent, as header lines by route and class of response."""
        return self._tally.cells()

    def missing(self) -> int:
        """None: this process runs."""
        return 0


class ProxyServer(SingleProcessServer):
    """The proxy in the service's own process."""

    def __init__(self, telemetry: Telemetry, proxy: DataPlane) -> None:
        super().__init__(telemetry)
        self._proxy = proxy
        self.start, self.drain, self.abort = proxy.start, proxy.drain, proxy.abort
        self.upstream_reachable = proxy.upstream_reachable

    def activated(self, active: Active) -> None:
        """Serve under this from now on."""
        self._proxy.active = active

    async def begin_drain(self) -> None:
        """Responses say `Connection: close` from now on."""
        self._proxy.draining = True
