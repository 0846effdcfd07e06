"""Packages of the npm registry, asked about what was written. Skips by name where they are
missing.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def asked(package: str, **question: object) -> Any:
    """What asked_by_node.js says with this package."""
    process = _standing(package)
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{json.dumps(question)}\n")
    process.stdin.flush()
    said = process.stdout.readline()
    assert said, f"node ended with {process.wait()}; its stderr says why"
    return json.loads(said)


@cache
def _standing(package: str) -> subprocess.Popen[str]:
    """One process for all questions: to start costs more than to ask."""
    folders = [Path(one) for one in os.environ.get("NODE_PATH", "").split(os.pathsep) if one]
    folders.append(ROOT / "node_modules")
    found = next((one for one in folders if (one / package).is_dir()), None)
    node = shutil.which("node")
    if node is None or found is None:
        pytest.skip(f"{package} of npm is not installed")
    process = subprocess.Popen(
        [node, str(Path(__file__).parent / "asked_by_node.js")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**os.environ, "NODE_PATH": str(found)},
        text=True,
    )
    atexit.register(process.communicate)
    return process
