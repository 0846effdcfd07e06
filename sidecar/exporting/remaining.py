"""A policy without what an export lost: what the exported server can be held to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from sidecar.exporting.program import Gap
from sidecar.policy.engine.resolve import NamedRule, Resolved


def remaining(resolved: Resolved, gaps: Iterable[Gap]) -> Resolved:
    """The policy without each rule, header or part of a rule, on the routes where it is lost."""
    lost = [gap for gap in gaps if gap.weight == "lost"]
    routes = []
    for route in resolved.routes:
        here = [gap for gap in lost if gap.route in ("", route.name)]
        pairs = ((named, [gap for gap in here if gap.rule == named.name]) for named in route.rules)
        kept = (_left(named, gaps) for named, gaps in pairs)
        routes.append(replace(route, rules=tuple(named for named in kept if named)))
    return replace(resolved, routes=tuple(routes))


def _left(named: NamedRule, gaps: Sequence[Gap]) -> NamedRule | None:
    rule = named.rule
    if rule.attributes is not None:
        if any(not gap.parts for gap in gaps):
            return None
        gone = {part for gap in gaps for part in gap.parts}
        attributes = rule.attributes.model_copy(update=dict.fromkeys(gone))
        if all(value is None for value in attributes.model_dump().values()):
            return None
        return replace(named, rule=rule.model_copy(update={"attributes": attributes}))
    whole = [gap for gap in gaps if not gap.parts]
    lost = {header.lower() for gap in whole for header in gap.header.split(", ")}
    left = tuple(header for header in rule.header or () if header.lower() not in lost)
    action = "default" if any("merge" in gap.parts for gap in gaps) else rule.action
    if not left or "" in lost:
        return None
    return replace(named, rule=rule.model_copy(update={"header": left, "action": action}))
