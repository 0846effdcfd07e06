"""The shape of a fault, and the safe quoting of hostile text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy import faults


class Kind(faults.FaultKind):
    """A list of one kind, as a module makes it."""

    ODD = "odd-word", "weak", "The word {part} is odd: {hint}.", "Write {hint}, not {part}."


def test_a_fault_tells_its_kind_its_text_and_its_fix():
    """The kind is a text for events; braces in hostile text mean nothing."""
    fault = Kind.ODD.about("{hint} {0}", "even")

    assert (fault.kind, str(fault.kind), fault.verdict) == ("odd-word", "odd-word", "weak")
    assert fault.text == "The word {hint} {0} is odd: even."
    assert fault.fix == "Write even, not {hint} {0}."


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
