"""The client connections of one process: made here, known while they are open."""

from __future__ import annotations

import asyncio
import resource
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from sidecar.proxy.body import Body
from sidecar.proxy.downstream import Downstream
from sidecar.settings import Limits

if TYPE_CHECKING:
    from sidecar.proxy.context import Context
    from sidecar.proxy.proxy_protocol import ProxyHeaderReader

KEPT: Final = 64
"""Descriptors that clients leave to health, admin, events, files; half of all where few."""


def room(limits: Limits) -> int:
    """How many clients there may be: `limits.connections`, or as many as the process has
    descriptors for, the upstream's connections included.

    The soft limit of descriptors is raised to the hard one: 1024 is meant for users of select(2).
    """
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    with suppress(ValueError, OSError):  # macOS allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    allowed = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    if allowed == resource.RLIM_INFINITY:
        return limits.connections
    left = allowed - min(KEPT, allowed // 2)
    return min(limits.connections, max(left - limits.upstream_connections, left // 2))


class Listener:
    """Makes our protocol for each connection, and knows those that are open."""

    def __init__(self, context: Context) -> None:
        self.context = context
        self.most = room(context.settings.limits)
        self.open: set[Downstream | ProxyHeaderReader] = set()
        self.no_body = Body(lambda: None)
        """The body of every request without one: one of its own would be in a cycle."""
        self.no_body.whole = True
        self.port = 0
        """Where it listens; 0 for a path."""
        self.closing = False
        """No connection waits for another request any more."""
        self._emptied: asyncio.Future[None] | None = None

    async def emptied(self) -> None:
        """Wait until no connection is open."""
        if self.open:
            self._emptied = self.context.loop.create_future()
            await self._emptied

    def closed(self, connection: Downstream | ProxyHeaderReader) -> None:
        """A connection has ended."""
        self.open.discard(connection)
        if not self.open and self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    def __call__(self) -> Downstream:
        """A protocol for a new connection."""
        return Downstream(self)
