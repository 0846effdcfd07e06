"""What only a terminal sees: progress bars on stderr; and what a shell asks for: completions."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from sidecar.cli import printing
from tests.e2e.processes import free_port
from tests.portion import by_default, full


def seen(*words: str, terminal: bool) -> tuple[str, str]:
    """Stdout, and what came on stderr, a terminal or a pipe."""
    if not terminal:
        done = subprocess.run(
            [sys.executable, "-m", "sidecar", *words], capture_output=True, text=True, check=False
        )
        return done.stdout, done.stderr
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "sidecar", *words],
        stdout=subprocess.PIPE,
        stderr=theirs,
        text=True,
        env=os.environ | {"TERM": "xterm", "COLUMNS": "80"},
    ) as process:
        os.close(theirs)
        written = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other side is closed (Linux says EIO)
                break
            if not piece:
                break
            written += piece
        stdout = process.stdout.read() if process.stdout else ""
    os.close(ours)
    return stdout, written.decode()


@pytest.mark.parametrize(
    ("verb", "label"), [("audit", "audit"), pytest.param("capture", "ask", marks=full)]
)
def test_many_addresses_have_a_progress_bar_on_a_terminal_alone(
    tmp_path: Path, verb: str, label: str
):
    """It stands on stderr, and says how many are done; stdout is what it always is."""
    urls = [f"http://127.0.0.1:{free_port()}/" for _ in range(3)]
    words = [verb, *urls, *(("--output", f"{tmp_path}/b.yaml") if verb == "capture" else ())]
    stdout, reported = seen(*words, terminal=True)
    plain_stdout, plain = seen(*words, terminal=False)

    assert f"{label} " in reported
    assert "/3" in reported
    assert "/3" not in plain
    assert stdout == plain_stdout


def test_one_address_has_none():
    """There is nothing to count."""
    _, reported = seen("audit", f"http://127.0.0.1:{free_port()}/", terminal=True)

    assert "/1" not in reported.replace("/127", "")


@pytest.mark.parametrize("shell", by_default(["bash", "zsh", "fish"], "bash".__eq__))
def test_a_shell_gets_its_completions(shell: str):
    """The script that the documentation says how to install, for the shells that click knows."""
    done = subprocess.run(
        ["sidecar"],
        env=os.environ
        | {
            "_SIDECAR_COMPLETE": f"{shell}_source",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )

    assert "_SIDECAR_COMPLETE" in done.stdout


@pytest.mark.parametrize(
    ("line", "completed"),
    [
        pytest.param("sidecar ro", "rollback", marks=full),
        pytest.param("sidecar check --ex", "--explain", marks=full),
        ("sidecar check --explain csp-unq", "csp-unquoted"),
    ],
)
def test_verbs_options_and_codes_are_completed(line: str, completed: str):
    """As bash asks for them."""
    words = {
        "COMP_WORDS": line,
        "COMP_CWORD": str(line.count(" ")),
        "_SIDECAR_COMPLETE": "bash_complete",
    }
    done = subprocess.run(
        [f"{Path(sys.executable).parent}/sidecar"],
        env=os.environ | words,
        capture_output=True,
        text=True,
        check=False,
    )

    assert completed in done.stdout


def test_a_disk_that_is_full_is_no_traceback():
    """Exit 1, and a line that says so."""
    with Path("/dev/full").open("w") as full_disk:
        done = subprocess.run(
            [sys.executable, "-m", "sidecar", "schema"],
            stdout=full_disk,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )

    said = "stdout cannot be written: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, said)


@pytest.mark.parametrize("closed", ["0<&-", "1>&-", "0<&- 1>&-"])
def test_no_connection_takes_the_number_of_a_closed_stream(closed: str):
    """Events would be written into it."""
    program = (
        "import os, socket, sys; from sidecar.cli import open_standard_streams\n"
        "open_standard_streams(); print(socket.socket().fileno() > 2, file=sys.stderr)"
    )
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, program],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == "True\n"


@pytest.mark.parametrize(
    ("width", "shown"), [(40, "rule"), (60, "rule mode"), (200, "rule why mode")]
)
def test_columns_that_do_not_fit_are_left_out(
    width: int, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Rather than all words broken; those that are left out are named."""
    console = Console(width=width, file=sys.stdout, highlight=False)
    monkeypatch.setattr(printing, "out", lambda: console)
    row = ("permissions-policy", "x" * 40, "report-only for now")
    printing.table("", ("rule", "why", "mode"), [row], spare=("why", "mode"))

    seen = capsys.readouterr()
    assert seen.out.splitlines()[0].split() == shown.split()
    missing = [name for name in ("why", "mode") if name not in shown.split()]
    said = f"left out, as the terminal is narrow: {', '.join(missing)}; --json has all\n"
    assert seen.err == (said if missing else "")


@pytest.mark.parametrize("terminal", [True, False])
def test_a_long_line_of_a_diff_is_not_cut(
    terminal: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """A policy's value is often longer than the terminal is wide."""
    console = Console(width=60, file=sys.stdout, force_terminal=terminal)
    monkeypatch.setattr(printing, "out", lambda: console)
    printing.show_diff(f"@@ -1 +1 @@\n+value: {'x ' * 60}end\n")

    assert f"+value: {'x ' * 60}end" in capsys.readouterr().out


INTERRUPTED = """\
import os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # what began the tests may ignore it
class Loading:
    def find_spec(name, *_):
        if name == "sidecar.cli":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Loading)
from sidecar.__main__ import main
main()
"""


def test_an_interrupt_while_the_command_loads_is_no_traceback():
    """The signal ends it, as it ends any other program."""
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, "check"], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


COLUMNS = ("rule", "header", "why")
ROWS = [("csp", "Content-Security-Policy", "it is absent")]


@pytest.mark.parametrize(
    ("width", "printed"),
    [
        (60, ["rule  header                   why", "csp   Content-Security-Policy  it is absent"]),
        (30, ["csp", "  header: Content-Security-Policy", "  why: it is absent"]),
    ],
)
def test_a_table_whose_words_do_not_fit_becomes_paragraphs(
    width: int,
    printed: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    """No word is broken in the middle."""
    monkeypatch.setattr(printing, "out", lambda: Console(width=width))
    printing.table("", COLUMNS, ROWS)

    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == printed


def test_a_terminal_without_colours_is_as_wide_as_it_is(monkeypatch: pytest.MonkeyPatch):
    """Not 80 columns, as `rich` assumes of it."""
    monkeypatch.setattr("os.isatty", lambda number: number == 1)
    monkeypatch.setenv("TERM", "dumb")
    monkeypatch.setenv("COLUMNS", "150")

    assert printing.out().width == 150


def greeting(folder: Path, *arguments: str) -> bytes:
    """What `run` says at a terminal; it is stopped then, and has to end well."""
    ports = [
        word for name in ("listen", "admin", "health") for word in (f"--{name}", "127.0.0.1:0")
    ]
    command = [sys.executable, "-m", "sidecar", "run", *ports, *arguments]
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while b"SIGTERM stops it" not in said:
            said += os.read(ours, 65536)
        process.send_signal(signal.SIGTERM)
    os.close(ours)
    assert process.returncode == 0
    return said


def test_run_greets_at_a_terminal_alone(tmp_path: Path):
    """Where it listens and how it stops, on stderr; events may go to a file."""
    (tmp_path / "policy.yaml").write_text("version: 1\nrules: {}\n")

    said = greeting(tmp_path)

    assert b"in front of http://127.0.0.1:8000, mode report-only" in said
    assert b"admin page: http://127.0.0.1:" in said


def test_run_says_at_a_terminal_that_the_file_is_not_in_force(tmp_path: Path):
    """A mistyped name leaves the last good revision in force: the reader of no event is told."""
    (tmp_path / "policy.yaml").write_text("version: 1\nrules: {}\n")
    greeting(tmp_path)

    said = greeting(tmp_path, "--policy", "polcy.yaml")

    assert b"polcy.yaml: error: the policy cannot be read: No such file" in said
    assert b"the last good revision" in said
