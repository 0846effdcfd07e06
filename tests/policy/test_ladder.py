"""The ladder of HSTS: what a step writes, what is refused, who bears witness, and what a request
says of it.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.browsers.witness import witnesses
from sidecar.policy.engine.explain import explain
from sidecar.policy.engine.resolve import resolve
from sidecar.policy.model import Rule
from sidecar.policy.rules.fetch import Fetch
from sidecar.policy.rules.ladder import described
from sidecar.policy.terms import PolicyError
from sidecar.policy.values import age, age_text
from tests.policy.making import facts, plan, policy

HSTS = {"header": "Strict-Transport-Security", "action": "set", "ladder": ["5m", "1d", "30d", "2y"]}
CHROME = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
    b" Safari/537.36"
)


def rule(**more: Any) -> Rule:
    """The complete rule."""
    return policy({"hsts": HSTS | more}).routes[-1].rules[0].rule


@pytest.mark.parametrize(
    ("more", "value", "step"),
    [
        ({}, "max-age=300", "step 1 of 4 (5m)"),
        ({"step": 2}, "max-age=86400", "step 2 of 4 (1d)"),
        ({"step": 4}, "max-age=63072000", "step 4 of 4 (2y)"),
        (
            {"step": 3, "value": "includeSubDomains"},
            "max-age=2592000; includeSubDomains",
            "step 3 of 4 (30d)",
        ),
        ({"ladder": ["90s"], "action": "default"}, "max-age=90", "step 1 of 1 (90s)"),
    ],
)
def test_a_step_is_a_max_age(more: dict[str, Any], value: str, step: str):
    """The value takes max-age from the step; the first one where none is named."""
    assert (rule(**more).value, described(rule(**more))) == (value, step)


def test_the_step_leaves_in_the_response():
    """In enforce, over https alone (RFC 6797 section 7.2)."""
    made = plan({"hsts": HSTS | {"step": 2}}).routes[-1]

    assert made.judge(facts()).fields([]) == [(b"Strict-Transport-Security", b"max-age=86400")]
    assert made.judge(facts(scheme="http")).fields([]) == []


def test_the_step_is_explained():
    """Beside the layer that it comes from."""
    (step,) = explain(plan({"hsts": HSTS | {"step": 2}}).routes[-1], facts()).steps
    assert step.origin == "policy; step 2 of 4 (1d)"


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"ladder": ["1d", "5m"]}, "a ladder goes up: 5m comes after 1d"),
        ({"ladder": ["1d", "24h"]}, "a ladder goes up: 1d comes after 1d"),
        ({"ladder": ["1w"]}, "unknown age '1w'; write a whole number with s, m, h, d or y, as 30d"),
        ({"ladder": [300]}, "unknown age 300"),
        ({"ladder": ["0s"]}, "unknown age '0s'"),
        ({"ladder": []}, "ladder is empty"),
        ({"ladder": "5m"}, "ladder must be a list, got text"),
        ({"step": 5}, "step 5 is above the ladder, which has 4 steps"),
        ({"step": 0}, "step must be at least 1, got 0"),
        ({"step": "2"}, "step must be a whole number"),
        ({"value": "max-age=300"}, "the ladder says max-age, and so does the value"),
        (
            {"value": "includeSubDomains; MAX-AGE = 3"},
            "the ladder says max-age, and so does the value",
        ),
        ({"header": "X-Frame-Options"}, "a ladder is for Strict-Transport-Security"),
        (
            {"header": ["Strict-Transport-Security", "Server"]},
            "a ladder is for Strict-Transport-Security",
        ),
        ({"action": "require"}, "a ladder writes its value; rule 'hsts' has action 'require'"),
        ({"ladder": None, "value": "max-age=1", "step": 1}, "a step needs a ladder"),
    ],
)
def test_a_wrong_ladder_is_refused_in_words(more: dict[str, Any], message: str):
    """Each with its place and the fix."""
    rules = {"hsts": {key: value for key, value in (HSTS | more).items() if value is not None}}
    with pytest.raises(PolicyError) as caught:
        policy(rules)
    problem, *_ = caught.value.problems
    assert message in str(problem)
    assert problem.path[:2] == ("rules", "hsts")


def test_layers_share_a_ladder():
    """A ladder over a preset's value takes its max-age and leaves the rest; a route may stand on
    a step of its own.
    """
    presets = {
        "old": {"version": 1, "rules": {"hsts": HSTS | {"value": "max-age=9; includeSubDomains"}}}
    }
    presets["old"]["rules"]["hsts"].pop("ladder")  # type: ignore[index]
    data = {
        "version": 1,
        "extends": "old",
        "rules": {"hsts": {"ladder": ["5m", "1d"]}},
        "routes": [{"name": "new", "match": {"path": "/new/**"}, "rules": {"hsts": {"step": 2}}}],
    }
    new, default = (route.rules[0] for route in resolve(data, presets).routes)

    assert default.rule.value == "max-age=300; includeSubDomains"
    assert new.rule.value == "max-age=86400; includeSubDomains"
    assert (new.origin["step"], new.origin["ladder"]) == ("route new", "policy")


def test_a_step_is_part_of_the_meaning():
    """Evidence of one step says nothing of the next; the first step is the same whether it is
    written or not.
    """
    one, first, two = (
        plan({"hsts": HSTS | more}).routes[-1].rules[0].meaning
        for more in ({}, {"step": 1}, {"step": 2})
    )
    assert one == first != two


@given(st.integers(1, 10**9))
def test_ages_read_back(seconds: int):
    """What is printed means the same."""
    assert age(age_text(seconds)) == seconds


@pytest.mark.parametrize(
    ("more", "kinds"),
    [
        ({}, ["proxy"]),
        ({"value": "includeSubDomains"}, ["proxy", "nobody"]),
        ({"value": "includeSubDomains; preload"}, ["proxy", "nobody"]),
    ],
)
def test_who_bears_witness(more: dict[str, Any], kinds: list[str]):
    """Requests say how their own host is reached; of other hosts nobody can tell."""
    assert [witness.kind for witness in witnesses(rule(**more))] == kinds


@pytest.mark.parametrize(
    ("scheme", "request_lines", "outcome"),
    [
        ("https", {}, "safe"),
        ("http", {"X-Forwarded-Proto": "http"}, "plain"),
        ("http", {"X-Forwarded-Proto": "https, HTTP "}, "plain"),
        ("http", {"Forwarded": 'for=192.0.2.1;proto="http"'}, "plain"),
        ("http", {"X-Forwarded-Proto": "https"}, "unknown"),
        ("http", {"X-Forwarded-Proto": "https", "Forwarded": "proto=http"}, "unknown"),
        ("http", {}, "unknown"),
        ("http", {"User-Agent": "curl/8.5"}, "irrelevant"),
        ("https", {"User-Agent": "kube-probe/1.30"}, "irrelevant"),
    ],
)
@pytest.mark.parametrize("mode", ["report-only", "enforce"])
def test_what_a_request_says_of_the_host(
    mode: str, scheme: str, request_lines: dict[str, str], outcome: str
):
    """Https is vouched for by our TLS or a trusted proxy; plain http by the proxy that says so;
    what keeps no promise says nothing.
    """
    route = plan({"hsts": HSTS}, mode=mode).routes[-1]
    ((_, breakage_test),) = route.breakage_tests
    lines = {"User-Agent": CHROME.decode()} | request_lines
    situation = facts(
        scheme=scheme, request=[(name.encode(), value.encode()) for name, value in lines.items()]
    )
    assert breakage_test(situation, Fetch(situation)) == outcome
