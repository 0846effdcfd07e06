"""Gateway API: HTTPRoutes with a ResponseHeaderModifier for each route of the policy.

Source: Gateway API 1.x, HTTPRoute: HTTPRouteRule (precedence), HTTPPathMatch, HTTPHeaderFilter.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations, groupby
from typing import Literal, NamedTuple, TypeAlias

from sidecar.exporting import patterns
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Program
from sidecar.exporting.target import plain_steps
from sidecar.policy.rules.matching import decoded, host_name
from sidecar.templates import filled

Kind: TypeAlias = Literal["Exact", "PathPrefix", "RegularExpression"]

MOST = 16
"""Rules of an HTTPRoute, and headers of one list of a modifier (the schema's maxItems)."""
MATCHES = 8
"""Matches of a rule: later versions of the schema take more."""
LONGEST = 4096
"""Characters of a value."""
_LONGEST_WINS = "a Gateway takes the longest, not the first route"


@dataclass(frozen=True, slots=True)
class _Rule:
    """One match of an HTTPRoute's rule."""

    route: ExportedRoute
    kind: Kind
    path: str
    method: str


class _Document(NamedTuple):
    """One HTTPRoute: its name, its hosts, and its rules, each with the matches of one route."""

    name: str
    hosts: list[str]
    parts: list[list[_Rule]]


def write(program: Program, gaps: list[Gap]) -> str:
    """An HTTPRoute for each set of hosts that routes name, and one for all others."""
    filters = {route.name: _filter(route, gaps) for route in program.routes}
    named = dict.fromkeys(route.match.host for route in program.routes if route.match.host)
    documents: list[_Document] = []
    for number, hosts in enumerate((*named, ())):
        mine = [one for one in program.routes if one.match.host in (None, (), hosts)]
        found = [rule for route in mine for rule in _rules(route, gaps)]
        _order(found, gaps)
        # The matches of a route together, as many as a rule may have.
        groups = (list(group) for _, group in groupby(found, key=lambda rule: rule.route.name))
        parts = [
            group[at : at + MATCHES] for group in groups for at in range(0, len(group), MATCHES)
        ]
        for page, at in enumerate(range(0, len(parts), MOST)):
            name = "-".join(["policy", *(str(one) for one in (number, page) if one)])
            names = [host_name(host) for host in hosts]
            documents.append(_Document(name, names, parts[at : at + MOST]))
    _hosts_overlap(named, gaps)
    facts = {"documents": documents, "filters": filters, "revision": program.revision}
    return filled("sidecar.exporting", "gateway_api.yaml.jinja", json=json.dumps, **facts)


def _hosts_overlap(named: Iterable[tuple[str, ...]], gaps: list[Gap]) -> None:
    for one, other in combinations(named, 2):
        pairs = [(left, right) for left in one for right in other]
        pairs += [(right, left) for left, right in pairs]
        if any(re.fullmatch(patterns.host(wide), name) for wide, name in pairs):
            text = f"hosts {', '.join(one)} and {', '.join(other)} share names"
            gaps.append(Gap("differs", "", "", f"{text}: {_LONGEST_WINS}"))


def _filter(route: ExportedRoute, gaps: list[Gap]) -> dict[str, list[ExportedStep]]:
    """The lists of a ResponseHeaderModifier."""
    lists: dict[str, list[ExportedStep]] = {"set": [], "add": [], "remove": []}
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
    return lists


def _unsupported(step: ExportedStep) -> str:
    if step.act == "default":
        return "a filter sets, adds and removes for any response; it has no default"
    if len(step.value) > LONGEST:
        return f"a value has {LONGEST} characters at most"
    return "" if step.value or step.act == "remove" else "a value cannot be empty"


def _rules(route: ExportedRoute, gaps: list[Gap]) -> Iterator[_Rule]:
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
    named: set[tuple[str, str]] = set()
    for one, other in combinations(found, 2):
        names = one.route.name, other.route.name
        if one.route is other.route or names in named or not _both(one, other):
            continue
        is_rest = (other.kind, other.path, other.method) == ("PathPrefix", "/", "")
        if "RegularExpression" in (one.kind, other.kind) and not is_rest:
            text = f"it is not specified which route a path takes that {names[1]} matches too"
        elif _weight(other) > _weight(one):
            text = f"a path that {names[1]} matches too goes there: {_LONGEST_WINS}"
        else:
            continue
        named.add(names)
        gaps.append(Gap("differs", "", "", text, names[0]))


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
