"""What a promotion may change of a policy in a fleet."""

from __future__ import annotations

import pytest

from sidecar.revisions.promoting import beyond
from sidecar.rollout.promotion import promote, step_back
from sidecar.source import load_policy

POLICY = """\
version: 1
name: shop
owner: a@example.com
expected: nothing
rollback: sidecar rollback
mode: trial
rules:
  frames: {header: X-Frame-Options, action: set, value: DENY}
  hsts: {header: Strict-Transport-Security, action: set, ladder: [5m, 1d], mode: enforce}
  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}
routes:
  - name: api
    match: {path: /api/*}
    rules:
      frames: {mode: report-only}
"""


def changed(text: str, *rules: str) -> str:
    """What this text changes beside the places of these rules."""
    return beyond(load_policy(POLICY.encode(), ""), load_policy(text.encode(), ""), rules)


@pytest.mark.parametrize("rules", [["frames"], ["hsts"], ["frames", "hsts", "nosniff"]])
def test_a_promotion_moves_its_rules_alone(rules: list[str]):
    """Up and back down, up a ladder, on every route; and a rule that is not named does not move
    with them.
    """
    text = promote(POLICY, rules)
    assert changed(text, *rules) == ""
    assert changed(step_back(POLICY, ["frames"]), "frames") == ""
    assert changed(text, *rules[1:]) == f"rule {rules[0]}"


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("value: DENY", "value: SAMEORIGIN", "rule frames"),
        ("owner: a@", "owner: b@", "owner"),
        ("path: /api/*", "path: /other/*", "routes"),
        ("ladder: [5m, 1d]", "ladder: [5m, 2d]", "rule hsts"),
        (
            "  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}\n",
            "",
            "rule nosniff",
        ),
    ],
)
def test_anything_else_is_named(old: str, new: str, said: str):
    """A value, the policy's own words, a route, a ladder, a rule that is gone."""
    assert changed(POLICY.replace(old, new), "frames", "hsts", "nosniff") == said
