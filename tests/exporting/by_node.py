"""Packages of the npm registry, asked about what was written. Skips by name where they are
missing.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parent.parent.parent


def asked(package: str, **question: object) -> Any:
    """What asked_by_node.js says with this package."""
    folders = [Path(one) for one in os.environ.get("NODE_PATH", "").split(os.pathsep) if one]
    folders.append(ROOT / "node_modules")
    found = next((one for one in folders if (one / package).is_dir()), None)
    node = shutil.which("node")
    if node is None or found is None:
        pytest.skip(f"{package} of npm is not installed")
    result = subprocess.run(
        [node, str(Path(__file__).parent / "asked_by_node.js")],
        input=json.dumps(question),
        env={**os.environ, "NODE_PATH": str(found)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout)
