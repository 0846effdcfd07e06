"""A short run of the fuzz with a fixed seed; SIDECAR_FUZZ_SECONDS lengthens it.

Lives here: one test. Must not know the grammar.
"""

from __future__ import annotations

import os

from tests.wire.fuzz import run


def test_fuzz() -> None:
    """No exception, hang, desync or smuggled request in any round."""
    report = run(
        float(os.environ.get("SIDECAR_FUZZ_SECONDS", "3")),
        seed=int(os.environ.get("SIDECAR_FUZZ_SEED", "20")),
    )
    assert report.failures == []
    assert min(report.rounds, report.responses, report.reached) > 5
