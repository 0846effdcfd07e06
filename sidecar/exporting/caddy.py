"""Caddy: its own JSON, where a headers handler can test the response (a Caddyfile since 2.10).

Deferred handlers work when the head is written, the innermost first: so the last handler of a route
is the first step, and each sees what the ones before it made. A response's class is noted for them
in a line (`MARK`) that the outermost handler removes. Errors of Caddy's own use the server's error
routes, so these repeat all. Source: Caddy's JSON structure of http servers, the handlers headers
and subroute, and its request matchers.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any, TypeAlias

from sidecar.exporting import patterns, terms
from sidecar.exporting.cookie_edits import edits
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Program
from sidecar.exporting.target import out_of_order, shortest
from sidecar.policy.model import Match
from sidecar.policy.rules.classes import MEDIA

Json: TypeAlias = dict[str, Any]

MARK = "Header-Policy-Class"
"""The line with the class of a response, between our first handler and our last."""
HELD = "Header-Policy-Held"
"""The line that notes that one of several conditions held, and a line is to be added."""
_OWN = {
    ("date", "remove"): "Caddy writes Date itself",
    ("server", "default"): "Caddy always writes a Server of its own",
}
"""Why steps on lines that Caddy writes cannot be expressed, by header and act."""


class _UnsupportedError(Exception):
    """Caddy cannot express it; the reason is the message."""


def write(program: Program, gaps: list[Gap]) -> str:
    """The routes to put before the others of a server, and before those for its errors."""
    routes = list(_routes(program, gaps, ""))
    document = {"routes": routes, "errors": {"routes": list(_routes(program, [], "-errors"))}}
    return json.dumps(document, indent=2) + "\n"


def _routes(program: Program, gaps: list[Gap], suffix: str) -> Iterator[Json]:
    """The routes as a group, of which the first that matches counts; the default is last."""
    default = program.routes[-1]
    handlers = {route.name: _together(_handlers(route, gaps)) for route in program.routes}
    order = [*patterns.order(program.routes), (default, False, default)]
    for number, (asked, bare, route) in enumerate(order):
        made: Json = {
            "@id": f"header-policy-{program.revision}{suffix}-{number}-{route.name}",
            "group": f"header-policy{suffix}",
        }
        if match := _match(asked.match, bare=bare):
            made["match"] = [match]
        yield made | {"handle": list(reversed(handlers[route.name]))}


def _match(match: Match, *, bare: bool) -> Json:
    found: Json = {}
    if match.method:
        found["method"] = list(match.method)
    if host := patterns.host_of(match):
        found["vars_regexp"] = {"{http.request.host}": {"pattern": host}}
    if path := patterns.path_of(match, bare=bare):
        found["path_regexp"] = {"pattern": path}
    return found


def _handlers(route: ExportedRoute, gaps: list[Gap]) -> Iterator[Json]:
    """The handlers of a route in the order in which they work."""
    keys = dict.fromkeys(step.key for step in route.steps)
    live = {id(step) for key in keys for step in shortest(route.steps, key)}
    made: list[Json] = []
    for step in route.steps:
        if step.act != "cookie" and id(step) not in live:
            continue
        try:
            found = list(_step(step, route.name, gaps))
        except _UnsupportedError as reason:
            gaps.append(Gap("lost", step.rule, step.header, str(reason), route.name))
        else:
            made += found
    if MARK in json.dumps(made):
        yield from _class()
        yield from made
        yield _headers_handler({"delete": [MARK]})
    else:
        yield from made


def _together(handlers: Iterable[Json]) -> list[Json]:
    """Neighbours with the same conditions that set, or delete, other lines become one."""
    made: list[Json] = []
    for handler in handlers:
        before = made[-1].get("response") if made else None
        after = handler.get("response")
        if before and after and (kind := _alike(before, after)):
            both: Any = [*before[kind], *after[kind]]
            if kind == "set":
                both = before[kind] | after[kind]
            made[-1] = {**handler, "response": {**after, kind: both}}
        else:
            made.append(handler)
    return made


def _alike(before: Json, after: Json) -> str:
    """The operation, set or delete, of two neighbours that may become one; "" = they may not."""
    kind = "set" if "set" in before else "delete"
    if before.keys() != after.keys() or before.keys() - {"deferred", "require", kind}:
        return ""
    if kind not in before or before.get("require") != after.get("require"):
        return ""
    looked = (*after[kind], *after.get("require", {}).get("headers", {}))
    changed = {name.lower() for name in before[kind]}
    return kind if changed.isdisjoint(map(str.lower, looked)) else ""


def _headers_handler(operations: Json, require: Json | None = None) -> Json:
    made: Json = {"deferred": True, **operations}
    if require:
        made["require"] = require
    return {"handler": "headers", "response": made}


def _class() -> Iterator[Json]:
    """The class of a response, by the first test that holds: attachment, media type, path."""
    yield _headers_handler({"delete": [MARK]})
    attached = {"Content-Disposition": _words("attachment")}
    yield _headers_handler({"set": {MARK: ["download"]}}, {"headers": attached})
    for name, types in MEDIA:
        asked = {"Content-Type": list(_types(types)), MARK: None}
        yield _headers_handler({"set": {MARK: [name]}}, {"headers": asked})
    place = {"path_regexp": {"pattern": f"(?i){patterns.DOCS_PATH}"}}
    turned = _headers_handler({"set": {MARK: ["docs"]}}, {"headers": {MARK: ["html", "api"]}})
    yield _matched(place, turned)


def _matched(match: Json, handler: Json) -> Json:
    return {"handler": "subroute", "routes": [{"match": [match], "handle": [handler]}]}


def _words(word: str) -> list[str]:
    return [word, f"{word};*", f"{word} *"]


def _types(types: tuple[str, ...]) -> Iterator[str]:
    for one in types:
        if "*" in one.strip("*"):
            raise _UnsupportedError(f"Caddy knows no pattern like {one}")
        yield from [one] if one.endswith("*") else _words(one)


def _step(step: ExportedStep, route: str, gaps: list[Gap]) -> Iterator[Json]:
    if reason := out_of_order(step) or _OWN.get((step.key, step.act), ""):
        raise _UnsupportedError(reason)
    if (step.key, step.act) == ("content-type", "remove"):
        text = "where a body follows, Caddy writes the type that it looks like"
        gaps.append(Gap("differs", step.rule, step.header, text, route))
    setting = {"set": {step.header: [_value(step.value)]}}
    match step.act:
        case "set":
            yield from _where(step.when, setting)
        case "remove":
            yield from _where(step.when, {"delete": [step.header]})
        case "default":
            yield from _where(step.when, setting, {step.header: None})
        case "append":
            yield from _append(step)
        case "cookie":
            for when, found in edits(step):
                replaced = [
                    {
                        "search_regexp": edit.search,
                        "replace": edit.replacement("$", lambda it: _value(it.replace("$", "$$"))),
                    }
                    for edit in found
                ]
                yield from _where(when, {"replace": {"Set-Cookie": replaced}})


def _value(text: str) -> str:
    """Braces are placeholders unless a backslash is before them."""
    return text.replace("{", "\\{")


def _append(step: ExportedStep) -> Iterator[Json]:
    """One more line, unless it is there already; a mark says where it is to be added."""
    if step.value.startswith("*") or step.value.endswith("*"):
        raise _UnsupportedError(
            "Caddy reads the * of the value as a pattern when it looks for the line"
        )
    held, cleared = {HELD: ["1"]}, _headers_handler({"delete": [HELD]})
    yield cleared
    yield from _where(step.when, {"set": held})
    yield _headers_handler({"delete": [HELD]}, {"headers": {step.header: [step.value], **held}})
    yield _headers_handler({"add": {step.header: [_value(step.value)]}}, {"headers": held})
    yield cleared


def _where(when: terms.Condition, operations: Json, fields: Json | None = None) -> Iterator[Json]:
    for alternative in when:
        match, require = _matchers(alternative)
        headers = require.get("headers", {})
        for name, wanted in (fields or {}).items():
            headers = _with(headers, name, wanted)
        if headers:
            require = require | {"headers": headers}
        handler = _headers_handler(operations, require)
        yield _matched(match, handler) if match else handler


def _with(headers: Json, name: str, wanted: list[str] | None) -> Json:
    if name.lower() in map(str.lower, headers):
        raise _UnsupportedError(f"Caddy tests only one thing of {name}")
    return {**headers, name: wanted}


def _matchers(alternative: terms.Alternative) -> tuple[Json, Json]:
    """What must hold of the request (a matcher set), and of the response (a response matcher)."""
    match: Json = {}
    status: list[int] | None = None
    headers: Json = {}
    for term in alternative:
        name = ""
        wanted: list[str] | None = None
        if isinstance(term, terms.Scheme):
            match["protocol"] = term.scheme
        elif isinstance(term, terms.Status):
            codes = [code for low, high in term.ranges for code in _codes(low, high)]
            status = codes if status is None else _common(status, codes)
        elif isinstance(term, terms.Class):
            name, wanted = MARK, [str(one) for one in term.wanted]
        elif isinstance(term, terms.Media):
            name, wanted = "Content-Type", list(_types(term.patterns))
        elif isinstance(term, terms.LogoutPath):
            match["path_regexp"] = {"pattern": f"(?i){patterns.LOGOUT_PATH}"}
        elif term.side == "response":
            name, wanted = term.name, _asked(term)
        elif isinstance(term.pattern, bool):
            match.setdefault("header", {})[term.name] = [] if term.pattern else None
        else:
            regexp = {"pattern": f"(?is){patterns.glob(term.pattern)}"}
            match.setdefault("header_regexp", {})[term.name] = regexp
        if name:
            headers = _with(headers, name, wanted)
    require: Json = {}
    if status is not None:
        require["status_code"] = status
    if headers:
        require["headers"] = headers
    return match, require


def _asked(term: terms.Field) -> list[str] | None:
    if isinstance(term.pattern, bool):
        return [] if term.pattern else None
    if "*" in term.pattern.strip("*"):
        raise _UnsupportedError(f"Caddy knows no pattern like {term.pattern}")
    return [re.sub(r"\*+", "*", term.pattern)]


def _codes(low: int, high: int) -> list[int]:
    """A code is itself; one digit is a hundred of them."""
    return [low] if low == high else list(range(low // 100, high // 100 + 1))


def _common(left: list[int], right: list[int]) -> list[int]:
    """The codes of both; 999 where there is none."""
    found = [code for code in range(100, 600) if _in(code, left) and _in(code, right)]
    return found or [999]


def _in(code: int, codes: list[int]) -> bool:
    return code in codes or code // 100 in codes
