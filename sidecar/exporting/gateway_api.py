"""Gateway API: HTTPRoutes with a ResponseHeaderModifier for each route of the policy.

Source: Gateway API 1.x, HTTPRoute: HTTPRouteRule (precedence), HTTPPathMatch, HTTPHeaderFilter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Literal, TypeAlias

from sidecar.exporting import patterns
from sidecar.exporting.program import Gap, Program, Route, Step
from sidecar.exporting.target import Limits, Written, heading, plain_steps
from sidecar.policy.rules.matching import host_name
from sidecar.policy.rules.paths import decoded

Kind: TypeAlias = Literal["Exact", "PathPrefix", "RegularExpression"]

MOST = 16
"""Rules of an HTTPRoute, and headers of one list of a modifier (the schema's maxItems)."""
MATCHES = 8
"""Matches of a rule: later versions of the schema take more."""
LONGEST = 4096
"""Characters of a value."""

LIMITS: Limits = (
    "Filters act on the service's responses; for a Gateway's own errors nothing is specified.",
    "A prefix also matches the path without its last slash; how //, /. and % match is left open.",
    "The policy's rules on requests, and max_body, have no filter.",
)


@dataclass(frozen=True, slots=True)
class _Rule:
    """One match of an HTTPRoute's rule."""

    route: Route
    kind: Kind
    path: str
    method: str


def write(program: Program) -> Written:
    """An HTTPRoute for each set of hosts that routes name, and one for all others."""
    gaps: list[Gap] = []
    filters = {route.name: list(_filter(route, program, gaps)) for route in program.routes}
    documents: list[str] = []
    for number, hosts in enumerate(_hosts(program)):
        mine = [one for one in program.routes if one.match.host in (None, (), hosts)]
        found = [rule for route in mine for rule in _rules(route, gaps)]
        _order(found, gaps)
        parts = list(_parts(found))
        pages = [parts[at : at + MOST] for at in range(0, len(parts), MOST)]
        for page, rules in enumerate(pages):
            name = "-".join(["policy", *(str(one) for one in (number, page) if one)])
            documents.append("\n".join(_document(name, hosts, rules, filters)))
    _hosts_overlap(program, gaps)
    said = program.all_gaps(gaps)
    about = ("HTTPRoutes of the Gateway API. Name your own Gateway and service in them.",)
    text = heading(program, "the Gateway API", about, said, LIMITS)
    return Written("\n---\n".join([text, *documents]).replace("\n---\n", "\n", 1) + "\n", said)


def _hosts(program: Program) -> list[tuple[str, ...]]:
    """The sets of hosts that routes name; () = any, the last."""
    named = dict.fromkeys(route.match.host for route in program.routes if route.match.host)
    return [*named, ()]


def _hosts_overlap(program: Program, gaps: list[Gap]) -> None:
    for one, other in combinations(_hosts(program)[:-1], 2):
        pairs = [(left, right) for left in one for right in other]
        pairs += [(right, left) for left, right in pairs]
        if any(re.fullmatch(patterns.host(wide), name) for wide, name in pairs):
            text = f"hosts {', '.join(one)} and {', '.join(other)} share names"
            gaps.append(Gap("differs", "", "", f"{text}: {_LONGEST_WINS}"))


_LONGEST_WINS = "a Gateway takes the longest, not the first route"


def _filter(route: Route, program: Program, gaps: list[Gap]) -> Iterator[str]:
    lists: dict[str, list[Step]] = {"set": [], "add": [], "remove": []}
    for step in plain_steps(route, "the Gateway API", _unsupported, gaps):
        if step.act == "append":
            text = "it is added even where the service sends it already"
            gaps.append(Gap("differs", step.rule, step.header, text, route.name))
        chosen = lists["add" if step.act == "append" else step.act]
        if len(chosen) < MOST:
            chosen.append(step)
        else:
            text = f"a filter has {MOST} headers at most to {step.act}"
            gaps.append(Gap("lost", step.rule, step.header, text, route.name))
    if not any(lists.values()):
        return
    yield "      filters:"
    yield "        - type: ResponseHeaderModifier"
    yield "          responseHeaderModifier:"
    for name, steps in lists.items():
        if steps:
            yield f"            {name}:"
        for step in steps:
            about = f"    # rule {step.rule}, revision {program.revision}"
            if name == "remove":
                yield f"              - {json.dumps(step.header)}{about}"
            else:
                pair = f"name: {json.dumps(step.header)}, value: {json.dumps(step.value)}"
                yield f"              - {{{pair}}}{about}"


def _unsupported(step: Step) -> str:
    if step.act == "default":
        return "a filter sets, adds and removes for any response; it has no default"
    if len(step.value) > LONGEST:
        return f"a value has {LONGEST} characters at most"
    return "" if step.value or step.act == "remove" else "a value cannot be empty"


def _rules(route: Route, gaps: list[Gap]) -> Iterator[_Rule]:
    for pattern in route.match.path or ("/**",):
        kind, path = _path(pattern)
        if kind == "RegularExpression":
            text = f"the path {pattern} takes a regular expression, which not every Gateway reads"
            gaps.append(Gap("differs", "", "", text, route.name))
        for method in route.match.method or ("",):
            yield _Rule(route, kind, path, method)
            if kind == "Exact" and path != "/" and route.stricter:
                yield _Rule(route, kind, f"{path}/", method)


def _path(pattern: str) -> tuple[Kind, str]:
    head = pattern.removesuffix("**")
    if "*" not in pattern:
        return "Exact", decoded(pattern)
    if head.endswith("/") and "*" not in head:
        return "PathPrefix", decoded(head)
    return "RegularExpression", patterns.path(pattern)


def _order(found: list[_Rule], gaps: list[Gap]) -> None:
    """Note where two match and a Gateway does not take the first route."""
    told: set[tuple[str, str]] = set()
    for one, other in combinations(found, 2):
        names = one.route.name, other.route.name
        if one.route is other.route or names in told or not _both(one, other):
            continue
        if "RegularExpression" in (one.kind, other.kind) and not _is_rest(other):
            text = f"it is not specified which route a path takes that {names[1]} matches too"
        elif _weight(other) > _weight(one):
            text = f"a path that {names[1]} matches too goes there: {_LONGEST_WINS}"
        else:
            continue
        told.add(names)
        gaps.append(Gap("differs", "", "", text, names[0]))


def _parts(found: list[_Rule]) -> Iterator[list[_Rule]]:
    """The matches of a route together, as many as a rule may have."""
    for _, group in groupby(found, key=lambda rule: rule.route.name):
        matches = list(group)
        yield from (matches[at : at + MATCHES] for at in range(0, len(matches), MATCHES))


def _is_rest(rule: _Rule) -> bool:
    return rule.kind == "PathPrefix" and rule.path == "/" and not rule.method


def _weight(rule: _Rule) -> tuple[int, int, int]:
    return int(rule.kind == "Exact"), len(rule.path), int(bool(rule.method))


def _both(one: _Rule, other: _Rule) -> bool:
    """Whether a request may be of both."""
    if one.method and other.method and one.method != other.method:
        return False
    if one.kind == other.kind == "Exact":
        return one.path == other.path
    left, right = (
        re.split(r"[\\.\[*]", rule.path)[0] if rule.kind == "RegularExpression" else rule.path
        for rule in (one, other)
    )
    inside = left.startswith(right.rstrip("/")), right.startswith(left.rstrip("/"))
    if "Exact" in (one.kind, other.kind):
        return inside[0] if one.kind == "Exact" else inside[1]
    return any(inside)


def _document(
    name: str, hosts: tuple[str, ...], parts: list[list[_Rule]], filters: dict[str, list[str]]
) -> Iterator[str]:
    yield "apiVersion: gateway.networking.k8s.io/v1"
    yield "kind: HTTPRoute"
    yield f"metadata: {{name: {name}}}"
    yield "spec:"
    yield "  parentRefs: [{name: gateway}]"
    if hosts:
        yield f"  hostnames: {json.dumps([host_name(host) for host in hosts])}"
    yield "  rules:"
    for matches in parts:
        yield f"    - matches:    # route {matches[0].route.name}"
        for rule in matches:
            method = f", method: {rule.method}" if rule.method else ""
            path = f"{{type: {rule.kind}, value: {json.dumps(rule.path)}}}"
            yield f"        - {{path: {path}{method}}}"
        yield from filters[matches[0].route.name]
        yield "      backendRefs: [{name: service, port: 8000}]"
