"""Where each rule stands: joined from the plan, the evidence and the gate, over all its routes."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from sidecar.rollout.model import Cause, Climb, Evidence, Minimums, TrialEvidence
from sidecar.rollout.overview import Row, overview
from tests.policy.making import plan

NOW = 10_000.0
MINIMUMS = Minimums(requests=100, time=3600)
CSP = {"header": "Content-Security-Policy", "action": "set", "value": "default-src 'self'"}
CAUSE = Cause(
    *("c1", "default", "it", "served", "csp-violation", "script-src", "inline", "x()", ""),
    *(("/",), 3, 1, ("chromium",), 1.0, 2.0, "w", "https://s.test", ()),
)
WITNESSES = {
    kind: ({"kind": kind, "why": "w", "source": "s", "next": "Do it."},)
    for kind in ("harmless", "proxy", "browsers", "nobody")
}
SEEN = Evidence("default", "it", "report-only", 0.0, 100.0, 40.0, witnesses=WITNESSES["harmless"])


def views(rules: dict[str, Any], *evidence: Evidence, **more: Any) -> list[Row]:
    """The overview of a policy whose trends are 1 and 2 on each route."""
    return overview(plan(rules, **more), evidence, MINIMUMS, NOW, lambda route, rule: (1.0, 2.0))


def view(mode: str = "report-only", **known: Any) -> Row:
    """One rule, seen as reported."""
    seen = replace(SEEN, mode=mode, **known)
    return views({"it": CSP | {"mode": mode}}, seen)[0]


@pytest.mark.parametrize(
    ("mode", "known", "outcome", "command"),
    [
        ("report-only", {}, "pass", "sidecar promote it"),
        ("report-only", {"evaluated": 5.0}, "inconclusive", "sidecar evidence"),
        (
            "report-only",
            {"witnesses": WITNESSES["browsers"]},
            "inconclusive",
            "sidecar promote it --to trial",
        ),
        (
            "report-only",
            {"witnesses": WITNESSES["nobody"]},
            "inconclusive",
            'sidecar promote it --override "why"',
        ),
        (
            "trial",
            {"witnesses": WITNESSES["browsers"], "trial": TrialEvidence(causes=(CAUSE,))},
            "fail",
            "sidecar suggest it",
        ),
        ("enforce", {}, "enforcing", ""),
        ("off", {}, "off", ""),
    ],
)
def test_each_rule_has_an_outcome_and_a_next_command(
    mode: str, known: dict[str, Any], outcome: str, command: str
):
    """The gate's word, and what to run now."""
    found = view(mode, **known)
    assert (found["outcome"], found["command"]) == (outcome, command)
    assert bool(found["next"]) == (outcome not in ("enforcing", "off"))


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, ["100 of 100 responses", "2h 46m of 1h"]),
        (
            {"witnesses": WITNESSES["proxy"], "outcomes": {"safe": 7.0}},
            ["7 of 100 requests", "2h 46m of 1h"],
        ),
        ({"witnesses": WITNESSES["browsers"]}, ["0 of 100 page loads", "2h 46m of 1h"]),
        (
            {"witnesses": WITNESSES["browsers"], "affected": 0.0},
            ["100 of 100 responses", "2h 46m of 1h"],
        ),
        ({"witnesses": WITNESSES["nobody"]}, ["2h 46m of 1h"]),
    ],
)
def test_progress_counts_what_the_witness_sees(known: dict[str, Any], expected: list[str]):
    """Page loads only where browsers were asked; nothing where nobody can tell."""
    found = view(**known)["progress"]
    assert [bar["text"] for bar in found] == expected
    assert all(bar["have"] <= bar["need"] for bar in found)


def test_a_rule_is_one_row_over_its_routes():
    """Its highest mode, each route's own, and the sum of their trends."""
    routes = [{"name": "api", "match": {"path": "/api/**"}, "rules": {"it": {"mode": "trial"}}}]
    (found,) = views(
        {"it": CSP | {"mode": "report-only"}},
        SEEN,
        replace(SEEN, route="api", mode="trial"),
        routes=routes,
    )

    assert [(place["route"], place["mode"]) for place in found["places"]] == [
        ("api", "trial"),
        ("default", "report-only"),
    ]
    assert (found["mode"], found["does"], found["trend"]) == (
        "trial",
        "set Content-Security-Policy",
        [2.0, 4.0],
    )
    assert found["rule"] == "it"


@pytest.mark.parametrize(
    ("action", "does"),
    [
        ("set", "set X-A"),
        ("default", "add X-A if absent"),
        ("append", "append to X-A"),
        ("remove", "remove X-A"),
    ],
)
def test_a_row_says_what_the_rule_does(action: str, does: str):
    """In words, where the action's name alone is none."""
    value = {} if action == "remove" else {"value": "1"}
    (found,) = views({"it": {"header": "X-A", "action": action, **value}})

    assert found["does"] == does


def test_a_rule_that_nothing_is_known_of_has_a_row():
    """Before the first response."""
    (found,) = views(
        {"it": {"cookie": "sid", "attributes": {"Secure": True}, "mode": "report-only"}}
    )

    assert (found["does"], found["outcome"], found["places"][0]["evaluated"]) == (
        "cookie sid",
        "inconclusive",
        0.0,
    )


@pytest.mark.parametrize(
    ("step", "outcome", "command"),
    [(1, "pass", "sidecar promote it"), (2, "enforcing", "")],
)
def test_a_ladder_goes_on_in_enforce(step: int, outcome: str, command: str):
    """Until its top a rule that enforces has a verdict and a next command; the step is said."""
    rule = {"header": "Strict-Transport-Security", "action": "set", "ladder": ["5m", "1d"]}
    seen = replace(
        SEEN,
        mode="enforce",
        witnesses=WITNESSES["proxy"],
        outcomes={"safe": 100.0},
        climb=Climb(step, (300, 86_400)),
    )
    (found,) = views({"it": rule | {"step": step}}, seen)

    assert (found["outcome"], found["command"]) == (outcome, command)
    assert (
        found["does"]
        == f"set Strict-Transport-Security, step {step} of 2 ({('5m', '1d')[step - 1]})"
    )
    assert bool(found["progress"]) == (outcome == "pass")


def test_a_rule_shows_its_ladder():
    """All steps, the lowest that any route is on, and what browsers go on keeping; a rule
    without one has none.
    """
    rule = {"header": "Strict-Transport-Security", "action": "set", "ladder": ["5m", "1d"]}
    climb = Climb(1, (300, 86_400), 300, NOW + 60)
    (shown,) = views({"it": rule | {"mode": "enforce"}}, replace(SEEN, mode="enforce", climb=climb))

    assert shown["ladder"] is not None
    assert (shown["ladder"]["step"], shown["ladder"]["steps"]) == (1, ["5m", "1d"])
    assert "for 5m, the last until 1970-01-01 02:47" in shown["ladder"]["promise"]
    assert view()["ladder"] is None
