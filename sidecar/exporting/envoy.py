"""Envoy: one Lua filter that notes facts of a request, and changes the response step by step.

Source: Envoy's documentation of the HTTP filter Lua and of the HTTP connection manager.
"""

from __future__ import annotations

from collections.abc import Iterator
from textwrap import indent

from sidecar.exporting import lua, terms
from sidecar.exporting.cookie_edits import changes
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, NotedConditions, Program
from sidecar.exporting.target import out_of_order
from sidecar.policy.rules.classes import MEDIA
from sidecar.templates import filled

_FILTER = """\
- name: envoy.filters.http.lua
  typed_config:
    "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
    default_source_code:
      inline_string: |
"""


def write(program: Program, gaps: list[Gap]) -> str:
    """One filter, to put right before the router, which is the first to see a response."""
    notes = NotedConditions("request_")
    changes: list[str] = []
    for step, routes in program.supported(_unsupported, gaps):
        changes.append(f"-- rule {step.rule}, revision {program.revision}")
        changes += _lines(step, routes, program, notes)
    strict = [f"bare == {program.number(route)}" for route in program.routes if route.stricter]
    script = filled(
        "sidecar.exporting",
        "envoy.lua.jinja",
        media=[(name, lua.table(map(lua.glob, types))) for name, types in MEDIA],
        cookies=any("cookies(" in line for line in changes),
        routes=list(_routes(program)),
        strict=" or ".join(strict),
        noted=[(name, _field(field)) for field, name in notes.fields.items()],
        changes=changes,
    )
    return f"{_FILTER}{indent(script, ' ' * 8)}"


def _unsupported(step: ExportedStep) -> str:
    if step.key == "date" and step.act != "default" and not step.together:
        return "Envoy writes Date itself"
    return out_of_order(step)


def _routes(program: Program) -> Iterator[tuple[ExportedRoute, int, str]]:
    """Each route but the default, its number, and what a request of it is known by."""
    for route in program.routes[:-1]:
        match, parts = route.match, list[str]()
        if match.method:
            parts.append(f"({' or '.join(f'method == {lua.text(one)}' for one in match.method)})")
        if match.host:
            parts.append(f"any(host, {lua.table(map(lua.host, match.host))})")
        if match.path:
            parts.append(
                f"any(path, {lua.table(lua.path(one, program.slash) for one in match.path)})"
            )
        yield route, program.number(route), " and ".join(parts)


def _lines(
    step: ExportedStep, routes: tuple[ExportedRoute, ...], program: Program, notes: NotedConditions
) -> Iterator[str]:
    name, value = lua.text(step.header.lower()), lua.text(step.value)
    place = _place(routes, program)
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


def _cookies(step: ExportedStep, place: list[str], notes: NotedConditions) -> Iterator[str]:
    pattern = lua.text(lua.glob(step.cookie))
    for change in changes(step.demands):
        when = terms.over_https(step.when) if change.https else step.when
        if when:
            written = lua.text(change.text) if change.text else "nil"
            spares = str(change.spares_readable).lower()
            words = ("headers", pattern, lua.text(change.name), written, spares)
            yield _if(when, place, f"cookies({', '.join(words)})", notes)


def _place(routes: tuple[ExportedRoute, ...], program: Program) -> list[str]:
    """The condition that the request is of one of these routes; () = of any."""
    if not routes:
        return []
    return [f"({' or '.join(f'route == {program.number(one)}' for one in routes)})"]


def _if(when: terms.Condition, place: list[str], then: str, notes: NotedConditions) -> str:
    found = [" and ".join(_term(term, notes) for term in one) for one in when]
    asked = [*place] if "" in found else [*place, f"({' or '.join(found)})"]
    return f"if {' and '.join(asked)} then {then} end" if asked else then


def _term(term: terms.Term, notes: NotedConditions) -> str:
    match term:
        case terms.Scheme(scheme):
            return "https" if scheme == "https" else "not https"
        case terms.Status(ranges):
            return f"({' or '.join(_codes(low, high) for low, high in ranges)})"
        case terms.Media(types):
            return lua.media(types)
        case terms.Class(wanted):
            return f"({' or '.join(f'class == {lua.text(one)}' for one in wanted)})"
        case terms.LogoutPath():
            return "is_logout(path)"
        case terms.Field(side="request"):
            return f'noted["{notes.name(term)}"]'
        case terms.Field():
            return _field(term)


def _codes(low: int, high: int) -> str:
    return f"status == {low}" if low == high else f"status >= {low} and status <= {high}"


def _field(field: terms.Field) -> str:
    name = lua.text(field.name.lower())
    if isinstance(field.pattern, bool):
        return f"headers:getNumValues({name}) {'>' if field.pattern else '=='} 0"
    return f"some(headers, {name}, {lua.text(lua.glob(field.pattern.lower()))})"
