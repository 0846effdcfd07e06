"""What a member asks of the store, whichever it is.

Lives here: the protocol `Exchange` and its one error. Must not know any store.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol, TypeAlias

from sidecar.revisions.decision import Decision, Texts

Change: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for the next change, or so many seconds."""


class StoreError(Exception):
    """The store cannot be used now; the text says why, without the URL, which may hold a password."""


class Exchange(Protocol):
    """One fleet's part of a store. Every method but `close` raises StoreError, and none waits longer than a few seconds."""

    async def version(self) -> int:
        """The version of the fleet's decision; 0 when the store holds none."""

    async def decision(self) -> Decision | None:
        """The fleet's decision; None when the store holds none."""

    async def decide(self, decision: Decision, base: int) -> bool:
        """Replace the decision of version `base` (0 = none); False when the store holds another version."""

    async def texts(self) -> Texts:
        """The fleet's latest revisions."""

    async def hello(self, replica: str, data: dict[str, Any]) -> None:
        """Say that this replica is there, and what it has in force."""

    async def replicas(self) -> list[dict[str, Any]]:
        """All replicas, with the seconds since each was last seen, by the store's clock."""

    async def note(self, entry: str) -> None:
        """Add an entry (JSON) to the fleet's journal."""

    async def journal(self, last: int) -> list[dict[str, Any]]:
        """The fleet's latest decisions, newest first."""

    def changes(self) -> AbstractAsyncContextManager[Change]:
        """Subscribe to changes of the decision."""

    async def close(self) -> None:
        """Close all connections."""
