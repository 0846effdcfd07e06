"""Envoy: one Lua filter that notes facts of a request, and changes the response step by step.

Source: Envoy's documentation of the HTTP filter Lua and of the HTTP connection manager.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from sidecar.exporting import patterns, terms
from sidecar.exporting.cookie_edits import changes
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Noted, Program
from sidecar.exporting.target import out_of_order
from sidecar.policy.rules.classes import MEDIA
from sidecar.templates import filled

_SPECIAL = re.compile(r"[\^$()%.\[\]*+\-?]")
"""What Lua's patterns give a meaning; they have no alternatives."""


def write(program: Program, gaps: list[Gap]) -> str:
    """One filter, to put right before the router, which is the first to see a response."""
    notes: Noted = {}
    changes: list[str] = []
    for step, routes in program.supported(_unsupported, gaps):
        changes.append(f"-- rule {step.rule}, revision {program.revision}")
        changes += _lines(step, routes, program, notes)
    strict = [f"bare == {program.number(route)}" for route in program.routes if route.stricter]
    return filled(
        "sidecar.exporting",
        "envoy.yaml.jinja",
        media=[(name, _table(map(_glob, types))) for name, types in MEDIA],
        cookies=any("cookies(" in line for line in changes),
        routes=list(_routes(program)),
        strict=" or ".join(strict),
        noted=[(f"request_{number}", _field(field)) for field, number in notes.items()],
        changes=changes,
    )


def _unsupported(step: ExportedStep) -> str:
    if step.key == "date" and step.act != "default" and not step.together:
        return "Envoy writes Date itself"
    return out_of_order(step)


def _routes(program: Program) -> Iterator[tuple[ExportedRoute, int, str]]:
    """Each route but the default, its number, and what a request of it is known by."""
    for route in program.routes[:-1]:
        match, parts = route.match, list[str]()
        if match.method:
            parts.append(f"({' or '.join(f'method == {_text(one)}' for one in match.method)})")
        if match.host:
            hosts = (f"^{patterns.host(one, _literal)}$" for one in match.host)
            parts.append(f"any(host, {_table(hosts)})")
        if match.path:
            paths = (f"^{patterns.path(one, program.slash, _literal)}$" for one in match.path)
            parts.append(f"any(path, {_table(paths)})")
        yield route, program.number(route), " and ".join(parts)


def _lines(
    step: ExportedStep, routes: tuple[ExportedRoute, ...], program: Program, notes: Noted
) -> Iterator[str]:
    name, value = _text(step.header.lower()), _text(step.value)
    of_route = " or ".join(f"route == {program.number(one)}" for one in routes)
    place = [f"({of_route})"] if routes else []
    match step.act:
        case "set":
            yield _if(step.when, place, f"headers:replace({name}, {value})", notes)
        case "default":
            place = [*place, f"headers:getNumValues({name}) == 0"]
            yield _if(step.when, place, f"headers:replace({name}, {value})", notes)
        case "append":
            place = [*place, f"not stands(headers, {name}, {value})"]
            yield _if(step.when, place, f"headers:add({name}, {value})", notes)
        case "remove":
            yield _if(step.when, place, f"headers:remove({name})", notes)
        case "cookie":
            yield from _cookies(step, place, notes)


def _cookies(step: ExportedStep, place: list[str], notes: Noted) -> Iterator[str]:
    pattern = _text(_glob(step.cookie))
    for change in changes(step.demands):
        when = terms.over_https(step.when) if change.https else step.when
        if when:
            written = _text(change.text) if change.text else "nil"
            spares = str(change.spares_readable).lower()
            words = ("headers", pattern, _text(change.name), written, spares)
            yield _if(when, place, f"cookies({', '.join(words)})", notes)


def _if(when: terms.Condition, place: list[str], then: str, notes: Noted) -> str:
    found = [" and ".join(_term(term, notes) for term in one) for one in when]
    asked = [*place] if "" in found else [*place, f"({' or '.join(found)})"]
    return f"if {' and '.join(asked)} then {then} end" if asked else then


def _term(term: terms.Term, notes: Noted) -> str:
    match term:
        case terms.Scheme(scheme):
            return "https" if scheme == "https" else "not https"
        case terms.Status(ranges):
            return f"({' or '.join(_codes(low, high) for low, high in ranges)})"
        case terms.Media(types):
            return f'any(word(headers, "content-type"), {_table(map(_glob, types))})'
        case terms.Class(wanted):
            return f"({' or '.join(f'class == {_text(one)}' for one in wanted)})"
        case terms.LogoutPath():
            return "is_logout(path)"
        case terms.Field(side="request"):
            return f'noted["request_{notes.setdefault(term, len(notes) + 1)}"]'
        case terms.Field():
            return _field(term)


def _codes(low: int, high: int) -> str:
    return f"status == {low}" if low == high else f"status >= {low} and status <= {high}"


def _field(field: terms.Field) -> str:
    name = _text(field.name.lower())
    if isinstance(field.pattern, bool):
        return f"headers:getNumValues({name}) {'>' if field.pattern else '=='} 0"
    return f"some(headers, {name}, {_text(_glob(field.pattern.lower()))})"


def _text(value: str) -> str:
    """A string of Lua."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


def _literal(value: str) -> str:
    return _SPECIAL.sub(r"%\g<0>", value)


def _glob(value: str) -> str:
    return patterns.glob(value, _literal)


def _table(texts: Iterable[str]) -> str:
    return f"{{{', '.join(map(_text, texts))}}}"
