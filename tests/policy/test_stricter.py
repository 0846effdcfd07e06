"""Which of two routes is the stricter one, and that it applies where a path can be read in two
ways.
"""

from typing import Any

import pytest
from hypothesis import given

from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.engine.stricter import stricter
from sidecar.policy.terms import Mode
from tests.policy.making import POLICIES, plan

FRAMES: dict[str, Any] = {"header": "X-Frame-Options", "action": "set", "value": "DENY"}
CSP: dict[str, Any] = {
    "header": "Content-Security-Policy",
    "action": "set",
    "value": "default-src 'self'; frame-ancestors 'none'",
}
COOKIE: dict[str, Any] = {"cookie": "*", "attributes": {"Secure": True}}
LEAVE: dict[str, Any] = {"header": "Access-Control-Allow-Origin", "action": "set", "value": "*"}


def by_rules(of_route: dict[str, Any], **more: Any) -> tuple[bool, bool]:
    """Whether a route at /a/** is stricter than the default, and the other way round."""
    rules = {"frames": FRAMES, "csp": CSP, "cookie": COOKIE}
    route = {"name": "a", "match": {"path": "/a/**"}, "rules": of_route, **more}
    one, other = plan(rules, routes=[route]).routes
    return stricter(one, other), stricter(other, one)


@pytest.mark.parametrize(
    "rules",
    [
        {"more": {"header": "X-Content-Type-Options", "action": "set", "value": "nosniff"}},
        {"csp": {"value": "default-src 'none'; frame-ancestors 'none'"}},
        {"cookie": {"attributes": {"Secure": True, "HttpOnly": True}}},
        {"no-server": {"header": "Server", "action": "remove"}},
    ],
)
def test_more_rules_and_stronger_values_are_stricter(rules: dict[str, Any]):
    """A route that demands something more and nothing less."""
    assert by_rules(rules) == (True, False)


@pytest.mark.parametrize(
    "rules",
    [
        {"frames": {"mode": "report-only"}},
        {"frames": {"mode": "off"}},
        {"frames": {"action": "remove"}},
        {"frames": {"action": "remove", "mode": "report-only"}},
        {"frames": {"when": {"status": "2xx"}}},
        {"frames": {"share": "10%"}},
        {"csp": {"value": "default-src 'self'"}},
        {"cors": LEAVE},
        {"no-csp": {"header": "Content-Security-Policy", "action": "remove"}},
    ],
)
def test_less_in_force_weaker_values_and_leave_are_laxer(rules: dict[str, Any]):
    """A lower mode, a narrower condition or share, protection taken away, leave given to others."""
    assert by_rules(rules) == (False, True)


@pytest.mark.parametrize(
    "rules",
    [
        {},
        {"frames": {"reason": "said otherwise"}},
        {"frames": {"header": "X-Content-Type-Options", "value": "nosniff"}},
        {"more": {"header": "X-Content-Type-Options", "action": "require", "mode": "off"}},
        {"frames": {"mode": "off"}, "no-server": {"header": "Server", "action": "remove"}},
        {"csp": {"value": "default-src 'none'"}},
    ],
)
def test_neither_is_stricter_where_both_demand_the_same_or_each_something_more(
    rules: dict[str, Any],
):
    """Then the likelier reading counts."""
    assert by_rules(rules) == (False, False)


@pytest.mark.parametrize(
    ("of_route", "of_all", "expected"),
    [
        (["2xx", "4xx"], "2xx", (True, False)),
        ("2xx", ["2xx", "4xx"], (False, True)),
        ("2xx", "4xx", (False, False)),
    ],
)
def test_wider_conditions_are_stricter(of_route: Any, of_all: Any, expected: tuple[bool, bool]):
    """Of two conditions the one that holds wherever the other does; where neither does, none is."""
    rules = {"frames": FRAMES | {"when": {"status": of_all}}}
    route = {"name": "a", "match": {"path": "/a/**"}}
    route["rules"] = {"frames": {"when": {"status": of_route}}}
    one, other = plan(rules, routes=[route]).routes

    assert (stricter(one, other), stricter(other, one)) == expected


def test_a_lower_bound_on_bodies_is_stricter():
    """As far as it is in force."""
    assert by_rules({}, max_body="1KiB") == (True, False)
    assert by_rules({}, max_body="1KiB", mode="report-only") == (False, True)


@given(POLICIES)
def test_no_route_is_stricter_than_itself_and_no_two_than_each_other(resolved: Resolved):
    """Stricter is an order as far as it goes."""
    routes = compile_policy(resolved).routes
    for one in routes:
        assert not stricter(one, one)
        for other in routes:
            assert not (stricter(one, other) and stricter(other, one))


@pytest.mark.parametrize(
    ("path", "rules", "expected"),
    [
        ("//a/x", {}, "a"),
        ("//a/x", {"frames": {"mode": "off"}}, "default"),
        ("/a/../x", {}, "a"),
        ("/a/../x", {"frames": {"mode": "off"}}, "default"),
        ("/b/..%2fa/x", {"more": LEAVE | {"header": "X-More"}}, "a"),
        ("/b/..%2fa/x", {"frames": {"mode": "off"}}, "default"),
        ("/a/", {"frames": {"mode": "off"}}, "a"),
        ("/end/", {"more": LEAVE | {"header": "X-More"}}, "a"),
        ("/end/", {"frames": {"mode": "off"}}, "default"),
    ],
)
def test_the_stricter_of_two_readings_applies(path: str, rules: dict[str, Any], expected: str):
    """Of routes that are as strict as each other, that of the likelier reading."""
    made = plan(
        {"frames": FRAMES},
        routes=[{"name": "a", "match": {"path": ["/a/**", "/end"]}, "rules": rules}],
    )

    assert made.route("h", "GET", path).name == expected


@pytest.mark.parametrize(
    ("slashes", "expected"), [("stricter", "default"), ("merge", "a"), ("keep", "default")]
)
def test_the_policy_says_whether_repeated_slashes_count_as_one(slashes: str, expected: str):
    """Where it says so, the stricter route has no say."""
    lax: Mode = "off"
    route = {"name": "a", "match": {"path": "/a/**"}, "rules": {"frames": {"mode": lax}}}
    made = plan({"frames": FRAMES}, routes=[route], slashes=slashes)

    assert made.route("h", "GET", "//a/x").name == expected
