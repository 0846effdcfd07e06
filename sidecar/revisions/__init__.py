"""The active revision: activate, reject, roll back, pin, override; alone, or as the fleet decides.

One reference (`active`) is swapped; requests that hold the old one finish under it.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias

from sidecar.policy.engine.plan import Plan, compile_policy
from sidecar.policy.terms import Mode, PolicyError, Problem, lowest
from sidecar.revisions.decision import FleetClient, FleetDecision, Overtaken
from sidecar.revisions.history import History, OrderRefused, Override, Revision
from sidecar.revisions.journal import Journal, Result
from sidecar.revisions.policy_file import PolicyFile
from sidecar.revisions.store import Store
from sidecar.source import load_policy
from sidecar.telemetry import RouteTally, Telemetry

_TRIES = 5


class Active(NamedTuple):
    """What a request reads once, at its start, and uses to its end."""

    revision: str
    plan: Plan
    tallies: Mapping[str, RouteTally]


Publish: TypeAlias = Callable[[Revision, "Mode | None"], Awaitable[None]]
"""Hands a revision and its ceiling to where else it must be in force; returns when it is."""


class Revisions:
    """The revisions of one process (the parent, where there are workers).

    Orders are serialised. The swap comes before the disk, so that a full disk never stops a
    rollback; what could not be saved is logged.
    """

    active: Active

    def __init__(
        self,
        file: Path,
        store: Store,
        telemetry: Telemetry,
        *,
        ceiling: Mode | None = None,
        publish: Publish | None = None,
        fleet: FleetClient | None = None,
        seen: Callable[[], object] = lambda: None,
        observers: Sequence[Callable[[Active, Revision], None]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.file = file
        self.lock = asyncio.Lock()
        """Held while what is in force changes."""
        self.current: Revision
        self.override: Override | None = None
        self.pinned: str | None = None
        self.problems: tuple[Problem, ...] = ()
        """Why the last reload was refused; () when it was not."""
        self._store = store
        self._telemetry = telemetry
        self._ceiling = ceiling
        self._publish = publish
        self._observers = observers
        self._seen_by_rules = seen
        self.left: object = None
        self._policy_file = PolicyFile(file)
        self._clock = clock
        self._history = History(file, store, clock)
        self.journal = Journal(self, self._history, telemetry, fleet, clock)
        self._fleet = fleet
        self.in_file: str | None = None
        """The revision that the file held when it was last read and right; None = it was not."""

    async def start(self) -> None:
        """Put a policy in force: the file's, or the last good one.

        Raises: PolicyError: the file cannot be put in force and there is no last good revision, or
            the state folder cannot be used.
        """
        try:
            state = await asyncio.to_thread(self._store.open)
        except OSError as error:
            why = error.strerror or error
            text = f"the state folder {self._store.folder} cannot be used: {why}"
            raise PolicyError((Problem(text, "choose another with --state DIR"),)) from error
        self._history.parents = state.get("parents") or {}
        for _ in range(_TRIES):
            try:
                return await self._begin(state, self._fleet)
            except Overtaken:
                continue  # another replica has just decided: start with that
        return await self._begin(state, None)

    async def _begin(self, state: dict[str, Any], fleet: FleetClient | None) -> None:
        self.pinned = state.get("pinned")
        self.override = Override.restored(state.get("override"), self._clock())
        last = await asyncio.to_thread(self._history.kept, state.get("active"))
        joined = await fleet.join(state.get("fleet"), self._history.mirror) if fleet else None
        if joined is not None:
            try:
                last = await asyncio.to_thread(self._received, joined)
                self._take(joined)
            except PolicyError as error:
                self.journal.refused(joined, error)
                joined = None
        try:
            found, text = await self._policy_file.load()
        except PolicyError as error:
            if last is None:
                raise
            await self._install(last)
            self.problems = error.problems
            await self.journal.rejected("start")
            await self._started("start (last good)", joined)
            return
        self.in_file = found.revision()
        head = self.pinned or (last.id if last else None)
        news = await self._is_news(self.in_file, None, head)
        if last is not None and not news and last.id != self.in_file:
            await self._install(last)
            self.journal.pinned()
            self.journal.reloaded("pinned")
        else:
            parent = (last.parent if last.id == self.in_file else last.id) if last else None
            made = self._history.made(found, text, "start", parent)
            if news:
                if fleet:
                    await self._propose("policy.activated", made, None, self.override, "start")
                self.pinned = None
            await self._install(made)
            self.journal.reloaded("activated")
        await self._started("start", joined)

    async def _started(self, who: str, joined: FleetDecision | None) -> None:
        if joined is not None:
            await self.journal.learned(joined)
        await self.journal.activated(who)

    async def reload(self, who: str = "operator", *, unpin: bool = False) -> Result:
        """Read the file and put it in force if it is right and not pinned away."""
        async with self.lock:
            return await self._reload(who, unpin=unpin)

    async def rollback(
        self,
        to: str | None = None,
        *,
        who: str = "operator",
        reason: str = "",
        cause: str = "operator",
        leaving: str | None = None,
    ) -> Revision:
        """Put an earlier revision in force and pin it against what the file says now.

        `leaving` is the revision that must be in force still (None = whichever is).

        Raises:
            Refused: there is nothing to go back to, or no such revision.
            Overtaken: another order or replica came first.
        """
        async with self.lock:
            left = self.current
            self._still(leaving or left.id)
            target = to or left.parent
            if target is None:
                raise OrderRefused("there is no earlier revision to go back to")
            found = await asyncio.to_thread(self._history.find, target)
            if found.id == left.id:
                raise OrderRefused(f"revision {found.id} is in force already")
            found = replace(found, activated=self._clock(), who=who)
            held_back = (self.pinned or left.id) if self._fleet else (self.in_file or self.pinned)
            pinned = held_back if held_back != found.id else None
            await self._propose("policy.rolled_back", found, pinned, self.override, who, reason)
            await self._install(found)
            self.pinned = pinned
            self._telemetry.metrics.counter("sidecar_rollbacks_total", cause).n += 1
            facts = {"revision": found.id, "left": left.id, "who": who, "reason": reason}
            about = {"cause": cause, "mode": self.mode, **facts}
            self._telemetry.emit("policy.rolled_back", level="warning", **about)
            if self.pinned:
                self.journal.pinned()
            await self.journal.keep({"event": "policy.rolled_back", "seen": self.left, **facts})
            return found

    async def promote(
        self, text: str, *, event: str, who: str, reason: str, leaving: str
    ) -> Revision:
        """Put in force on all replicas what a promotion made of the policy in force; files follow,
        or lag.

        `leaving` is the revision that must be in force still.

        Raises:
            PolicyError: the text is no policy.
            Overtaken: another order or replica came first.
        """
        async with self.lock:
            self._still(leaving)
            made = self._history.made(load_policy(text.encode(), "the policy"), text, who, leaving)
            await self._propose(event, made, None, self.override, who, reason)
            self.pinned = None
            await self._install(made)
            await self.journal.activated(who)
            return made

    async def set_mode(
        self, mode: Mode, *, reason: str = "", who: str = "operator", ttl: float | None = None
    ) -> Mode:
        """Set the runtime ceiling (`enforce` lifts it) for `ttl` seconds; the effective mode."""
        async with self.lock:
            return await self._set_mode(mode, reason, who, ttl)

    def _still(self, revision: str) -> None:
        if revision != self.current.id:
            raise Overtaken(f"revision {revision} is not in force any more, but {self.current.id}")

    async def tick(self) -> None:
        """End an override whose time has come."""
        if self._is_over():
            async with self.lock:
                if self._is_over():  # another order may have come first
                    reason = "the time of the override is over"
                    await self._set_mode("enforce", reason, "timer", None)

    def _is_over(self) -> bool:
        until = self.override.until if self.override else None
        return until is not None and self._clock() >= until

    async def _set_mode(self, mode: Mode, reason: str, who: str, ttl: float | None) -> Mode:
        until = self._clock() + ttl if ttl else None
        override = None if mode == "enforce" else Override(mode, reason, who, until)
        if who != "timer":  # each replica's clock ends it
            await self._propose("mode.overridden", self.current, self.pinned, override, who, reason)
        self.override = override
        await self._swap()
        self.journal.mode(mode, who, reason)
        await self.journal.keep(
            {"event": "mode.overridden", "mode": mode, "who": who, "reason": reason, "ttl": ttl}
        )
        return self.mode

    async def watch(self) -> None:
        """Follow the file for ever: content, not names or times, so every way of saving is seen."""
        while True:
            first = await self._policy_file.changed()
            async with self.lock:
                if first != self._policy_file.seen:
                    with contextlib.suppress(Overtaken):
                        await self._reload("file", unpin=False)

    def excerpt(self, problem: Problem) -> str:
        """The line of the refused text with a caret under the place; "" when it is not known."""
        return self._policy_file.excerpt(problem)

    def history(self) -> list[dict[str, Any]]:
        """The journal, oldest first."""
        return self._store.journal()

    def text(self, revision: str) -> str | None:
        """A revision's text as it was activated."""
        return self._history.text(revision)

    @property
    def mode(self) -> Mode:
        """The effective mode of the whole."""
        return lowest(self.current.resolved.mode, self.ceiling)

    @property
    def ceiling(self) -> Mode | None:
        """The lowest of the process's and the runtime ceiling."""
        modes = (self._ceiling, self.override.mode if self.override else None)
        found = [mode for mode in modes if mode]
        return lowest(*found) if found else None

    async def _reload(self, who: str, *, unpin: bool) -> Result:
        try:
            found, text = await self._policy_file.load()
        except PolicyError as error:
            self.problems = error.problems
            await self.journal.rejected(who)
            return "rejected"
        id_, before = found.revision(), self.in_file
        news = await self._is_news(id_, before, self.pinned or self.current.id)
        if not (news or unpin):
            self.in_file = id_
            return self.journal.reloaded("unchanged" if id_ == self.current.id else "pinned")
        made = self._history.made(found, text, who, self.current.id)
        if id_ == self.current.id:
            made = self.current
        if made is not self.current or self.pinned:
            try:
                await self._propose("policy.activated", made, None, self.override, who)
            except Overtaken:
                self._policy_file.seen = ""  # the watch reads it again, and compares
                raise
        self.in_file = id_
        lifted, self.pinned = self.pinned, None
        if made is self.current:
            if lifted:
                facts = {"revision": self.current.id, "held_back": lifted, "who": who}
                await self.journal.keep({"event": "policy.unpinned", **facts})
            return self.journal.reloaded("unchanged")
        await self._install(made)
        self.journal.reloaded("activated")
        await self.journal.activated(who)
        return "activated"

    async def _is_news(self, file: str, before: str | None, head: str | None) -> bool:
        """Whether the file's policy is to be put in force; `before`: it held that, `head`: last
        decided.

        In a fleet the same file reaches the replicas at different times. News is a policy that the
        fleet has never had, or that replaces the one it decided on last; anything else is a replica
        that lags behind.
        """
        if self._fleet is None or not self._fleet.version:
            return file != self.pinned
        if file == head:
            return False
        return before == head or not await asyncio.to_thread(self._history.knows, file)

    async def _propose(
        self,
        event: str,
        revision: Revision,
        pinned: str | None,
        override: Override | None,
        who: str,
        reason: str = "",
    ) -> None:
        if self._fleet is not None:
            what = (revision.id, revision.text, revision.parent, pinned, override)
            promotion = await self.journal.promotion(revision.id)
            await self._fleet.propose(FleetDecision(*what, event, who, reason, promotion))

    async def decision(self, event: str, who: str, reason: str) -> FleetDecision:
        """What is in force here, as a fleet can share it; how it came to be is the caller's."""
        current = self.current
        what = (current.id, current.text, current.parent, self.pinned, self.override)
        promotion = await self.journal.promotion(current.id)
        return FleetDecision(*what, event, who, reason, promotion)

    async def follow(self, decision: FleetDecision) -> None:
        """Put the fleet's decision in force. The lock is held.

        Raises: PolicyError: its text is no policy here, or not the one it is named after; nothing
            is changed.
        """
        left = self.current
        found = await asyncio.to_thread(self._received, decision)
        self._take(decision)
        await (self._swap() if found.id == left.id else self._install(found))
        if decision.event == "policy.rolled_back" and found.id != left.id:
            self._telemetry.metrics.counter("sidecar_rollbacks_total", "fleet").n += 1
        await self.journal.followed(decision, left.id)

    def _received(self, decision: FleetDecision) -> Revision:
        about = (decision.revision, decision.text, decision.who, decision.parent)
        return self._history.received(*about)

    def _take(self, decision: FleetDecision) -> None:
        assert self._fleet is not None
        self.pinned, override = decision.held_back, decision.override
        self.override = override and Override.restored(asdict(override), self._clock())
        self._fleet.took(decision)

    async def _install(self, revision: Revision) -> None:
        self._history.add(revision)
        self.current = revision
        await self._swap()

    async def _swap(self) -> None:
        self.left = self._seen_by_rules()
        plan = compile_policy(self.current.resolved, override=self.ceiling)
        active = Active(self.current.id, plan, self._telemetry.activated(plan, self.current.id))
        self.active = active
        for observe in self._observers:
            observe(active, self.current)
        if self._publish:
            await self._publish(self.current, self.ceiling)
