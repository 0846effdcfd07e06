"""What a policy enforces, as steps that other proxies can take: between a policy and all targets.

`program(resolved)` keeps the rules in enforce and notes what no target can express.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from sidecar.exporting.terms import (
    Condition,
    Field,
    condition,
    https_only,
    over_https,
    response_names,
)
from sidecar.policy.browsers.trial import REPORTS_PATH, by_api, has_report_only, report_only
from sidecar.policy.engine.nonces import asks_for_nonce
from sidecar.policy.engine.plan import RoutePlan, RuleLine, compile_policy
from sidecar.policy.engine.resolve import NamedRoute, Resolved
from sidecar.policy.engine.stricter import stricter
from sidecar.policy.headers import cookies
from sidecar.policy.model import Match, Rule
from sidecar.policy.rules.checks import demands_of
from sidecar.policy.rules.conditions import Finding
from sidecar.policy.terms import WRITING

Act: TypeAlias = Literal["set", "default", "append", "remove", "cookie"]
Weight: TypeAlias = Literal["lost", "differs", "note"]

_NOTHING = cookies.Demands()
_RULE = "{rule}"
"""In an address that browsers report to: the name of the rule."""
_ADDED = (b"content-security-policy-report-only", b"reporting-endpoints")
"""Report-only headers of which each line counts; of others the service's own goes first."""


@dataclass(frozen=True, slots=True)
class Gap:
    """What a configuration does not do as the policy says.

    `lost`: the rule, or a part of it, is not in the configuration. `differs`: it is, but acts
    otherwise in the case that the text names. `note`: good to know.
    """

    weight: Weight
    rule: str
    """ "" where it is about the whole."""
    header: str
    text: str
    route: str = ""
    """ "" where it holds on every route that has the rule."""
    parts: tuple[str, ...] = ()
    """The parts that are lost, if not all: cookie attributes, or `merge`, which is then default."""

    def __str__(self) -> str:
        where = f" (route {self.route})" if self.route else ""
        about = ": ".join(part for part in (f"{self.rule}{where}", self.header) if part)
        return f"{about}: {self.text}" if about else self.text


@dataclass(frozen=True, slots=True)
class ExportedStep:
    """One header of one rule, as it is enforced on one route."""

    rule: str
    header: str
    act: Act
    value: str
    when: Condition
    rewritten: frozenset[str] = frozenset()
    """Names in lower case that `when` looks at and that an earlier rule may have changed."""
    together: frozenset[str] = frozenset()
    """Those that an earlier step of the same rule changes, though its conditions come first."""
    cookie: str = ""
    """The pattern of cookie names."""
    demands: cookies.Demands = _NOTHING

    @property
    def key(self) -> str:
        """The header's name in lower case."""
        return self.header.lower()

    @property
    def always(self) -> bool:
        """Whether the step has no condition."""
        return () in self.when


@dataclass(frozen=True, slots=True)
class ExportedRoute:
    """Where steps apply; the first route that matches counts, and the last matches everything."""

    name: str
    match: Match
    steps: tuple[ExportedStep, ...]
    rules: frozenset[str]
    """The names of its rules, of those without steps too, but not of those that are off."""
    order: tuple[str, ...]
    """The names of all its rules."""
    stricter: bool = False
    """Whether it demands more than the last route."""


Noted: TypeAlias = dict[Field, int]
"""Conditions on a request that are noted for its response, each once, with its number from 1."""


@dataclass(frozen=True, slots=True)
class Program:
    """All that is enforced, route by route, and what is not in it."""

    name: str
    revision: str
    routes: tuple[ExportedRoute, ...]
    gaps: tuple[Gap, ...]
    """Route by route; `all_gaps` puts them together."""
    slash: str
    """What a slash of a route's path may be, as a regular expression."""

    def number(self, route: ExportedRoute) -> int:
        """The number of a route in a configuration: from 1; the last route's is 0."""
        return 0 if route is self.routes[-1] else self.routes.index(route) + 1

    def steps_and_routes(self) -> tuple[tuple[ExportedStep, tuple[ExportedRoute, ...]], ...]:
        """Every step once with its routes (() = all), in an order that suits each route.

        A route's rules are the policy's, as the last route has them, and then its own, which stay
        apart: two routes may have own rules of the same names in another order.
        """
        found: list[tuple[ExportedStep, tuple[ExportedRoute, ...]]] = []
        default = self.routes[-1]
        for rule in default.order:
            variants: dict[tuple[ExportedStep, ...], list[ExportedRoute]] = {}
            for route in (default, *self.routes[:-1]):
                steps = tuple(step for step in route.steps if step.rule == rule)
                variants.setdefault(steps, []).append(route)
            for steps, routes in variants.items():
                where = () if len(routes) == len(self.routes) else tuple(routes)
                found += [(step, where) for step in steps]
        for route in self.routes[:-1]:
            own = (step for step in route.steps if step.rule not in default.order)
            found += [(step, (route,)) for step in own]
        return tuple(found)

    def supported(
        self, reason: Callable[[ExportedStep], str], gaps: list[Gap]
    ) -> Iterator[tuple[ExportedStep, tuple[ExportedRoute, ...]]]:
        """The lanes that a target can express; the others are added to `gaps` with the reason."""
        for step, routes in self.steps_and_routes():
            if why := reason(step):
                names = [route.name for route in routes] or [""]
                gaps += [Gap("lost", step.rule, step.header, why, name) for name in names]
            else:
                yield step, routes

    def all_gaps(self, gaps: Iterable[Gap]) -> tuple[Gap, ...]:
        """Its own gaps and a target's, each once; without route if it holds on all of its rule."""
        found: dict[Gap, set[str]] = {}
        for gap in (*self.gaps, *gaps):
            found.setdefault(replace(gap, route=""), set()).add(gap.route)
        made: dict[Gap, None] = {}
        for gap, where in found.items():
            has = {route.name for route in self.routes if gap.rule in route.rules}
            places = [""] if "" in where or where >= has else sorted(where)
            made.update(dict.fromkeys(replace(gap, route=place) for place in places))
        return tuple(made)


def program(resolved: Resolved, reports_to: str = "") -> Program:
    """The steps of the rules in enforce.

    Args:
        resolved: the policy.
        reports_to: where browsers report, `{rule}` in it is the rule's name; then rules in
            report-only or trial are exported as their report-only headers.
    """
    gaps: list[Gap] = []
    plan, policy = compile_policy(resolved), resolved.policy

    def made(named: NamedRoute, route: RoutePlan) -> ExportedRoute:
        steps = (_steps(line, named.name, resolved, gaps, reports_to) for line in route.rules)
        return ExportedRoute(
            named.name,
            named.match,
            tuple(_seen_by(steps)),
            frozenset(line.name for line in route.rules if line.mode != "off"),
            tuple(line.name for line in route.rules),
            stricter(route, plan.routes[-1]),
        )

    routes = tuple(map(made, resolved.routes, plan.routes))
    for route in resolved.routes:
        enforced = resolved.mode == "enforce" and route.mode in (None, "enforce")
        if route.max_body is not None and enforced:
            text = f"bodies above {route.max_body} bytes are refused; set the proxy's own limit"
            gaps.append(Gap("lost", "max-body", "", text, route.name))
    slash = "/" if policy.slashes == "keep" else "/+"
    return Program(policy.name, resolved.revision(), routes, tuple(gaps), slash)


def _steps(
    line: RuleLine, route: str, resolved: Resolved, gaps: list[Gap], reports_to: str
) -> tuple[ExportedStep, ...]:
    """The steps of one rule; () where it is not enforced, only judges, or cannot be carried."""
    rule = line.named.rule
    if line.mode == "off":
        return ()
    when = condition(rule.when)
    text = rule.text
    header = ", ".join(rule.header or ("Set-Cookie",))

    def note(weight: Weight, reason: str, parts: tuple[str, ...] = ()) -> None:
        gaps.append(Gap(weight, line.name, header, reason, route, parts))

    if rule.action is not None and rule.action not in WRITING:
        note("note", f"{rule.action} only judges; nothing is written")
    elif line.mode != "enforce" and not reports_to:
        note("note", f"the rule is in {line.mode}, not enforced")
    elif line.mode != "enforce" and not has_report_only(rule):
        note("note", f"the rule is in {line.mode}, and browsers have no report-only form of it")
    elif min(resolved.policy.share or 1.0, rule.share or 1.0) < 1.0:
        note("lost", "it holds for a share of the clients only")
    elif asks_for_nonce(rule):
        note("lost", "the value is new for each response, and the page must know it")
    elif rule.cookie is not None:
        step = ExportedStep(line.name, "Set-Cookie", "cookie", "", when)
        return (replace(step, cookie=rule.cookie, demands=demands_of(rule)),)
    elif line.mode != "enforce":
        note("note", f"the rule is in {line.mode}: its report-only header is written")
        return tuple(_report_only_steps(line.name, rule, text, when, reports_to))
    else:
        if rule.action == "merge":
            reason = (
                "it is written where the service sends none; merging needs the header's grammar"
            )
            note("lost", reason, ("merge",))
        return tuple(_header_steps(line.name, rule, text, when))
    return ()


def _header_steps(name: str, rule: Rule, text: str, when: Condition) -> Iterator[ExportedStep]:
    """One step for each header; those that the rule's conditions look at come last."""
    looked = response_names(when)
    names = sorted(rule.header or (), key=lambda header: header.lower() in looked)
    together = frozenset(header.lower() for header in names if header.lower() in looked)
    act: Act = "default"  # of a merge, what needs no grammar
    if rule.action in ("set", "append", "remove"):
        act = rule.action
    for header in names:
        if asked := condition(rule.when, secure=https_only(header, act)):
            before = together - {header.lower()} if len(together) > 1 else frozenset[str]()
            yield ExportedStep(name, header, act, text, asked, together=before)


def _report_only_steps(
    name: str, rule: Rule, text: str, when: Condition, address: str
) -> Iterator[ExportedStep]:
    """A step for each line that a trial of the rule adds, with another address for reports."""
    key = "".join(letter if letter.isalnum() else "-" for letter in name.lower())
    own, wanted = f"{REPORTS_PATH}/{key}", address.replace(_RULE, name)
    for header in rule.header or ():
        asked, raw = when, header.encode()
        if rule.action in ("default", "merge"):
            asked = tuple((*one, Field("response", header, pattern=False)) for one in when)
        if by_api(rule.model_copy(update={"header": (header,)})):
            asked = over_https(asked)
        # As of a response without the header.
        place, after = (name, 0, header, raw, raw.lower()), (text.encode(),)
        missing = Finding(*place, "set", "missing", "trial", (), after, made=False)
        found = report_only(missing, key, "https", {})
        for line, value in found.lines if found and asked else ():
            act: Act = "append" if line.lower() in _ADDED else "default"
            yield ExportedStep(name, line.decode(), act, value.decode().replace(own, wanted), asked)


def _seen_by(rules: Iterable[tuple[ExportedStep, ...]]) -> Iterator[ExportedStep]:
    """The steps in order, each with the names it looks at that earlier rules may have changed."""
    written: set[str] = set()
    for steps in rules:
        for step in steps:
            changed = response_names(step.when) & frozenset(written)
            yield replace(step, rewritten=changed)
        written.update(step.key for step in steps)
