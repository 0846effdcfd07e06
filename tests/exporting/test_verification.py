"""What responses show of a policy: no response that came through it differs, and what is claimed
was seen.
"""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.exporting import export
from sidecar.exporting.verification import Verification
from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.rules.conditions import Facts
from sidecar.source import load_policy
from tests.exporting.asking import ASKS, Ask, dumped, expected
from tests.exporting.origin import RESPONSES, Lines
from tests.exporting.policies import HEAD, POLICIES, PRESETS, WRITTEN, Policy
from tests.portion import examples


def facts(one: Ask, lines: Lines) -> Facts:
    """The exchange with a response of these lines."""
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    request = [(name.encode(), value.encode()) for name, value in one.headers]
    status = RESPONSES[one.response][0]
    return Facts(one.method, one.host, one.path, one.scheme, request, status, fields)


def verified(policy: Policy, asks: list[Ask]) -> Verification:
    """After these responses, each as the policy lets it leave."""
    resolved = load_policy(dumped(policy).encode(), "policy.yaml")
    plan, found = compile_policy(resolved), Verification(resolved)
    for one in asks:
        found.take(facts(one, expected(plan, one, *RESPONSES[one.response])))
    return found


# The second rule puts its attributes elsewhere each time that the first took them away.
TWICE = {
    "a": {"cookie": "*", "attributes": {"Secure": False}},
    "b": {"cookie": "*", "attributes": {"Secure": True, "SameSite": "Lax"}},
}


@example(
    {"version": 1, "mode": "enforce", "rules": TWICE},
    [one for one in ASKS if one.response == "page"],
)
@settings(max_examples=examples(150))
@given(
    policy=st.one_of(st.sampled_from([*PRESETS.values(), *WRITTEN.values()]), POLICIES),
    asks=st.lists(st.sampled_from(ASKS), min_size=1, max_size=12),
)
def test_what_came_through_the_policy_differs_nowhere(policy: Policy, asks: list[Ask]):
    """Whatever the policy and the service's response are."""
    rows = verified(policy, asks).rows()

    assert [row for row in rows if row.verdict not in ("holds", "unseen", "unknown")] == []


WRONG = [
    ({"header": "X-A", "action": "set", "value": "1"}, [("X-A", "2")], "differs"),
    ({"header": "X-A", "action": "set", "value": "1"}, [], "differs"),
    ({"header": "X-A", "action": "set", "value": "1"}, [("X-A", "1"), ("X-A", "1")], "differs"),
    ({"header": "X-A", "action": "set", "value": "1"}, [("X-A", "1")], "holds"),
    ({"header": "X-A", "action": "default", "value": "1"}, [], "differs"),
    ({"header": "X-A", "action": "default", "value": "1"}, [("X-A", "2")], "holds"),
    ({"header": "X-A", "action": "remove"}, [("X-A", "2")], "differs"),
    ({"header": "X-A", "action": "remove"}, [], "holds"),
    ({"header": "Vary", "action": "append", "value": "Origin"}, [("Vary", "Cookie")], "differs"),
    (
        {"header": "Vary", "action": "append", "value": "Origin"},
        [("Vary", "Cookie"), ("Vary", "Origin")],
        "holds",
    ),
    ({"header": "Vary", "action": "merge", "value": "Origin"}, [("Vary", "Cookie")], "differs"),
    ({"header": "Vary", "action": "merge", "value": "Origin"}, [("Vary", "Origin, A")], "holds"),
    ({"cookie": "s*", "attributes": {"HttpOnly": True}}, [("Set-Cookie", "s=1")], "differs"),
    (
        {"cookie": "s*", "attributes": {"HttpOnly": True}},
        [("Set-Cookie", "s=1; httponly"), ("Set-Cookie", "t=1")],
        "holds",
    ),
    ({"cookie": "s*", "attributes": {"HttpOnly": True}}, [("Set-Cookie", "t=1")], "unseen"),
    (
        {"header": "X-A", "action": "set", "value": "1", "when": {"status": 404}},
        [("X-A", "1")],
        "unseen",
    ),
    (
        {"header": "X-A", "action": "set", "value": "1", "when": {"response": {"X-A": False}}},
        [("X-A", "1")],
        "unknown",
    ),
    ({"header": "X-A", "action": "set", "value": "1", "share": "50%"}, [("X-A", "1")], "unknown"),
    (
        {
            "header": "Content-Security-Policy",
            "action": "set",
            "value": "script-src 'nonce-{request}'",
        },
        [("Content-Security-Policy", "script-src 'nonce-YWJj'")],
        "unknown",
    ),
]


@pytest.mark.parametrize(("rule", "lines", "verdict"), WRONG)
def test_what_a_response_shows(rule: Policy, lines: Lines, verdict: str):
    """Each action: what proves that the policy was not applied, what agrees with it, and what no
    response can tell.
    """
    found = Verification(load_policy(dumped({**HEAD, "rules": {"a": rule}}).encode(), "p"))
    one = next(one for one in ASKS if one.response == "page")

    found.take(facts(one, lines))

    (row,) = found.rows()
    assert (row.verdict, bool(row.reason) or bool(row.examples)) == (verdict, True)


def test_secrets_are_not_shown():
    """Of cookies the attributes alone are shown, and of addresses in values no query."""
    rules = {
        "jar": {"cookie": "sid", "attributes": {"HttpOnly": True}},
        "gone": {"header": "Server", "action": "remove"},
    }
    found = Verification(load_policy(dumped({**HEAD, "rules": rules}).encode(), "p"))

    lines = [("Set-Cookie", "sid=hushhush"), ("Server", "http://a.example/?hushhush")]
    found.take(facts(ASKS[0], lines))

    assert [row.verdict for row in found.rows()] == ["differs", "differs"]
    assert "hushhush" not in str(found.rows())


def test_what_an_export_announced_is_no_failure_and_the_rest_still_is():
    """A lost rule is shown as announced; of a rule that is lost in part, the other part is held
    to.
    """
    rules = {
        "gone": {"header": "Server", "action": "remove"},
        "jar": {"cookie": "sid", "attributes": {"Path": "/", "HttpOnly": True}},
        "vary": {"header": "Vary", "action": "merge", "value": "Origin"},
    }
    resolved = load_policy(dumped({**HEAD, "rules": rules}).encode(), "p")

    def verdicts(*lines: tuple[str, str]) -> list[str]:
        found = Verification(resolved, export(resolved, "nginx"))
        found.take(facts(ASKS[0], list(lines)))
        return [row.verdict for row in found.rows()]

    hidden = ("Set-Cookie", "sid=1; HttpOnly")
    server = ("Server", "nginx")
    assert verdicts(server, hidden, ("Vary", "A")) == ["announced"] * 3
    assert verdicts(server, ("Set-Cookie", "sid=1; Path=/")) == ["announced", "differs", "differs"]


def test_copies_are_a_limit_of_every_export():
    """Of a header that may stand once, proxies leave the service's copies beside each other:
    announced, with a target.
    """
    rules = {"frames": {"header": "X-Frame-Options", "action": "default", "value": "DENY"}}
    resolved = load_policy(dumped({**HEAD, "rules": rules}).encode(), "p")
    twice = [("X-Frame-Options", "DENY"), ("X-Frame-Options", "SAMEORIGIN")]

    found = []
    for written in (None, export(resolved, "haproxy")):
        one = Verification(resolved, written)
        one.take(facts(ASKS[0], twice))
        found += [row.verdict for row in one.rows()]

    assert found == ["differs", "announced"]
