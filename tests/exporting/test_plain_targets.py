"""Targets that have no server to ask: the schema and the precedence of the Gateway API, and
Netlify's own engine.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any
from urllib.parse import unquote

import yaml
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from sidecar.exporting import export
from sidecar.exporting.program import Gap
from sidecar.policy.engine.plan import compile_policy
from sidecar.source import load_policy
from tests.exporting.asking import ASKS, Ask, by_name, dumped, expected, without
from tests.exporting.by_node import asked
from tests.exporting.origin import RESPONSES, Lines
from tests.exporting.policies import HEAD, POLICIES, PRESETS, WRITTEN, Policy
from tests.portion import examples

ANY = st.one_of(st.sampled_from([*PRESETS.values(), *WRITTEN.values()]), POLICIES)
PATHS = (
    "/",
    "/api/items",
    "/api/v1/items",
    "/static/a.css",
    "/docs",
    "/user/logout",
    "/one/x/deep",
)
FRAMING = {"server", "date"}
QUICK = (Phase.explicit, Phase.reuse, Phase.generate)
"""To shrink would start hundreds of processes."""
ODD: Policy = {"header": "X-Odd", "action": "set", "value": "a"}
OVERLAPPING: Policy = {
    **HEAD,
    "rules": {"odd": ODD, "more": {**ODD, "header": "X-More"}},
    "routes": [
        {"name": "items", "match": {"path": "/api/items"}, "rules": {"odd": {"value": "items"}}},
        {"name": "api", "match": {"path": "/api/**"}, "rules": {"odd": {"value": "api"}}},
        {"name": "docs", "match": {"path": "/docs"}, "rules": {"more": {"mode": "off"}}},
        {
            "name": "any",
            "match": {"path": "/static/*.css"},
            "rules": {"own": {**ODD, "value": "own", "when": {"scheme": "http"}}},
        },
    ],
}
"""Several routes and the default one write one header; one leaves one out, and one cannot be
told from the others.
"""


def announced(gaps: Sequence[Gap], route: str) -> set[str]:
    """The headers of which a gap says that they may differ on a route; "" where it is about the
    route itself.
    """
    found = [gap for gap in gaps if gap.weight == "differs" and gap.route in ("", route)]
    return {gap.header.lower() for gap in found}


def objects(text: str) -> list[dict[str, Any]]:
    """The documents of an export."""
    return [one for one in yaml.safe_load_all(text) if one]


@settings(max_examples=examples(10), phases=QUICK)
@given(policy=ANY)
@example(policy=OVERLAPPING)
def test_http_routes_pass_the_schema(policy: Policy):
    """The custom resource's own, with its bounds on lists and values."""
    resolved = load_policy(dumped(policy).encode(), "p")

    problems = asked(
        "@kubernetes-models/gateway-api", objects=objects(export(resolved, "gateway-api").text)
    )

    assert problems == []


def test_many_headers_and_routes_stay_within_the_schema():
    """More removals than a filter takes are lost and named; more routes than an HTTPRoute takes
    stand in a second one.
    """
    removals = {"gone": {"header": [f"X-{n}" for n in range(20)], "action": "remove"}}
    routes = [{"name": f"r{n}", "match": {"path": f"/r{n}"}} for n in range(40)]
    resolved = load_policy(dumped({**HEAD, "rules": removals, "routes": routes}).encode(), "p")
    written = export(resolved, "gateway-api")

    assert asked("@kubernetes-models/gateway-api", objects=objects(written.text)) == []
    assert len(objects(written.text)) == 3
    assert {gap.header for gap in written.gaps if gap.weight == "lost"} == {
        "X-16",
        "X-17",
        "X-18",
        "X-19",
    }


@settings(max_examples=examples(150), phases=QUICK)
@given(policy=ANY)
@example(policy=OVERLAPPING)
def test_http_routes_say_what_the_policy_says(policy: Policy):
    """As a Gateway picks a rule: the most specific host, the exact path, the longest prefix, the
    method.
    """
    resolved = load_policy(dumped(policy).encode(), "p")
    written = export(resolved, "gateway-api")
    plan, left = compile_policy(resolved), without(resolved, written.gaps)
    made = objects(written.text)
    for one in ASKS:
        open_to = announced(written.gaps, plan.route(one.host, one.method, one.path).name)
        if "" in open_to:
            continue
        status, lines = RESPONSES[one.response]
        theirs = by_name(_modified(_picked(made, one), lines))
        ours = by_name(expected(left, one, status, lines))
        for name in (theirs.keys() | ours.keys()) - open_to - FRAMING:
            # Copies of a header that may stand once only are not made one.
            copies = len(theirs.get(name, [])) > 1
            assert copies or theirs.get(name) == ours.get(name), (str(one), name, written.text)


def _picked(made: Sequence[dict[str, Any]], one: Ask) -> dict[str, Any]:
    host, path = one.host.lower().partition(":")[0], unquote(one.path)
    fits = [route for route in made if _host_fits(route["spec"].get("hostnames"), host)]
    best = max(_host_weight(route["spec"].get("hostnames"), host) for route in fits)
    found = [
        (_weight(match, path), rule)
        for route in fits
        if _host_weight(route["spec"].get("hostnames"), host) == best
        for rule in route["spec"]["rules"]
        for match in rule["matches"]
        if _fits(match, one.method, path)
    ]
    return max(found, key=lambda pair: pair[0])[1]


def _host_fits(names: list[str] | None, host: str) -> bool:
    return names is None or any(_one_host(name, host) for name in names)


def _one_host(name: str, host: str) -> bool:
    return host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name


def _host_weight(names: list[str] | None, host: str) -> tuple[bool, int]:
    fits = [name for name in names or () if _one_host(name, host)]
    return max(((not name.startswith("*"), len(name)) for name in fits), default=(False, 0))


def _fits(match: dict[str, Any], method: str, path: str) -> bool:
    kind, value = match["path"]["type"], match["path"]["value"]
    if match.get("method", method) != method:
        return False
    if kind == "Exact":
        return bool(path == value)
    if kind == "PathPrefix":
        return f"{path}/".startswith(f"{value.rstrip('/')}/")
    return re.fullmatch(value, path) is not None


def _weight(match: dict[str, Any], path: str) -> tuple[bool, int, bool]:
    value = match["path"]["value"]
    return match["path"]["type"] == "Exact", len(value), "method" in match


def _modified(rule: dict[str, Any], lines: Lines) -> Lines:
    found = list(lines)
    for one in rule.get("filters", ()):
        edit = one["responseHeaderModifier"]
        gone = {*edit.get("remove", ()), *(item["name"] for item in edit.get("set", ()))}
        found = [line for line in found if line[0].lower() not in {name.lower() for name in gone}]
        found += [
            (item["name"], item["value"]) for key in ("set", "add") for item in edit.get(key, ())
        ]
    return found


@settings(max_examples=examples(40), phases=QUICK)
@given(policy=ANY)
@example(policy=OVERLAPPING)
def test_headers_files_say_what_the_policy_says(policy: Policy):
    """As Netlify's engine reads them, path by path; a rule that stands elsewhere was announced."""
    resolved = load_policy(dumped(policy).encode(), "p")
    written = export(resolved, "netlify")
    plan, left = compile_policy(resolved), without(resolved, written.gaps)

    said = asked("@netlify/headers", text=written.text, paths=PATHS)

    assert said["errors"] == []
    for path, theirs in zip(PATHS, _lowered(said["found"]), strict=True):
        one = Ask("GET", "https", "site.example", path, (), "untyped")
        open_to = announced(written.gaps, plan.route(one.host, "GET", path).name)
        ours = {name: values[0] for name, values in by_name(expected(left, one, 200, [])).items()}
        for name in (theirs.keys() | ours.keys()) - open_to:
            assert theirs.get(name) == ours.get(name), (path, name, written.text)


def _lowered(found: list[dict[str, str]]) -> Iterator[dict[str, str]]:
    for one in found:
        yield {name.lower(): value for name, value in one.items()}
