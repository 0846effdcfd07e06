"""A running `sidecar demo` and its printed tour, for tests that follow it."""

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT, Child, clean_environment, until
from tests.e2e.running import COMMAND
from tests.patience import PATIENCE

PROMPT = "   $ "
LAST_LINE = "What happens is logged here:"


@dataclass(slots=True)
class Demo:
    """A running demo and the commands that its tour prints, in order."""

    child: Child
    folder: Path

    def said(self) -> str:
        """Everything printed so far."""
        return self.child.stdout.read_text()

    def commands(self) -> list[str]:
        """The tour's commands; waits for the tour to be printed whole."""
        until(
            lambda: LAST_LINE in self.said() or self.child.returncode is not None,
            "the tour printed",
        )
        assert self.child.returncode is None, self.child.stderr.read_text()
        return [
            line.removeprefix(PROMPT)
            for line in self.said().splitlines()
            if line.startswith(PROMPT)
        ]


def shell(line: str, code: int = 0) -> str:
    """Run one line as a reader would, from the same place; returns what it prints."""
    done = subprocess.run(
        line,
        shell=True,
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == code, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo on free ports, in a folder whose name needs quotes."""
    folder = tmp_path / "my demo"
    child = Child([*COMMAND, "demo", "--dir", str(folder), "--port", "0"], tmp_path / "run")
    yield Demo(child, folder)
    child.ask_to_end()
    child.end()
