"""Policies side by side: by meaning, and by what becomes of responses."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sidecar.policy.engine.compare import (
    Comparison,
    KeyChange,
    RouteChange,
    RuleChange,
    ShadowedRoute,
    compare,
    effects,
)
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.rules.conditions import Facts
from tests.policy.making import POLICIES, SITUATIONS, facts, plan, policy
from tests.portion import examples

SERVER = {"action": "remove", "header": "Server"}
NOSNIFF = {"action": "set", "header": "X-Content-Type-Options", "value": "nosniff"}
API = {"name": "api", "match": {"path": "/api/**"}}


def test_policies_are_compared_rule_by_rule() -> None:
    """Added, removed and changed rules, with effective modes and the keys that say something
    else.
    """
    before = policy(
        {
            "server": SERVER,
            "frames": {"action": "set", "header": "X-Frame-Options", "value": "DENY"},
        },
        mode="report-only",
    )
    after = policy(
        {
            "frames": {
                "action": "default",
                "header": "X-Frame-Options",
                "value": "DENY",
                "mode": "report-only",
            },
            "nosniff": NOSNIFF,
        }
    )
    found = compare(before, after)

    assert found.about == (KeyChange("mode", "report-only", "enforce"),)
    assert found.rules == (
        RuleChange("default", "server", "removed", "report-only", None),
        RuleChange(
            "default",
            "frames",
            "changed",
            "report-only",
            "report-only",
            (KeyChange("action", "set", "default"), KeyChange("mode", None, "report-only")),
        ),
        RuleChange("default", "nosniff", "added", None, "enforce"),
    )
    assert ([change.rule for change in found.more], found.less) == (["nosniff"], ())


@pytest.mark.parametrize(
    ("before", "after", "same"),
    [
        ({"value": "default-src 'self'"}, {"value": {"default-src": ["'self'"]}}, True),
        (
            {"value": "a", "when": {"request": {"X": True}}},
            {"value": "a", "when": {"request": {"X": "true"}}},
            False,
        ),
        ({"value": "a", "when": {"status": [404]}}, {"value": "a", "when": {"status": 404}}, True),
        ({"value": "a"}, {"value": "a", "owner": "jo"}, False),
    ],
)
def test_meaning_counts_and_not_the_form(
    before: dict[str, Any], after: dict[str, Any], same: bool
) -> None:
    """Directives as a mapping or a text mean the same; a pattern and a presence do not."""
    rule = {"action": "set", "header": "Content-Security-Policy"}

    assert compare(policy({"csp": rule | before}), policy({"csp": rule | after})).same == same


@pytest.mark.parametrize(
    ("before", "after", "change"),
    [
        ({"owner": "jo"}, {"owner": "al"}, KeyChange("owner", "jo", "al")),
        ({"when": {"status": [404, 410]}}, {}, KeyChange("when", "status: [404, 410]", None)),
        ({}, {"when": {"status": "4xx"}}, KeyChange("when", None, "status: 4xx")),
        (
            {"when": {"request": {"Cookie": True}, "scheme": "https"}},
            {"when": {"request": {"Cookie": False}, "scheme": "https"}},
            KeyChange(
                "when",
                "scheme: https, request: Cookie: true",
                "scheme: https, request: Cookie: false",
            ),
        ),
        ({"share": "5%"}, {"share": "50%"}, KeyChange("share", "5%", "50%")),
        (
            {"value": {"default-src": ["'self'", "data:"]}},
            {"value": "default-src *"},
            KeyChange("value", "default-src 'self' data:", "default-src *"),
        ),
    ],
)
def test_what_differs_in_a_rule_is_shown_as_people_write_it(
    before: dict[str, Any], after: dict[str, Any], change: KeyChange
) -> None:
    """Keys as in the file; lists in brackets, true and false, a policy as its text."""
    rule = {"action": "set", "header": "Content-Security-Policy", "value": "img-src *"}
    (found,) = compare(policy({"csp": rule | before}), policy({"csp": rule | after})).rules

    assert found.keys == (change,)


@pytest.mark.parametrize("key", ["name", "owner", "reason", "expected", "rollback"])
def test_what_is_said_of_a_policy_is_compared(key: str) -> None:
    """Each text by its own name."""
    assert compare(policy(**{key: "a"}), policy(**{key: "b"})).about == (KeyChange(key, "a", "b"),)


def test_routes_that_come_and_go_are_compared_with_the_default() -> None:
    """A new route tells what it does otherwise than the default route, where its requests went
    before.
    """
    found = compare(
        policy({"server": SERVER}), policy({"server": SERVER}, routes=[API | {"mode": "off"}])
    )

    assert found.routes == (
        RouteChange(
            "api", "added", (KeyChange("path", None, "/api/**"), KeyChange("mode", None, "off"))
        ),
    )
    assert found.rules == (RuleChange("api", "server", "changed", "enforce", "off"),)
    assert [change.route for change in found.less] == ["api"]


def test_order_matters_for_routes_and_rules() -> None:
    """The first match wins and rules are judged in turn, so another order is a difference."""
    docs = {"name": "docs", "match": {"path": "/docs"}}
    rules = {"a": SERVER, "b": NOSNIFF}
    routes = compare(policy(rules, routes=[API, docs]), policy(rules, routes=[docs, API]))
    turned = compare(policy(rules), policy(dict(reversed(rules.items()))))

    assert (routes.order, routes.reordered, routes.same) == (("docs", "api"), (), False)
    assert (turned.order, turned.reordered, turned.same) == ((), ("default",), False)


SHADOWS: tuple[tuple[list[dict[str, Any]], list[str]], ...] = (
    ([{"path": "/**"}, {"path": "/api/*"}], ["1 by 0"]),
    ([{"path": "/api/**"}, {"path": "/api/v1"}, {"path": "/other"}], ["1 by 0"]),
    ([{"path": "/api/*"}, {"path": "/api/**"}], []),
    ([{"path": ["/a", "/b"]}, {"path": "/a"}, {"path": ["/a", "/c"]}], ["1 by 0"]),
    (
        [{"method": "GET", "path": "/**"}, {"path": "/a"}, {"path": "/a", "method": "GET"}],
        ["2 by 0"],
    ),
    ([{"method": ["GET", "POST"]}, {"method": "POST", "host": "a.example"}], ["1 by 0"]),
    (
        [{"host": "*.example"}, {"host": "*.shop.example"}, {"host": "a.test"}, {"path": "/x"}],
        ["1 by 0"],
    ),
    ([{"host": "a.example"}, {"host": "*.example"}], []),
    ([{"path": "/a*"}, {"path": "/ab*"}, {"path": "/*"}], ["1 by 0"]),
)


@pytest.mark.parametrize(("matches", "shadowed"), SHADOWS)
def test_routes_that_nothing_reaches_are_reported(
    matches: list[dict[str, Any]], shadowed: list[str]
) -> None:
    """A route whose every request an earlier one takes; where a gap is left, it is not reported."""
    routes = [{"name": str(number), "match": match} for number, match in enumerate(matches)]

    assert [
        f"{shadow.route} by {shadow.by}"
        for shadow in compare(policy(), policy(routes=routes)).shadowed
    ] == shadowed


def test_only_new_shadows_are_reported() -> None:
    """What was never reached before is no news."""
    routes = [{"name": "all", "match": {"path": "/**"}}, API]

    assert compare(policy(routes=routes), policy({"a": SERVER}, routes=routes)).shadowed == ()
    assert compare(policy(routes=routes[::-1]), policy(routes=routes)).shadowed == (
        ShadowedRoute("api", "all"),
    )


@settings(max_examples=examples(30))
@given(POLICIES)
def test_a_policy_does_not_differ_from_itself(one: Resolved) -> None:
    """Nothing differs in meaning, and nothing becomes of any response."""
    assert compare(one, one) == Comparison((), (), (), (), (), ())


@settings(max_examples=examples(30))
@given(POLICIES, POLICIES)
def test_the_same_meaning_is_the_same_revision(one: Resolved, other: Resolved) -> None:
    """Two policies compare as the same exactly when they have the same canonical form."""
    assert compare(one, other).same == (one.canonical() == other.canonical())


@settings(max_examples=examples(30))
@given(POLICIES, POLICIES)
def test_the_other_direction_is_the_mirror(one: Resolved, other: Resolved) -> None:
    """What one way adds the other removes; before and after change places, and so do more and
    less.
    """
    there, back = compare(one, other), compare(other, one)
    turned = {"added": "removed", "removed": "added", "changed": "changed"}

    assert {(c.route, c.rule, c.what, c.before, c.after) for c in there.rules} == {
        (c.route, c.rule, turned[c.what], c.after, c.before) for c in back.rules
    }
    assert {(c.route, c.rule) for c in there.more} == {(c.route, c.rule) for c in back.less}
    assert {(c.route, c.what) for c in there.routes} == {
        (c.route, turned[c.what]) for c in back.routes
    }
    assert {(k.key, k.before, k.after) for k in there.about} == {
        (k.key, k.after, k.before) for k in back.about
    }


# What becomes of responses.


def test_effects_tell_header_before_and_after() -> None:
    """Equal changes are counted together; the first request is the example, ids blotted out;
    loss is marked.
    """
    before = plan({"frames": {"action": "set", "header": "X-Frame-Options", "value": "DENY"}})
    after = plan(
        {
            "frames": {"action": "set", "header": "X-Frame-Options", "value": "SAMEORIGIN"},
            "server": SERVER | {"mode": "report-only"},
        }
    )
    responses = [
        facts((b"Server", b"uvicorn"), path="/items/4711"),
        facts((b"Server", b"nginx"), path="/b"),
        facts(status=404),
    ]
    first, second = effects(before, after, responses)

    assert (first.before, first.after, first.responses, first.example) == (
        "default",
        "default",
        2,
        "GET https://shop.example/items/... -> 200",
    )
    assert [(c.header, c.before, c.after, c.weaker) for c in first.headers] == [
        ("X-Frame-Options", ("DENY",), ("SAMEORIGIN",), "SAMEORIGIN protects less than DENY")
    ]
    assert [(c.rule, c.header, c.kind) for c in first.reported] == [
        ("server", "Server", "forbidden")
    ]
    assert (second.reported, second.responses) == ((), 1)


def test_a_change_of_mode_alone_is_told_by_what_leaves() -> None:
    """The same complaint in another mode is no new complaint; the header that changes is."""
    [effect] = effects(
        plan({"server": SERVER}, mode="report-only"),
        plan({"server": SERVER}),
        [facts((b"Server", b"a"))],
    )

    assert [(c.header, c.before, c.after) for c in effect.headers] == [("Server", ("a",), ())]
    assert (effect.reported, effect.silent) == ((), ())


def test_effects_hold_no_secrets() -> None:
    """Cookie values, nonces and unknown headers show as elsewhere: without their values."""
    hide = {"cookie": "*", "attributes": {"Secure": True}}
    csp = {"action": "remove", "header": ["Content-Security-Policy", "X-Auth-Token"]}
    response = facts(
        (b"Set-Cookie", b"sid=c0ffee"),
        (b"Content-Security-Policy", b"script-src 'nonce-c0ffee'"),
        (b"X-Auth-Token", b"c0ffee"),
    )
    found = effects(plan(), plan({"hide": hide, "csp": csp}), [response])

    assert len(found[0].headers) == 3
    assert "c0ffee" not in str(found)


@settings(max_examples=examples(30))
@given(POLICIES, st.lists(SITUATIONS, max_size=3))
def test_nothing_becomes_of_responses_under_the_same_policy(
    one: Resolved, responses: list[Facts]
) -> None:
    """The same plan has no effect on anything."""
    assert effects(compile_policy(one), compile_policy(one), responses) == ()


@settings(max_examples=examples(30))
@given(POLICIES, POLICIES, SITUATIONS)
def test_an_effect_is_what_the_plans_decide(
    one: Resolved, other: Resolved, response: Facts
) -> None:
    """Without an effect both plans send the same lines by name; policies of one meaning have
    none.
    """
    plans = compile_policy(one), compile_policy(other)
    found = effects(*plans, [response])
    sent = [
        _by_name(decide(plan.route(response.host, response.method, response.path), response).fields)
        for plan in plans
    ]

    assert bool(found and found[0].headers) == (sent[0] != sent[1])
    assert not (found and compare(one, other).same)


def _by_name(fields: list[tuple[bytes, bytes]]) -> dict[bytes, list[bytes]]:
    seen: dict[bytes, list[bytes]] = {}
    for name, value in fields:
        seen.setdefault(name.lower(), []).append(value)
    return seen
