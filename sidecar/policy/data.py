"""The tables of the policy core, kept as JSON beside the modules that read them."""

from __future__ import annotations

import json
from pkgutil import get_data
from typing import Any


def read_table(package: str, name: str) -> Any:
    """What the file `name` of a package holds."""
    return json.loads(get_data(package, name) or b"")
