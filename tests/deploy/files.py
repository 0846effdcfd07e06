"""The shipped files, as text and as data, and the programs that read them."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
_BIN = Path(sys.executable).parent
_NODE = ROOT / "node_modules" / ".bin"


def shipped() -> Iterator[Path]:
    """Every file of ours that is handed to a user to run it with."""
    for top in (ROOT / "Dockerfile", ROOT / ".dockerignore", ROOT / "config", DEPLOY):
        yield from (
            path
            for path in sorted(top.rglob("*") if top.is_dir() else (top,))
            if path.is_file() and path.suffix != ".pyc"
        )


def data(path: Path | str) -> Any:
    """The one document of a YAML file (of the repository, where the path is not absolute)."""
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


def program(*names: str) -> str:
    """The first of these programs that is there; the test is skipped by name when none is."""
    for name in names:
        found = shutil.which(name) or shutil.which(name, path=f"{_BIN}:{_NODE}")
        if found:
            return found
    pytest.skip(f"{' or '.join(names)} is not installed")


def run(*argv: str | Path, cwd: Path = ROOT, good: bool = True) -> str:
    """Run a program to its end; returns what it wrote to stdout. Its complaints are the
    failure's text.
    """
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode == 0) == good, (
        f"{argv}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    )
    return done.stdout
