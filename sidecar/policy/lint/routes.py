"""Several rules or routes together: shadows, clashes, report destinations, sizes, review."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import NamedTuple

from sidecar.policy import csp, headers
from sidecar.policy.csp.table import REPORTING
from sidecar.policy.engine.nonces import TARGETED, asks_for_nonce
from sidecar.policy.engine.resolve import NamedRoute, NamedRule, Resolved
from sidecar.policy.engine.stricter import match_covers, when_covers
from sidecar.policy.faults import SHORT, nearest
from sidecar.policy.headers import destinations
from sidecar.policy.headers.tokens import parse_cache
from sidecar.policy.lint.values import finding, given_headers
from sidecar.policy.model import Rule, When
from sidecar.policy.rules.classes import of_media_type
from sidecar.policy.terms import DEFAULT_ROUTE, GIVING, METHODS, WRITING, Problem, Severity, lowest

PlacedProblem = tuple[int | None, Problem]
"""The position of the rule at fault and a path inside it, or None and a path inside the route."""

HEADER_SIZES: Mapping[int, str] = {
    16: "most servers and clients refuse such responses",
    8: "many proxies and clients refuse such responses",
    4: "proxies with small buffers, such as nginx by default, may refuse such responses",
}
"""KiB of header lines, the most first -> what follows from more."""

_SHARED = frozenset({"public", "s-maxage"})
_INERT = ("sandbox", "upgrade-insecure-requests")


def policy_problems(resolved: Resolved) -> Iterator[Problem]:
    """What an enforced policy lacks for its review: an owner, what to expect, how to undo it."""
    policy = resolved.policy
    enforced = [
        named
        for route in resolved.routes
        for named in route.rules
        if lowest(policy.mode or "report-only", route.mode, named.rule.mode) == "enforce"
    ]
    for key in ("owner", "expected", "rollback"):
        if getattr(policy, key):
            continue
        names = [*dict.fromkeys(one.name for one in enforced if not getattr(one.rule, key))]
        if names:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            yield finding(f"enforced-without-{key}", ("mode",), rules=shown)


def route_problems(earlier: Sequence[NamedRoute], route: NamedRoute) -> Iterator[PlacedProblem]:
    """Findings over one route whose rules are all active, given the routes before it."""
    yield from ((None, problem) for problem in _match_problems(earlier, route))
    yield from _clashes(route.rules)
    yield from _shared_nonces(route.rules)
    given = _given(route.rules)
    yield from _destinations(given)
    yield from _copies(given)
    yield from _credentials(given)
    if route.name == DEFAULT_ROUTE:
        yield from _left_out(route.rules)
    if route.name == DEFAULT_ROUTE or any(named.path[0] == "routes" for named in route.rules):
        yield from ((None, problem) for problem in _size(given))


class _Given(NamedTuple):
    """A header that a rule gives a value."""

    position: int
    name: str
    key: str
    text: str
    rule: Rule


def _given(rules: Sequence[NamedRule]) -> tuple[_Given, ...]:
    return tuple(
        _Given(position, header, header.lower(), named.rule.text, named.rule)
        for position, named in enumerate(rules)
        for header in given_headers(named.rule)
    )


def _match_problems(earlier: Sequence[NamedRoute], route: NamedRoute) -> Iterator[Problem]:
    if route.name == DEFAULT_ROUTE:
        return
    above = next((one for one in earlier if match_covers(one.match, route.match)), None)
    if above is not None:
        yield finding("route-shadowed", ("match",), route=route.name, above=above.name)
    for at, host in enumerate(route.match.host or ()):
        if "/" in host:
            yield finding("route-never-matches", ("match", "host", at), host=host)
    for at, method in enumerate(route.match.method or ()):
        if method not in METHODS:
            known = nearest(method, METHODS, cutoff=SHORT) or "a registered method, as GET"
            path = ("match", "method", at)
            yield finding("method-unknown", path, method=method[:60], known=known)


def _clashes(rules: Sequence[NamedRule]) -> Iterator[PlacedProblem]:
    """Pairs of rules on one header of which one makes the other pointless."""
    by_header: dict[str, list[int]] = {}
    for position, named in enumerate(rules):
        for header in named.rule.header or ():
            by_header.setdefault(header.lower(), []).append(position)
    for header, positions in by_header.items():
        for at, first in enumerate(positions):
            for second in positions[at + 1 :]:
                if found := _clash(header, rules, first, second):
                    yield found


def _clash(
    header: str, rules: Sequence[NamedRule], first: int, second: int
) -> PlacedProblem | None:
    one, other = rules[first].rule, rules[second].rule
    asked = (other.when.response if other.when else None) or {}
    if (one.mode, one.share) != (other.mode, other.share) or header in map(str.lower, asked):
        return None  # an enforced rule beside a candidate, or a rule on what the other made
    gives = one.action in GIVING
    name = next(name for name in one.header or () if name.lower() == header)
    undone = partial(finding, header=name, other=rules[second].name)
    idle = partial(finding, header=name, other=rules[first].name)
    if when_covers(other.when, one.when):
        if gives and other.action == "remove":
            return first, undone("rule-undone")
        if other.action == "set" and (gives or one.action == "remove"):
            return first, undone("rule-overwritten")
    if when_covers(one.when, other.when):
        if one.action == "set" and other.action == "default":
            return second, idle("rule-idle")
        if one.action == "remove" and other.action == "require":
            return second, idle("rules-clash", demands="demands", does="removes")
        if gives and other.action == "forbid" and other.value is None:
            return second, idle("rules-clash", demands="forbids", does="writes")
    return None


def _destinations(given: Sequence[_Given]) -> Iterator[PlacedProblem]:
    """Reports that go nowhere: no destination, or one that the route's headers do not declare."""
    known = {one.key: destinations.declared(one.key, one.text) for one in given}
    for one in given:
        row = headers.get(one.key)
        if row is None or row.deprecated:
            continue
        if row.key.endswith("-report-only"):
            yield from ((one.position, problem) for problem in _report_only(row, one))
        declaring = destinations.DECLARING.get(row.key, "Reporting-Endpoints")
        declared = known.get(declaring.lower())
        for name in filter(None, destinations.named(row, one.text) or ()):
            if declared is None or name not in declared:
                code = "report-endpoint-" + ("undeclared" if declared is None else "unknown")
                found = finding(code, ("value",), declaring=declaring, endpoint=name)
                yield one.position, found


def _report_only(row: headers.Header, one: _Given) -> Iterator[Problem]:
    if destinations.named(row, one.text) == ():
        code, words = "report-only-without-destination", "name an endpoint of Reporting-Endpoints"
        fix = "add report-uri or report-to" if row.grammar == "csp" else words
        severity: Severity | None = "info" if one.rule.action == "merge" else None
        yield finding(code, ("value",), severity=severity, header=row.name, fix=fix)
    for policy in csp.parse(one.text) if row.grammar == "csp" else ():
        for name in filter(policy.get, _INERT):
            yield finding("csp-report-only-inert", ("value",), directive=name, header=row.name)


def _copies(given: Sequence[_Given]) -> Iterator[PlacedProblem]:
    """A candidate that says what is enforced anyway doubles every report and shows nothing."""
    enforced = [
        _meaning(one.text)
        for one in given
        if one.key == "content-security-policy" and one.rule.action == "set"
    ]
    for one in given:
        if one.key == "content-security-policy-report-only" and _meaning(one.text) in enforced:
            yield one.position, finding("csp-report-only-copy", ("value",))


def _meaning(text: str) -> tuple[csp.CspPolicy, ...]:
    acting = (
        tuple(one for one in policy.directives if one.name not in (*REPORTING, *_INERT))
        for policy in csp.parse(text)
    )
    return tuple(csp.normalise(csp.CspPolicy(directives)) for directives in acting)


def _credentials(given: Sequence[_Given]) -> Iterator[PlacedProblem]:
    everyone = any(one.key == "access-control-allow-origin" and one.text == "*" for one in given)
    for one in given:
        if everyone and one.key == "access-control-allow-credentials":
            yield one.position, finding("cors-credentials-for-all", ("value",))


def _left_out(rules: Sequence[NamedRule]) -> Iterator[PlacedProblem]:
    """Pages of API documentation are a class of their own: a rule for html does not reach them."""
    on_docs = {
        header.lower()
        for named in rules
        for header in given_headers(named.rule)
        if "docs" in ((named.rule.when and named.rule.when.response_class) or ("docs",))
    }
    for position, named in enumerate(rules):
        when = named.rule.when
        lost = [header for header in given_headers(named.rule) if header.lower() not in on_docs]
        if when is not None and when.response_class and "html" in when.response_class and lost:
            yield position, finding("docs-left-out", ("when",), header=lost[0])


def _size(given: Sequence[_Given]) -> Iterator[Problem]:
    """The most that a route's rules may add to a response; of rules on one header one counts."""
    largest: dict[str, int] = {}
    appended = 0
    for one in given:
        line = len(one.name) + len(one.text) + len(": \r\n")
        if one.rule.action == "append":
            appended += line
        else:
            largest[one.key] = max(line, largest.get(one.key, 0))
    total = appended + sum(largest.values())
    for kib, outcome in HEADER_SIZES.items():
        if total > kib << 10:
            yield finding(f"headers-over-{kib}k", ("rules",), total=total, outcome=outcome)
            return


def _shared_nonces(rules: Sequence[NamedRule]) -> Iterator[PlacedProblem]:
    """Rules by which shared caches could keep what a nonce makes private."""
    for named in rules:
        if named.rule.action not in WRITING or not asks_for_nonce(named.rule):
            continue
        for position, other in enumerate(rules):
            header = _shares(other.rule)
            if header and not _apart(named.rule.when, other.rule.when):
                yield position, finding("csp-nonce-private", rule=named.name, header=header)


def _shares(rule: Rule) -> str:
    """The header by which a rule allows shared caches to keep a response; "" = none."""
    if rule.action not in GIVING:
        return ""
    for name in rule.header or ():
        if name.lower().encode() in TARGETED:
            return name
        said = parse_cache(rule.text)[0]
        if name.lower() == "cache-control" and said.keys() & _SHARED:
            return name
    return ""


def _apart(one: When | None, other: When | None) -> bool:
    """Whether two conditions never hold together, as far as they themselves tell."""
    if one is None or other is None:
        return False
    if one.scheme and other.scheme and one.scheme != other.scheme:
        return True
    mine, theirs = _kinds(one), _kinds(other)
    return bool(mine and theirs and not mine & theirs)


def _kinds(when: When) -> frozenset[str]:
    """The classes that a condition on content names; empty = none, or media types without one."""
    if when.response_class:
        return frozenset(when.response_class)
    if when.content_type and not any("*" in media for media in when.content_type):
        kinds = [of_media_type(media.encode()) for media in when.content_type]
        return frozenset(kind for kind in kinds if kind) if all(kinds) else frozenset()
    return frozenset()
