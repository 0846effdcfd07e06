"""Which format a text is in, and the policy that it becomes: a file for people.

It is in the source's order, with comments. Rules shared by all places come first, routes say only
what differs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TypeAlias

from sidecar.importing import apache, caddy, ingress, nginx, observing, traefik
from sidecar.importing.draft import (
    FEWER,
    HeaderEffect,
    HeaderScope,
    Imported,
    Notes,
    SourceLine,
    condition,
    settle,
)
from sidecar.importing.observations import Observation
from sidecar.importing.syntax import Sources
from sidecar.policy.data import read_table
from sidecar.policy.engine.resolve import MAX_RULES
from sidecar.policy.terms import PolicyError, Problem
from sidecar.scalars import Value, flow, scalar

Importer: TypeAlias = Callable[[Sources, Notes], list[HeaderScope]]
MAX_CHARS = 1 << 20
_SIGNS = read_table("sidecar.importing", "signs.json")
"""What the texts of each format are known by, those with words that no other has first: formats
that are read, and others, of which responses of their programs show what they send.
"""
FORMATS: Mapping[str, tuple[str, Importer]] = {
    "ingress": ("ingress-nginx", ingress.importer),
    "traefik": ("Traefik", traefik.importer),
    "apache": ("Apache", apache.importer),
    "nginx": ("nginx", nginx.importer),
    "caddy": ("Caddy", caddy.importer),
}
"""How notes call a format's server, and how the format is read."""
_MAX_POLICY = 900_000
"""Below what a policy file may hold (source.MAX_BYTES)."""
Slot = tuple[str, int]
Slots = Mapping[Slot, HeaderEffect]


def guess(sources: Sources, known: str = "read") -> str:
    """The format that the texts look like, "" = none; `known`: of those read, or those `unread`."""
    text, signs = "\n".join(sources.values())[:MAX_CHARS], _SIGNS[known].items()
    found = (name for name, sign in signs if re.search("|".join(sign), text, re.MULTILINE))
    return next(found, "")


def convert(sources: Sources, form: str) -> Imported:
    """The policy that does to a response what these settings do, and what it cannot.

    Args:
        sources: texts by file name; those that one of them includes are not read on their own.
        form: a name of FORMATS.

    Raises:
        PolicyError: a text cannot be read at all.
    """
    first = next(iter(sources))
    if sum(map(len, sources.values())) > MAX_CHARS:
        message = f"the texts are longer than {MAX_CHARS} characters"
        raise PolicyError((Problem(message, "give the files that set headers only", file=first),))
    server, importer = FORMATS[form]
    notes = Notes()
    places = importer(sources, notes)
    if not any(place.effects for place in places) and not notes.reported():
        fix = "name the format with --from, and give the included files too"
        notes.lost(SourceLine(first), f"no header setting of {server} was found", fix)
    names = ", ".join(PurePosixPath(name).name for name in sources)
    return _written(f"imported-{form}", f"imported from {names} ({server})", server, places, notes)


def from_observations(observations: Iterable[Observation]) -> Imported:
    """The policy that gives a service's responses the headers seen, and what cannot be seen.

    Args:
        observations: at least one.
    """
    seen = tuple(observations)
    notes = Notes()
    parts = seen[0].response.place
    origin = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    about = f"imported from {len(seen)} responses of {origin}"
    places = observing.places(seen, notes)
    return _written("imported-observed", about, "the server", places, notes)


def _written(
    name: str, about: str, server: str, found: list[HeaderScope], notes: Notes
) -> Imported:
    places = [replace(place, effects=settle(place.effects, server, notes)) for place in found]
    _general([effect for place in places for effect in place.effects], server, notes)
    return Imported(_policy_text(name, about, places), notes.reported())


def _general(effects: list[HeaderEffect], server: str, notes: Notes) -> None:
    """The two differences that hold for every policy, named once."""
    added = next((effect for effect in effects if effect.action == "append"), None)
    if added is not None:
        text = "adds a line even where the service already sends it; the policy does not repeat it"
        notes.differs(added.where, f"{server} {text}")
    hsts = "strict-transport-security"
    written = (effect for effect in effects if effect.key == hsts and effect.action != "remove")
    if (found := next(written, None)) is not None:
        text = "is written on HTTPS responses only; browsers ignore it on others (RFC 6797, 7.2)"
        notes.differs(found.where, f"Strict-Transport-Security {text}")


def _policy_text(name: str, reason: str, places: Sequence[HeaderScope]) -> str:
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
    if rules > MAX_RULES or len(text) > _MAX_POLICY:
        size = f"{rules} rules over {len(routes) + 1} routes and {len(text)} characters"
        message = f"the policy would have {size}; it may have {MAX_RULES} and {_MAX_POLICY}"
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
