"""The table of proposals: whole, and nothing beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import sidecar.suggest
from sidecar.suggest.model import Outcome

ROOM = Path(sidecar.suggest.__file__).parent
ROWS = json.loads((ROOM / "proposals.json").read_text("utf-8"))
SOURCE = "".join(one.read_text("utf-8") for one in ROOM.glob("*.py"))


def test_every_row_is_used():
    """A row that no advice names would never be shown."""
    assert ROWS.keys() <= {*re.findall('"([a-z-]+)"', SOURCE)}


def test_every_proposal_has_a_row():
    """A misspelt code would end the advice with an error."""
    assert {*re.findall(r'\b(?:proposal|_found)\(\s*cause, "([^"]+)"', SOURCE)} <= ROWS.keys()


def test_every_row_has_an_outcome():
    """One of the closed list."""
    assert {row["outcome"] for row in ROWS.values()} == {*get_args(Outcome)}
