"""Two policies compared: what differs in meaning, which enforces more, and how responses change."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, TypeAlias

from sidecar.policy.engine.plan import Plan, RoutePlan, RuleLine, compile_policy, decide
from sidecar.policy.engine.resolve import NamedRoute, Resolved
from sidecar.policy.engine.stricter import match_covers
from sidecar.policy.headers.shapes import Lines, display_name, host, path, shapes
from sidecar.policy.headers.strength import weaker
from sidecar.policy.rules.conditions import Facts, Seen, by_name
from sidecar.policy.terms import DEFAULT_ROUTE, Mode

What: TypeAlias = Literal["added", "removed", "changed"]


@dataclass(frozen=True, slots=True)
class KeyChange:
    """One key that says something else; None = it is not there."""

    key: str
    before: str | None
    after: str | None


@dataclass(frozen=True, slots=True)
class RuleChange:
    """One rule on one route. Modes are effective ones, None = the rule is not there.

    For a route that only one policy has, the other side is that policy's default route.
    """

    route: str
    rule: str
    what: What
    before: Mode | None
    after: Mode | None
    keys: tuple[KeyChange, ...] = ()

    @property
    def more(self) -> bool:
        """It enforces now, and did not."""
        return self.after == "enforce" != self.before

    @property
    def less(self) -> bool:
        """It enforced, and does not now."""
        return self.before == "enforce" != self.after


@dataclass(frozen=True, slots=True)
class RouteChange:
    """A route that is new, gone, or matches or is held down differently."""

    route: str
    what: What
    keys: tuple[KeyChange, ...]


@dataclass(frozen=True, slots=True)
class ShadowedRoute:
    """A route that no request reaches, because an earlier one takes them all."""

    route: str
    by: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """All differences in meaning; `order`: the names of routes in their new order when it changed.

    `reordered` are routes whose common rules have another order; `shadowed` routes that were
    reached before.
    """

    about: tuple[KeyChange, ...]
    rules: tuple[RuleChange, ...]
    routes: tuple[RouteChange, ...]
    order: tuple[str, ...]
    reordered: tuple[str, ...]
    shadowed: tuple[ShadowedRoute, ...]

    @property
    def same(self) -> bool:
        """Both mean the same: they have the same revision."""
        return not (self.about or self.rules or self.routes or self.order or self.reordered)

    @property
    def more(self) -> tuple[RuleChange, ...]:
        """Where the new policy enforces and the old one does not."""
        return tuple(change for change in self.rules if change.more)

    @property
    def less(self) -> tuple[RuleChange, ...]:
        """Where the old policy enforces and the new one does not."""
        return tuple(change for change in self.rules if change.less)


def compare(before: Resolved, after: Resolved) -> Comparison:
    """What differs in meaning; comments, layers and the order of keys mean nothing."""
    old, new = _routes(before), _routes(after)
    common = [name for name in old if name in new]
    kept = [name for name in new if name in old]
    return Comparison(
        about=tuple(_keys(_about(before), _about(after))),
        rules=tuple(_rule_changes(old, new)),
        routes=tuple(_route_changes(old, new)),
        order=tuple(name for name in new if name != DEFAULT_ROUTE) if common != kept else (),
        reordered=tuple(
            name for name in common if _order(old[name], new[name]) != _order(new[name], old[name])
        ),
        shadowed=tuple(
            shadow for shadow in shadows(after.routes) if shadow not in shadows(before.routes)
        ),
    )


_Routes: TypeAlias = Mapping[str, tuple[NamedRoute, RoutePlan]]


def _routes(resolved: Resolved) -> _Routes:
    plans = compile_policy(resolved).routes
    return {route.name: (route, plan) for route, plan in zip(resolved.routes, plans, strict=True)}


def _order(one: tuple[NamedRoute, RoutePlan], other: tuple[NamedRoute, RoutePlan]) -> list[str]:
    names = {named.name for named in other[0].rules}
    return [named.name for named in one[0].rules if named.name in names]


def _about(resolved: Resolved) -> dict[str, Any]:
    canonical = resolved.canonical()
    names = ("owner", "reason", "expected", "rollback")
    held = dict(zip(names, canonical.pop("about"), strict=True)) | canonical
    return {key: value for key, value in held.items() if key != "routes" and value}


def _keys(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[KeyChange]:
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            yield KeyChange(key, _text(before.get(key)), _text(after.get(key)))


def _rule_changes(old: _Routes, new: _Routes) -> Iterator[RuleChange]:
    for name in sorted({**old, **new}, key=[*new, *old].index):
        plans = (routes.get(name, routes[DEFAULT_ROUTE])[1] for routes in (old, new))
        was, now = ({line.name: line for line in plan.rules} for plan in plans)
        for rule in {**was, **now}:
            one, other = was.get(rule), now.get(rule)
            keys = tuple(_keys(_said(one), _said(other))) if one and other else ()
            modes = (one.mode if one else None, other.mode if other else None)
            if modes[0] != modes[1] or keys:
                what: What = "changed" if one and other else "added" if other else "removed"
                yield RuleChange(name, rule, what, *modes, keys)


def _said(line: RuleLine) -> dict[str, Any]:
    rule = line.named.rule
    said = rule.model_dump(exclude_none=True, by_alias=True)
    if rule.share is not None:
        said["share"] = f"{100 * rule.share:g}%"
    return said if rule.value is None else said | {"value": rule.text}


def _text(value: Any) -> str | None:
    """A value for people: lists in brackets, mappings as KEY: VALUE, None = there is none."""
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_text(item)}" for key, item in value.items())
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(str, value))}]" if len(value) != 1 else str(value[0])
    return None if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _route_changes(old: _Routes, new: _Routes) -> Iterator[RouteChange]:
    for name in sorted({**old, **new}, key=[*new, *old].index):
        was, now = (_matched(routes[name][0]) if name in routes else {} for routes in (old, new))
        keys = tuple(_keys(was, now))
        if name not in old or name not in new:
            yield RouteChange(name, "added" if name in new else "removed", keys)
        elif keys:
            yield RouteChange(name, "changed", keys)


def _matched(route: NamedRoute) -> dict[str, Any]:
    names = [field.name for field in fields(route) if field.name not in ("name", "match", "rules")]
    said = route.match.model_dump() | {name: getattr(route, name) for name in names}
    return {key: value for key, value in said.items() if value is not None}


def shadows(routes: Sequence[NamedRoute]) -> tuple[ShadowedRoute, ...]:
    """The routes that an earlier one takes every request from."""
    found = []
    for position, route in enumerate(routes[:-1]):
        by = next((one for one in routes[:position] if match_covers(one.match, route.match)), None)
        if by is not None:
            found.append(ShadowedRoute(route.name, by.name))
    return tuple(found)


# What becomes of responses.


@dataclass(frozen=True, slots=True)
class HeaderChange:
    """One header under either policy, as it may be shown; `weaker`: why the new protects less."""

    header: str
    before: Lines
    after: Lines
    weaker: str


@dataclass(frozen=True, slots=True)
class Complaint:
    """A violation that only one of the policies reports."""

    rule: str
    header: str
    kind: str


@dataclass(frozen=True, slots=True)
class PolicyEffect:
    """What the new policy changes for some responses: their route, their lines, the reports."""

    before: str
    after: str
    headers: tuple[HeaderChange, ...]
    silent: tuple[Complaint, ...]
    """No longer reported."""
    reported: tuple[Complaint, ...]
    """Reported now."""
    responses: int
    example: str
    """The first such request and its status, ids replaced."""


def effects(before: Plan, after: Plan, responses: Iterable[Facts]) -> tuple[PolicyEffect, ...]:
    """What changes for these responses; equal changes are counted together, the first first."""
    found: dict[tuple[Any, ...], PolicyEffect] = {}
    for facts in responses:
        effect = _effect(before, after, facts)
        if effect is None:
            continue
        key = (effect.before, effect.after, effect.headers, effect.silent, effect.reported)
        held = found.get(key)
        found[key] = effect if held is None else replace(held, responses=held.responses + 1)
    return tuple(found.values())


def _effect(before: Plan, after: Plan, facts: Facts) -> PolicyEffect | None:
    routes = [plan.route(facts.host, facts.method, facts.path) for plan in (before, after)]
    old, new = (decide(route, facts) for route in routes)
    changes = tuple(_header_changes(by_name(old.fields), by_name(new.fields)))
    said = [
        dict.fromkeys(Complaint(one.rule, one.header, one.kind) for one in decision.findings)
        for decision in (old, new)
    ]
    silent, reported = (
        tuple(item for item in mine if item not in theirs) for mine, theirs in (said, said[::-1])
    )
    if not (changes or silent or reported):
        return None
    url = f"{facts.scheme}://{host(facts.host)}{path(facts.path)}"
    example = f"{facts.method} {url} -> {facts.status}"
    return PolicyEffect(routes[0].name, routes[1].name, changes, silent, reported, 1, example)


def _header_changes(before: Seen, after: Seen) -> Iterator[HeaderChange]:
    for key in {**before, **after}:
        if before.get(key) != after.get(key):
            name = key.decode("latin-1")
            was, now = (shapes(name, lines.get(key, ())) for lines in (before, after))
            yield HeaderChange(display_name(name), was, now, weaker(name, was, now))
