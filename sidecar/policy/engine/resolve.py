"""From the file's mapping to a complete policy: layers merged, every problem said at once."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from pydantic import ValidationError

from sidecar.policy import headers
from sidecar.policy.model import Match, Policy, Rule
from sidecar.policy.problems import did_you_mean, translate
from sidecar.policy.rules.ladder import climbed, ladder_problems, without_age
from sidecar.policy.terms import DEFAULT_ROUTE, GIVING, Mode, Path, PolicyError, Problem

MAX_RULES = 1_000
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A complete rule, and the source of each key (a preset's name, "policy", "route NAME")."""

    name: str
    rule: Rule
    origin: Mapping[str, str]
    path: Path


@dataclass(frozen=True, slots=True)
class NamedRoute:
    """A route with all its rules in the order of judging."""

    name: str
    match: Match
    mode: Mode | None
    rules: tuple[NamedRule, ...]
    max_body: int | None = None
    """Bytes of a request body."""


def is_off(route: NamedRoute, named: NamedRule) -> bool:
    """Whether the route or the rule itself turns the rule off."""
    return "off" in (route.mode, named.rule.mode)


@dataclass(frozen=True, slots=True)
class Resolved:
    """A complete policy: as declared, and its routes with all layers merged, `default` last."""

    policy: Policy
    routes: tuple[NamedRoute, ...]

    @property
    def mode(self) -> Mode:
        """The policy's own ceiling."""
        return self.policy.mode or "report-only"

    def canonical(self) -> dict[str, Any]:
        """What the policy means: the same for any order of keys, comments and layers."""
        policy = self.policy
        return {
            "name": policy.name,
            "about": [policy.owner, policy.reason, policy.expected, policy.rollback],
            "mode": self.mode,
            "share": policy.share,
            "guard": policy.guard if policy.guard == "off" else policy.guard.model_dump(),
            # The default is left out: policies that do not name it keep their revision.
            **({} if policy.slashes == "stricter" else {"slashes": policy.slashes}),
            "routes": [
                {
                    "name": route.name,
                    "match": route.match.model_dump(exclude_none=True),
                    "mode": route.mode,
                    "max_body": route.max_body,
                    "rules": [[named.name, named.rule.said()] for named in route.rules],
                }
                for route in self.routes
            ],
        }

    def revision(self) -> str:
        """Short hash of the canonical form: 12 hexadecimal digits of SHA-256."""
        text = json.dumps(self.canonical(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def resolve(data: object, presets: Mapping[str, object]) -> Resolved:
    """The complete policy of a mapping.

    Args:
        data: what the YAML file says.
        presets: the mappings of the shipped presets by name.

    Raises:
        PolicyError: with every problem, each with the path to its place.
    """
    if not isinstance(data, dict):
        raise PolicyError((Problem("a policy is a mapping", "start with: version: 1"),))
    data = {key: value for key, value in data.items() if not str(key).startswith("x-")}
    problems: list[Problem] = []
    policy = _declared(data, problems)
    layers: list[tuple[str, Mapping[str, Rule]]] = []
    for position, name in enumerate(policy.extends or ()):
        if name in presets:
            layers.append((name, Policy.model_validate(presets[name]).rules))
        else:
            is_list = isinstance(data.get("extends"), list)
            path: Path = ("extends", position) if is_list else ("extends",)
            problems.append(Problem(f"unknown preset {name!r}", did_you_mean(name, presets), path))
    layers.append(("policy", policy.rules))
    routes = tuple(_routes(policy, layers))
    problems.extend(_route_problems(policy, routes))
    unsure = _unsure(problems, routes)
    problems.extend(
        problem
        for route in routes
        for named in route.rules
        if named.name not in unsure
        for problem in _rule_problems(named)
    )
    if problems:
        raise PolicyError(tuple(dict.fromkeys(problems)))
    whole = (replace(route, rules=tuple(map(_climbed, route.rules))) for route in routes)
    return Resolved(policy, tuple(whole))


def _climbed(named: NamedRule) -> NamedRule:
    """The rule with the value of its ladder's step."""
    if named.rule.ladder is None:
        return named
    origin = {"value": named.origin["ladder"], **named.origin}
    return replace(named, rule=climbed(named.rule), origin=origin)


def _declared(data: dict[str, Any], problems: list[Problem]) -> Policy:
    """The validated models; what is wrong is noted and cut out, so that the rest is judged."""
    try:
        return Policy.model_validate(data)
    except ValidationError as error:
        found = translate(error, Policy)
        problems.extend(found)
        pruned = copy.deepcopy(data)
        for problem in found:
            _prune(pruned, problem.path)
        pruned["version"] = 1
    try:
        return Policy.model_validate(pruned)
    except ValidationError as error:  # what cannot be cut out, as a key that is no text
        raise PolicyError(tuple(problems)) from error


def _prune(data: dict[str, Any], path: Path) -> None:
    """Cut the smallest part that can be done without, keeping the positions of all others."""
    here: Any = data
    if len(path) >= 2 and path[0] == "routes" and isinstance(data.get("routes"), list):
        position = path[1]
        here = data["routes"][position]
        if len(path) < 4 or path[2] != "rules":
            data["routes"][position] = {"name": f"pruned-{position}", "match": {"path": "/"}}
            return
        path = path[2:]
    if len(path) >= 2 and path[0] == "rules" and isinstance(here.get("rules"), dict):
        here, path = here["rules"], path[1:]
    if path:
        here.pop(path[0], None)


def _routes(policy: Policy, layers: list[tuple[str, Mapping[str, Rule]]]) -> Iterator[NamedRoute]:
    for position, route in enumerate(policy.routes):
        rules = tuple(_merged([*layers, (f"route {route.name}", route.rules)], position))
        limit = route.max_body or policy.max_body
        yield NamedRoute(route.name, route.match, route.mode, rules, limit)
    yield NamedRoute(DEFAULT_ROUTE, Match(), None, tuple(_merged(layers, 0)), policy.max_body)


def _merged(layers: list[tuple[str, Mapping[str, Rule]]], position: int) -> Iterator[NamedRule]:
    names = dict.fromkeys(name for _, rules in layers for name in rules)
    for name in names:
        values: dict[str, Any] = {}
        origin: dict[str, str] = {}
        path: Path = ("rules", name)
        for layer, rules in layers:
            rule = rules.get(name)
            if rule is None:
                continue
            if rule.action is not None and values.get("action") not in (None, rule.action):
                for key in ("value", "widen"):  # these belonged to the old action
                    values.pop(key, None)
                    origin.pop(key, None)
            below = values.get("value")
            if rule.ladder is not None and isinstance(below, str):
                values["value"] = without_age(below)  # the ladder says for how long
            for key in (key for key in Rule.model_fields if key in rule.model_fields_set):
                values[key] = getattr(rule, key)
                origin[key] = layer
            if layer.startswith("route "):
                path = ("routes", position, "rules", name)
        yield NamedRule(name, Rule.model_construct(**values), origin, path)


def _unsure(problems: list[Problem], routes: tuple[NamedRoute, ...]) -> set[str]:
    """Rules that cannot be judged: a part was cut out, or a layer below them is unknown."""
    paths = [problem.path for problem in problems]
    names = {str(path[path.index("rules") + 1]) for path in paths if "rules" in path[:-1]}
    if any(path[:1] == ("extends",) or path == ("rules",) for path in paths):
        names |= {
            named.name
            for route in routes
            for named in route.rules
            if named.rule.header is None or named.rule.action is None
        }
    return names


def _route_problems(policy: Policy, routes: tuple[NamedRoute, ...]) -> Iterator[Problem]:
    seen: set[str] = set()
    for position, route in enumerate(policy.routes):
        wrong, name = partial(_at, ("routes", position)), route.name
        if name == DEFAULT_ROUTE:
            yield wrong("the route 'default' always exists", "choose another name", "name")
        if name in seen:
            yield wrong(f"two routes are named {name!r}", "rename one of them", "name")
        seen.add(name)
        if not (route.match.host or route.match.method or route.match.path):
            message = f"route {name!r} matches everything"
            yield wrong(message, "name a host, method or path", "match")
        yield from _match_problems(route.match, ("routes", position, "match"))
    if sum(len(route.rules) for route in routes) > MAX_RULES:
        message = f"more than {MAX_RULES} rules over all routes"
        yield Problem(message, "split the policy", ("rules",))


def _at(path: Path, message: str, fix: str, *keys: str | int) -> Problem:
    """A problem at keys below a path."""
    return Problem(message, fix, (*path, *keys))


def _match_problems(match: Match, path: Path) -> Iterator[Problem]:
    wrong = partial(_at, path)
    for index, method in enumerate(match.method or ()):
        if method not in _METHODS and method.upper() in _METHODS:
            message = f"method {method!r} never comes, methods are upper case"
            yield wrong(message, f"write {method.upper()!r}", "method", index)
    for index, pattern in enumerate(match.path or ()):
        if not pattern.startswith("/") and pattern not in ("*", "**"):
            message = f"path {pattern!r} does not start with '/'"
            yield wrong(message, f"write '/{pattern}'", "path", index)
        if "?" in pattern or "#" in pattern:
            message = f"path {pattern!r} has a query or fragment"
            yield wrong(message, "write only what comes before '?' or '#'", "path", index)


def _rule_problems(named: NamedRule) -> Iterator[Problem]:
    rule, name, wrong = named.rule, named.name, partial(_at, named.path)
    yield from ladder_problems(name, rule, named.path)
    if rule.header and rule.cookie:
        yield wrong(f"rule {name!r} names both a header and a cookie", "make two rules of it")
    elif rule.cookie:
        yield from _cookie_problems(named)
    elif rule.attributes is not None:
        yield wrong("attributes belong to a cookie rule", "name a cookie", "attributes")
    if rule.cookie:
        return
    if not rule.header:
        yield wrong(f"rule {name!r} names no header", "add header: NAME (or cookie: NAME)")
        return
    if rule.action is None:
        fix = "add action: set, default, append, remove, merge, require or forbid"
        yield wrong(f"rule {name!r} names no action", fix)
        return
    if rule.action in GIVING and rule.value is None and rule.ladder is None:
        yield wrong(f"action {rule.action!r} needs a value", "add value: ...")
    elif rule.action in GIVING and rule.value is not None and not rule.text:
        fix = "use remove, if the header should not be sent"
        yield wrong("the value is empty", fix, "value")
    if rule.widen is not None and rule.action != "merge":
        yield wrong("only a merge can widen", "remove widen, or use action: merge", "widen")
    if rule.action == "remove" and rule.value is not None:
        fix = "remove the value, or use forbid to judge by value"
        yield wrong("action 'remove' takes no value", fix, "value")
    for header in rule.header:
        if rule.names.count(header.lower()) > 1:
            message = f"rule {name!r} names {header.lower()} more than once"
            yield wrong(message, "name it once", "header")
        yield from _header_problems(rule, header, named.path)


def _cookie_problems(named: NamedRule) -> Iterator[Problem]:
    rule, wrong = named.rule, partial(_at, named.path)
    if rule.action not in (None, "set", "require"):
        yield wrong(f"a cookie rule cannot {rule.action!r}", "use set or require", "action")
    if rule.attributes is None or not rule.attributes.model_fields_set:
        message = f"rule {named.name!r} demands nothing of the cookie"
        yield wrong(message, "add attributes: {Secure: true}")
    if rule.value is not None:
        yield wrong("a cookie rule takes attributes, not a value", "remove the value", "value")
    if rule.widen is not None:
        yield wrong("only a merge can widen", "remove widen", "widen")


def _header_problems(rule: Rule, header: str, path: Path) -> Iterator[Problem]:
    wrong, known = partial(_at, path), headers.get(header)
    if isinstance(rule.value, dict) and header.lower() not in headers.CSP_NAMES:
        message = f"{header} takes its value as text"
        yield wrong(message, "directives are for Content-Security-Policy", "value")
    if rule.action in ("set", "default", "merge") and header.lower() == "set-cookie":
        message = f"action {rule.action!r} would overwrite the service's cookies"
        yield wrong(message, "use a cookie rule, or append", "action")
    if rule.action == "merge" and header.lower() not in headers.MERGEABLE:
        yield wrong(f"{header} cannot be merged", "use set or default", "action")
    if rule.action == "append" and known is not None and known.single:
        message = f"{header} may be sent only once, a second copy breaks it"
        yield wrong(message, "use set or default", "action")
