"""A compiled policy: route a request, decide on one response. Pure: no exception for any bytes.

The mode is part of what is compiled, so nothing here asks "is this report-only?".
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from sidecar.policy.browsers.breakage import breakage_test
from sidecar.policy.browsers.cookie_breakage import CookieTest
from sidecar.policy.browsers.framing import Framing
from sidecar.policy.browsers.storage import Clearing
from sidecar.policy.browsers.trial import has_report_only, looks
from sidecar.policy.engine.judge import Decision, Judge, decide_by
from sidecar.policy.engine.nonces import asks_for_nonce, last_words, nonced
from sidecar.policy.engine.resolve import NamedRoute, NamedRule, Resolved
from sidecar.policy.engine.stricter import stricter
from sidecar.policy.model import Policy, StrictModel
from sidecar.policy.rules.checks import Check, make_check
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import BreakageTest
from sidecar.policy.rules.matching import Index, matcher, readings
from sidecar.policy.rules.shares import ShareCheck
from sidecar.policy.terms import Mode, Slashes, lowest

READ_BODY = 8192
"""Bytes at the beginning of a request body that a rule may look at."""

_KNOWN = 4096
"""Pairs of routes that a plan remembers; when there are more, it starts anew."""

Matcher: TypeAlias = Callable[[str, str, str], bool]


_BESIDE = {"mode", "share", "owner", "reason", "expected", "rollback"}
"""The keys of a rule that demand nothing of responses."""


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule of a route as it counts: its effective mode and what set it (the lowest ceiling)."""

    name: str
    mode: Mode
    ceiling: str
    named: NamedRule
    breakage_test: BreakageTest | None
    meaning: str
    """Short hash of its effective mode, share and demand: evidence is of one meaning."""
    demand: str
    """Short hash of what it demands of which responses, in any mode: a whole rollout has one."""
    scope: str
    """Short hash of which responses it sees, and as what: the matches of its route and of those
    before it, the rules before it that enforce on the same header, and those that enforce on
    headers that browsers read together with it. Evidence is of one scope.
    """
    says: str
    """Short hash of what it demands, whatever its route."""


Watcher: TypeAlias = Clearing | CookieTest | Framing
"""A breakage test with a memory: `watch` says whether a request of any route shows a breakage."""


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """One route compiled: `checks` is flat and in order; a check's `index` points into `rules`."""

    name: str
    rules: tuple[RuleLine, ...]
    checks: tuple[Check, ...]
    judge: Judge
    """Of these checks."""
    matches: Matcher
    breakage_tests: tuple[tuple[int, BreakageTest], ...]
    """Rules whose breakage requests can show, not enforced yet or on a ladder; by rule index."""
    reads_body: int
    """Bytes at the beginning of request bodies in which a rule looks for a cookie's value."""
    trials: Mapping[int, str]
    """The reports' key of each rule in trial that has a report-only header; by the rule's index."""
    max_body: int | None
    """Bytes of a request body."""
    max_body_mode: Mode
    """In enforce a larger body is refused, in report-only it is only reported."""
    nonced: bool
    """Whether an active rule writes or demands a nonce of each response: the service gets one."""
    watchers: tuple[tuple[str, str, Watcher], ...] = ()
    """Breakage tests of the whole policy that must see every request, by route and rule."""
    elsewhere: tuple[tuple[str, str, int, CookieTest], ...] = ()
    """Tests of cookies that other routes' rules write, which requests of this route may carry, by
    route and rule; with them the index of the same rule here, -1 = none.
    """


@dataclass(frozen=True, slots=True)
class Matched:
    """The route of a request, the reading of its path that led there, each reading's route."""

    route: RoutePlan
    reading: str
    ways: tuple[tuple[str, RoutePlan], ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled policy. `mode` is the effective ceiling; `routes` ends with the default."""

    name: str
    mode: Mode
    routes: tuple[RoutePlan, ...]
    index: Index
    """Of the routes before the default."""
    slashes: Slashes = "stricter"
    trials: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    """Route and rule of each reports' key."""
    _known: dict[tuple[str, str], bool] = field(default_factory=dict, compare=False, repr=False)
    """Whether one route is stricter than another, by their names, as far as it has been asked."""

    def route(self, host: str, method: str, path: str) -> RoutePlan:
        """The route of a request; `path` is the request target's path as sent, without query."""
        if len(self.routes) == 1:
            return self.routes[0]
        ways = readings(path, self.slashes)
        if len(ways) == 1:
            route = self._first(host, method, ways[0])
            if route is not self.routes[-1] or path[-1:] != "/":
                return route
        return self.matched(host, method, path).route

    def matched(self, host: str, method: str, path: str) -> Matched:
        """The same with the reason: of all readings of the path, that of the strictest route.

        In one reading the first route that matches counts. The likeliest reading counts unless the
        route of another is stricter (see `stricter`). A slash at the end may mean nothing where no
        route matches it.
        """
        default, ways = self.routes[-1], []
        for way in readings(path, self.slashes):
            route = self._first(host, method, way)
            ways.append((way, route))
            if route is default and len(way) > 1 and way[-1] == "/":
                ways.append((way[:-1], self._first(host, method, way[:-1])))
        reading, route = ways[0]
        for way, other in ways[1:]:
            if other is not route and self._stricter(other, route):
                reading, route = way, other
        return Matched(route, reading, tuple(ways))

    def _first(self, host: str, method: str, reading: str) -> RoutePlan:
        for position in self.index.candidates(host, reading):
            if self.routes[position].matches(host, method, reading):
                return self.routes[position]
        return self.routes[-1]

    def _stricter(self, one: RoutePlan, other: RoutePlan) -> bool:
        key = one.name, other.name
        found = self._known.get(key)
        if found is None:
            if len(self._known) >= _KNOWN:
                self._known.clear()
            found = self._known[key] = stricter(one, other)
        return found


def decide(route: RoutePlan, facts: Facts) -> Decision:
    """Judge one response by one route's checks; `route.judge` says the same, and remembers."""
    return decide_by(route.checks, facts, route.trials)


def compile_policy(resolved: Resolved, *, override: Mode | None = None) -> Plan:
    """Compile a complete policy under a runtime ceiling (`override`, None = none)."""
    mode = lowest(resolved.mode, override)
    matches = [_said(route.match) for route in resolved.routes]
    routes = tuple(
        _route(route, resolved.policy, override, matches[: place + 1])
        for place, route in enumerate(resolved.routes)
    )
    keys = {
        key: (route.name, route.rules[index].name)
        for route in routes
        for index, key in route.trials.items()
    }
    watchers = tuple(_watchers(routes))
    if watchers:
        routes = tuple(replace(route, watchers=watchers) for route in routes)
    routes = tuple(_with_cookies_of_others(route, routes) for route in routes)
    index = Index(route.match for route in resolved.routes[:-1])
    return Plan(resolved.policy.name, mode, routes, index, resolved.policy.slashes, keys)


def _check(named: NamedRule, index: int, mode: Mode, share: float) -> Check:
    def make(mode: Mode) -> Check:
        return nonced(make_check(named.name, named.rule, index, mode), named.rule)

    check = make(mode)
    if mode not in ("trial", "enforce") or share >= 1.0:
        return check
    return ShareCheck(check, make("report-only"), share)


def _route(
    route: NamedRoute, policy: Policy, override: Mode | None, matches: Sequence[object]
) -> RoutePlan:
    rules: list[RuleLine] = []
    checks: list[Check] = []
    written: list[tuple[frozenset[str], str]] = []
    demands = [named.rule.said(without=_BESIDE) for named in route.rules]
    own = [_demand(demanded, "") for demanded in demands]
    above = {
        "override": override,
        "policy": policy.mode or "report-only",
        f"route {route.name}": route.mode,
    }
    modes = [lowest(*above.values(), named.rule.mode) for named in route.rules]
    beside = [
        (frozenset(named.rule.names), demand)
        for named, demand, mode in zip(route.rules, own, modes, strict=True)
        if mode == "enforce"
    ]
    for index, (named, mode) in enumerate(zip(route.rules, modes, strict=True)):
        ceiling = next((who for who, said in above.items() if said == mode), "rule")
        names = frozenset(named.rule.names or ("set-cookie",))
        said = [demand for those, demand in written if those & names]
        if together := read_with(names):
            said += [demand for those, demand in beside if those & together]
        scope = _hash([matches, said])[:12]
        demand = _demand(demands[index], scope)
        if mode == "enforce":
            written.append((names, demand))
        meaning = _hash([mode, named.rule.share, demands[index]])[:16]
        test, hashes = breakage_test(named.rule, named.rule.text), (meaning, demand, scope)
        rules.append(RuleLine(named.name, mode, ceiling, named, test, *hashes, own[index]))
        if mode != "off":
            share = min(policy.share or 1.0, named.rule.share or 1.0)
            checks.append(_check(named, index, mode, share))
    checks += last_words(checks)
    lines = [*enumerate(rules)]
    breakage_tests = tuple(
        (at, line.breakage_test) for at, line in lines if line.breakage_test and _unproven(line)
    )
    tried = {
        at: line for at, line in lines if line.mode == "trial" and has_report_only(line.named.rule)
    }
    keys = {index: _key(route.name, line) for index, line in tried.items()}
    looked = frozenset[bytes]().union(*(looks(line.named.rule) for line in tried.values()))
    asked = (rules[index].named.rule.attributes for index, _ in breakage_tests)
    hides = (attributes is not None and attributes.http_only for attributes in asked)
    return RoutePlan(
        route.name,
        tuple(rules),
        tuple(checks),
        judge=Judge(tuple(checks), keys, looked),
        matches=matcher(route.match),
        breakage_tests=breakage_tests,
        reads_body=READ_BODY if any(hides) else 0,
        trials=keys,
        max_body=route.max_body,
        max_body_mode=lowest(*above.values()),
        nonced=any(line.mode != "off" and asks_for_nonce(line.named.rule) for line in rules),
    )


_TOGETHER = (
    frozenset({"content-security-policy", "x-frame-options"}),
    frozenset({"cross-origin-opener-policy", "cross-origin-embedder-policy"}),
    frozenset({"cross-origin-resource-policy", "cross-origin-embedder-policy"}),
    frozenset({"content-type", "content-disposition", "x-content-type-options"}),
    frozenset({"access-control-allow-origin", "access-control-allow-credentials"}),
)
"""Headers of which one says what another means: what was seen without a rule on the one says
nothing of a rule on the other.
"""


def read_with(names: frozenset[str]) -> frozenset[str]:
    """The other headers that browsers read together with these."""
    return frozenset().union(*(them for them in _TOGETHER if them & names)) - names


def _unproven(line: RuleLine) -> bool:
    """Whether evidence is needed: before the rule enforces, and for its ladder's next step."""
    if line.mode == "enforce":
        return line.named.rule.ladder is not None
    return line.mode in ("report-only", "trial")


def _watchers(routes: Iterable[RoutePlan]) -> Iterator[tuple[str, str, Watcher]]:
    for route in routes:
        for index, found in route.breakage_tests:
            if isinstance(found, Clearing | CookieTest | Framing) and found.asks:
                yield route.name, route.rules[index].name, found


def _with_cookies_of_others(route: RoutePlan, routes: Iterable[RoutePlan]) -> RoutePlan:
    own = {(line.name, line.says): at for at, line in enumerate(route.rules) if _unproven(line)}
    found = []
    for other in routes:
        for index, test in other.breakage_tests if other is not route else ():
            if isinstance(test, CookieTest):
                line = other.rules[index]
                at = own.get((line.name, line.says), -1)
                # Without conditions the same rule here leaves no response alone, and looks itself.
                if at < 0 or route.rules[at].named.rule.when is not None:
                    found.append((other.name, line.name, at, test))
    return replace(route, elsewhere=tuple(found)) if found else route


def _demand(demanded: dict[str, Any], scope: str) -> str:
    return _hash([scope, demanded])[:12]


def _said(noun: StrictModel | None) -> object:
    return noun and noun.model_dump(mode="json", exclude_none=True)


def _hash(data: object) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _key(route: str, line: RuleLine) -> str:
    """The name of rule, route and meaning in reports, which keeps earlier meanings apart."""
    return hashlib.sha256(f"{route}\0{line.name}\0{line.meaning}".encode()).hexdigest()[:16]
