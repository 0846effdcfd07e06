"""The documents say what the code does."""

import re
from pathlib import Path

import pytest

from tests.documents import PARTS, ROOT, documents, refreshed


@pytest.mark.parametrize("path", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_generated_parts_are_up_to_date(path: Path):
    """`python -m tests.documents --write` would change nothing."""
    text = path.read_text("utf-8")

    assert refreshed(text) == text


def test_every_part_stands_somewhere():
    """Policy keys, settings, metrics and verbs are all documented."""
    texts = "".join(path.read_text("utf-8") for path in documents())

    assert [name for name in PARTS if f"<!-- generated: {name} -->" not in texts] == []


def test_links_lead_somewhere():
    """Every relative link of the documents points to a file that is there."""
    missing = [
        (path.name, target)
        for path in (
            ROOT / "README.md",
            ROOT / "CONTRIBUTING.md",
            *ROOT.glob("config/**/*.md"),
            *ROOT.glob("deploy/**/*.md"),
            *ROOT.glob("docs/*.md"),
        )
        for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", path.read_text("utf-8"))
        if not (path.parent / target).exists()
    ]

    assert missing == []
