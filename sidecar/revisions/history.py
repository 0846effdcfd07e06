"""Earlier revisions: those of this process in memory, those of the state folder on disk."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.terms import Mode, PolicyError, Problem
from sidecar.revisions.entries import fulfilled, latest
from sidecar.revisions.store import Store
from sidecar.source import load_policy

_IN_MEMORY = 32


@dataclass(frozen=True, slots=True)
class Revision:
    """A policy that was in force: `id` is a short hash of its meaning, `parent` the id before."""

    id: str
    resolved: Resolved
    text: str
    source: str
    activated: float
    who: str
    parent: str | None


@dataclass(frozen=True, slots=True)
class Override:
    """A runtime ceiling; `until` in epoch seconds, None = until it is lifted."""

    mode: Mode
    reason: str
    who: str
    until: float | None

    @classmethod
    def restored(cls, saved: object, now: float) -> Override | None:
        """The override that a state folder holds; None when there is none, or its time is over."""
        if not isinstance(saved, dict) or saved.get("mode") not in ("off", "report-only", "trial"):
            return None
        until = saved.get("until")
        if until is not None and until <= now:
            return None
        return cls(saved["mode"], saved.get("reason", ""), saved.get("who", ""), until)


class OrderRefused(Exception):  # noqa: N818 - a response to the operator, not a fault
    """An order that cannot be carried out; the text says why and what to do."""


class History:
    """The revisions that can be gone back to. Methods that touch the disk raise OSError."""

    def __init__(self, file: Path, store: Store, clock: Callable[[], float]) -> None:
        self.parents: dict[str, str | None] = {}
        self._file = file
        self.store = store
        self._clock = clock
        self._recent: dict[str, Revision] = {}

    def add(self, revision: Revision) -> None:
        """Remember a revision that comes into force."""
        self._recent.pop(revision.id, None)
        self._recent[revision.id] = revision
        self.parents[revision.id] = revision.parent
        while len(self._recent) > _IN_MEMORY:
            del self._recent[next(iter(self._recent))]

    def text(self, revision: str) -> str | None:
        """A revision's text as it was activated."""
        held = self._recent.get(revision)
        return held.text if held else self.store.text(revision)

    def find(self, revision: str) -> Revision:
        """The one revision whose id is or begins so; raises Refused for none or several."""
        known = {*self._recent, *self.store.revisions()}
        fitting = sorted(name for name in known if name.startswith(revision))
        if revision in known:
            fitting = [revision]
        if len(fitting) > 1:
            raise OrderRefused(
                f"{revision!r} is the beginning of {len(fitting)} revisions:"
                f" {', '.join(fitting[:5])}; write more of it"
            )
        found = (self._recent.get(fitting[0]) or self.kept(fitting[0])) if fitting else None
        if found is None:
            raise OrderRefused(f"no revision {revision!r}; `sidecar history` lists them")
        return found

    def knows(self, revision: str) -> bool:
        """Whether it was in force before, here or in the fleet."""
        return revision in self._recent or self.store.text(revision) is not None

    def promotion(self, revision: str) -> dict[str, Any] | None:
        """The last promotion of the journal that allowed this revision."""
        return latest(self.store.promotions(), revision)

    def waiting(self, revision: str) -> str | None:
        """The id of the promotion that this revision comes of, where none came of it before."""
        entries = self.store.promotions()
        found = latest(entries, revision)
        return (
            found["promotion"] if found and found["promotion"] not in fulfilled(entries) else None
        )

    def made(self, resolved: Resolved, text: str, who: str, parent: str | None) -> Revision:
        """A revision of the file's text now."""
        source, now = str(self._file), self._clock()
        return Revision(resolved.revision(), resolved, text, source, now, who, parent)

    def received(self, revision: str, text: str, who: str, parent: str | None) -> Revision:
        """A revision that the fleet decided on.

        Raises:
            PolicyError: its text is no policy, or another one than it is named after.
        """
        source = f"revision {revision} of the fleet"
        resolved = load_policy(text.encode(), source)
        if resolved.revision() != revision:
            raise PolicyError((Problem(f"{source} has the text of {resolved.revision()}", ""),))
        return Revision(revision, resolved, text, str(self._file), self._clock(), who, parent)

    def mirror(self, texts: Mapping[str, tuple[str, str | None]]) -> None:
        """Keep texts and parents of the fleet's earlier revisions, so that rollbacks reach them."""
        for revision, (text, parent) in texts.items():
            if revision.isalnum() and not self.knows(revision):
                self.store.save_text(revision, text)
                self.parents.setdefault(revision, parent)

    def kept(self, revision: str | None) -> Revision | None:
        """A revision of the state folder; None where it is missing or cannot be put in force."""
        text = self.store.text(revision) if revision else None
        if revision is None or text is None:
            return None
        try:
            resolved = load_policy(text.encode(), f"revision {revision}")
        except PolicyError:
            return None
        source, parent = str(self._file), self.parents.get(revision)
        return Revision(revision, resolved, text, source, self._clock(), "state", parent)

    def keep(
        self, current: Revision, entries: deque[dict[str, Any]], state: dict[str, Any] | None
    ) -> None:
        """Write a revision, the state (None = unchanged) and journal entries; those that are
        written are taken out of `entries`.
        """
        if state is not None:
            self.store.save_text(current.id, current.text)
            self.store.save_state(state)
        while entries:
            self.store.append(entries[0])
            entries.popleft()
