"""Decisions on several rules at once."""

from __future__ import annotations

import pytest

from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.terms import Mode
from sidecar.rollout.deciding import decide
from sidecar.rollout.evidence import EvidenceStore
from sidecar.rollout.gate import judge
from sidecar.rollout.model import Evidence, GatheredEvidence, Minimums, TrialEvidence
from sidecar.source import load_policy
from sidecar.telemetry import Metrics

POLICY = """\
version: 1
name: shop
owner: web@example.com
reason: header review
expected: nothing breaks
rollback: sidecar rollback
mode: enforce
rules:
  frames: {header: X-Frame-Options, action: set, value: DENY, mode: report-only}
  bare: {header: Content-Security-Policy, action: remove, mode: report-only}
  plugins: {header: Content-Security-Policy, action: set, value: "object-src 'none'", mode: trial}
  framed: {header: Content-Security-Policy, action: set, value: "frame-ancestors *", mode: trial}
"""
RULES = ("frames", "bare", "plugins", "framed")


def outcomes(*rules: str) -> list[str]:
    """The verdicts on rules that enforce together; each has evidence enough to pass alone."""
    found = [
        Evidence("default", rule, "report-only", 0.0, evaluated=10.0, affected=0.0)
        for rule in RULES
    ]
    gathered = GatheredEvidence(found, at=100.0, source="a test")
    made = decide(rules, "enforce", (POLICY, "policy.yaml"), gathered, Minimums(10, 10))
    return [verdict.outcome for verdict in made.verdicts]


@pytest.mark.parametrize("rule", RULES)
def test_each_passes_alone(rule: str):
    """The evidence of each is enough."""
    assert outcomes(rule) == ["pass"]


@pytest.mark.parametrize(
    ("other", "expected"),
    [("bare", "inconclusive"), ("plugins", "inconclusive"), ("framed", "pass")],
)
def test_rules_that_act_on_each_other_go_one_after_the_other(other: str, expected: str):
    """Without the service's own `frame-ancestors`, X-Frame-Options counts: nobody has seen that."""
    assert outcomes("frames", other) == [expected] * 2


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("X-Robots-Tag", "X-Robots-Tag", "inconclusive"),
        ("X-Robots-Tag", "x-robots-tag", "inconclusive"),
        ("Content-Type", "X-Content-Type-Options", "inconclusive"),
        ("X-Robots-Tag", "Server", "pass"),
    ],
)
def test_rules_that_nobody_has_seen_together_do_not_begin_together(
    one: str, other: str, expected: str
):
    """One after the other, the evidence of the second begins anew."""
    text = POLICY[: POLICY.index("  frames")] + "".join(
        f"  r{n}: {{header: {name}, action: set, value: a, mode: report-only}}\n"
        for n, name in enumerate((one, other))
    )
    found = [Evidence("default", f"r{n}", "report-only", 0.0, 10.0, 0.0) for n in (0, 1)]
    gathered = GatheredEvidence(found, at=100.0, source="a test")
    made = decide(["r0", "r1"], "enforce", (text, "policy.yaml"), gathered, Minimums(10, 10))

    assert [verdict.outcome for verdict in made.verdicts] == [expected] * 2


@pytest.mark.parametrize(
    ("demand", "seen", "expected"),
    [
        ("a", 0.0, "pass"),
        ("b", 0.0, "inconclusive"),
        ("b", 9.0, "inconclusive"),
        ("b", 10.0, "pass"),
    ],
)
def test_each_value_of_a_rule_is_seen_by_itself(demand: str, seen: float, expected: str):
    """Where a route gives it another value, what was seen elsewhere is no proof."""
    found = [
        Evidence("default", "it", "report-only", 0.0, evaluated=50.0, affected=0.0, demand="a"),
        Evidence("api", "it", "report-only", 0.0, evaluated=seen, affected=0.0, demand=demand),
    ]
    assert judge("it", found, Minimums(10, 10), at=100.0).outcome == expected


@pytest.mark.parametrize(
    ("loads", "outcomes", "expected"),
    [
        (10.0, {"safe": 10.0}, "pass"),
        (10.0, {"safe": 10.0, "open": 1.0}, "inconclusive"),
        (10.0, {"safe": 9.0}, "inconclusive"),
        (1.0, {"safe": 10.0}, "inconclusive"),
    ],
)
def test_two_headers_of_one_rule_have_two_witnesses(
    loads: float, outcomes: dict[str, float], expected: str
):
    """What browsers report of the one says nothing of the other, which requests tell of."""
    known = [{"kind": kind, "why": "w", "next": "n"} for kind in ("browsers", "proxy")]
    trial = TrialEvidence(
        loads, 5.0, loads, {"chromium": (loads, loads)}, engines={"chromium": loads}
    )
    fixed = {"evaluated": 50.0, "affected": 50.0, "outcomes": outcomes}
    seen = Evidence("default", "it", "trial", 0.0, **fixed, witnesses=known, trial=trial)
    assert judge("it", [seen], Minimums(10, 10), at=100.0).outcome == expected


VALUES = """\
version: 1
name: shop
owner: web@example.com
reason: header review
expected: nothing breaks
rollback: sidecar rollback
mode: enforce
rules:
  first: {header: X-Robots-Tag, action: set, value: none, mode: report-only}
  it: {header: X-Robots-Tag, action: set, value: noindex, mode: report-only}
routes:
  - {name: api, match: {path: /api/*}}
"""


def verdict_on(force: str, file: str, override: Mode | None = None) -> tuple[str, str]:
    """The verdict on `it` of a file, while another policy is in force and has seen enough: the
    outcome and the first reason.
    """
    metrics = Metrics(process=False)
    store = EvidenceStore(metrics, clock=lambda: 0.0)
    plan = compile_policy(load_policy(force.encode(), "force"), override=override)
    metrics.bind(plan)
    store.activated(plan)
    for route in plan.routes:
        metrics.rule(route.name, "it").evaluated.n = 50.0
    gathered = GatheredEvidence(store.evidence(), at=100.0, source="a test")
    made = decide(["it"], "enforce", (file, "policy.yaml"), gathered, Minimums(10, 10))
    return made.verdicts[0].outcome, made.verdicts[0].reasons[0]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("reason: header review", "reason: another", "pass"),
        ("owner: web@example.com", "owner: other@example.com", "pass"),
        ("value: noindex", "value: nofollow", "inconclusive"),
        ("value: none, mode: report-only", "value: none, mode: enforce", "inconclusive"),
        ("/api/*", "/*", "inconclusive"),
        ("name: api", "name: other", "inconclusive"),
        ("  - {name: api, match: {path: /api/*}}", "  []", "inconclusive"),
        ("/api/*}}", "/api/*}, rules: {it: {value: noarchive}}}", "inconclusive"),
    ],
)
def test_evidence_is_of_what_is_in_force_and_proves_nothing_of_another_file(
    old: str, new: str, expected: str
):
    """A value, route or earlier rule that was never watched is not enforced on what was."""
    assert old in VALUES
    outcome, reason = verdict_on(VALUES, VALUES.replace(old, new))

    assert outcome == expected
    assert ("the file does not demand what was watched" in reason) == (expected != "pass")


@pytest.mark.parametrize(
    ("earlier", "expected"), [("report-only", "pass"), ("enforce", "inconclusive")]
)
def test_an_override_hides_how_rules_act_on_each_other(earlier: str, expected: str):
    """What was seen while an earlier rule on the header did not enforce, is not what comes when the
    override ends.
    """
    text = VALUES.replace("none, mode: report-only", f"none, mode: {earlier}")

    assert verdict_on(text, text, "report-only")[0] == expected
