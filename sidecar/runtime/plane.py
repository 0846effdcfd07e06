"""What a service needs of whatever serves its requests: the proxy, worker processes, or the service's own process.

Lives here: `Plane`, a noun. Must not know any of them.
"""

from __future__ import annotations

from typing import Protocol


class Plane(Protocol):
    """What serves requests."""

    draining: bool

    async def start(self) -> list[str]:
        """Listen; returns the addresses."""

    async def drain(self) -> None:
        """Finish what is in flight."""

    def abort(self) -> None:
        """End at once."""

    async def upstream_reachable(self) -> bool:
        """Whether the service takes connections."""
