"""Run a document's commands as a reader would: every ```sh block in order, in one shell, in one
folder.

Conventions of the documents: ```sh is run; ```console, ```yaml and others are only shown. Set-up
blocks (they name `pip install` or `pytest`) have been run already by whoever runs the tests. A line
that ends in `&` starts something that stays: what follows waits until it is ready.
"""

import os
import re
import signal
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile

_FENCE = re.compile(
    r"^(?P<indent> *)```(?P<language>[\w-]*)[^\n]*\n(?P<text>.*?)^(?P=indent)```\s*$",
    re.MULTILINE | re.DOTALL,
)
_SET_UP = re.compile(r"\b(pip install|pytest|git clone)\b")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its text, and the line of the document where it begins."""

    line: int
    text: str

    @property
    def is_set_up(self) -> bool:
        """It installs or tests the project itself."""
        return bool(_SET_UP.search(self.text))


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a document came to; `line` is that of the block which failed, 0 = none."""

    line: int
    output: str


def blocks(text: str, language: str = "sh") -> list[Block]:
    """The fenced blocks of one language, in order, without the indentation of a list."""
    found = (match for match in _FENCE.finditer(text) if match["language"] == language)
    return [
        Block(
            text.count("\n", 0, match.start()) + 1,
            re.sub(rf"^{match['indent']}", "", match["text"], flags=re.MULTILINE),
        )
        for match in found
    ]


def run(
    recipe: list[Block],
    folder: Path,
    *,
    env: Mapping[str, str],
    ready: str = ":",
    replace: Mapping[str, str] | None = None,
    within: float = 300.0,
) -> Outcome:
    """Run the blocks that are no set-up; whatever they leave running ends with the shell.

    Args:
        recipe: the blocks, in order.
        folder: where the shell starts.
        env: its whole environment.
        ready: the command that must succeed before what follows a line that ends in `&`.
        replace: words that stand for others, as ports that are taken on this machine.
        within: seconds for everything.
    """
    script = ["set -euo pipefail"]
    for block in recipe:
        if not block.is_set_up:
            script += [f"echo '## {block.line}'", _waiting(block.text, ready)]
    text = "\n".join(script)
    for old, new in (replace or {}).items():
        text = re.sub(rf"(?<!\w){re.escape(old)}(?!\w)", new, text)
    with TemporaryFile() as out:
        shell = subprocess.Popen(
            ["bash", "-c", text],
            cwd=folder,
            env=dict(env),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = shell.wait(within)
        except subprocess.TimeoutExpired:
            code = -1
        finally:
            _end_group(shell.pid)
            shell.wait()
        out.seek(0)
        output = out.read().decode("utf-8", "replace")
    reached = re.findall(r"^## (\d+)$", output, re.MULTILINE)
    return Outcome(int(reached[-1]) if code and reached else 0, output)


def _waiting(text: str, ready: str) -> str:
    """The text with a wait after each line that leaves something running."""
    wait = f"for _ in $(seq 100); do {{ {ready}; }} >/dev/null 2>&1 && break; sleep 0.1; done"
    return re.sub(r"(?<!&)&[ \t]*(#.*)?$", f"&\n{wait}", text, flags=re.MULTILINE)


def _end_group(leader: int) -> None:
    """End the shell's own group: it began a session, so nothing else is in it."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(leader, number)
        except ProcessLookupError:
            return
