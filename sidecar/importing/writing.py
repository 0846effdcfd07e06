"""Places and their effects as a policy file for people: in the source's order, with comments.

Rules shared by all places come first, routes say only what differs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from sidecar.importing.draft import FEWER, HeaderEffect, HeaderScope, condition
from sidecar.policy.engine.resolve import MAX_RULES
from sidecar.policy.terms import PolicyError, Problem
from sidecar.scalars import Value, flow, scalar

MAX_CHARS = 900_000
"""Below what a policy file may hold (source.MAX_BYTES)."""

Slot = tuple[str, int]
Slots = Mapping[Slot, HeaderEffect]


def policy_text(name: str, reason: str, places: Sequence[HeaderScope]) -> str:
    """The whole file.

    Raises:
        PolicyError: it would be larger than a policy may be.
    """
    rest = bool(places) and not places[-1].hosts and not places[-1].patterns
    shared = _numbered(places[-1].effects if rest else ())
    routes = [(place, _numbered(place.effects)) for place in (places[:-1] if rest else places)]
    named: set[str] = set()
    names: dict[Slot, str] = {}  # of the rules
    for key, number in dict.fromkeys((*shared, *(slot for _, own in routes for slot in own))):
        word = _word(key.replace("*", "any"))
        names[key, number] = _free(f"{word}-{number}" if number > 1 else word, named)
    lines = [
        "version: 1",
        f"name: {scalar(name)}",
        f"reason: {scalar(_ascii(reason))}",
        "mode: report-only  # nothing is changed yet; promote rule by rule on evidence",
        "rules:" if shared else "rules: {}",
    ]
    for slot, effect in shared.items():
        lines += _rule(names[slot], effect, None, "  ")
    lines += ["routes:"] if routes else []
    taken = {"default"}
    for place, own in routes:
        path = str(place.patterns[0]) if place.patterns else ""
        where = (*place.hosts[:1], "root" if path == "/" else path)
        name = _free(_word("-".join(where).replace(".", "-")), taken)
        lines += _route(name, place, own, shared, names)
    rules = len(shared) + sum(len(shared.keys() | own.keys()) for _, own in routes)
    text = "\n".join(lines) + "\n"
    if rules > MAX_RULES or len(text) > MAX_CHARS:
        size = f"{rules} rules over {len(routes) + 1} routes and {len(text)} characters"
        message = f"the policy would have {size}; it may have {MAX_RULES} and {MAX_CHARS}"
        raise PolicyError((Problem(message, FEWER),))
    return text


def _numbered(effects: Sequence[HeaderEffect]) -> dict[Slot, HeaderEffect]:
    """The effects by header and by their number on it, which align the places.

    Headers come in the order of the source; what is done to one does not depend on the others.
    """
    first: dict[str, tuple[str, int]] = {}
    for effect in effects:
        place = (effect.where.file, effect.where.line)
        first[effect.key] = min(place, first.get(effect.key, place))
    counts: dict[str, int] = {}
    found: dict[Slot, HeaderEffect] = {}
    for effect in sorted(effects, key=lambda effect: first[effect.key]):
        counts[effect.key] = counts.get(effect.key, 0) + 1
        found[effect.key, counts[effect.key]] = effect
    return found


def _word(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9._]+", "-", text).strip("-._")[:50] or "rule"


def _free(base: str, taken: set[str]) -> str:
    """The name, with a number where it is taken; it is taken from now on."""
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    taken.add(name)
    return name


def _rule(
    name: str, effect: HeaderEffect, above: HeaderEffect | None, indent: str
) -> Iterator[str]:
    """A rule, or how it differs from the one of the same name above."""
    keys: dict[str, Value] = {}
    if above is None:
        keys["cookie" if effect.attributes else "header"] = effect.header
    if effect.attributes:
        keys["attributes"] = dict(effect.attributes)
    elif above is None or (above.action, above.value) != (effect.action, effect.value):
        if above is None or above.action != effect.action:
            keys["action"] = effect.action
        if effect.action != "remove":
            keys["value"] = effect.value
    if effect.when != (above.when if above else ()):
        keys["when"] = condition(effect.when)
    about = f"{effect.where}: {effect.about}" if effect.about else str(effect.where)
    yield f"{indent}# {_ascii(about)}"
    yield f"{indent}{name}:"
    yield from (f"{indent}  {key}: {flow(value)}" for key, value in keys.items())


def _route(
    name: str, place: HeaderScope, own: Slots, above: Slots, names: Mapping[Slot, str]
) -> Iterator[str]:
    lines = dict.fromkeys(line for pattern in place.patterns for line in pattern.lines)
    if lines:
        yield f"  # {_ascii(', '.join(lines))}"
    yield from (f"  - name: {scalar(name)}", "    match:")
    for key, said in (("host", place.hosts), ("path", tuple(map(str, place.patterns)))):
        if said:
            yield f"      {key}: {flow(said[0] if len(said) == 1 else said)}"
    rules: list[str] = []
    for slot in (*above, *(slot for slot in own if slot not in above)):
        if slot not in own:
            rules.append(f"      {names[slot]}: {{mode: off}}")
        elif own[slot] != above.get(slot):
            rules += _rule(names[slot], own[slot], above.get(slot), "      ")
    yield from ("    rules:", *rules) if rules else ()


def _ascii(text: str) -> str:
    return re.sub(r"[^ -~]", "?", text)
