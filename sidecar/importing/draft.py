"""What an importer gathers before a policy is written: effects on headers, at places, with notes.

Lives here: the nouns that all formats share, and `settle`, which makes effects fit the policy's demands.
Must not know any format, nor YAML.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sidecar.importing.paths import Pattern
from sidecar.policy import headers
from sidecar.policy.model import Action, Problem, Severity, header_name, header_value

When: TypeAlias = tuple[tuple[str, object], ...]
"""Conditions as (key, value) pairs; a value is a text, a tuple of texts or a tuple of (header, pattern) pairs."""


@dataclass(frozen=True, slots=True)
class Spot:
    """A line of a source, from 1; 0 = the whole file."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Effect:
    """What becomes of one header (or cookie) of every answer at a place. Two effects are equal when they do the same."""

    action: Action
    header: str
    value: str = ""
    when: When = ()
    attributes: tuple[tuple[str, bool | str], ...] = ()
    """For cookies: `header` is then the cookie's name pattern."""
    spot: Spot = field(default=Spot(""), compare=False)
    about: str = field(default="", compare=False)
    """A word on where it comes from, for the comment beside the line's number."""

    @property
    def key(self) -> str:
        """What the effect is about: the same for all effects on one header."""
        return f"cookie-{self.header}" if self.attributes else self.header.lower()


@dataclass(frozen=True, slots=True)
class Place:
    """Where effects apply: host names (() = all) and paths (() = all). Of several places the first that matches counts."""

    hosts: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    effects: tuple[Effect, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """A policy file's text, and what could not be carried (warnings) or is carried with a difference (infos)."""

    policy_yaml: str
    notes: tuple[Problem, ...]


class Notes:
    """What must be told, once each."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def lost(self, spot: Spot, message: str, cure: str) -> None:
        """Something that the policy does not carry, and what to do by hand."""
        self._tell("warning", spot, message, cure)

    def differs(self, spot: Spot, message: str, cure: str = "") -> None:
        """Something that the policy carries with a difference."""
        self._tell("info", spot, message, cure)

    def told(self) -> tuple[Problem, ...]:
        """All notes in the order of the sources' lines; warnings and infos mixed."""
        return tuple(sorted(self._found, key=lambda note: (note.file, note.line)))

    def _tell(self, severity: Severity, spot: Spot, message: str, cure: str) -> None:
        self._found[Problem(message, cure, severity=severity, file=spot.file, line=spot.line)] = None


def settle(effects: tuple[Effect, ...], server: str, notes: Notes) -> tuple[Effect, ...]:
    """The same effects as a policy may state them: legal, no longer than needed, nothing twice that may stand once only.

    Args:
        effects: in the order in which the server does them.
        server: how notes call it.
        notes: told of what is left out or differs.
    """
    settled: list[Effect] = []
    for effect in effects:
        if effect.attributes:
            settled.append(effect)
            continue
        try:
            header_name(effect.header)
            header_value(effect.value)
        except ValueError as error:
            notes.lost(effect.spot, f"{effect.header[:64]!r}: {str(error).partition('; ')[0]}", "write the rule by hand if it is needed")
            continue
        if effect.key == "set-cookie" and effect.action not in ("append", "remove"):
            notes.lost(effect.spot, f"{effect.action} on Set-Cookie would overwrite the service's cookies", "write a cookie rule: cookie: NAME, attributes: {...}")
            continue
        before = [other for other in settled if other.key == effect.key]
        cleared = len(before) == 1 and before[0].action == "remove" and not before[0].when
        if effect.action == "append":
            effect = _appended(effect, cleared=cleared, server=server, notes=notes)  # noqa: PLW2901 - the same effect in the policy's words
        if effect.action in ("set", "remove") and not effect.when:
            settled = [other for other in settled if other.key != effect.key]
        settled.append(effect)
    return tuple(settled)


def _appended(effect: Effect, *, cleared: bool, server: str, notes: Notes) -> Effect:
    """An added line: where the header may stand once only, or where nothing stands any more, it is the only one."""
    known = headers.get(effect.header)
    if known is not None and known.single:
        if not cleared:
            notes.differs(effect.spot, f"{effect.header}: {server} sends a second line beside the service's own; the policy sends this one only")
        return replace(effect, action="set")
    return replace(effect, action="set") if cleared and not effect.when else effect
