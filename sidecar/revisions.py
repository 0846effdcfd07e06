"""The active revision: activate, reject, roll back, pin, override; the watch over the policy file.

Lives here: the life of a revision. One reference (`active`) is swapped; requests that hold the old one
finish under it. Must not know HTTP, nor how a policy is written or judged.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, TypeAlias

from sidecar.history import History, Override, Refused, Revision
from sidecar.policy.model import Mode, PolicyError, Problem, lowest
from sidecar.policy.plan import Plan, compile_policy
from sidecar.policy.resolve import Resolved
from sidecar.source import load_policy
from sidecar.store import Store
from sidecar.telemetry import RouteTally, Telemetry

Result = Literal["activated", "unchanged", "rejected", "pinned"]
POLL = 0.4
SETTLE = 0.1


@dataclass(frozen=True, slots=True)
class Active:
    """What a request reads once and lives and dies with."""

    revision: str
    plan: Plan
    tallies: Mapping[str, RouteTally]


Publish: TypeAlias = Callable[[Revision, "Mode | None"], Awaitable[None]]
"""Hands a revision and its ceiling to where else it must be in force; returns when it is."""


class Revisions:
    """The revisions of one process (the parent, where there are workers).

    Orders are serialised. The swap comes before the disk, so that a full disk never stops a rollback;
    what could not be kept is reported.
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
        seen: Callable[[], object] = lambda: None,
        observers: Sequence[Callable[[Active, Revision], None]] = (),
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.file = file
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
        self._left: object = None
        self._refused = ""
        self._clock = clock
        self._history = History(file, store, clock)
        self._seen: str | None = None
        self._in_file: str | None = None
        self._lock = asyncio.Lock()

    async def start(self) -> None:
        """Put a policy in force: the file's, or the last good one.

        Raises:
            PolicyError: the file cannot be put in force and there is no last good revision, or the state
                folder cannot be used.
        """
        try:
            state = await asyncio.to_thread(self._store.open)
        except OSError as error:
            said = (
                f"the state folder {self._store.folder} cannot be used: {error.strerror or error}"
            )
            raise PolicyError((Problem(said, "choose another with --state DIR"),)) from error
        self._history.parents = state.get("parents") or {}
        self.pinned = state.get("pinned")
        self.override = Override.restored(state.get("override"), self._clock())
        last = await asyncio.to_thread(self._history.kept, state.get("active"))
        self._seen, data = "", b""
        try:
            data = await asyncio.to_thread(self.file.read_bytes)
            self._seen = hashlib.sha256(data).hexdigest()
            found = await asyncio.to_thread(load_policy, data, str(self.file))
        except (OSError, PolicyError) as error:
            if last is None:
                raise _as_policy_error(error, self.file) from error
            await self._install(last)
            await self._reject(error, "start", data)
            await self._tell_activated("start (last good)")
            return
        self._in_file = found.revision()
        if last is not None and self.pinned == self._in_file:
            await self._install(last)
            self._reloaded("pinned")
        else:
            self.pinned = None
            parent = (
                last.id
                if last is not None and last.id != self._in_file
                else (last.parent if last else None)
            )
            await self._install(self._made(found, data.decode("utf-8-sig"), "start", parent))
            self._reloaded("activated")
        await self._tell_activated("start")

    async def reload(self, who: str = "operator", *, unpin: bool = False) -> Result:
        """Read the file and put it in force if it is right and not pinned away."""
        async with self._lock:
            return await self._reload(who, unpin=unpin)

    async def rollback(
        self,
        to: str | None = None,
        *,
        who: str = "operator",
        reason: str = "",
        cause: str = "operator",
    ) -> Revision:
        """Put an earlier revision in force and pin it against what the file says now.

        Raises:
            Refused: there is nothing to go back to, or no such revision.
        """
        async with self._lock:
            left = self.current
            target = to or left.parent
            if target is None:
                raise Refused("there is no earlier revision to go back to")
            found = await asyncio.to_thread(self._history.find, target)
            if found.id == left.id:
                raise Refused(f"revision {found.id} is in force already")
            await self._install(replace(found, activated=self._clock(), who=who))
            held_back = self._in_file or self.pinned
            self.pinned = held_back if held_back != found.id else None
            self._telemetry.metrics.cell("sidecar_rollbacks_total", cause).n += 1
            facts = {"revision": found.id, "left": left.id, "who": who, "reason": reason}
            self._telemetry.tell(
                "policy.rolled_back", level="warning", cause=cause, mode=self.mode, **facts
            )
            if self.pinned:
                self._telemetry.tell("policy.pinned", revision=found.id, held_back=self.pinned)
            await self._keep({"event": "policy.rolled_back", "seen": self._left, **facts})
            return found

    async def set_mode(
        self, mode: Mode, *, reason: str = "", who: str = "operator", ttl: float | None = None
    ) -> Mode:
        """Set the runtime ceiling (`enforce` lifts it), for `ttl` seconds if given; returns the effective mode."""
        async with self._lock:
            return await self._set_mode(mode, reason, who, ttl)

    async def tick(self) -> None:
        """End an override whose time has come."""
        if self._is_over():
            async with self._lock:
                if self._is_over():  # another order may have come first
                    await self._set_mode(
                        "enforce", "the time of the override is over", "timer", None
                    )

    def _is_over(self) -> bool:
        return (
            self.override is not None
            and self.override.until is not None
            and self._clock() >= self.override.until
        )

    async def _set_mode(self, mode: Mode, reason: str, who: str, ttl: float | None) -> Mode:
        self.override = (
            None
            if mode == "enforce"
            else Override(mode, reason, who, self._clock() + ttl if ttl else None)
        )
        await self._swap()
        self._tell_mode(mode, who, reason)
        await self._keep(
            {"event": "mode.overridden", "mode": mode, "who": who, "reason": reason, "ttl": ttl}
        )
        return self.mode

    async def watch(self) -> None:
        """Follow the file for ever: content, not names or times, so every way of saving is seen."""
        while True:
            await asyncio.sleep(POLL)
            first = await asyncio.to_thread(self._fingerprint)
            if first == self._seen:
                continue
            await asyncio.sleep(SETTLE)
            if await asyncio.to_thread(self._fingerprint) != first:
                continue  # somebody is still writing
            async with self._lock:
                if first != self._seen:
                    await self._reload("file", unpin=False)

    def excerpt(self, problem: Problem) -> str:
        """The line of the refused text with a caret under the place; "" when it is not known."""
        lines = self._refused.splitlines()
        return (
            f"{lines[problem.line - 1]}\n{' ' * (problem.column - 1)}^"
            if 0 < problem.line <= len(lines)
            else ""
        )

    async def record(self, entry: dict[str, Any]) -> None:
        """Add what an operator did elsewhere (a promotion in the file) to the journal, and tell it."""
        self._telemetry.tell(
            str(entry["event"]),
            level="warning",
            **{key: value for key, value in entry.items() if key not in ("event", "diff")},
        )
        await self._keep(entry, state=False)

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
        modes = [
            mode for mode in (self._ceiling, self.override.mode if self.override else None) if mode
        ]
        return lowest(*modes) if modes else None

    async def _reload(self, who: str, *, unpin: bool) -> Result:
        data = b""
        try:
            data = await asyncio.to_thread(self.file.read_bytes)
            self._seen = hashlib.sha256(data).hexdigest()
            found = await asyncio.to_thread(load_policy, data, str(self.file))
        except (OSError, PolicyError) as error:
            self._seen = "" if isinstance(error, OSError) else self._seen
            await self._reject(error, who, data)
            return "rejected"
        self._in_file = found.revision()
        if self._in_file == self.pinned and not unpin:
            return self._reloaded("pinned")
        lifted, self.pinned = self.pinned, None
        if self._in_file == self.current.id:
            if lifted:
                await self._keep(
                    {
                        "event": "policy.unpinned",
                        "revision": self.current.id,
                        "held_back": lifted,
                        "who": who,
                    }
                )
            return self._reloaded("unchanged")
        await self._install(self._made(found, data.decode("utf-8-sig"), who, self.current.id))
        self._reloaded("activated")
        await self._tell_activated(who)
        return "activated"

    def _made(self, resolved: Resolved, text: str, who: str, parent: str | None) -> Revision:
        return Revision(
            resolved.revision(), resolved, text, str(self.file), self._clock(), who, parent
        )

    async def _install(self, revision: Revision) -> None:
        self._history.add(revision)
        self.current = revision
        await self._swap()

    async def _swap(self) -> None:
        self._left = self._seen_by_rules()
        plan = compile_policy(self.current.resolved, override=self.ceiling)
        active = Active(self.current.id, plan, self._telemetry.activated(plan, self.current.id))
        self.active = active
        for observe in self._observers:
            observe(active, self.current)
        if self._publish:
            await self._publish(self.current, self.ceiling)

    def _reloaded(self, result: Result) -> Result:
        metrics = self._telemetry.metrics
        metrics.cell("sidecar_config_reloads_total", result).n += 1
        good = result != "rejected"
        metrics.cell("sidecar_config_last_reload_successful").n = float(good)
        if good:
            self.problems = ()
            metrics.cell("sidecar_config_last_reload_success_timestamp_seconds").n = self._clock()
        return result

    async def _reject(self, error: Exception, who: str, data: bytes) -> None:
        self._refused = data.decode("utf-8-sig", "replace")
        self.problems = _as_policy_error(error, self.file).problems
        self._reloaded("rejected")
        given = [str(problem) for problem in self.problems[:20]]
        self._telemetry.tell(
            "policy.rejected",
            level="error",
            source=str(self.file),
            who=who,
            problems=given,
            in_force=self.current.id,
        )
        await self._keep({"event": "policy.rejected", "who": who, "problems": given}, state=False)

    async def _tell_activated(self, who: str) -> None:
        current = self.current
        about = current.resolved.policy
        facts: dict[str, Any] = {
            "revision": current.id,
            "parent": current.parent,
            "name": about.name,
            "owner": about.owner,
            "mode": self.mode,
            "who": who,
        }
        self._telemetry.tell(
            "policy.activated", source=current.source, reason=about.reason, **facts
        )
        if self.override:
            self._tell_mode(self.override.mode, self.override.who, self.override.reason)
        await self._keep(
            {"event": "policy.activated", "seen": self._left, "reason": about.reason, **facts}
        )

    def _tell_mode(self, mode: Mode, who: str, reason: str) -> None:
        until = self.override.until if self.override else None
        self._telemetry.tell(
            "mode.overridden",
            level="warning",
            override=mode,
            mode=self.mode,
            policy_mode=self.current.resolved.mode,
            who=who,
            reason=reason,
            until=until,
        )

    async def _keep(self, entry: dict[str, Any], *, state: bool = True) -> None:
        current = self.current
        stamped = {
            "time": datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds"),
            **entry,
        }
        saved = {
            "active": current.id,
            "pinned": self.pinned,
            "parents": self._history.parents,
            "override": asdict(self.override) if self.override else None,
        }
        try:
            await asyncio.to_thread(self._history.keep, current, stamped, saved if state else None)
        except OSError as error:
            self._telemetry.tell("state.failed", level="error", detail=str(error))

    def _fingerprint(self) -> str:
        try:
            return hashlib.sha256(self.file.read_bytes()).hexdigest()
        except OSError:
            return ""


def _as_policy_error(error: Exception, file: Path) -> PolicyError:
    if isinstance(error, PolicyError):
        return error
    detail = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return PolicyError((Problem(f"the policy cannot be read: {detail}", "", file=str(file)),))
