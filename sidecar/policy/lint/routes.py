"""What several rules or routes say together: shadows, clashes, report destinations, sizes, and the
review.

Lives here: findings over a whole route or policy. Must not know what one value is worth (see
`lint_values`), nor where in a file a rule stands (see `lint`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from sidecar.policy import csp, headers
from sidecar.policy.engine.overlap import match_covers, when_covers
from sidecar.policy.engine.resolve import NamedRoute, NamedRule, Resolved
from sidecar.policy.headers import destinations
from sidecar.policy.lint import nonces as lint_nonces
from sidecar.policy.lint.values import given_headers
from sidecar.policy.model import DEFAULT_ROUTE, Path, Problem, Rule, Severity, lowest
from sidecar.policy.rules.checks import value_text

PlacedProblem = tuple[int | None, Problem]
"""The position of the rule at fault and a path inside it, or None and a path inside the route."""

HEADER_SIZES: tuple[tuple[int, Severity, str], ...] = (
    (16, "warning", "most servers and clients refuse such responses"),
    (8, "warning", "many proxies and clients refuse such responses"),
    (4, "info", "proxies with small buffers, such as nginx by default, may refuse such responses"),
)
"""KiB of header lines, from the most, and what comes of it."""

_INERT = ("sandbox", "upgrade-insecure-requests")
_REPORTING = frozenset({"report-uri", "report-to"})


def policy_problems(resolved: Resolved) -> Iterator[Problem]:
    """What an enforced policy lacks for its review: who answers for it, what to expect, how to
    undo it.
    """
    policy = resolved.policy
    enforced = [
        named
        for route in resolved.routes
        for named in route.rules
        if lowest(policy.mode or "report-only", route.mode, named.rule.mode) == "enforce"
    ]
    for key, lacks in (
        ("owner", "nobody to ask"),
        ("expected", "no word on what will be seen"),
        ("rollback", "no word on how to undo it"),
    ):
        names = dict.fromkeys(
            named.name
            for named in enforced
            if not (getattr(policy, key) or getattr(named.rule, key))
        )
        if names:
            shown = ", ".join([*names][:5]) + (", ..." if len(names) > 5 else "")
            yield Problem(
                f"enforced with {lacks}: {shown}",
                f"add {key}: to the policy or the rule",
                ("mode",),
                "warning",
                code=f"enforced-without-{key}",
            )


def route_problems(earlier: Sequence[NamedRoute], route: NamedRoute) -> Iterator[PlacedProblem]:
    """Findings over one route whose rules are all active, given the routes before it."""
    yield from ((None, problem) for problem in _match_problems(earlier, route))
    yield from _clashes(route.rules)
    yield from lint_nonces.clashes(route.rules)
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
        _Given(position, header, header.lower(), value_text(named.rule.value or ""), named.rule)
        for position, named in enumerate(rules)
        for header in given_headers(named.rule)
    )


def _warn(
    code: str, message: str, fix: str, path: Path = (), severity: Severity = "warning"
) -> Problem:
    return Problem(message, fix, path, severity, code=code)


def _match_problems(earlier: Sequence[NamedRoute], route: NamedRoute) -> Iterator[Problem]:
    if route.name == DEFAULT_ROUTE:
        return
    above = next((one for one in earlier if match_covers(one.match, route.match)), None)
    if above is not None:
        yield _warn(
            "route-shadowed",
            f"route {route.name!r} is never reached: {above.name!r} above it takes all its"
            " requests",
            "put it above",
            ("match",),
        )
    for at, host in enumerate(route.match.host or ()):
        if "/" in host:
            yield _warn(
                "route-never-matches",
                f"host {host!r} matches no request: a host name has no slash",
                "write the name alone",
                ("match", "host", at),
            )


def _clashes(rules: Sequence[NamedRule]) -> Iterator[PlacedProblem]:
    """Pairs of rules on one header of which one makes the other pointless."""
    by_header: dict[str, list[int]] = {}
    for position, named in enumerate(rules):
        for header in named.rule.header or ():
            by_header.setdefault(header.lower(), []).append(position)
    for header, positions in by_header.items():
        for at, first in enumerate(positions):
            for second in positions[at + 1 :]:
                if found := _clash(header, rules[first], rules[second]):
                    loser, code, message, fix = found
                    yield (first if loser == "first" else second), _warn(code, message, fix)


def _clash(header: str, first: NamedRule, second: NamedRule) -> tuple[str, str, str, str] | None:
    one, other = first.rule, second.rule
    if (one.mode, one.share) != (other.mode, other.share) or header in {
        name.lower() for name in (other.when.response if other.when else None) or ()
    }:
        return (
            None  # an enforced rule beside a candidate, or a rule that looks at what the other made
        )
    gives = one.action in ("set", "default", "append", "merge")
    name = next(name for name in one.header or () if name.lower() == header)
    if when_covers(other.when, one.when):
        if gives and other.action == "remove":
            return (
                "first",
                "rule-undone",
                f"what it does to {name} is undone: {second.name!r} removes it afterwards",
                "remove one of the two",
            )
        if other.action == "set" and (gives or one.action == "remove"):
            return (
                "first",
                "rule-overwritten",
                f"what it does to {name} is overwritten: {second.name!r} sets it afterwards",
                "remove one of the two, or give them conditions",
            )
    if when_covers(one.when, other.when):
        if one.action == "set" and other.action == "default":
            return (
                "second",
                "rule-idle",
                f"{name} always stands already: {first.name!r} sets it before",
                "remove one of the two",
            )
        if one.action == "remove" and other.action == "require":
            return (
                "second",
                "rules-clash",
                f"it demands {name}, which {first.name!r} removes before",
                "remove one of the two",
            )
        if gives and other.action == "forbid" and other.value is None:
            return (
                "second",
                "rules-clash",
                f"it forbids {name}, which {first.name!r} writes before",
                "remove one of the two",
            )
    return None


def _destinations(given: Sequence[_Given]) -> Iterator[PlacedProblem]:
    """Reports that go nowhere: no destination, or one that the route's own declaring header does
    not name.
    """
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
            if declared is None:
                yield (
                    one.position,
                    _warn(
                        "report-endpoint-undeclared",
                        f"no rule writes {declaring}, so the service must name the endpoint"
                        f" {name!r}",
                        f"add a rule for {declaring}",
                        ("value",),
                        "info",
                    ),
                )
            elif name not in declared:
                yield (
                    one.position,
                    _warn(
                        "report-endpoint-unknown",
                        f"{declaring} of this route names no endpoint {name!r}",
                        "add it there",
                        ("value",),
                    ),
                )


def _report_only(row: headers.Header, one: _Given) -> Iterator[Problem]:
    if destinations.named(row, one.text) == ():
        yield _warn(
            "report-only-without-destination",
            f"{row.name} has no destination for its reports, so it does nothing",
            (
                "add report-uri or report-to"
                if row.grammar == "csp"
                else "name an endpoint of Reporting-Endpoints"
            ),
            ("value",),
            "info" if one.rule.action == "merge" else "warning",
        )
    for policy in csp.parse(one.text) if row.grammar == "csp" else ():
        for name in _INERT:
            if policy.get(name):
                yield _warn(
                    "csp-report-only-inert",
                    f"{name} has no effect in {row.name}",
                    "remove it there",
                    ("value",),
                )


def _copies(given: Sequence[_Given]) -> Iterator[PlacedProblem]:
    """A candidate that says what is enforced anyway doubles every report and shows nothing."""
    enforced = [
        _meaning(one.text)
        for one in given
        if one.key == "content-security-policy" and one.rule.action == "set"
    ]
    for one in given:
        if one.key == "content-security-policy-report-only" and _meaning(one.text) in enforced:
            yield (
                one.position,
                _warn(
                    "csp-report-only-copy",
                    "it says what is enforced anyway, so every report comes twice",
                    "keep what differs",
                    ("value",),
                ),
            )


def _meaning(text: str) -> tuple[csp.Policy, ...]:
    policies = (
        csp.Policy(
            tuple(one for one in policy.directives if one.name not in (*_REPORTING, *_INERT))
        )
        for policy in csp.parse(text)
    )
    return tuple(csp.normalise(policy) for policy in policies)


def _credentials(given: Sequence[_Given]) -> Iterator[PlacedProblem]:
    everyone = any(one.key == "access-control-allow-origin" and one.text == "*" for one in given)
    for one in given:
        if everyone and one.key == "access-control-allow-credentials":
            yield (
                one.position,
                _warn(
                    "cors-credentials-for-all",
                    "any origin is let in, and browsers refuse credentials for it",
                    "name the origin, or remove this",
                    ("value",),
                ),
            )


def _left_out(rules: Sequence[NamedRule]) -> Iterator[PlacedProblem]:
    """Pages of API documentation are of a class of their own; a rule for pages alone does not
    reach them.
    """
    on_docs = {
        header.lower()
        for named in rules
        for header in given_headers(named.rule)
        if named.rule.when is None or _reaches_docs(named.rule.when.response_class)
    }
    for position, named in enumerate(rules):
        when = named.rule.when
        lost = [header for header in given_headers(named.rule) if header.lower() not in on_docs]
        if when is not None and when.response_class and "html" in when.response_class and lost:
            yield (
                position,
                _warn(
                    "docs-left-out",
                    f"pages of API documentation (class docs) get no {lost[0]}",
                    "add docs to the class, or a rule for it",
                    ("when",),
                    "info",
                ),
            )


def _reaches_docs(classes: Iterable[str] | None) -> bool:
    return classes is None or "docs" in classes


def _size(given: Sequence[_Given]) -> Iterator[Problem]:
    """The most that the rules of one route may add to a response: of rules on one header, only
    one counts.
    """
    largest: dict[str, int] = {}
    appended = 0
    for one in given:
        line = len(one.name) + len(one.text) + len(": \r\n")
        if one.rule.action == "append":
            appended += line
        else:
            largest[one.key] = max(line, largest.get(one.key, 0))
    total = appended + sum(largest.values())
    for kib, severity, outcome in HEADER_SIZES:
        if total > kib << 10:
            yield _warn(
                f"headers-over-{kib}k",
                f"the rules add up to {total} bytes of headers: {outcome}",
                "shorten the largest",
                ("rules",),
                severity,
            )
            return
