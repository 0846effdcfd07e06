"""A compiled policy: what decide says, against a slow and obvious reading of the same policy."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.policy.browsers.trial import added
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.model import Rule
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import MODES, Mode, lowest
from tests.policy.making import OVERRIDES, POLICIES, SITUATIONS, facts, plan, policy
from tests.portion import examples
from tests.reference import Told, reference

SET = {"header": "X-Frame-Options", "action": "set", "value": "DENY"}


@settings(max_examples=examples(300))
@given(POLICIES, OVERRIDES, SITUATIONS)
def test_decide_agrees_with_the_reference(
    resolved: Resolved, override: Mode | None, situation: Facts
):
    """The compiled policy finds and makes exactly what reading it rule by rule does."""
    before = list(situation.fields)
    route = compile_policy(resolved, override=override).route(
        situation.host, situation.method, situation.path
    )

    decision = decide(route, situation)

    found = [
        Told(
            item.rule,
            item.header,
            item.kind,
            item.mode,
            list(item.before),
            None if item.after is None else list(item.after),
        )
        for item in decision.findings
    ]
    tried = added(decision.report_only)
    without = decision.fields[: len(decision.fields) - len(tried)]
    assert (without, found) == reference(resolved, override, situation)
    assert decision.fields == without + tried
    assert situation.fields == before


@settings(max_examples=examples(50))
@given(POLICIES, SITUATIONS)
def test_report_only_returns_the_very_same_lines(resolved: Resolved, situation: Facts):
    """In report-only nothing is copied, let alone changed, and no finding claims to be made."""
    route = compile_policy(resolved, override="report-only").route(
        situation.host, situation.method, situation.path
    )

    decision = decide(route, situation)

    assert decision.fields is situation.fields
    assert not decision.changed
    assert not any(finding.made for finding in decision.findings)


@settings(max_examples=examples(25))
@given(POLICIES, SITUATIONS)
def test_off_makes_no_check(resolved: Resolved, situation: Facts):
    """Under the ceiling off there is nothing to judge, and nothing is found."""
    compiled = compile_policy(resolved, override="off")

    assert {route.checks for route in compiled.routes} == {()}
    assert decide(compiled.routes[-1], situation).findings == ()


@settings(max_examples=examples(50))
@given(POLICIES, SITUATIONS)
def test_no_rule_complains_of_what_it_made_itself(resolved: Resolved, situation: Facts):
    """An enforced rule, asked again about the response that it left, is content."""
    route = compile_policy(resolved).route(situation.host, situation.method, situation.path)
    for check in route.checks:
        alone = replace(route, checks=(check,))
        first = decide(alone, situation)

        assert (
            not first.changed
            or decide(alone, situation._replace(fields=first.fields)).findings == ()
        )


@pytest.mark.parametrize(
    ("override", "top", "route", "rule"), list(itertools.product((None, *MODES), repeat=4))
)
def test_mode_is_a_ceiling(
    override: Mode | None, top: Mode | None, route: Mode | None, rule: Mode | None
):
    """The effective mode is the lowest of override, policy, route and rule; nothing at the top
    is report-only.
    """
    resolved = policy(
        {"it": SET | ({"mode": rule} if rule else {})},
        mode=top,
        routes=[{"name": "r", "match": {"path": "/"}, **({"mode": route} if route else {})}],
    )
    compiled = compile_policy(resolved, override=override)
    line = compiled.route("h", "GET", "/").rules[0]
    said = {"override": override, "policy": top or "report-only", "route r": route, "rule": rule}

    assert line.mode == min((mode for mode in said.values() if mode), key=MODES.index)
    assert said[line.ceiling] == line.mode
    assert compiled.mode == lowest(top or "report-only", override)
    checks = compiled.routes[0].checks
    assert [check.made for check in checks] == (
        [] if line.mode == "off" else [line.mode == "enforce"]
    )


def test_the_first_route_that_matches_counts_and_default_takes_the_rest():
    """Routes are asked in the order of the file."""
    compiled = plan(
        {},
        routes=[
            {"name": "one", "match": {"path": "/a/**"}},
            {"name": "two", "match": {"path": "/a/b"}},
        ],
    )

    assert [compiled.route("h", "GET", path).name for path in ("/a/b", "/a/", "/b")] == [
        "one",
        "one",
        "default",
    ]


def test_rules_see_what_the_rules_before_them_made():
    """A later rule judges the response as the earlier ones left it, in enforce alone."""
    rules = {
        "first": {"header": "X-A", "action": "set", "value": "new"},
        "second": {"header": "X-A", "action": "forbid", "value": "new"},
    }
    situation = facts((b"x-a", b"old"))

    assert [item.rule for item in decide(plan(rules).routes[-1], situation).findings] == [
        "first",
        "second",
    ]
    assert [
        item.rule for item in decide(plan(rules, mode="report-only").routes[-1], situation).findings
    ] == ["first"]


def test_a_rule_over_several_headers_asks_its_conditions_once():
    """What a rule does to its first header does not decide on its second: report-only tells what
    enforce does.
    """
    rule = {
        "header": ["X-A", "X-B"],
        "action": "set",
        "value": "1",
        "when": {"response": {"X-A": False}},
    }
    enforced = decide(plan({"it": rule}).routes[-1], facts())
    data = decide(plan({"it": rule}, mode="report-only").routes[-1], facts())

    assert enforced.fields == [(b"X-A", b"1"), (b"X-B", b"1")]
    assert [item.header for item in data.findings] == [item.header for item in enforced.findings]


def test_skipped_names_the_rules_whose_conditions_did_not_hold():
    """Each such rule once, by its index, whether or not it names several headers."""
    rules = {
        "held": {"header": "X-A", "action": "set", "value": "1", "when": {"status": "2xx"}},
        "not": {"header": ["X-B", "X-C"], "action": "set", "value": "1", "when": {"status": "5xx"}},
        "off": {"header": "X-D", "action": "set", "value": "1", "mode": "off"},
        "hsts": {"header": "Strict-Transport-Security", "action": "set", "value": "max-age=1"},
    }

    assert decide(plan(rules).routes[-1], facts(scheme="http")).skipped == (1, 3)


@given(st.lists(st.tuples(st.binary(), st.binary())))
@example([(b"", b"")])
@example([(b"content-security-policy", bytes(range(256)))])
@example([(b"content-security-policy", b"\xff\xb5\xdf"), (b"Content-Security-Policy", b"\xff;;,")])
def test_decide_is_total(fields: list[tuple[bytes, bytes]]):
    """No bytes of a response, legal or not, make decide raise."""
    every = {
        "set": SET,
        "merge": {
            "header": "Content-Security-Policy",
            "action": "merge",
            "value": "default-src 'self'",
        },
        "default": {"header": "X-Content-Type-Options", "action": "default", "value": "nosniff"},
        "append": {"header": "Vary", "action": "append", "value": "Origin"},
        "remove": {"header": ["Server", "X-Powered-By"], "action": "remove"},
        "require": {"header": "Content-Type", "action": "require", "value": "text/*"},
        "forbid": {"header": "Set-Cookie", "action": "forbid", "value": "*a*b*"},
    }

    assert decide(plan(every).routes[-1], facts(*fields)).fields


@pytest.mark.parametrize(
    ("edit", "same"),
    [
        ({}, True),
        ({"mode": "report-only"}, True),
        ({"share": "10%"}, True),
        ({"reason": "another"}, True),
        ({"value": "SAMEORIGIN"}, False),
        ({"action": "default"}, False),
        ({"when": {"status": 200}}, False),
    ],
)
def test_a_demand_is_what_a_rule_asks_of_responses(edit: dict[str, object], same: bool):
    """Another mode, share or reason asks the same; another value, action or condition asks
    something else.
    """
    one, other = (plan({"frames": rule}).routes[-1].rules[0] for rule in (SET, SET | edit))

    assert (one.demand == other.demand) is same


def test_the_scope_of_a_rule_is_what_it_sees_and_after_whom():
    """It changes with the match of its route or of one before, and with a rule before it that
    enforces on the same header; not with what comes after.
    """
    rule = {"header": "Content-Security-Policy", "action": "append", "value": "img-src a"}
    other = rule | {"value": "img-src b"}
    shop = {"name": "shop", "match": {"path": "/shop/**"}}
    blog = {"name": "blog", "match": {"path": "/blog/**"}}

    def scope(rules: dict[str, Any], *routes: dict[str, Any], of: int = 0) -> str:
        made = plan(rules, routes=list(routes)).routes[of]
        return next(line.scope for line in made.rules if line.name == "it")

    base = scope({"it": rule}, shop)
    assert scope({"it": rule}, shop, blog) == base
    assert scope({"it": other}, shop) == base
    assert scope({"it": rule, "later": other}, shop) == base
    assert scope({"before": other | {"mode": "report-only"}, "it": rule}, shop) == base
    assert scope({"before": other | {"header": "X-Other"}, "it": rule}, shop) == base
    changed = {
        scope({"it": rule}, shop | {"match": {"path": "/shop"}}),
        scope({"it": rule}, blog, shop, of=1),
        scope({"it": rule}, shop, of=1),
        scope({"before": other, "it": rule}, shop),
        scope({"before": rule, "it": rule}, shop),
    }
    assert len(changed - {base}) == 5


@pytest.mark.parametrize(
    ("header", "other", "counts"),
    [
        ("X-Frame-Options", "Content-Security-Policy", True),
        ("Content-Security-Policy", "X-Frame-Options", True),
        ("Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy", True),
        ("X-Content-Type-Options", "Content-Type", True),
        ("X-Frame-Options", "X-Content-Type-Options", False),
    ],
)
@pytest.mark.parametrize("order", [("it", "beside"), ("beside", "it")])
def test_headers_that_browsers_read_together(
    header: str, other: str, counts: bool, order: tuple[str, str]
):
    """What was seen of the one begins anew when a rule on the other enforces, wherever it
    stands.
    """

    def scope(mode: str) -> str:
        rules = {
            "it": {"header": header, "action": "remove", "mode": "trial"},
            "beside": {"header": other, "action": "remove", "mode": mode},
        }
        made = plan({name: rules[name] for name in order}).routes[-1]
        return next(line.scope for line in made.rules if line.name == "it")

    assert (scope("enforce") != scope("trial")) is counts


def test_a_rule_is_written_down_once_however_many_there_are(monkeypatch: pytest.MonkeyPatch):
    """Its meaning is made of its demand; what others demand is looked up, not made again."""
    dump, calls = Rule.model_dump, 0

    def counted(rule: Rule, **how: Any) -> dict[str, Any]:
        nonlocal calls
        calls += 1
        return dump(rule, **how)

    resolved = policy({f"r{at}": {"action": "remove", "header": f"X-{at}"} for at in range(20)})
    monkeypatch.setattr(Rule, "model_dump", counted)
    compile_policy(resolved)
    assert calls == 20
