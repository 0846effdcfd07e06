"""What an importer gathers before a policy is written: effects on headers, places, notes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import TypeAlias

from sidecar.importing.paths import ALL, Pattern, regions
from sidecar.policy import headers
from sidecar.policy.engine.resolve import resolve
from sidecar.policy.lint import refused
from sidecar.policy.terms import Action, PolicyError, Problem, Severity
from sidecar.scalars import Value

MAX_MESSAGE = 300
GIVE = "give that file too"
FEWER = "import fewer at a time"
FIXED = "write a rule with a fixed value, or leave it to the service"
LISTED = "write a remove rule that lists the names"
BY_HAND = "write the rules by hand"
COOKIE_RULE = "write a cookie rule: cookie: NAME, attributes: {...}"
MAX_AGE = "write a Cache-Control rule with max-age"
MOVING = "Expires and Cache-Control with a date that moves are not carried"

When: TypeAlias = tuple[tuple[str, object], ...]
"""Conditions by key; a value is a text, a tuple of texts or a tuple of (header, pattern) pairs."""


@dataclass(frozen=True, slots=True)
class SourceLine:
    """A line of a source, from 1; 0 = the whole file."""

    file: str
    line: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class HeaderEffect:
    """What is done to one header (or cookie) at a place. Effects that do the same are equal."""

    action: Action
    header: str = field(compare=False)
    value: str = ""
    when: When = ()
    where: SourceLine = field(default=SourceLine(""), compare=False)
    attributes: tuple[tuple[str, bool | str], ...] = ()
    """For cookies: `header` is then the cookie's name pattern."""
    about: str = field(default="", compare=False)
    """Where it comes from, for the comment beside the line's number."""

    key: str = field(init=False)
    """The same for all effects on one header, in any case, or on one cookie."""

    def __post_init__(self) -> None:
        key = f"cookie-{self.header}" if self.attributes else self.header.lower()
        object.__setattr__(self, "key", key)


@dataclass(frozen=True, slots=True)
class HeaderScope:
    """Where effects apply: host names and paths (() = all); the first place that matches counts."""

    hosts: tuple[str, ...]
    patterns: tuple[Pattern, ...]
    effects: tuple[HeaderEffect, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """A policy file's text; warnings on what it does not carry, infos on what differs in it."""

    policy_yaml: str
    notes: tuple[Problem, ...]


class Notes:
    """What must be reported, once each."""

    def __init__(self) -> None:
        self._found: dict[Problem, None] = {}

    def lost(
        self, where: SourceLine, message: str, fix: str, severity: Severity = "warning"
    ) -> None:
        """Something that the policy does not carry, and what to do by hand."""
        shown = re.sub(r"[^ -~]", "?", message)[:MAX_MESSAGE]  # untrusted texts go to terminals
        self._found[Problem(shown, fix, severity=severity, file=where.file, line=where.line)] = None

    def differs(self, where: SourceLine, message: str, fix: str = "") -> None:
        """Something that the policy carries with a difference."""
        self.lost(where, message, fix, "info")

    def reported(self) -> tuple[Problem, ...]:
        """All notes in the order of the sources' lines."""
        return tuple(sorted(self._found, key=lambda note: (note.file, note.line)))


def placed(
    hosts: tuple[str, ...],
    patterns: Iterable[Pattern],
    holds: Callable[[Pattern], tuple[HeaderEffect, ...]],
    overlapping: tuple[SourceLine, str, Notes],
) -> Iterator[HeaderScope]:
    """The places of one server, first match first.

    Args:
        hosts: the server's names.
        patterns: every pattern on which a response depends.
        holds: what counts in a region in which all paths match alike.
        overlapping: for the note where they overlap in too many ways, and only what counts for all
            paths is carried: where they are, what they are, who takes it.
    """
    cut = regions(patterns, holds)
    if cut is None:
        where, what, notes = overlapping
        message = f"its {what} overlap in too many ways; only what is outside them is carried"
        notes.lost(where, message, FEWER)
        cut = [((ALL,), holds(ALL))]
    for group, held in cut:
        yield HeaderScope(hosts, () if group == (ALL,) else group, held)


def settle(
    effects: tuple[HeaderEffect, ...], server: str, notes: Notes
) -> tuple[HeaderEffect, ...]:
    """The same effects as a policy may have them: legal, none superfluous, single headers once.

    Args:
        effects: in the order in which the server does them.
        server: how notes call it.
        notes: takes a message for what is left out or differs.
    """
    settled: list[HeaderEffect] = []
    for written in effects:
        before = [other for other in settled if other.key == written.key]
        effect = written
        if written.action == "append":
            effect = _appended(written, before, server, notes)
        elif written.action == "set" and not written.attributes and not written.value.strip():
            text = f"{server} sends it with an empty value; the policy removes it"
            notes.differs(written.where, f"{written.header}: {text}")
            effect = replace(written, action="remove", value="")
        problem = _problem(effect)
        if problem is not None:
            fix = problem.fix or "write the rule by hand if it is needed"
            notes.lost(effect.where, f"{effect.header[:64]}: {problem.message}", fix)
            continue
        if effect.action in ("set", "remove") and not effect.when and not effect.attributes:
            settled = [other for other in settled if other.key != effect.key]
        settled.append(effect)
    return tuple(settled)


def _appended(
    effect: HeaderEffect, before: list[HeaderEffect], server: str, notes: Notes
) -> HeaderEffect:
    """An added line: the only one of a single header, or where the others were removed."""
    cleared = len(before) == 1 and before[0].action == "remove" and not before[0].when
    known, says = headers.get(effect.header), f"{effect.header}: {server} sends"
    if known is not None and known.single:
        earlier = next((other for other in before if other.action == "set"), None)
        what = "a second line beside the service's own"
        if earlier is not None and not effect.when:
            what = f"this line after that of {earlier.where}"
        elif cleared:
            what = ""
        if what:
            notes.differs(effect.where, f"{says} {what}; the policy sends only this one")
        return replace(effect, action="set")
    return replace(effect, action="set") if cleared and not effect.when else effect


def _problem(effect: HeaderEffect) -> Problem | None:
    """What the policy itself would say against a rule of this effect."""
    if effect.attributes:
        if not re.fullmatch("[!-~]+", effect.header):
            return Problem("illegal cookie name")
        rule: dict[str, object] = {"cookie": effect.header, "attributes": dict(effect.attributes)}
    else:
        rule = {"header": effect.header, "action": effect.action, "when": condition(effect.when)}
        rule |= {} if effect.action == "remove" else {"value": effect.value}
    try:
        harmful = refused(resolve({"version": 1, "rules": {"rule": rule}}, {}))
    except PolicyError as error:
        return error.problems[0]
    return replace(harmful[0], message=harmful[0].message.partition(": ")[2]) if harmful else None


def condition(when: When) -> dict[str, Value]:
    """Conditions as a policy's mapping: a list of one is its item, and status codes are numbers."""
    said: dict[str, Value] = {}
    for key, value in when:
        if not isinstance(value, tuple):
            said[key] = str(value)
        elif value and isinstance(value[0], tuple):
            said[key] = {name: it if isinstance(it, bool) else str(it) for name, it in value}
        else:
            items: list[Value] = [int(it) if str(it).isdigit() else str(it) for it in value]
            said[key] = items[0] if len(items) == 1 else items
    return said
