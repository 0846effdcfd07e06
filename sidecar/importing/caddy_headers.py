"""Caddy's header directive: what a chain of them does to a response of a proxied service.

A plain operation works before the service responds, on an empty head, and the service's lines are
added. header_down works on the service's lines alone. A deferred one (defer, -, ?, >) works on all
of them as they leave, the innermost first.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, TypeAlias

from sidecar.importing.draft import BY_HAND, FIXED, LISTED, HeaderEffect, Notes, When
from sidecar.importing.syntax import ConfigDirective
from sidecar.policy.terms import Action

Moment: TypeAlias = Literal["before", "upstream", "leaving"]
_ACTIONS: Mapping[str, Action] = MappingProxyType(
    {"+": "append", "": "set", ">": "set", "-": "remove", "?": "default"}
)
_COMPUTED = re.compile(r"\{\$?[\w.:\[\]-]+\}")


@dataclass(frozen=True, slots=True)
class CaddyOperations:
    """Operations of one handler, in Caddy's own order: added, set, removed."""

    moment: Moment
    effects: tuple[HeaderEffect, ...]


@dataclass(frozen=True, slots=True)
class _Line:
    """One operation as written: its mark (+ - ? > or none), the field, the value."""

    mark: str
    name: str
    value: str
    item: ConfigDirective


def steps_of(
    item: ConfigDirective, words: tuple[str, ...], when: When, notes: Notes
) -> Iterator[CaddyOperations]:
    """The handlers of one header directive; `words` are its words without the matcher."""
    inner = item.block or ()
    written = [words] if words else [(one.name, *one.args) for one in inner]
    statements = [item] if words else list(inner)
    if any(one.name == "match" for one in inner):
        message = "header with match: conditions on the response are not carried, nor the headers"
        fix = "write the rules by hand, with when: {status: ..., response: ...}"
        notes.lost(item.where, message, fix)
        return
    lines = list(_lines(zip(written, statements, strict=True), notes))
    defaults = [line for line in lines if line.mark == "?"]
    others = [line for line in lines if line.mark != "?"]
    deferred = any(one.name == "defer" for one in inner)
    late = deferred or any(line.mark in (">", "-") for line in others)
    if others:
        yield CaddyOperations("leaving" if late else "before", _operations(others, when))
    if len(defaults) > 1:
        names = ", ".join(line.name for line in defaults)
        text = "Caddy writes defaults of one block only where none of them is there"
        notes.differs(item.where, f"{names}: {text}; the policy decides for each")
    if defaults:
        said = (line.item.effect("default", line.name, line.value, when) for line in defaults)
        yield CaddyOperations("leaving", tuple(said))


def upstream_step(proxy: ConfigDirective, notes: Notes) -> CaddyOperations:
    """What reverse_proxy's header_down does to the service's lines."""
    statements = [one for one in proxy.block or () if one.name == "header_down" and one.args]
    lines = _lines(((one.args, one) for one in statements), notes)
    return CaddyOperations("upstream", _operations(lines, ()))


def _lines(
    written: Iterable[tuple[tuple[str, ...], ConfigDirective]], notes: Notes
) -> Iterator[_Line]:
    for words, item in written:
        field = words[0].rstrip(":")
        mark = field[0] if field[:1] in ("+", "-", "?", ">") else ""
        name, value = field[len(mark) :], words[1] if len(words) > 1 else ""
        if name == "defer" and not mark and len(words) == 1:
            continue
        if len(words) > 2:
            message = f"{name}: a policy does not replace parts of a value"
            notes.lost(item.where, message, "write a rule with the whole value")
        elif "*" in name:
            notes.lost(item.where, f"{field}: names with * cannot be carried", LISTED)
        elif found := _COMPUTED.search(value):
            notes.lost(item.where, f"{name}: the placeholder {found[0]} cannot be carried", FIXED)
        else:
            yield _Line(mark, name, value, item)


def _operations(lines: Iterable[_Line], when: When) -> tuple[HeaderEffect, ...]:
    """One handler's operations in Caddy's order; of several sets of a field the last counts."""
    done: dict[Action, list[HeaderEffect]] = {"append": [], "set": [], "remove": []}
    for line in lines:
        action = _ACTIONS[line.mark]
        value = "" if action == "remove" else line.value
        done[action].append(line.item.effect(action, line.name, value, when))
    sets = {effect.key: effect for effect in done["set"]}
    return (*done["append"], *sets.values(), *done["remove"])


def effects(chain: list[CaddyOperations], notes: Notes) -> tuple[HeaderEffect, ...]:
    """What a whole chain does to the service's response, as effects in order."""

    def at(moment: Moment, steps: Iterable[CaddyOperations]) -> list[HeaderEffect]:
        return [effect for step in steps if step.moment == moment for effect in step.effects]

    beside: list[HeaderEffect] = []
    for effect in at("before", chain):
        beside = _before(beside, effect, notes)
    return (*at("upstream", chain), *beside, *at("leaving", reversed(chain)))


def _before(beside: list[HeaderEffect], effect: HeaderEffect, notes: Notes) -> list[HeaderEffect]:
    """One operation on the lines that Caddy will send beside the service's."""
    line = HeaderEffect("append", effect.header, effect.value, effect.when, effect.where)
    if effect.action == "append":
        return [*beside, line]
    if any(other.key == line.key and other.when != line.when for other in beside) and effect.when:
        message = f"{effect.header}: it is set over a line that has other conditions"
        notes.lost(effect.where, message, BY_HAND)
        return beside
    return [*(other for other in beside if other.key != line.key), line]
