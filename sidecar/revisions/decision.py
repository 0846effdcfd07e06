"""What a fleet agrees on: one decision at a time, each with the next version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from pydantic import ValidationError

from sidecar.revisions.entries import GRANTED
from sidecar.revisions.history import OrderRefused, Override

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Texts: TypeAlias = Mapping[str, tuple[str, "str | None"]]
"""By revision: its text and its parent."""


@dataclass(frozen=True, slots=True)
class FleetDecision:
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

    def same(self, other: FleetDecision) -> bool:
        """Whether both put the same in force; who decided it does not matter."""
        mine = (self.revision, self.held_back, self.override)
        return mine == (other.revision, other.held_back, other.override)

    @property
    def mark(self) -> str:
        """A short hash of its content, which differs between decisions of one version."""
        override = asdict(self.override) if self.override else None
        said = json.dumps([self.version, self.revision, self.held_back, override])
        return hashlib.sha256(said.encode()).hexdigest()[:16]

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


def from_json(text: str) -> FleetDecision:
    """A decision as it came from a store, which may hold anything.

    Raises:
        ValueError: it is none; the text says what is wrong with it.
    """
    try:
        made = _reader().validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(("the decision", *map(str, first["loc"])))
        raise ValueError(f"{place}: {first['msg']}") from error
    if made.version < 1:
        raise ValueError("the decision's version is no positive number")
    if made.override is not None and made.override.mode == "enforce":
        raise ValueError("the decision's override limits nothing")
    if made.promotion is not None and not _is_of(made.promotion, made.revision):
        raise ValueError("the decision's promotion is none of its revision")
    return made


@cache
def _reader() -> TypeAdapter[FleetDecision]:
    from pydantic import TypeAdapter  # with the first decision that is read

    return TypeAdapter(FleetDecision)


def _is_of(promotion: Mapping[str, Any], revision: str) -> bool:
    """Whether it is the journal's entry of a promotion that allowed this revision."""
    return (
        promotion.get("event") in GRANTED
        and promotion.get("revision") == revision
        and all(isinstance(promotion.get(key), str) for key in ("promotion", "time", "reason"))
        and all(isinstance(promotion.get(key), list) for key in ("rules", "verdicts", "waived"))
        and isinstance(promotion.get("to"), dict)
    )


class Overtaken(OrderRefused):
    """Another decision came first; nothing was changed."""


class FleetClient(Protocol):
    """What the revisions of one replica ask of its fleet. They call it with their lock held."""

    version: int
    """Of the decision in force here; 0 = none was ever taken."""
    pending: bool
    """The decision in force was taken here while the store was away, and is not published yet."""

    async def join(self, saved: object, mirror: Callable[[Texts], None]) -> FleetDecision | None:
        """What the fleet has in force; None where it is no newer than `saved`, or the store is
        away.

        `mirror` is given the fleet's earlier revisions.
        """

    async def propose(self, decision: FleetDecision) -> None:
        """Make it the fleet's, or this replica's while the store is away; raises Overtaken."""

    async def note(self, entry: dict[str, Any]) -> None:
        """Add what is no decision to the fleet's journal, if the store is there."""

    def took(self, decision: FleetDecision) -> None:
        """The fleet's decision is in force here."""

    def saved(self) -> dict[str, Any]:
        """What the next start goes on from."""
