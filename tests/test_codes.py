"""The table of codes: whole, true by its own examples, and nothing beside it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sidecar.codes import Code, table
from sidecar.policy import faults, lint

ROOT = Path(__file__).parent.parent
CODES = list(table().values())
UNSHOWN = {
    "csp-typographic-quotes",
    "csp-not-ascii",
    "csp-control",
    "csp-too-long",
    "csp-too-many",
    "csp-nonce-short",
    "sf-too-long",
    "cookie-control",
    "cookie-too-long",
    "cookie-secure-over-http",
    "headers-over-4k",
    "headers-over-8k",
    "headers-over-16k",
}
"""Codes that no short policy can earn: responses alone hold them, or they are about length."""


def in_lint() -> set[str]:
    """The codes that lint makes."""
    return set(json.loads(Path(lint.__file__).with_name("findings.json").read_text("utf-8")))


def test_every_code_has_a_row_and_every_row_a_code():
    """What can be said is explained, and nothing else is."""
    made = {*faults.ROWS} | in_lint()

    assert made == set(table())


@pytest.mark.parametrize("row", CODES, ids=lambda row: row.name)
def test_a_row_is_true_by_its_examples(row: Code):
    """The wrong one earns the code and a fix, the right one does not; the source can be found."""
    assert row.why.endswith((".", ").", "`."))
    assert row.url.startswith("https://") or (ROOT / row.url).exists()
    assert (row.wrong is None) == (row.name in UNSHOWN)
    if row.wrong is not None:
        assert row.right is not None
        assert row.finding() is not None
        assert row.finding().fix
    if row.right is not None:
        assert row.name not in {problem.code for problem in row.right.problems()}
