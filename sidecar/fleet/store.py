"""What a member asks of any store: the protocol `FleetStore` and its one error."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, NamedTuple, Protocol, TypeAlias

from sidecar.revisions.decision import Decision, Texts

Change: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for the next change, or so many seconds."""


class StoreError(Exception):
    """The store cannot be used now; the text says why, without the URL and its password."""


class StoreState(NamedTuple):
    """What a replica asks for all the time."""

    version: int
    """Of the fleet's decision; 0 = the store holds none."""
    mark: str
    """Which decision of this version it is (`Decision.mark`)."""
    asked: float
    """When all replicas were last asked for their evidence, by the store's clock; 0 = never."""
    secret: str
    """With which replicas sign canaries; "" = the store holds none."""


Shared: TypeAlias = Mapping[str, tuple[float, str]]
"""By replica: when it last said what it saw, by the store's clock, and what it said."""


class FleetStore(Protocol):
    """One fleet's part of a store.

    Every method but `close` raises StoreError, and none waits longer than a few seconds.
    """

    async def look(self) -> StoreState:
        """What may have changed."""

    async def decision(self) -> Decision | None:
        """The fleet's decision; None when the store holds none."""

    async def decide(self, decision: Decision, base: int) -> bool:
        """Replace the decision of version `base` (0 = none); False when it has another version."""

    async def texts(self) -> Texts:
        """The fleet's latest revisions."""

    async def hello(self, replica: str, data: dict[str, Any]) -> None:
        """Say that this replica is there, and what it has in force."""

    async def leave(self, replica: str) -> None:
        """Say that this replica ends; what it saw stays."""

    async def replicas(self) -> list[dict[str, Any]]:
        """All replicas, with the seconds since each was last seen, by the store's clock."""

    async def report(self, replica: str, seen: str) -> None:
        """Say what this replica saw, in place of what it said before."""

    async def shared(self) -> Shared:
        """What all replicas saw, those included that are gone."""

    async def ask(self) -> float:
        """Ask every replica to say what it saw; returns when, by the store's clock."""

    async def secret(self, proposed: str) -> str:
        """The fleet's secret: the proposed one, where the store holds none."""

    async def returned(self, arrivals: Sequence[tuple[str, str, int]]) -> list[bool]:
        """Add ways on which canaries came back (canary, way, ways needed); which are complete."""

    async def vote(self, revision: str, replica: str, within: float) -> int:
        """Record that this replica's guard fires; how many do within these seconds."""

    async def note(self, entry: str) -> None:
        """Add an entry (JSON) to the fleet's journal."""

    async def journal(self, last: int) -> list[dict[str, Any]]:
        """The fleet's latest decisions, newest first."""

    def changes(self) -> AbstractAsyncContextManager[Change]:
        """Subscribe to changes of the decision."""

    async def close(self) -> None:
        """Close all connections."""
