"""Decisions on several rules at once."""

from __future__ import annotations

import pytest

from sidecar.rollout.deciding import decide
from sidecar.rollout.model import Evidence, Gathered, Minimums

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
    gathered = Gathered(found, at=100.0, source="a test")
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
