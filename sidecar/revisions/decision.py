"""What a fleet agrees on: one decision at a time, each with the next version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, TypeAlias

from sidecar.revisions.granted import GRANTED
from sidecar.revisions.history import Override, Refused

Texts: TypeAlias = Mapping[str, tuple[str, "str | None"]]
"""By revision: its text and its parent."""
_TEXTS = ("revision", "text", "event", "who", "reason", "replica")
_MAYBE = ("parent", "held_back")


@dataclass(frozen=True, slots=True)
class Decision:
    """What all replicas put in force: a revision with its text, what is held back, the override.

    `event` is the journal's word for what was decided; `replica` the one that was asked; `version`
    0 = not yet given.
    """

    revision: str
    text: str
    parent: str | None
    held_back: str | None
    override: Override | None
    event: str
    who: str
    reason: str
    promotion: Mapping[str, Any] | None = None
    """The journal's entry of the promotion that allowed the revision; None where none did."""
    replica: str = ""
    version: int = 0

    def same(self, other: Decision) -> bool:
        """Whether both put the same in force; who decided it does not matter."""
        mine = (self.revision, self.held_back, self.override)
        return mine == (other.revision, other.held_back, other.override)

    @property
    def mark(self) -> str:
        """A short hash of its content, which differs between decisions of one version."""
        override = asdict(self.override) if self.override else None
        said = json.dumps([self.version, self.revision, self.held_back, override])
        return hashlib.sha256(said.encode()).hexdigest()[:16]

    def data(self) -> dict[str, Any]:
        """As JSON takes it."""
        return asdict(self)

    def __str__(self) -> str:
        what = {
            "policy.rolled_back": f"a rollback to {self.revision}",
            "policy.activated": f"revision {self.revision}",
            "policy.promoted": f"a promotion, revision {self.revision},",
            "policy.stepped_back": f"a step back, revision {self.revision},",
            "mode.overridden": f"mode {self.override.mode if self.override else 'enforce'}",
        }.get(self.event, self.event)
        why = f": {self.reason}" if self.reason else ""
        return f"{what} by {self.who} on {self.replica}{why}"


def from_data(data: object) -> Decision:
    """A decision as it came from a store, which may hold anything.

    Raises:
        ValueError: it is none; the text says what is wrong with it.
    """
    if not isinstance(data, dict):
        raise ValueError("the decision is no mapping")
    for key in _TEXTS:
        if not isinstance(data.get(key), str):
            raise ValueError(f"the decision's {key} is no text")
    for key in _MAYBE:
        if not isinstance(data.get(key), str | None):
            raise ValueError(f"the decision's {key} is neither a text nor null")
    version = data.get("version")
    if type(version) is not int or version < 1:
        raise ValueError("the decision's version is no positive number")
    return Decision(
        **{key: data[key] for key in (*_TEXTS, *_MAYBE)},
        override=_override(data.get("override")),
        promotion=_promotion(data.get("promotion"), data["revision"]),
        version=version,
    )


def _promotion(data: object, revision: str) -> Mapping[str, Any] | None:
    if data is None:
        return None
    fit = (
        isinstance(data, dict)
        and data.get("event") in GRANTED
        and data.get("revision") == revision
        and all(isinstance(data.get(key), str) for key in ("promotion", "time", "reason"))
        and all(isinstance(data.get(key), list) for key in ("rules", "verdicts", "waived"))
        and isinstance(data.get("to"), dict)
    )
    if not fit:
        raise ValueError("the decision's promotion is none of its revision")
    assert isinstance(data, dict)
    return data


def _override(data: Any) -> Override | None:
    if data is None:
        return None
    match data:
        case {"mode": "off" | "report-only" | "trial" as mode, "reason": str(why), "who": str(who)}:
            until = data.get("until")
            if until is None or type(until) in (int, float):
                return Override(mode, why, who, until)
    raise ValueError("the decision's override is none")


class Overtaken(Refused):
    """Another decision came first; nothing was changed."""


class Fleet(Protocol):
    """What the revisions of one replica ask of its fleet. They call it with their lock held."""

    version: int
    """Of the decision in force here; 0 = none was ever taken."""
    pending: bool
    """The decision in force was taken here while the store was away, and is not published yet."""

    async def join(self, saved: object, mirror: Callable[[Texts], None]) -> Decision | None:
        """What the fleet has in force; None where it is no newer than `saved`, or the store is
        away.

        `mirror` is given the fleet's earlier revisions.
        """

    async def propose(self, decision: Decision) -> None:
        """Make it the fleet's, or this replica's while the store is away; raises Overtaken."""

    async def note(self, entry: dict[str, Any]) -> None:
        """Add what is no decision to the fleet's journal, if the store is there."""

    def took(self, decision: Decision) -> None:
        """The fleet's decision is in force here."""

    def saved(self) -> dict[str, Any]:
        """What the next start goes on from."""
