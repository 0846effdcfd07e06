"""The shape of a fault, and the safe quoting of hostile text."""

from __future__ import annotations

import re
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import policy
from sidecar.policy import faults
from sidecar.policy.faults import ROWS, fault


def codes_in(module: ModuleType) -> set[str]:
    """The codes of faults that a module or package names."""
    file = Path(str(module.__file__))
    sources = [*file.parent.rglob("*.py")] if file.name == "__init__.py" else [file]
    words = {word for source in sources for word in re.findall('"([a-z-]+)"', source.read_text())}
    return words & ROWS.keys()


def test_a_fault_tells_its_verdict_its_text_and_its_fix():
    """Braces in hostile text mean nothing."""
    found = fault("cache-misspelt", "{hint} {0}", "no-store")

    assert found.verdict == "invalid"
    assert found.text == "Caches ignore {hint} {0}, a misspelling of the directive no-store."
    assert found.fix == "Write no-store."


def test_a_hint_is_looked_for_when_somebody_reads():
    """It is a function of the part at fault, which few faults come to need."""
    assert fault("referrer-unknown", "no-referer", lambda part: f"Not {part}").fix == (
        "Not no-referer."
    )


def test_every_row_of_the_table_is_used():
    """A row that no module names would never be shown."""
    assert codes_in(policy) == ROWS.keys()


def test_every_fault_has_a_row():
    """A misspelt code would end a judgement with an error."""
    source = "".join(one.read_text() for one in Path(policy.__file__).parent.rglob("*.py"))

    assert {*re.findall(r'\b(?:fault|_first)\(\s*"([^"]+)"', source)} <= ROWS.keys()


@pytest.mark.parametrize("code", ROWS)
def test_every_fault_teaches(code):
    """Each has a sentence and a fix, in which nothing is left open."""
    found = fault(code, "PART", "A hint." if code == "header-deprecated" else "a hint")

    assert found.text.endswith((".", "a hint"))
    assert found.fix.endswith(".")
    assert not re.search(r"\{(part|hint)", found.text + found.fix)


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
