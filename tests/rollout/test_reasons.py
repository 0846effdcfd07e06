"""The table of reasons: whole, and nothing beside it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

from sidecar.rollout import gate, model, witness_checks
from sidecar.rollout.model import Doubt, Reasons

ROWS = json.loads(Path(model.__file__).with_name("reasons.json").read_text("utf-8"))
SOURCE = "".join(Path(str(one.__file__)).read_text("utf-8") for one in (gate, witness_checks))


def test_every_row_is_used():
    """A row that no check names would never be shown."""
    assert ROWS.keys() <= {*re.findall('"([a-z-]+)"', SOURCE), *get_args(Doubt)}


def test_every_reason_has_a_row():
    """A misspelt code would end a verdict with an error."""
    adding = r'(?:reasons\.(?:fail|lack|meet|note)|say|step_of)\(\s*"([^"]+)"'
    minimums = r'reasons\.at_least\([^"]*"([^"]+)"'

    named = {*re.findall(adding, SOURCE), *re.findall(minimums, SOURCE), *get_args(Doubt)}
    assert named - {""} <= ROWS.keys()


def test_a_number_stands_alone_or_with_its_noun():
    """Never as 1e+06, and never `1 requests`."""
    found = Reasons()
    found.at_least(1_500_000, 1, "requests")
    found.at_least(1, 2, "requests")

    said = "of browsers that say where they come from; needed:"
    assert found.met == [f"1,500,000 requests {said} 1"]
    assert found.lacking == [f"1 request {said} 2"]
