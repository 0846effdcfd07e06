"""`sidecar demo`: the printed tour is followed to the letter, command by command, with a shell."""

import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.e2e.processes import ROOT, Child, clean_environment, until
from tests.e2e.running import COMMAND

PROMPT = "   $ "
LAST_LINE = "What happens is reported here:"


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


def shell(line: str) -> str:
    """Run one line as a reader would, from the same place; returns what it prints."""
    done = subprocess.run(
        line,
        shell=True,
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Demo]:
    """A demo on free ports, in a folder whose name needs quotes."""
    folder = tmp_path / "my demo"
    child = Child([*COMMAND, "demo", "--dir", str(folder), "--port", "0"], tmp_path / "run")
    yield Demo(child, folder)
    child.ask_to_end()
    child.end()


def test_tour_can_be_followed_to_the_letter(demo: Demo) -> None:
    """Each printed command works as it stands: report-only shows the faults, one edit enforces, the rollback restores and stays; Ctrl-C ends it cleanly."""
    look, tell, count, edit, look_again, back, history = demo.commands()

    seen = shell(look)
    assert "Server: SampleShop" in seen
    assert "Content-Security-Policy" not in seen
    assert "Server: SampleShop" in demo.said(), "the tour shows the same response"
    data = json.loads(shell(tell))
    assert data["event"] == "header.would_change"
    assert {change["mode"] for change in data["changes"]} == {"report-only"}
    assert re.search(
        r'^sidecar_violations_total\{.*mode="report-only".*\} [1-9]', shell(count), re.MULTILINE
    )

    shell(edit)
    until(
        lambda: "Content-Security-Policy: " in shell(look_again),
        "enforced after the edit",
        within=2.5,
    )
    command, _, others = look_again.partition("#")
    address = command.split()[-1]
    for path in ("/", *re.findall(r"(?<=\s)/\w[\w/]*", others)):
        response = shell(command.replace(address, address.removesuffix("/") + path))
        assert "SampleShop" not in response
        assert "aiohttp" not in response.partition("\r\n\r\n")[0]
        assert "X-Content-Type-Options: nosniff" in response
    assert len(re.findall(r"(?<=\s)/\w[\w/]*", others)) == 4

    shell(back)
    assert "Server: SampleShop" in shell(look)
    rows = shell(history)
    assert "policy.rolled_back" in rows
    assert rows.count("policy.activated") == 2
    assert "mode: enforce" in (demo.folder / "policy.yaml").read_text()
    until(
        lambda: '"policy.pinned"' in (demo.folder / "events.jsonl").read_text(),
        "the rollback stays",
    )
    assert "Server: SampleShop" in shell(look_again)

    demo.child.signal(signal.SIGINT)
    assert demo.child.wait() == 0
    assert demo.child.stderr.read_text() == ""
    assert demo.said().rstrip().splitlines()[-1].startswith("The folder ")
    for line in (demo.folder / "events.jsonl").read_text().splitlines():
        assert json.loads(line)["event"]


def test_ctrl_c_ends_it_at_any_time(demo: Demo) -> None:
    """Ctrl-C right after the start, with a stream open, ends the demo with exit code 0, without a traceback, within its drain time."""
    look = demo.commands()[0]
    address = look.split()[-1]
    reader = subprocess.Popen(["curl", "-sN", f"{address}stream"], stdout=subprocess.PIPE)
    assert reader.stdout is not None
    with reader.stdout:
        assert b"tick 0" in reader.stdout.readline()
        demo.child.signal(signal.SIGINT)
        demo.child.signal(signal.SIGINT)
        assert demo.child.wait(10) == 0
    reader.wait(5)
    assert "Traceback" not in demo.child.stderr.read_text() + demo.said()
