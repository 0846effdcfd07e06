"""Judges a complete policy: what is legal, and yet weak, idle, or bound to break something.

The findings are made in `values` and `routes`. `source` adds lines and columns by the path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from sidecar.policy.engine.resolve import NamedRoute, NamedRule, Resolved, is_off
from sidecar.policy.lint.routes import policy_problems, route_problems
from sidecar.policy.lint.values import refusals, rule_problems
from sidecar.policy.terms import DEFAULT_ROUTE, Path, Problem, Severity


def lint(resolved: Resolved) -> tuple[Problem, ...]:
    """Every finding, once, with the path to its place.

    An error would do harm if it ran, and keeps the policy from being put in force; a warning calls
    for a change; an info is good to know. Rules that are off are not judged. What a preset says
    cannot be changed here: it is an info at the place that names the preset.
    """
    return tuple(dict.fromkeys((*refused(resolved), *_found(resolved))))


def refused(resolved: Resolved) -> tuple[Problem, ...]:
    """Only the errors."""
    found = (
        _placed(resolved, at, named, problem)
        for at, route in enumerate(resolved.routes)
        for named in _active(route)
        for problem in refusals(named.rule)
    )
    return tuple(dict.fromkeys(found))


def _found(resolved: Resolved) -> Iterator[Problem]:
    yield from policy_problems(resolved)
    for at, route in enumerate(resolved.routes):
        is_default = route.name == DEFAULT_ROUTE
        rules = _active(route)
        for named in rules:
            for problem in rule_problems(named.rule, None if is_default else route.match):
                yield _placed(resolved, at, named, problem)
        for position, problem in route_problems(resolved.routes[:at], replace(route, rules=rules)):
            if position is not None:
                yield _placed(resolved, at, rules[position], problem)
            elif is_default:
                yield problem
            else:
                yield replace(problem, path=("routes", at, *problem.path))


def _active(route: NamedRoute) -> tuple[NamedRule, ...]:
    return tuple(named for named in route.rules if not is_off(route, named))


def _placed(resolved: Resolved, at: int, named: NamedRule, problem: Problem) -> Problem:
    """The problem of one rule, whose path leads to a key of the rule, at its place in the file."""
    extends = resolved.policy.extends or ()
    own = [layer for layer in named.origin.values() if layer not in extends]
    # "route ..." before "policy"
    layer = named.origin.get(str(problem.path[0])) if problem.path else max(own, default=None)
    layer = layer or next(iter(named.origin.values()))
    message = f"rule {named.name!r}: {problem.message}"
    if layer in extends:
        severity: Severity = "error" if problem.severity == "error" else "info"
        path: Path = ("extends", extends.index(layer))
        return replace(problem, message=f"preset {layer}, {message}", path=path, severity=severity)
    path = ("rules", named.name, *problem.path)
    return replace(
        problem, message=message, path=path if layer == "policy" else ("routes", at, *path)
    )
