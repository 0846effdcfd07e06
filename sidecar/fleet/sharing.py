"""What replicas share by the store: their evidence, canaries that came back, the guard's votes.

The store may hold anything; its loss loses nothing here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import contextlib
import json
import math
import time
import zlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from sidecar.telemetry import Trials
from sidecar.telemetry.trials import Arrival

if TYPE_CHECKING:
    from sidecar.fleet.redis_store import RedisStore


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


class Report(NamedTuple):
    """What a replica saw, and when it said so, by the clock of the store; `unpacked` reads
    `data`.
    """

    at: float
    data: str


Seen: TypeAlias = Mapping[str, Any]
"""What one replica saw, as data."""

_EVERY = 15.0
"""Seconds between two reports where nobody asks: what a replica saw outlives it."""
_PATIENCE = 3.0
"""Seconds that replicas have to say what they saw when they are asked."""
_ALIVE = 10.0
"""A replica that was seen within these seconds is waited for."""
_BYTES = 8 << 20
_ARRIVALS = 1_000


class Sharing:
    """One replica's part. `seen` gives what this replica saw so far; `replica` its id."""

    def __init__(
        self,
        store: RedisStore,
        trials: Trials,
        replica: Callable[[], str],
        seen: Callable[[], Seen],
    ) -> None:
        self._others: Mapping[str, Report] = {}
        """What the other replicas saw, as it was last read."""
        self.at = 0.0
        """When any replica said something last, by the clock of the store."""
        self.adopt: Callable[[bytes], None] = trials.adopt
        self._store = store
        self._trials = trials
        self._replica = replica
        self._seen = seen
        self._shared_at = float("-inf")
        self._answered = 0.0
        """When the last request for evidence was met, by the clock of the store."""
        self._arrivals: list[Arrival] = []
        trials.on_arrival = self._arrived

    async def round(self, look: StoreState) -> None:
        """Called with each look at the store; raises StoreError."""
        now = time.monotonic()
        if not look.secret:
            await self.agree()
        elif look.secret != self._trials.secret.hex():
            self._adopt(look.secret)
        await self._count()
        if look.asked > self._answered or now - self._shared_at >= _EVERY:
            await self.report()
            self._answered = look.asked

    async def agree(self) -> None:
        """Take the fleet's secret, or give it one; raises StoreError."""
        self._adopt(await self._store.secret(self._trials.secret.hex()))

    async def report(self) -> None:
        """Say what this replica saw; raises StoreError."""
        said = await asyncio.to_thread(packed, self._seen())
        await self._store.report(self._replica(), said)
        self._shared_at = time.monotonic()

    async def gather(self) -> tuple[Mapping[str, Report], list[str], int]:
        """Ask all replicas what they saw: what the others did, those included that are gone; which
        are alive and did not say in time; how many are alive. Raises StoreError.
        """
        asked, listed = await self._store.ask(), await self._store.replicas()
        alive = {str(one["replica"]) for one in listed if one["ago"] <= _ALIVE}
        await self.report()
        end = time.monotonic() + _PATIENCE
        while True:
            shared = await self._store.shared()
            silent = [one for one in alive if one not in shared or shared[one].at < asked]
            if not silent or time.monotonic() > end:
                break
            await asyncio.sleep(0.05)
        return self._read(shared), sorted(silent), len(alive)

    async def received(self) -> Mapping[str, Report]:
        """What the other replicas said last, or the last known while the store is away."""
        with contextlib.suppress(StoreError):
            self._read(await self._store.shared())
        return self._others

    async def vote(self, revision: str, within: float) -> tuple[int, int]:
        """Vote that the guard fires; (votes within these seconds, replicas); raises StoreError."""
        votes = await self._store.vote(revision, self._replica(), within)
        listed = await self._store.replicas()
        return votes, sum(one["ago"] <= _ALIVE for one in listed)

    def alone(self) -> None:
        """The store is away: what came back here counts by what is known here."""
        arrivals, self._arrivals = self._arrivals, []
        for arrival in arrivals:
            self._trials.arrived(arrival)

    async def _count(self) -> None:
        arrivals, self._arrivals = self._arrivals, []
        if not arrivals:
            return
        try:
            done = await self._store.returned(arrivals)
        except StoreError:
            self._arrivals = arrivals + self._arrivals
            raise
        for arrival, complete in zip(arrivals, done, strict=False):
            if complete:
                self._trials.complete(arrival)

    def _arrived(self, arrival: Arrival) -> None:
        self._arrivals.append(arrival)
        if len(self._arrivals) > _ARRIVALS:
            self.alone()

    def _read(self, shared: Mapping[str, Report]) -> Mapping[str, Report]:
        self.at = max((report.at for report in shared.values()), default=0.0)
        self._others = {one: said for one, said in shared.items() if one != self._replica()}
        return self._others

    def _adopt(self, secret: str) -> None:
        try:
            self.adopt(bytes.fromhex(secret))
        except ValueError as error:
            raise StoreError("the fleet's secret is no number") from error


def packed(seen: Seen) -> str:
    """As the store keeps it: JSON, deflated, in base64."""
    return base64.b64encode(zlib.compress(json.dumps(seen).encode(), 1)).decode()


def unpacked(data: str) -> Seen | None:
    """What `packed` was given; None for anything else, and for what would be too large."""
    try:
        read = json.loads(zlib.decompressobj().decompress(base64.b64decode(data), _BYTES))
    except (ValueError, RecursionError, zlib.error, binascii.Error):
        return None
    return read if isinstance(read, dict) else None


def needed(quorum: float, alive: int) -> int:
    """How many replicas a quorum needs: a number of them, or a share (1.0 = all) of those alive."""
    return max(1, math.ceil(quorum * alive)) if isinstance(quorum, float) else quorum
