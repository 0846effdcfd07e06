"""Apache httpd: SetEnvIfExpr notes facts of a request, Header directives with expr= change lines.

Apache has two tables of headers. What a service sends is in the table `onsuccess`, for any status;
what Apache sends itself is in the table `always`, which is sent too and processed first. So a line
that is set goes into `always`, and the service's is removed from `onsuccess`. Source: Apache's
documentation of mod_headers, mod_setenvif and its expressions.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.exporting import patterns
from sidecar.exporting.apache_terms import Conditions, argument
from sidecar.exporting.cookie_edits import CookieEdit, edits
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Program
from sidecar.exporting.target import shortest
from sidecar.exporting.terms import response_names
from sidecar.templates import filled

OWN = frozenset({"server", "date", "content-type"})
"""Lines that Apache writes itself, after every directive."""


def write(program: Program, gaps: list[Gap]) -> str:
    """Directives for a virtual host."""
    conditions = Conditions(program)
    lines: list[str] = []
    for step, routes in program.steps_and_routes():
        reasons = {route.name: _unsupported(step, route) for route in routes or program.routes}
        lost = {name: reason for name, reason in reasons.items() if reason}
        gaps += [Gap("lost", step.rule, step.header, why, name) for name, why in lost.items()]
        left = tuple(route for route in routes or program.routes if route.name not in lost)
        if not left:
            continue
        lines.append(f"# rule {step.rule}, revision {program.revision}")
        if step.act == "cookie":
            lines += _cookies(step, left, conditions)
        else:
            for chain, some in _chains(step, left):
                lines += _lines(step, chain, some, conditions)
    return filled(
        "sidecar.exporting",
        "apache.conf.jinja",
        conditions=conditions,
        routes=list(conditions.routes()),
        number=program.number,
        lines=lines,
        server=any(gap.header.lower() == "server" for gap in gaps),
    )


def _unsupported(step: ExportedStep, route: ExportedRoute) -> str:
    if step.key in OWN:
        return f"Apache writes {step.header} itself, after these directives"
    written = {one.key for one in route.steps}
    changed = response_names(step.when) & written
    if changed:
        names = ", ".join(sorted(changed))
        return f"its condition looks at {names}, which rules change; Apache would test it too late"
    acts = {one.act for one in _before(step, shortest(route.steps, step.header))}
    if step.act == "append" and {"remove", "default"} <= acts:
        return "rules before it remove and write the same header; Apache cannot tell what is there"
    if step.act == "default" and "remove" in acts and acts & {"set", "append"}:
        return "rules before it set and remove the same header; Apache cannot tell what is there"
    return ""


def _before(step: ExportedStep, chain: tuple[ExportedStep, ...]) -> tuple[ExportedStep, ...]:
    return chain[: chain.index(step)] if step in chain else chain


def _chains(
    step: ExportedStep, routes: tuple[ExportedRoute, ...]
) -> list[tuple[tuple[ExportedStep, ...], tuple[ExportedRoute, ...]]]:
    """The routes where the step has an effect, by the steps before it on the same header."""
    found: dict[tuple[ExportedStep, ...], list[ExportedRoute]] = {}
    for route in routes:
        chain = shortest(route.steps, step.header)
        if step in chain:
            before = _before(step, chain) if step.act in ("default", "append") else ()
            found.setdefault(before, []).append(route)
    return [(before, tuple(some)) for before, some in found.items()]


def _lines(
    step: ExportedStep,
    before: tuple[ExportedStep, ...],
    routes: tuple[ExportedRoute, ...],
    conditions: Conditions,
) -> Iterator[str]:
    name, value = argument(step.header), argument(_format(step.value))
    place = conditions.place(routes)
    where = conditions.all_of(place, conditions.holds(step.when))
    stands = f"%{{resp:{step.header}}}"
    match step.act:
        case "set":
            yield f"Header always set {name} {value}{conditions.expr(where)}"
            yield f"Header onsuccess unset {name}{conditions.expr(where)}"
        case "remove":
            yield f"Header always unset {name}{conditions.expr(where)}"
            yield f"Header onsuccess unset {name}{conditions.expr(where)}"
        case "default":
            absent = f"-z {stands}"
            removed = [conditions.holds(one.when) for one in before if one.act == "remove"]
            if removed:
                defaults = [conditions.holds(one.when) for one in before if one.act == "default"]
                given = [f"!({one})" for one in defaults]
                gone = conditions.all_of(conditions.any_of(removed), *given)
                absent = conditions.any_of([absent, gone])
            asked = conditions.expr(conditions.all_of(where, absent))
            yield f"Header always set {name} {value}{asked}"
        case _:
            # What removes the service's line does so later: it is still there here.
            written = [one for one in before if one.act in ("set", "append")]
            same = [conditions.holds(one.when) for one in written if one.value == step.value]
            taken = [conditions.holds(one.when) for one in before if one.act in ("set", "remove")]
            missing = f"!({stands} =~ {conditions.regex(f'^{patterns.literal(step.value)}$')})"
            if taken:
                missing = conditions.any_of([missing, *taken])
            if "" in same:
                return
            other = [f"!({one})" for one in same]
            asked = conditions.expr(conditions.all_of(where, missing, *other))
            yield f"Header always add {name} {value}{asked}"


def _format(text: str) -> str:
    """A text in which a per cent sign and a backslash are themselves."""
    return text.replace("\\", "\\\\").replace("%", "%%")


def _cookies(
    step: ExportedStep, routes: tuple[ExportedRoute, ...], conditions: Conditions
) -> Iterator[str]:
    for when, found in edits(step):
        where = conditions.all_of(conditions.place(routes), conditions.holds(when))
        for edit in found:
            yield f"Header onsuccess edit Set-Cookie {_edit(edit)}{conditions.expr(where)}"


def _edit(edit: CookieEdit) -> str:
    text = edit.replacement("$", lambda part: _format(part.replace("$", "\\$")))
    return f"{argument(edit.search)} {argument(text)}"
