"""The shape of a fault, and the safe quoting of hostile text."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy import faults
from tests.test_codes import KINDS


class Kind(faults.FaultKind):
    """A list of one kind, as a module makes it; its texts are in the table."""

    MISSPELT = "cache-misspelt"


def test_a_fault_tells_its_kind_its_text_and_its_fix():
    """The kind is a text for events; braces in hostile text mean nothing."""
    fault = Kind.MISSPELT.about("{hint} {0}", "no-store")

    assert (fault.kind, str(fault.kind), fault.verdict) == (*["cache-misspelt"] * 2, "invalid")
    assert fault.text == "Caches ignore {hint} {0}, a misspelling of the directive no-store."
    assert fault.fix == "Write no-store."


def test_every_text_of_the_table_has_its_kind():
    """A row that no module's list names would never be shown."""
    rows = json.loads(Path(faults.__file__).with_suffix(".json").read_text("utf-8"))

    assert set(rows) == {kind.value for kinds in KINDS for kind in kinds}


@given(st.text(max_size=300))
def test_an_excerpt_is_short_visible_ascii(text):
    """Law: whatever the text, at most 60 of its characters are shown, none of them a control or
    beyond ASCII.
    """
    shown = faults.excerpt(text)

    assert shown.isascii()
    assert shown.isprintable()
    assert shown == faults.excerpt(text[:200])


@pytest.mark.parametrize(
    "text",
    [
        "'nonce-S3cret'",
        "script-src 'NONCE-S3cret' a",
        "nonce-S3cret" + "x" * 500,
        "x" * 40 + "'nonce-" + "S3cret" * 20,
    ],
)
def test_an_excerpt_blots_nonces_out(text):
    """A nonce is a secret of one response, wherever it stands in the text."""
    assert "S3cret" not in faults.excerpt(text)
