"""This replica in its fleet: decisions taken here go to the fleet, and the fleet's come here.

The store lost changes nothing in force. Of two decisions the higher version wins; of the same
version, the one in the store. Clocks play no part.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import secrets
import socket
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from sidecar.fleet.sharing import Seen, Sharing, StoreError
from sidecar.policy.terms import PolicyError, Problem
from sidecar.revisions import Revisions
from sidecar.revisions.decision import FleetDecision, Overtaken, Texts
from sidecar.telemetry import Telemetry

if TYPE_CHECKING:
    from sidecar.fleet.redis_store import RedisStore

_POLL = 1.0
"""Seconds between two looks at the version, where no message says that it changed."""
_AGAIN = (0.1, 0.3, 1.0, 2.0)
_TRIES = 5


class FleetMember:
    """One replica. `revisions` calls it with its lock held; `run` calls `revisions`."""

    def __init__(
        self, name: str, store: RedisStore, telemetry: Telemetry, seen: Callable[[], Seen] = dict
    ) -> None:
        self.name = name
        self.version = 0
        self.pending = False
        self._shared = 0
        """The last version that was the store's too."""
        self._mark = ""
        """Which decision of its version is in force here."""
        self._gave_way = ""
        """What was decided here before this start, and not by the fleet."""
        self.connected = False
        self.trouble = "not asked yet"
        """Why the store cannot be used; "" while it can."""
        self.replica = f"{socket.gethostname()}-{secrets.token_hex(2)}"
        self.sharing = Sharing(store, telemetry.trials, lambda: self.replica, seen)
        self._store = store
        self._telemetry = telemetry
        self._gauge = telemetry.metrics.counter("sidecar_fleet_connected", name)
        self._said = ("policy.activated", "", "")
        self._refused = -1
        """A version that cannot be put in force here: it is not tried again."""
        self._waits = iter(_AGAIN)

    async def join(self, saved: object, mirror: Callable[[Texts], None]) -> FleetDecision | None:
        """See `Fleet.join`."""
        if isinstance(saved, dict) and saved.get("name") == self.name:
            with contextlib.suppress(KeyError, TypeError, ValueError):  # somebody wrote there
                self._take_up(saved)
        try:
            held = await self._store.decision()
            await self.sharing.agree()
            if held is not None:
                await asyncio.to_thread(mirror, await self._store.texts())
        except StoreError as error:
            self._lost(error)
            return None
        self._found()
        if held is None or held.version < self.version:
            return None
        if held.version == self.version and held.mark == self._mark:
            return None
        if self.pending or held.version == self.version:
            self._gave_way = self.decided
        return held

    def _take_up(self, saved: dict[str, Any]) -> None:
        event, who, reason = map(str, saved["said"])
        version, shared = int(saved["version"]), int(saved["shared"])
        replica, mark = str(saved["replica"]), str(saved.get("mark", ""))
        self.version, self._shared, self.pending = version, shared, bool(saved["pending"])
        self.replica, self._mark, self._said = replica, mark, (event, who, reason)

    async def propose(self, decision: FleetDecision) -> None:
        """See `Fleet.propose`."""
        decision = replace(decision, version=self.version + 1, replica=self.replica)
        if self.connected:
            try:
                await self._publish(decision)
            except StoreError as error:
                self._lost(error)
        if not self.connected:
            self.pending = True
        self.version, self._mark = decision.version, decision.mark
        self._said = (decision.event, decision.who, decision.reason)

    async def _publish(self, decision: FleetDecision) -> None:
        """Put it into the store in the place of a lower version, and of no other."""
        base = decision.version - 1
        for _ in range(_TRIES):
            if await self._store.decide(decision, base):
                self.pending, self._shared = False, decision.version
                return
            held = await self._store.decision()
            base = held.version if held else 0
            if held is not None and held.version >= decision.version:
                if held.version == decision.version and held.same(decision):
                    self.pending, self._shared = False, decision.version
                    return
                raise Overtaken(
                    f"the fleet {self.name} has decided otherwise meanwhile: {held} (version"
                    f" {held.version}); look at `sidecar status --fleet` and try again"
                )
        raise StoreError("the version changes all the time")

    async def note(self, entry: dict[str, Any]) -> None:
        """See `Fleet.note`; this replica's journal has the entry in any case."""
        if self.connected:
            try:
                await self._store.note(json.dumps(entry | {"replica": self.replica}, default=str))
            except StoreError as error:
                self._lost(error)

    def took(self, decision: FleetDecision) -> None:
        """The fleet's decision is in force here."""
        self.version = self._shared = decision.version
        self.pending, self._mark = False, decision.mark
        self._said = (decision.event, decision.who, decision.reason)

    def saved(self) -> dict[str, Any]:
        """What the next start goes on from."""
        return {
            "name": self.name,
            "version": self.version,
            "pending": self.pending,
            "shared": self._shared,
            "mark": self._mark,
            "replica": self.replica,
            "said": list(self._said),
        }

    async def run(self, revisions: Revisions) -> None:
        """Follow the fleet, and be seen, for ever."""
        while True:
            try:
                async with self._store.changes() as change:
                    while True:
                        await self._look(revisions)
                        await change(_POLL)
            except StoreError as error:
                self._lost(error)
            self.sharing.alone()
            wait = next(self._waits, _AGAIN[-1])
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - spreads the replicas

    async def facts(self) -> dict[str, Any]:
        """The fleet as this replica sees it; `replicas` is null while the store is away."""
        replicas: list[dict[str, Any]] | None = None
        journal: list[dict[str, Any]] | None = None
        if self.connected:
            try:
                replicas, journal = await self._store.replicas(), await self._store.journal(1000)
            except StoreError as error:
                self._lost(error)
        return self.summary() | {"replicas": replicas, "journal": journal}

    def summary(self) -> dict[str, Any]:
        """What `status` says of it."""
        return {
            "name": self.name,
            "replica": self.replica,
            "version": self.version,
            "connected": self.connected,
            "trouble": self.trouble,
            "pending": self.pending,
            "decided": self.decided,
        }

    @property
    def decided(self) -> str:
        """What holds here: the journal's word, who and why."""
        event, who, reason = self._said
        by = f" by {who}" if who else ""
        return f"{event}{by}{f': {reason}' if reason else ''}"

    async def close(self) -> None:
        """Leave; what was seen here stays."""
        if self.connected:
            with contextlib.suppress(StoreError):
                await self.sharing.report()
                await self._store.leave(self.replica)
        await self._store.close()

    async def _look(self, revisions: Revisions) -> None:
        own, look = self.version, await self._store.look()
        if self._gave_way and look.version:
            gave_way, self._gave_way = self._gave_way, ""
            await revisions.journal.superseded(gave_way, await self._own_decision(revisions))
        other = (look.version, look.mark) != (self.version, self._mark)
        if (other or self.pending) and look.version != self._refused:
            held = await self._store.decision()
            async with revisions.lock:
                if own == self.version:  # otherwise the next look sees what was decided here, too
                    await self._settle(revisions, held)
        about = {"version": self.version, "revision": revisions.current.id}
        data = {**about, "mode": revisions.mode, "pinned": revisions.pinned}
        await self._store.hello(self.replica, data)
        await self.sharing.round(look)
        self._found()

    async def _settle(self, revisions: Revisions, held: FleetDecision | None) -> None:
        """Come to one decision with the store's."""
        mine = await self._own_decision(revisions)
        if held is None or held.version < self.version:
            await self._restore(revisions, mine, held)
            return
        lost = held.mark != self._mark and not held.same(mine)
        if held.version == self.version and not lost:
            self.pending, self._shared, self._mark = False, held.version, held.mark
            return
        lost = lost and (self.pending or held.version == self.version)
        try:
            await revisions.follow(held)
        except PolicyError as error:
            self._refused = held.version
            revisions.journal.refused(held, error)
            return
        if lost:
            await revisions.journal.superseded(mine, held)

    async def _restore(
        self, revisions: Revisions, mine: FleetDecision, held: FleetDecision | None
    ) -> None:
        """Publish what was decided here while the store was away, or what it has forgotten."""
        unseen = held is not None and held.version > self._shared
        try:
            await self._publish(mine)
        except Overtaken:
            return  # the next look follows it
        self.version, self._mark = mine.version, mine.mark
        self._telemetry.emit("decision.published", fleet=mine.version, revision=mine.revision)
        if unseen and held is not None:
            await revisions.journal.superseded(held, mine)
        else:
            await revisions.journal.keep(None)

    async def _own_decision(self, revisions: Revisions) -> FleetDecision:
        made = await revisions.decision(*self._said)
        return replace(made, version=max(1, self.version), replica=self.replica)

    def _found(self) -> None:
        self._waits = iter(_AGAIN)
        if not self.connected:
            self._telemetry.emit("store.connected", name=self.name, fleet=self.version)
        self.connected, self.trouble = True, ""
        self._gauge.n = 1.0

    def _lost(self, error: StoreError) -> None:
        if self.connected or not self.trouble or self.trouble == "not asked yet":
            self._telemetry.emit("store.lost", level="error", name=self.name, detail=str(error))
        self.connected, self.trouble = False, str(error)
        self._gauge.n = 0.0


def member(
    url: str | None, fleet: str | None, telemetry: Telemetry, seen: Callable[[], Seen] = dict
) -> FleetMember | None:
    """The member whose store is at this URL; None without one.

    Raises:
        PolicyError: the extra package is not installed, or the URL is none.
    """
    if url is None or fleet is None:
        return None
    try:
        from sidecar.fleet.redis_store import RedisStore
    except ImportError as error:
        fix = "install it: pip install 'header-sidecar[fleet]'"
        raise PolicyError((Problem("fleet.url needs the package redis", fix),)) from error
    try:
        return FleetMember(fleet, RedisStore(url, fleet), telemetry, seen)
    except ValueError as error:
        fix = "write redis://HOST:PORT/0, or redis+sentinel://HOST:PORT/MASTER"
        raise PolicyError((Problem("fleet.url is no URL that redis takes", fix),)) from error
