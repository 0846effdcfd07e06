"""Whose word is needed where a rule replaces lines of the service: it is asked for wherever any
sidecar of a fleet saw one.
"""

from __future__ import annotations

import pytest

from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.terms import ViolationKind
from sidecar.rollout.evidence import EvidenceStore
from sidecar.rollout.gate import judge
from sidecar.rollout.model import Evidence, Minimums
from sidecar.rollout.summing import rows_of, summed
from sidecar.source import load_policy
from sidecar.telemetry import Metrics

POLICY = load_policy(
    b"version: 1\nrules: {ends: {header: Reporting-Endpoints, action: set, value: 'a=\"/b\"'}}\n",
    "policy.yaml",
)


def store(kind: ViolationKind) -> EvidenceStore:
    """What one sidecar saw: all lines that the rule asks for were missing, or others."""
    metrics, plan = Metrics(process=False), compile_policy(POLICY)
    metrics.bind(plan)
    made = EvidenceStore(metrics, clock=lambda: 0.0)
    made.activated(plan)
    rule = metrics.rule("default", "ends")
    rule.evaluated.n = rule.affected.n = rule.violations[kind, "report-only"].n = 20.0
    return made


@pytest.mark.parametrize(
    ("own", "other", "expected"),
    [
        ("missing", "missing", "pass"),
        ("missing", "mismatch", "inconclusive"),
        ("mismatch", "missing", "inconclusive"),
    ],
)
def test_a_line_that_another_replica_saw_replaced_counts(
    own: ViolationKind, other: ViolationKind, expected: str
):
    """The verdict is the same whichever replica is asked."""
    mine = store(own)
    rows = rows_of(store(other).shared(), mine.meanings, 0.0)[0]
    found: list[Evidence] = summed(mine.evidence(), rows)

    assert judge("ends", found, Minimums(10, 10), at=100.0).outcome == expected
