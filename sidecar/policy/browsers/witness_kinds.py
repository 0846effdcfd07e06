"""The four kinds of witness, and what to do for its word."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

WitnessKind: TypeAlias = Literal["harmless", "proxy", "browsers", "nobody"]


@dataclass(frozen=True, slots=True)
class Witness:
    """One who can tell: `why` is what it sees, or why there is none; `next` is how to get its
    word.
    """

    kind: WitnessKind
    why: str
    source: str
    next: str


TRIAL = "Run `sidecar promote RULE --to trial`, and let browsers load pages."
OVERRIDE = 'Try it with `share: 5%`, then give --override "why".'
WAIT = "Wait for more traffic of browsers."


def harmless(why: str, source: str) -> Witness:
    """No rule of this kind breaks any site."""
    return Witness("harmless", why, source, "")


def proxy(why: str, source: str) -> Witness:
    """The requests that pass here show it."""
    return Witness("proxy", why, source, WAIT)


def browsers(why: str, source: str) -> Witness:
    """Browsers report it in a trial."""
    return Witness("browsers", why, source, TRIAL)


def nobody(why: str, source: str) -> Witness:
    """It is never seen."""
    return Witness("nobody", why, source, OVERRIDE)
