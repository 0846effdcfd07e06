"""A compiled policy: route a request, decide on one answer. Pure, total: no exception for any bytes.

Lives here: `compile_policy(resolved) -> Plan`, `Plan.route`. The mode is folded in at
compile time, so nothing here asks "is this report-only?". Must not know files, time, or who asks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from sidecar.policy.breakage import Oracle, oracle
from sidecar.policy.checks import Check, make_check, value_text
from sidecar.policy.conditions import Facts
from sidecar.policy.cookie_check import CookieCheck
from sidecar.policy.judge import Decision, Judge, decide_by
from sidecar.policy.matching import matcher
from sidecar.policy.model import Mode, Policy, lowest
from sidecar.policy.resolve import NamedRoute, NamedRule, Resolved
from sidecar.policy.shares import Shared

Matcher: TypeAlias = Callable[[str, str, str], bool]


@dataclass(frozen=True, slots=True)
class RuleLine:
    """One rule of a route as it counts: its effective mode and what set it (the lowest ceiling)."""

    name: str
    mode: Mode
    ceiling: str
    named: NamedRule
    oracle: Oracle | None


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """One route compiled: `checks` is flat and in order; a check's `index` points into `rules`."""

    name: str
    rules: tuple[RuleLine, ...]
    checks: tuple[Check, ...]
    judge: Judge
    """Of these checks."""
    matches: Matcher
    oracles: tuple[tuple[int, Oracle], ...]
    """Rules that are only told, and whose breakage requests can show; by the rule's index."""
    max_body: int | None
    """Octets of a request body."""
    max_body_mode: Mode
    """In enforce a larger body is refused, in report-only it is only told."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A compiled policy. `mode` is the effective ceiling of the whole; `routes` ends with the default."""

    name: str
    mode: Mode
    routes: tuple[RoutePlan, ...]

    def route(self, host: str, method: str, path: str) -> RoutePlan:
        """The first route that matches; `path` is the request target's path as sent, without query."""
        for route in self.routes:  # pragma: no branch - the default takes all
            if route.matches(host, method, path):
                break
        return route


def decide(route: RoutePlan, facts: Facts) -> Decision:
    """Judge one answer by one route's checks, anew; `route.judge` says the same, and remembers."""
    return decide_by(route.checks, facts)


def compile_policy(resolved: Resolved, *, override: Mode | None = None) -> Plan:
    """Compile a complete policy under a runtime ceiling (`override`, None = none)."""
    mode = lowest(resolved.mode, override)
    routes = tuple(_route(route, resolved.policy, override) for route in resolved.routes)
    return Plan(resolved.policy.name, mode, routes)


def _check(named: NamedRule, index: int, mode: Mode, share: float) -> Check:
    make = CookieCheck if named.rule.cookie is not None else make_check
    check = make(named.name, named.rule, index, mode)
    if mode != "enforce" or share >= 1.0:
        return check
    return Shared(check, make(named.name, named.rule, index, "report-only"), share)


def _route(route: NamedRoute, policy: Policy, override: Mode | None) -> RoutePlan:
    rules: list[RuleLine] = []
    checks: list[Check] = []
    for index, named in enumerate(route.rules):
        ceilings = {"override": override, "policy": policy.mode or "report-only", f"route {route.name}": route.mode, "rule": named.rule.mode}
        mode = lowest(*ceilings.values())
        ceiling = next(who for who, said in ceilings.items() if said == mode)
        value = "" if named.rule.value is None else value_text(named.rule.value)
        rules.append(RuleLine(named.name, mode, ceiling, named, oracle(named.rule, value)))
        if mode != "off":
            checks.append(_check(named, index, mode, min(policy.share or 1.0, named.rule.share or 1.0)))
    told = tuple((index, line.oracle) for index, line in enumerate(rules) if line.oracle and line.mode == "report-only")
    mode = lowest(override, policy.mode or "report-only", route.mode)
    flat = tuple(checks)
    return RoutePlan(route.name, tuple(rules), flat, Judge(flat), matcher(route.match), told, route.max_body, mode)
