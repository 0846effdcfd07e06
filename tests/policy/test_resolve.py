"""Layers merged, and demands that only a complete rule can meet."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.policy.engine.resolve import MAX_RULES, Resolved, resolve
from sidecar.policy.terms import Mode, PolicyError
from tests.policy.making import policy
from tests.portion import examples

SET = {"header": "X-Frame-Options", "action": "set", "value": "DENY"}
PRESETS = {
    "low": {
        "version": 1,
        "rules": {
            "frames": SET,
            "csp": {
                "header": "Content-Security-Policy",
                "action": "set",
                "value": "default-src 'self'",
            },
        },
    },
    "high": {
        "version": 1,
        "mode": "enforce",
        "rules": {
            "frames": {"value": "SAMEORIGIN"},
            "nosniff": {"header": "X-Content-Type-Options", "action": "set", "value": "nosniff"},
        },
    },
}


def problems(data: Any) -> list[str]:
    """Every problem of a mapping, as text with the path."""
    with pytest.raises(PolicyError) as caught:
        resolve(data, PRESETS)
    return [
        f"{'.'.join(map(str, problem.path))}: {problem.message}"
        for problem in caught.value.problems
    ]


def test_layers_merge_by_rule_name_and_key():
    """Presets in order, then the policy, then the route: later wins key by key, and each key
    knows its layer.
    """
    complete = resolve(
        {
            "version": 1,
            "extends": ["low", "high"],
            "rules": {
                "frames": {"mode": "enforce"},
                "mine": {"header": "Server", "action": "remove"},
            },
            "routes": [
                {
                    "name": "api",
                    "match": {"path": "/api/**"},
                    "rules": {"csp": {"value": "default-src 'none'"}, "mine": {"mode": "off"}},
                }
            ],
        },
        PRESETS,
    )
    api, default = complete.routes

    assert [named.name for named in default.rules] == ["frames", "csp", "nosniff", "mine"]
    frames = default.rules[0]
    assert (frames.rule.header, frames.rule.value, frames.rule.mode) == (
        ("X-Frame-Options",),
        "SAMEORIGIN",
        "enforce",
    )
    assert frames.origin == {"header": "low", "action": "low", "value": "high", "mode": "policy"}
    assert [(named.name, named.rule.value, named.rule.mode) for named in api.rules][1::2] == [
        ("csp", "default-src 'none'", None),
        ("mine", None, "off"),
    ]
    assert api.rules[1].origin["value"] == "route api"
    assert complete.mode == "report-only"


def test_a_preset_gives_rules_and_nothing_else():
    """Neither its mode nor its routes reach the policy."""
    assert resolve({"version": 1, "extends": ["low", "high"]}, PRESETS).mode == "report-only"


def test_a_new_action_does_not_inherit_the_old_value():
    """A rule turned from set to remove or require starts without the value, and without its
    origin.
    """
    complete = resolve(
        {
            "version": 1,
            "extends": "low",
            "rules": {"frames": {"action": "remove"}, "csp": {"action": "require"}},
        },
        PRESETS,
    )

    assert [(named.rule.value, "value" in named.origin) for named in complete.routes[0].rules] == [
        (None, False),
        (None, False),
    ]


def test_a_new_action_does_not_inherit_leave_to_widen():
    """Only a merge may have it."""
    merge = {
        "header": "Content-Security-Policy",
        "action": "merge",
        "value": "img-src a.example",
        "widen": True,
    }
    complete = policy(
        {"it": merge},
        routes=[
            {
                "name": "api",
                "match": {"path": "/"},
                "rules": {"it": {"action": "set", "value": "default-src 'none'"}},
            }
        ],
    )

    assert [route.rules[0].rule.widen for route in complete.routes] == [None, True]


def test_an_empty_key_lifts_what_a_layer_below_said():
    """`when:` without a value on a route takes the condition away."""
    complete = policy(
        {"it": SET | {"when": {"status": 200}}},
        routes=[{"name": "api", "match": {"path": "/"}, "rules": {"it": {"when": None}}}],
    )

    assert [route.rules[0].rule.when is None for route in complete.routes] == [True, False]


def test_x_keys_at_the_top_are_a_place_for_anchors():
    """They are ignored, whatever they hold; elsewhere they are unknown keys."""
    assert resolve({"version": 1, "x-shared": ["anything", {1: 2}]}, {}).routes[0].rules == ()
    assert problems({"version": 1, "rules": {"it": SET | {"x-a": 1}}}) == [
        "rules.it.x-a: unknown key 'x-a'"
    ]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        (
            {"it": {"header": "A", "cookie": "b"}},
            ["rules.it: rule 'it' names both a header and a cookie"],
        ),
        (
            {"it": {"cookie": "b", "action": "remove", "value": "x"}},
            [
                "rules.it.action: a cookie rule cannot 'remove'",
                "rules.it: rule 'it' demands nothing of the cookie",
                "rules.it.value: a cookie rule takes attributes, not a value",
            ],
        ),
        (
            {"it": {"cookie": "b", "attributes": {}}},
            ["rules.it: rule 'it' demands nothing of the cookie"],
        ),
        (
            {"it": {"header": "A", "action": "remove", "attributes": {"Secure": True}}},
            ["rules.it.attributes: attributes belong to a cookie rule"],
        ),
        ({"it": {"action": "remove"}}, ["rules.it: rule 'it' names no header"]),
        ({"it": {"header": "A"}}, ["rules.it: rule 'it' names no action"]),
        ({"it": {"header": "A", "action": "set"}}, ["rules.it: action 'set' needs a value"]),
        (
            {"it": {"header": "A", "action": "set", "value": ""}},
            ["rules.it.value: the value is empty"],
        ),
        (
            {
                "it": {
                    "header": "Content-Security-Policy",
                    "action": "set",
                    "value": {"img-src": False},
                }
            },
            ["rules.it.value: the value is empty"],
        ),
        (
            {"it": {"header": "A", "action": "remove", "value": "x"}},
            ["rules.it.value: action 'remove' takes no value"],
        ),
        (
            {"it": {"header": "A", "action": "set", "value": "x", "widen": True}},
            ["rules.it.widen: only a merge can widen"],
        ),
        (
            {"it": {"cookie": "b", "attributes": {"Secure": True}, "widen": False}},
            ["rules.it.widen: only a merge can widen"],
        ),
        (
            {"it": {"cookie": "b", "attributes": {"Path": "x"}}},
            ["rules.it.attributes.Path: unknown path 'x'"],
        ),
        (
            {"it": {"cookie": "b", "attributes": {"Domain": True}}},
            ["rules.it.attributes.Domain: unknown Domain True"],
        ),
        ({"it": SET | {"when": {"class": "htm"}}}, ["rules.it.when.class.0: unknown class 'htm'"]),
        ({"it": SET | {"when": {"class": []}}}, ["rules.it.when.class: class is empty"]),
        (
            {"it": {"header": ["A", "a"], "action": "remove"}},
            ["rules.it.header: rule 'it' names a more than once"],
        ),
        (
            {"it": {"header": "A", "action": "set", "value": {"img-src": "a"}}},
            ["rules.it.value: A takes its value as text"],
        ),
        (
            {"it": {"header": "Set-Cookie", "action": "default", "value": "x"}},
            ["rules.it.action: action 'default' would overwrite the service's cookies"],
        ),
        (
            {"it": {"header": "X-Odd", "action": "merge", "value": "x"}},
            ["rules.it.action: X-Odd cannot be merged"],
        ),
        (
            {"it": {"header": "X-Frame-Options", "action": "append", "value": "x"}},
            ["rules.it.action: X-Frame-Options may be sent only once, a second copy breaks it"],
        ),
    ],
)
def test_an_incomplete_or_senseless_rule_is_refused(rules: dict[str, Any], expected: list[str]):
    """Each demand that the models alone cannot make is made here, with its path."""
    assert problems({"version": 1, "rules": rules}) == expected


@pytest.mark.parametrize(
    ("routes", "expected"),
    [
        (
            [{"name": "default", "match": {"path": "/"}}],
            ["routes.0.name: the route 'default' always exists"],
        ),
        (
            [{"name": "a", "match": {"path": "/"}}, {"name": "a", "match": {"path": "/b"}}],
            ["routes.1.name: two routes are named 'a'"],
        ),
        ([{"name": "a", "match": {}}], ["routes.0.match: route 'a' matches everything"]),
        (
            [{"name": "a", "match": {"path": ["/", "x", "**", "*"]}}],
            ["routes.0.match.path.1: path 'x' does not start with '/'"],
        ),
        (
            [{"name": "a", "match": {"path": "/a?b=c"}}],
            ["routes.0.match.path.0: path '/a?b=c' has a query or fragment"],
        ),
        (
            [{"name": "a", "match": {"method": ["GET", "post", "MKCOL"]}}],
            ["routes.0.match.method.1: method 'post' never comes, methods are upper case"],
        ),
        (
            [{"name": "a", "match": {"path": "/"}, "rules": {"new": {"mode": "off"}}}],
            ["routes.0.rules.new: rule 'new' names no header"],
        ),
    ],
)
def test_a_senseless_route_is_refused(routes: list[dict[str, Any]], expected: list[str]):
    """Names, matches and a route's own rules are judged, each with its path."""
    assert problems({"version": 1, "routes": routes}) == expected


@pytest.mark.parametrize(
    "data",
    [
        {
            "version": 1,
            "rules": {"frames": SET | {"mode": "enfroce"}},
            "routes": [
                {"name": "a", "match": {"path": "/"}, "rules": {"frames": {"value": "SAMEORIGIN"}}}
            ],
        },
        {"version": 1, "extends": ["lov"], "rules": {"frames": {"mode": "enforce"}}},
        {
            "version": 1,
            "rules": [SET],
            "routes": [
                {"name": "a", "match": {"path": "/"}, "rules": {"frames": {"value": "SAMEORIGIN"}}}
            ],
        },
    ],
)
def test_one_mistake_is_one_problem(data: dict[str, Any]):
    """A rule that lost a layer or a part to an error is not accused of lacking what it lost."""
    assert len(problems(data)) == 1


def test_too_many_rules_are_refused():
    """The sum over all routes is bounded, since each is compiled."""
    routes = [{"name": f"r{at}", "match": {"path": f"/{at}"}} for at in range(MAX_RULES)]

    assert problems({"version": 1, "rules": {"it": SET}, "routes": routes}) == [
        f"rules: more than {MAX_RULES} rules over all routes"
    ]


@pytest.mark.parametrize("data", [None, [], "text", 5])
def test_a_policy_is_a_mapping(data: object):
    """Anything else is one plain problem."""
    assert problems(data) == [": a policy is a mapping"]


def revision(data: dict[str, Any]) -> str:
    """The short hash of a mapping."""
    return resolve({"version": 1} | data, PRESETS).revision()


def test_a_revision_is_what_the_policy_means():
    """Layers, order of keys, single texts for lists and defaults written out make no difference."""
    plain = {
        "rules": {
            "frames": SET,
            "csp": {
                "header": "Content-Security-Policy",
                "action": "set",
                "value": "default-src 'self'",
            },
        }
    }
    layered = {
        "mode": "report-only",
        "extends": "low",
        "rules": {"frames": {"value": "DENY", "header": ["X-Frame-Options"]}},
    }

    assert revision(plain) == revision(layered) == revision({"x-a": 1, "owner": "", **plain})
    assert len(revision(plain)) == 12
    assert int(revision(plain), 16) >= 0


@pytest.mark.parametrize(
    "other",
    [
        {"mode": "enforce"},
        {"name": "other"},
        {"reason": "because"},
        {"rules": {}},
        {"rules": {"it": SET | {"mode": "off"}}},
        {"rules": {"it": SET | {"value": "deny"}}},
        {"routes": [{"name": "a", "match": {"path": "/"}}]},
    ],
)
def test_another_meaning_is_another_revision(other: dict[str, Any]):
    """Every key that changes what is done or reported changes the hash."""
    base = {"rules": {"it": SET}}

    assert revision(base | other) != revision(base)


def test_the_order_of_rules_is_part_of_the_meaning():
    """Rules are judged in order, so their order counts."""
    one, two = {"a": SET}, {"b": {"header": "Server", "action": "remove"}}

    assert revision({"rules": one | two}) != revision({"rules": two | one})


WORDS = st.sampled_from(
    (
        "@x",
        "@guard",
        "guard",
        "version",
        "mode",
        "rules",
        "routes",
        "header",
        "action",
        "value",
        "when",
        "match",
        "name",
        "path",
        "extends",
        "attributes",
        "cookie",
        "status",
        "low",
        "set",
        "enforce",
        "X-A",
        "/",
        "a b",
        "",
        "\ud800",
        "bad\nname",
    )
)
ANY = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=12,
)
VALID = {
    "version": 1,
    "mode": "enforce",
    "extends": ["low"],
    "rules": {
        "frames": {"mode": "off"},
        "set": SET | {"when": {"status": [200], "request": {"A": "b*"}}},
        "jar": {"cookie": "s*", "attributes": {"Secure": True}},
    },
    "routes": [
        {
            "name": "api",
            "match": {"path": ["/api/*"], "method": "GET"},
            "rules": {"frames": {"value": "DENY"}},
        }
    ],
}


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every path in a nest of mappings and lists."""
    inner = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    return [path, *(found for key, value in inner for found in places(value, (*path, key)))]


@settings(max_examples=examples(200))
@example([(("version",), "\ud800", None)])
@example([(("version",), "@guard", 1), (("rules", "set", "header"), "", {"@x": 2})])
@given(st.lists(st.tuples(st.sampled_from(places(VALID)[1:]), WORDS, ANY), min_size=1, max_size=4))
def test_any_mapping_is_taken_or_refused_in_good_order(
    breaks: list[tuple[tuple[Any, ...], str, Any]],
):
    """A valid policy broken at any places is a policy or a list of problems, never another
    exception.
    """
    data = copy.deepcopy(VALID)
    for path, word, value in breaks:
        here: Any = data
        for part in path[:-1]:
            there = (
                part in here
                if isinstance(here, dict)
                else isinstance(here, list) and isinstance(part, int) and part < len(here)
            )
            here = here[part] if there else {}
        if isinstance(here, dict):
            here[path[-1]] = value
            here[word] = value
        elif isinstance(here, list):
            here.append(value)
    try:
        complete = resolve(data, PRESETS)
    except PolicyError as error:
        assert error.problems
        assert str(error)
    else:
        assert isinstance(complete, Resolved)
        modes: tuple[Mode, ...] = ("off", "report-only", "enforce")
        assert complete.mode in modes


def test_a_mistake_hides_no_other():
    """What is wrong in itself is left out where it stands, a rule or a route, and the rest is
    judged; every place is that of the file.
    """
    odd, lacking = {"header": "X-A", "action": "sett"}, {"header": "X-B", "action": "set"}
    routes = [
        {"name": "a", "match": {"path": 5}, "rules": {"unseen": lacking}},
        {"name": "b", "match": {"path": "/b"}, "rules": {"odd": odd, "bare": lacking}},
        {"name": "c", "match": {"path": "/c"}, "rules": {"bare": lacking}},
    ]
    data = {"version": 1, "x": 1, "rules": {"odd": odd, "lacking": lacking}, "routes": routes}

    assert [text.partition(":")[0] for text in problems(data)] == [
        "rules.odd.action",
        "routes.0.match.path",
        "routes.1.rules.odd.action",
        "x",
        "rules.lacking",
        "routes.1.rules.bare",
        "routes.2.rules.bare",
    ]


def test_a_revision_is_that_of_what_is_meant():
    """Neither the order of keys nor what is written out changes it."""
    data = {"version": 1, "name": "shop", "rules": {"frames": SET}, "routes": []}
    turned = {"routes": [], "rules": {"frames": dict(reversed(SET.items()))}, "version": 1}
    assert resolve(data, {}).revision() == resolve({**turned, "name": "shop"}, {}).revision()
    assert resolve(data, {}).revision() != resolve({**turned, "name": "shops"}, {}).revision()


ROUTE = {"name": "api", "match": {"path": "/api/**"}}


@pytest.mark.parametrize(
    "change",
    [
        {"name": "shops"},
        {"owner": "jo"},
        {"reason": "r"},
        {"mode": "enforce"},
        {"share": "5%"},
        {"guard": "off"},
        {"guard": {"window": "20m"}},
        {"slashes": "keep"},
        {"rules": {}},
        {"rules": {"frames": {**SET, "when": {"status": 404}}}},
        {"routes": []},
        {"routes": [{**ROUTE, "name": "apis"}]},
        {"routes": [{**ROUTE, "match": {"path": "/api/*"}}]},
        {"routes": [{**ROUTE, "mode": "off"}]},
        {"routes": [{**ROUTE, "max_body": "1KiB"}]},
    ],
)
def test_whatever_is_meant_otherwise_is_another_revision(change: dict[str, Any]):
    """Each key of the policy, and of its routes."""
    data = {"version": 1, "name": "shop", "rules": {"frames": SET}, "routes": [ROUTE]}
    assert resolve({**data, **change}, {}).revision() != resolve(data, {}).revision()
