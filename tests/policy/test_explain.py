"""Explanations: the same as what decide does, with the reason of every step."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from sidecar.policy.engine.explain import ExplainedCheck, explain
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import MODES, Mode
from tests.policy.making import OVERRIDES, POLICIES, SITUATIONS, facts, plan
from tests.portion import examples


@settings(max_examples=examples(75))
@given(POLICIES, OVERRIDES, SITUATIONS)
def test_explain_agrees_with_decide(resolved: Resolved, override: Mode | None, situation: Facts):
    """The same lines leave, the same findings in the same order, and the input is not touched."""
    before = list(situation.fields)
    route = compile_policy(resolved, override=override).route(
        situation.host, situation.method, situation.path
    )

    data, decision = explain(route, situation), decide(route, situation)

    assert data.after == decision.fields
    assert [step.finding for step in data.steps if step.finding] == list(decision.findings)
    assert {
        route.rules.index(line)
        for line in route.rules
        for step in data.steps
        if step.rule == line.name and step.reason.startswith("applies only where")
    } == set(decision.skipped)
    assert data.before == situation.fields == before


@settings(max_examples=examples(50))
@given(POLICIES, SITUATIONS)
def test_every_rule_has_its_steps_in_order(resolved: Resolved, situation: Facts):
    """No rule of the route is left out, and they stand in the order of judging."""
    route = compile_policy(resolved).route(situation.host, situation.method, situation.path)

    assert list(dict.fromkeys(step.rule for step in explain(route, situation).steps)) == [
        line.name for line in route.rules
    ]


def steps(
    rule: dict[str, object],
    *fields: tuple[bytes, bytes],
    mode: Mode = "enforce",
    override: Mode | None = None,
    **more: object,
) -> list[ExplainedCheck]:
    """The steps of one rule named `it`."""
    return list(
        explain(
            plan({"it": rule}, mode=mode, override=override).routes[-1], facts(*fields, **more)
        ).steps
    )


SET = {"header": "X-Frame-Options", "action": "set", "value": "DENY"}


@pytest.mark.parametrize(
    ("rule", "situation", "reason"),
    [
        (SET, {}, "it is absent"),
        (SET, {"fields": [(b"X-Frame-Options", b"DENY")]}, "already right"),
        (SET, {"fields": [(b"x-frame-options", b"ALLOW")]}, "its value differs"),
        (SET, {"fields": [(b"X-Frame-Options", b"DENY")] * 2}, "it is there more than once"),
        (SET, {"mode": "report-only"}, "it is absent; only reported, the mode is report-only"),
        (SET | {"action": "require"}, {}, "it is absent; require only judges"),
        (
            SET | {"action": "forbid"},
            {"fields": [(b"X-Frame-Options", b"DENY")]},
            "it is there; forbid only judges",
        ),
        (SET | {"mode": "off"}, {}, "off (rule)"),
        (SET, {"override": "off"}, "off (override)"),
        (SET, {"mode": "off"}, "off (policy)"),
        (SET | {"when": {"status": "5xx"}}, {}, "applies only where status is 5xx"),
        (
            SET | {"when": {"content-type": ["text/html", "image/*"]}},
            {},
            "applies only where content type is text/html or image/*",
        ),
        (
            SET | {"when": {"class": ["html", "docs"]}},
            {},
            "applies only where class is html or docs",
        ),
        (
            {"header": "Referrer-Policy", "action": "require"},
            {"fields": [(b"Referrer-Policy", b"origin")]},
            (
                "its value is weak: The policy origin tells other sites, or plain HTTP, more than"
                " is needed. require only judges"
            ),
        ),
        (
            {"header": "X-Frame-Options", "action": "require"},
            {"fields": [(b"X-Frame-Options", b"ALLOW")]},
            "its value is invalid: Browsers ignore the value ALLOW. require only judges",
        ),
        (
            SET | {"when": {"request": {"Cookie": True}}},
            {},
            "applies only where request has a Cookie",
        ),
        (
            SET | {"when": {"request": {"Accept": "*json*"}}},
            {},
            "applies only where request has Accept: *json*",
        ),
        (
            SET | {"when": {"response": {"Server": True}}},
            {},
            "applies only where response has a Server",
        ),
        (
            SET | {"when": {"response": {"Server": False}}},
            {"fields": [(b"Server", b"s")]},
            "applies only where response has no Server",
        ),
        (
            {"header": "Strict-Transport-Security", "action": "set", "value": "max-age=1"},
            {"scheme": "http"},
            "applies only where scheme is https",
        ),
    ],
)
def test_each_step_says_why(rule: dict[str, object], situation: dict[str, object], reason: str):
    """The reason names what was seen, the condition that failed, or who turned the rule off."""
    fields = situation.get("fields", [])
    (step,) = steps(
        rule, *fields, **{key: value for key, value in situation.items() if key != "fields"}
    )

    assert step.reason == reason
    assert step.applies is not reason.startswith(("off", "applies only"))


def test_an_explanation_names_the_classes_of_the_response():
    """Those of the service's own response, before any rule touched it."""
    rules = {"it": {"header": "Content-Type", "action": "set", "value": "text/html"}}
    situation = facts((b"Content-Type", b"application/json"), path="/logout")

    assert explain(plan(rules).routes[-1], situation).classes == ("api", "logout")


def test_a_removal_of_several_names_has_a_step_for_each_that_stands():
    """Names that do not stand are not listed; when none does, one step says that all is right."""
    rule = {"header": ["Server", "X-Powered-By"], "action": "remove"}

    assert [
        (step.header, step.reason)
        for step in steps(rule, (b"x-powered-by", b"x"), (b"SERVER", b"s"))
    ] == [("X-Powered-By", "it is there"), ("Server", "it is there")]
    assert [(step.header, step.reason) for step in steps(rule)] == [
        ("Server, X-Powered-By", "already right")
    ]


def test_a_step_names_the_layers_its_rule_comes_from():
    """Each key's layer is said once: the policy, or the route that overrode it."""
    made = plan(
        {"it": SET},
        routes=[
            {"name": "api", "match": {"path": "/api"}, "rules": {"it": {"value": "SAMEORIGIN"}}}
        ],
    )
    data = explain(made.routes[0], facts())

    assert {data.steps[0].origin} & {"policy, route api", "route api, policy"}
    assert data.route == "api"
    assert explain(made.routes[1], facts()).steps[0].origin == "policy"


@pytest.mark.parametrize("mode", MODES)
def test_a_step_carries_the_effective_mode_and_what_set_it(mode: Mode):
    """The lowest ceiling is named."""
    (step,) = steps(SET | {"mode": mode})

    assert (step.mode, step.ceiling) == (mode, "policy" if mode == "enforce" else "rule")


def test_a_step_says_whose_rule_it_is_and_what_it_is_about():
    """Also where the rule is off, does not apply, or finds nothing to do; rules after it have
    their steps too.
    """
    rules = {
        "off": {"header": ["Server", "Via"], "action": "remove", "mode": "off"},
        "cookies": {"cookie": "sid", "attributes": {"Secure": True}, "mode": "off"},
        "errors": {"header": ["X-A", "X-B"], "action": "remove", "when": {"status": 404}},
        "right": SET,
        "climbs": {
            "header": "Strict-Transport-Security",
            "action": "set",
            "ladder": ["5m", "1d"],
            "step": 2,
        },
    }
    found = explain(plan(rules).routes[-1], facts((b"X-Frame-Options", b"DENY"))).steps

    assert [(step.rule, step.header, step.applies, step.finding is not None) for step in found] == [
        ("off", "Server, Via", False, False),
        ("cookies", "Set-Cookie", False, False),
        ("errors", "X-A, X-B", False, False),
        ("right", "X-Frame-Options", True, False),
        ("climbs", "Strict-Transport-Security", True, True),
    ]
    assert {step.origin for step in found[:-1]} == {"policy"}
    assert found[-1].origin.startswith("policy; ")
    assert found[-1].origin.endswith("(1d)")


def test_the_twins_of_several_trials_leave():
    """Each with its own value, none in the place of another."""
    rules = {
        name: {"header": header, "action": "set", "value": value, "mode": "trial"}
        for name, header, value in (
            ("csp", "Content-Security-Policy", "default-src 'self'"),
            ("coop", "Cross-Origin-Opener-Policy", "same-origin"),
        )
    }
    route, situation = plan(rules).routes[-1], facts((b"Content-Type", b"text/html"))
    names = [name for name, _ in explain(route, situation).after]

    assert names.count(b"Content-Security-Policy-Report-Only") == 1
    assert names.count(b"Cross-Origin-Opener-Policy-Report-Only") == 1
