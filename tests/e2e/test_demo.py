"""`sidecar demo`: the printed tour is followed to the letter, command by command, with a shell."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import sidecar
from tests.e2e.processes import until
from tests.e2e.touring import Demo, demo, shell
from tests.patience import PATIENCE

__all__ = ["demo"]


def test_tour_can_be_followed_to_the_letter(demo: Demo) -> None:
    """Each printed command works as it stands: report-only shows the faults, one edit enforces
    (what browsers do in between: `tests/browser/test_demo.py`), the rollback restores and stays;
    Ctrl-C ends it cleanly.
    """
    look, tell, count, trial, *_in_browsers, enforce, look_again, back, history = demo.commands()

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

    shell(trial)
    until(lambda: "-Report-Only: " in shell(look), "the header is added after the edit")
    shell(enforce)
    until(
        lambda: "Content-Security-Policy: " in shell(look_again),
        "enforced after the edit",
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
    assert rows.count("policy.activated") == 3
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
    """Ctrl-C right after the start, with a stream open, ends the demo with exit code 0, without
    a traceback, within its drain time.
    """
    look = demo.commands()[0]
    address = look.split()[-1]
    reader = subprocess.Popen(["curl", "-sN", f"{address}stream"], stdout=subprocess.PIPE)
    assert reader.stdout is not None
    with reader.stdout:
        assert b"tick 0" in reader.stdout.readline()
        demo.child.signal(signal.SIGINT)
        demo.child.signal(signal.SIGINT)
        assert demo.child.wait() == 0
    reader.wait(PATIENCE)
    assert "Traceback" not in demo.child.stderr.read_text() + demo.said()


def test_a_crash_is_seen_on_the_terminal(tmp_path: Path) -> None:
    """The log's file is closed by then: what ends the demo must not be written there."""
    code = (
        "import sidecar.demo as demo, sidecar.cli.run as run\n"
        "async def show(folder, port):\n"
        "    output = demo.QueuedOutput(open(folder, 'wb').detach().fileno())\n"
        "    demo.capture_logging(output, 'info')\n"
        "    raise OverflowError('too far')\n"
        "demo.show = show\n"
        "run.demo.main(['--dir', 'log'])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, "OverflowError: too far" in done.stderr) == (1, True), done.stderr
    wrong = sidecar("demo", "--port", "99999")
    assert (wrong.exit_code, "99999 is not in the range" in wrong.stderr) == (2, True)


@pytest.mark.parametrize("name", ["events.jsonl", "policy.yaml"])
def test_a_folder_in_the_place_of_a_file_is_named(tmp_path: Path, name: str) -> None:
    """With what to do, as any file that cannot be written."""
    (tmp_path / name).mkdir()
    (tmp_path / ".sidecar-demo").touch()
    wrong = sidecar("demo", "--dir", str(tmp_path))
    assert wrong.exit_code == 2
    assert f"{tmp_path / name}: Is a directory; choose another folder" in wrong.stderr
