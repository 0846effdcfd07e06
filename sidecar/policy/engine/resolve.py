"""From the file's mapping to a complete policy: layers merged, every problem said at once.

Lives here: how presets, policy and routes are laid over each other, and the demands that only a
complete rule can meet. Must not know YAML, lines and columns, or how a response is judged.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import ValidationError

from sidecar.policy import headers
from sidecar.policy.model import (
    DEFAULT_ROUTE,
    Match,
    Mode,
    Path,
    Policy,
    PolicyError,
    Problem,
    Rule,
)
from sidecar.policy.problems import did_you_mean, translate
from sidecar.policy.rules.checks import value_text
from sidecar.policy.rules.ladder import climbed, ladder_problems, without_age

MAX_RULES = 1_000
_OWN_VALUE = ("set", "default", "append", "merge")
_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def _meaning(rule: Rule) -> dict[str, Any]:
    """A rule as data; the order of directives is part of what is sent, and so of the meaning."""
    said = rule.model_dump(exclude_none=True)
    if isinstance(rule.value, dict):
        said["value"] = list(rule.value.items())
    return said


@dataclass(frozen=True, slots=True)
class NamedRule:
    """A complete rule and where each of its keys comes from (preset name, "policy" or "route
    NAME").
    """

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
    """A complete policy: the declared one, and its routes with every layer merged; `default`
    stands last.
    """

    policy: Policy
    routes: tuple[NamedRoute, ...]

    @property
    def mode(self) -> Mode:
        """The policy's own ceiling."""
        return self.policy.mode or "report-only"

    def canonical(self) -> dict[str, Any]:
        """What the policy means, without order of keys, comments and layers: the same meaning,
        the same text.
        """
        return {
            "name": self.policy.name,
            "about": [
                self.policy.owner,
                self.policy.reason,
                self.policy.expected,
                self.policy.rollback,
            ],
            "mode": self.mode,
            "share": self.policy.share,
            "guard": (
                self.policy.guard if self.policy.guard == "off" else self.policy.guard.model_dump()
            ),
            # The default is left out: a policy that does not name it keeps the revision that it
            # had.
            **({} if self.policy.slashes == "stricter" else {"slashes": self.policy.slashes}),
            "routes": [
                {
                    "name": route.name,
                    "match": route.match.model_dump(exclude_none=True),
                    "mode": route.mode,
                    "max_body": route.max_body,
                    "rules": [[named.name, _meaning(named.rule)] for named in route.rules],
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
            path: Path = (
                ("extends", position) if isinstance(data.get("extends"), list) else ("extends",)
            )
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
    """The validated models; what is wrong is noted and cut out, so that the rest is still
    judged.
    """
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
        own = (*layers, (f"route {route.name}", route.rules))
        yield NamedRoute(
            route.name,
            route.match,
            route.mode,
            tuple(_merged(own, position)),
            route.max_body or policy.max_body,
        )
    yield NamedRoute(
        DEFAULT_ROUTE, Match(), None, tuple(_merged(tuple(layers), None)), policy.max_body
    )


def _merged(
    layers: tuple[tuple[str, Mapping[str, Rule]], ...] | list[Any], position: int | None
) -> Iterator[NamedRule]:
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
                for key in (
                    "value",
                    "widen",
                ):  # a new action does not inherit what belonged to the old one
                    values.pop(key, None)
                    origin.pop(key, None)
            below = values.get("value")
            if rule.ladder is not None and isinstance(below, str):
                values["value"] = without_age(below)  # the ladder says for how long
            for key in (key for key in Rule.model_fields if key in rule.model_fields_set):
                values[key] = getattr(rule, key)
                origin[key] = layer
            if layer.startswith("route "):
                path = ("routes", position or 0, "rules", name)
        yield NamedRule(name, Rule.model_construct(**values), origin, path)


def _unsure(problems: list[Problem], routes: tuple[NamedRoute, ...]) -> set[str]:
    """Rules of which no more can be said: a part of them was cut out, or a layer below them is
    not known.
    """
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
        if route.name == DEFAULT_ROUTE:
            yield Problem(
                "the route 'default' always exists",
                "choose another name",
                ("routes", position, "name"),
            )
        if route.name in seen:
            yield Problem(
                f"route {route.name!r} stands twice",
                "names must differ",
                ("routes", position, "name"),
            )
        seen.add(route.name)
        if not (route.match.host or route.match.method or route.match.path):
            yield Problem(
                f"route {route.name!r} matches everything",
                "name a host, method or path",
                ("routes", position, "match"),
            )
        yield from _match_problems(route.match, ("routes", position, "match"))
    if sum(len(route.rules) for route in routes) > MAX_RULES:
        yield Problem(
            f"more than {MAX_RULES} rules over all routes", "split the policy", ("rules",)
        )


def _match_problems(match: Match, path: Path) -> Iterator[Problem]:
    for index, method in enumerate(match.method or ()):
        if method not in _METHODS and method.upper() in _METHODS:
            yield Problem(
                f"method {method!r} never comes, methods are upper case",
                f"write {method.upper()!r}",
                (*path, "method", index),
            )
    for index, pattern in enumerate(match.path or ()):
        if not pattern.startswith("/") and pattern not in ("*", "**"):
            yield Problem(
                f"path {pattern!r} does not start with '/'",
                f"write '/{pattern}'",
                (*path, "path", index),
            )
        if "?" in pattern or "#" in pattern:
            yield Problem(
                f"path {pattern!r} holds a query or fragment",
                "a path ends before '?'",
                (*path, "path", index),
            )


def _rule_problems(named: NamedRule) -> Iterator[Problem]:
    rule, name, path = named.rule, named.name, named.path
    yield from ladder_problems(name, rule, path)
    if rule.header and rule.cookie:
        yield Problem(
            f"rule {name!r} names both a header and a cookie", "make two rules of it", path
        )
        return
    if rule.cookie:
        if rule.action not in (None, "set", "require"):
            yield Problem(
                f"a cookie rule cannot {rule.action!r}", "use set or require", (*path, "action")
            )
        if rule.attributes is None or not rule.attributes.model_fields_set:
            yield Problem(
                f"rule {name!r} demands nothing of the cookie",
                "add attributes: {Secure: true}",
                path,
            )
        if rule.value is not None:
            yield Problem(
                "a cookie rule takes attributes, no value", "remove the value", (*path, "value")
            )
        if rule.widen is not None:
            yield Problem("only a merge can widen", "remove widen", (*path, "widen"))
        return
    if rule.attributes is not None:
        yield Problem("attributes belong to a cookie rule", "name a cookie", (*path, "attributes"))
    if not rule.header:
        yield Problem(f"rule {name!r} names no header", "add header: NAME (or cookie: NAME)", path)
        return
    if rule.action is None:
        yield Problem(
            f"rule {name!r} names no action",
            "add action: set, default, append, remove, merge, require or forbid",
            path,
        )
        return
    if rule.action in _OWN_VALUE and rule.value is None and rule.ladder is None:
        yield Problem(f"action {rule.action!r} needs a value", "add value: ...", path)
    elif rule.action in _OWN_VALUE and rule.value is not None and not value_text(rule.value):
        yield Problem(
            "the value is empty", "use remove, if the header should not be sent", (*path, "value")
        )
    if rule.widen is not None and rule.action != "merge":
        yield Problem(
            "only a merge can widen", "remove widen, or use action: merge", (*path, "widen")
        )
    if rule.action == "remove" and rule.value is not None:
        yield Problem(
            "action 'remove' takes no value",
            "remove the value, or use forbid to judge by value",
            (*path, "value"),
        )
    names = [header.lower() for header in rule.header]
    for header in rule.header:
        if names.count(header.lower()) > 1:
            yield Problem(
                f"rule {name!r} names {header.lower()} more than once",
                "name it once",
                (*path, "header"),
            )
        yield from _header_problems(rule, header, path)


def _header_problems(rule: Rule, header: str, path: Path) -> Iterator[Problem]:
    known = headers.get(header)
    if isinstance(rule.value, dict) and header.lower() not in headers.CSP_NAMES:
        yield Problem(
            f"{header} takes its value as text",
            "directives are for Content-Security-Policy",
            (*path, "value"),
        )
    if rule.action in ("set", "default", "merge") and header.lower() == "set-cookie":
        yield Problem(
            f"action {rule.action!r} would overwrite the service's cookies",
            "use a cookie rule, or append",
            (*path, "action"),
        )
    if rule.action == "merge" and header.lower() not in headers.MERGEABLE:
        yield Problem(f"{header} cannot be merged", "use set or default", (*path, "action"))
    if rule.action == "append" and known is not None and known.single:
        yield Problem(
            f"{header} may stand once only, a second copy breaks it",
            "use set or default",
            (*path, "action"),
        )
