"""A short run of the fuzz with a fixed seed; `python -m tests.wire.fuzz` runs as long as you like.

One test.
"""

from __future__ import annotations

from tests.portion import FULL
from tests.wire.fuzz import run


def test_fuzz() -> None:
    """No exception, hang, desync or smuggled request in any round."""
    rounds = 100 if FULL else 20
    report = run(20, lambda report: report.rounds < rounds)
    assert report.failures == []
    assert min(report.rounds, report.responses, report.reached) > 5
