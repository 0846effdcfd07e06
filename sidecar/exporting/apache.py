"""Apache httpd: SetEnvIfExpr notes facts of a request, Header directives with expr= change lines.

Apache has two tables of headers. What a service sends is in the table `onsuccess`, for any status;
what Apache sends itself is in the table `always`, which is sent too and processed first. So a line
that is set goes into `always`, and the service's is removed from `onsuccess`. Source: Apache's
documentation of mod_headers, mod_setenvif and its expressions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sidecar.exporting import patterns, terms
from sidecar.exporting.cookie_edits import edits
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Program
from sidecar.exporting.target import shortest
from sidecar.policy.rules.classes import MEDIA
from sidecar.templates import filled

OWN = frozenset({"server", "date", "content-type"})
"""Lines that Apache writes itself, after every directive."""
_ASKED = "%{REQUEST_METHOD} %{reqenv:policy_host} %{reqenv:policy_path}"
_ROUTE = "reqenv('policy_route')"
_TYPE = "%{CONTENT_TYPE}"
_ATTACHED = f"resp('Content-Disposition') =~ m#{patterns.ATTACHMENT}#i"


def write(program: Program, gaps: list[Gap]) -> str:
    """Directives for a virtual host."""
    conditions = _Conditions(program)
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
        for chain, some in _chains(step, left).items():
            lines += _lines(step, chain, some, conditions)
    return filled(
        "sidecar.exporting",
        "apache.conf.jinja",
        conditions=conditions,
        routes=[
            (argument(f"'{_ASKED}' =~ {regex(source)}"), route)
            for source, route in patterns.routes(program.routes, program.slash)
        ],
        number=program.number,
        lines=lines,
        server=any(gap.header.lower() == "server" for gap in gaps),
    )


def _unsupported(step: ExportedStep, route: ExportedRoute) -> str:
    if step.key in OWN:
        return f"Apache writes {step.header} itself, after these directives"
    written = {one.key for one in route.steps}
    changed = terms.response_names(step.when) & written
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
) -> dict[tuple[ExportedStep, ...], list[ExportedRoute]]:
    """The routes where the step has an effect, by the steps before it on the same header."""
    found: dict[tuple[ExportedStep, ...], list[ExportedRoute]] = {}
    for route in routes:
        chain = shortest(route.steps, step.header)
        if step in chain:
            before = _before(step, chain) if step.act in ("default", "append") else ()
            found.setdefault(before, []).append(route)
    return found


def _lines(
    step: ExportedStep,
    before: tuple[ExportedStep, ...],
    routes: Sequence[ExportedRoute],
    conditions: _Conditions,
) -> Iterator[str]:
    name, value = argument(step.header), argument(_format(step.value))
    where = all_of(conditions.place(routes), conditions.holds(step.when))
    stands = f"%{{resp:{step.header}}}"

    def held(*acts: str, value: str | None = None) -> list[str]:
        """When steps before have done one of these, or written this value."""
        done = (one for one in before if one.act in acts and value in (None, one.value))
        return [conditions.holds(one.when) for one in done]

    match step.act:
        case "set":
            yield f"Header always set {name} {value}{expr(where)}"
            yield f"Header onsuccess unset {name}{expr(where)}"
        case "remove":
            yield f"Header always unset {name}{expr(where)}"
            yield f"Header onsuccess unset {name}{expr(where)}"
        case "default":
            absent = f"-z {stands}"
            if removed := held("remove"):
                given = (f"!({one})" for one in held("default"))
                absent = any_of([absent, all_of(any_of(removed), *given)])
            yield f"Header always set {name} {value}{expr(all_of(where, absent))}"
        case "append":
            # What removes the service's line does so later: it is still there here.
            missing = f"!({stands} =~ {regex(f'^{patterns.literal(step.value)}$')})"
            missing = any_of([missing, *held("set", "remove")])
            same = held("set", "append", value=step.value)
            if "" not in same:
                asked = all_of(where, missing, *(f"!({one})" for one in same))
                yield f"Header always add {name} {value}{expr(asked)}"


def _format(text: str) -> str:
    """A text in which a per cent sign and a backslash are themselves."""
    return text.replace("\\", "\\\\").replace("%", "%%")


def _cookies(
    step: ExportedStep, routes: tuple[ExportedRoute, ...], conditions: _Conditions
) -> Iterator[str]:
    for when, found in edits(step):
        where = all_of(conditions.place(routes), conditions.holds(when))
        for edit in found:
            text = edit.replacement("$", lambda part: _format(part.replace("$", "\\$")))
            words = f"{argument(edit.search)} {argument(text)}"
            yield f"Header onsuccess edit Set-Cookie {words}{expr(where)}"


class _Conditions:
    """The expressions of one file, and what must be noted of requests for them. One that is ""
    always holds.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self.needs_path = False
        self.needs_route = False
        self.defined: dict[str, str] = {}
        """Expressions by the name under which the file has them, as arguments of `Define`."""

    def place(self, routes: Sequence[ExportedRoute]) -> str:
        """The request is of one of these routes."""
        program = self._program
        if len(routes) == len(program.routes):
            return ""
        self.needs_path = self.needs_route = True
        if program.routes[-1] in routes:
            others = [program.number(route) for route in program.routes if route not in routes]
            return " && ".join(f"{_ROUTE} != '{number}'" for number in others)
        return any_of([f"{_ROUTE} == '{program.number(route)}'" for route in routes])

    def holds(self, when: terms.Condition) -> str:
        """A rule's condition."""
        return any_of([all_of(*map(self._term, alternative)) for alternative in when])

    def _term(self, term: terms.Term) -> str:
        match term:
            case terms.Scheme(scheme):
                return f"%{{HTTPS}} {'==' if scheme == 'https' else '!='} 'on'"
            case terms.Status(ranges):
                status = "%{REQUEST_STATUS}"
                codes = (
                    f"{status} -eq {low}"
                    if low == high
                    else f"{status} -ge {low} && {status} -le {high}"
                    for low, high in ranges
                )
                return any_of([*codes])
            case terms.Media(types):
                return _type(types)
            case terms.Class(wanted):
                return any_of([self._named(one) for one in wanted])
            case terms.LogoutPath():
                return self._path(patterns.LOGOUT_PATH)
            case terms.Field(side=side, name=name, pattern=asked):
                # The plain `req` would add the header's name to Vary.
                value = f"%{{{'req_novary' if side == 'request' else 'resp'}:{name}}}"
                if isinstance(asked, bool):
                    return f"{'-n' if asked else '-z'} {value}"
                return f"{value} =~ {regex(patterns.glob(asked), fold=True)}"

    def _path(self, source: str) -> str:
        self.needs_path = True
        return f"reqenv('policy_path') =~ {regex(source, fold=True)}"

    def _named(self, name: str) -> str:
        """A class by its name: the expression is written once in the file."""
        word = f"policy_is_{name}"
        if word not in self.defined:
            self.defined[word] = argument(_escaped(self._class(name)))
        return f"(${{{word}}})"

    def _class(self, name: str) -> str:
        """The content of a response: an attachment, else documentation, else by its media type."""
        if name == "download":
            return any_of([_ATTACHED, _types("download")])
        if name not in ("docs", "html", "api"):
            return all_of(f"!({_ATTACHED})", _types(name))
        path = self._path(patterns.DOCS_PATH)
        if name == "docs":
            return all_of(f"!({_ATTACHED})", path, any_of([_types("html"), _types("api")]))
        return all_of(f"!({_ATTACHED})", f"!({path})", _types(name))


def _types(name: str) -> str:
    """The media type is one of a class."""
    found: list[str] = []
    for position, (one, types) in enumerate(MEDIA):
        if one == name:
            others = (some for other, some in MEDIA[:position] if other != name)
            earlier = tuple(media for some in others for media in some)
            first = f"!({_type(earlier)})" if earlier and "*" in types[0] else ""
            found.append(all_of(_type(types), first))
    return any_of(found)


def _type(types: tuple[str, ...]) -> str:
    return f"{_TYPE} =~ {regex(patterns.media(types), fold=True)}"


def regex(source: str, *, fold: bool = False) -> str:
    """A regular expression, between signs that it does not contain."""
    safe = source.replace("#", r"\x23")
    return f"m#{safe}#{'i' if fold else ''}"


def expr(asked: str) -> str:
    """The argument of a directive; "" where the condition always holds."""
    return f" {argument(f'expr={asked}')}" if asked else ""


def all_of(*found: str) -> str:
    """All hold."""
    return " && ".join(dict.fromkeys(one for one in found if one))


def any_of(found: Sequence[str]) -> str:
    """One of them holds."""
    if "" in found:
        return ""
    return found[0] if len(found) == 1 else f"({' || '.join(f'({one})' for one in found)})"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def argument(text: str) -> str:
    """One argument of a directive: in double quotes a backslash and a quote are escaped."""
    return f'"{_escaped(text)}"'
