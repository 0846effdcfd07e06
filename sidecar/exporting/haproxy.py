"""HAProxy: http-request rules note facts of a request, http-after-response rules change lines.

Source: HAProxy's configuration manual, sections 2.2 (quoting), 4.2, 7.1 (ACLs) and 8.2.6
(log-format).
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from sidecar.exporting import patterns, terms
from sidecar.exporting.cookie_edits import CookieEdit, edits
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Noted, Program
from sidecar.exporting.target import out_of_order
from sidecar.policy.rules.classes import MEDIA
from sidecar.templates import filled

SPACE = 1024
"""Bytes that rules may add to a response before `tune.maxrewrite` must be raised (the default)."""

MOST_WORDS = 48
"""Of a condition: a line may have 64, and what comes before the condition takes some."""

_HOLDS, _PART = "txn.policy_holds", "txn.policy_part"
_WORD = re.compile(r'"(?:\\.|[^"\\])*"|\S+')
_CLASS, _PATH, _ROUTE = "txn.policy_class", "txn.policy_path", "txn.policy_route"
_REQUEST = "txn.policy_request_"


def write(program: Program, gaps: list[Gap]) -> str:
    """Rules for a frontend, to put before its others."""
    notes: Noted = {}
    rules: list[str] = []
    for step, routes in program.supported(out_of_order, gaps):
        rules.append(f"# rule {step.rule}, revision {program.revision}")
        rules += _rules(step, routes, program, notes)
    body, routed = "\n".join(rules), len(program.routes) > 1
    added = max(
        sum(len(step.header) + len(step.value) + 32 for step in route.steps)
        for route in program.routes
    )
    room = (added // SPACE + 2) * SPACE  # whole KiB, with some to spare
    return filled(
        "sidecar.exporting",
        "haproxy.cfg.jinja",
        room=room if room > SPACE * 3 // 4 else 0,
        path=routed or _PATH in body or _CLASS in body,
        routes=list(patterns.routes(program.routes, program.slash)) if routed else (),
        number=program.number,
        noted=[
            (f"{_REQUEST}{number}", _field(f"req.fhdr({field.name.lower()})", field))
            for field, number in notes.items()
        ],
        classes=MEDIA if _CLASS in body else (),
        rules=rules,
        quoted=quoted,
        patterns=patterns,
    )


def _rules(
    step: ExportedStep, routes: tuple[ExportedRoute, ...], program: Program, notes: Noted
) -> Iterator[str]:
    name, value = plain(step.header), quoted(step.value.replace("%", "%%"))
    fetch = step.header.lower()
    place = _place(routes, program)
    match step.act:
        case "set":
            yield from _where([f"set-header {name} {value}"], step.when, place, notes)
        case "default":
            place = [*place, f"{{ res.fhdr_cnt({fetch}) 0 }}"]
            yield from _where([f"set-header {name} {value}"], step.when, place, notes)
        case "append":
            place = [*place, f"!{{ res.fhdr({fetch}) -m str -- {quoted(step.value)} }}"]
            yield from _where([f"add-header {name} {value}"], step.when, place, notes)
        case "remove":
            yield from _where([f"del-header {name}"], step.when, place, notes)
        case "cookie":
            for when, found in edits(step):
                actions = [f"replace-header Set-Cookie {_edit(edit)}" for edit in found]
                yield from _where(actions, when, place, notes)


def _edit(edit: CookieEdit) -> str:
    text = edit.replacement("\\", lambda part: part.replace("%", "%%"))
    return f"{quoted(edit.search)} {quoted(text)}"


def _place(routes: tuple[ExportedRoute, ...], program: Program) -> list[str]:
    """The condition that the request is of one of these routes; () = of any."""
    if not routes:
        return []
    asked, sign = {*map(program.number, routes)}, ""
    if 0 in asked:
        asked, sign = {*map(program.number, program.routes)} - asked, "!"
    return [f"{sign}{{ var({_ROUTE}) -m int {' '.join(map(str, sorted(asked)))} }}"]


def _where(
    actions: list[str], when: terms.Condition, place: list[str], notes: Noted
) -> Iterator[str]:
    """The rules of actions under one condition, in parts if it is long: a line has 64 words."""
    found = [[*place, *(_term(term, notes) for term in one)] for one in when]
    asked = " || ".join(" ".join(terms) for terms in found)
    if [] in found:
        asked = ""
    elif len(_WORD.findall(asked)) > MOST_WORDS:
        yield f"http-after-response unset-var({_HOLDS})"
        for terms in found:
            first, *rest = terms
            yield f"http-after-response set-var({_PART}) int(1) if {first}"
            for term in rest:
                negated = term.removeprefix("!") if term.startswith("!") else f"!{term}"
                yield f"http-after-response unset-var({_PART}) if {negated}"
            yield f"http-after-response set-var({_HOLDS}) int(1) if {{ var({_PART}) -m found }}"
            yield f"http-after-response unset-var({_PART})"
        asked = f"{{ var({_HOLDS}) -m found }}"
    for action in actions:
        yield f"http-after-response {action}{f' if {asked}' if asked else ''}"


def _term(term: terms.Term, notes: Noted) -> str:
    match term:
        case terms.Scheme(scheme):
            return "{ ssl_fc }" if scheme == "https" else "!{ ssl_fc }"
        case terms.Status(ranges):
            codes = " ".join(str(low) if low == high else f"{low}:{high}" for low, high in ranges)
            return f"{{ status {codes} }}"
        case terms.Media(types):
            return f"{{ res.fhdr(content-type,1) -m reg -i {quoted(patterns.media(types))} }}"
        case terms.Class(wanted):
            return f"{{ var({_CLASS}) -m str {' '.join(wanted)} }}"
        case terms.LogoutPath():
            return f"{{ var({_PATH}) -m reg -i {quoted(patterns.LOGOUT_PATH)} }}"
        case terms.Field(side="request"):
            return f"{{ var({_REQUEST}{notes.setdefault(term, len(notes) + 1)}) -m found }}"
        case terms.Field(name=name):
            return _field(f"res.fhdr({name.lower()})", term)


def _field(fetch: str, field: terms.Field) -> str:
    if isinstance(field.pattern, bool):
        count = fetch.replace("fhdr(", "fhdr_cnt(")
        return f"{'!' if field.pattern else ''}{{ {count} 0 }}"
    return f"{{ {fetch} -m reg -i {quoted(patterns.glob(field.pattern))} }}"


def quoted(text: str) -> str:
    """One word: in double quotes a backslash, a quote and a dollar are escaped."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("$", "\\$")
    return f'"{escaped}"'


def plain(name: str) -> str:
    """A header's name as a word."""
    return quoted(name) if set(name) & set("\\\"'#$") else name
