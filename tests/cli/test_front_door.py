"""The group of verbs: which there are, and that each helps."""

from __future__ import annotations

import importlib
import subprocess
import sys

import click
import pytest

import sidecar as package
from sidecar.cli import FAMILIES, main
from tests.cli import VERBS, sidecar
from tests.patience import PATIENCE

WORKING = (
    "run",
    "demo",
    "check",
    "explain",
    "schema",
    "presets",
    "status",
    "history",
    "reload",
    "rollback",
    "mode",
    "health",
)
DOCUMENTED = (
    *WORKING,
    "init",
    "diff",
    "test",
    "headers",
    "import",
    "export",
    "verify",
    "audit",
    "capture",
    "drift",
    "evidence",
    "reports",
    "suggest",
    "promote",
    "rehearse",
    "note",
)


def test_no_verb_is_undocumented():
    """Names that scripts rely on; a new one is documented before it is shipped."""
    assert set(VERBS) <= set(DOCUMENTED)
    assert set(WORKING) <= set(VERBS)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_door_knows_each_family(family: str):
    """The verbs that the door says are in a file are those that the file has, in its order."""
    file = importlib.import_module(f"sidecar.cli.{family}")
    verbs = (item for item in vars(file).values() if isinstance(item, click.Command))
    assert FAMILIES[family] == tuple(verb.name for verb in verbs)


def test_a_verb_does_not_wait_for_other_families():
    """What a rollback loads holds neither the audit nor the imports nor the service."""
    script = (
        "import sys; from sidecar.cli import commands; commands.main(['rollback', '-h'],"
        " standalone_mode=False); print(*sys.modules)"
    )
    shown = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )

    loaded = set(shown.stdout.splitlines()[-1].split())
    assert "sidecar.cli.operate" in loaded
    assert loaded.isdisjoint(
        {
            "sidecar.cli.auditing",
            "sidecar.audit",
            "sidecar.importing",
            "sidecar.rollout",
            "sidecar.runtime.service",
            "aiohttp",
        }
    )


def test_a_verb_that_is_not_there():
    """Exit code 2, and the nearest that is."""
    result = sidecar("rollbak")

    assert (result.exit_code, result.stdout) == (2, "")
    assert "Did you mean 'rollback'?" in result.stderr


@pytest.mark.parametrize("verb", VERBS)
def test_each_verb_helps(verb: str):
    """What it does in a sentence, and each of its options in a few words."""
    result = sidecar(verb, "--help")
    command = VERBS[verb]

    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.startswith(f"Usage: sidecar {verb}")
    assert command.help
    assert command.help.split("\n\n")[0].rstrip().endswith(".")
    assert [
        option.name
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ] == []
    assert sidecar(verb, "-h").stdout == result.stdout


def test_the_group_helps_and_says_its_version():
    """Verbs stand in the order of a working day."""
    shown = sidecar("--help").stdout
    places = [
        shown.index(f"\n  {verb} ") for verb in ("run", "check", "explain", "status", "rollback")
    ]

    assert places == sorted(places)
    assert "...\n" not in shown.split("\n", 1)[1]  # click cuts first sentences of more than 64
    assert sidecar("--version").stdout == f"sidecar, version {package.__version__}\n"


def test_the_script_is_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """What the installed `sidecar` calls."""
    monkeypatch.setattr(sys, "argv", ["sidecar", "presets"])
    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    assert "oshp-2026-07" in capsys.readouterr().out


def test_the_module_is_the_command():
    """`python -m sidecar` works where the script is not on the path."""
    shown = subprocess.run(
        [sys.executable, "-m", "sidecar", "--version"], capture_output=True, text=True, check=True
    )

    assert shown.stdout == f"sidecar, version {package.__version__}\n"


def test_a_reader_that_left_is_no_crash():
    """As in `sidecar schema | head -1`: no traceback."""
    process = subprocess.Popen(
        [sys.executable, "-m", "sidecar", "schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout
    assert process.stderr
    process.stdout.close()
    said = process.stderr.read()
    process.stderr.close()

    assert process.wait(PATIENCE) in (0, 1)
    assert said == b""


def test_the_shell_completes_verbs():
    """click's completion is on: the script for a shell is printed on demand."""
    shown = sidecar(env={"_SIDECAR_COMPLETE": "zsh_source"})

    assert "_SIDECAR_COMPLETE=zsh_complete" in shown.stdout


@pytest.mark.parametrize("words", [("audit", "http://\udcff/"), ("import", "http://h/\udcff")])
def test_an_argument_that_is_not_utf_8_is_named(words: tuple[str, ...]):
    """As a shell passes a byte that belongs to no character."""
    result = sidecar(*words)

    assert result.exit_code == 2
    assert "udcff" in result.stderr


def test_a_timeout_without_end_is_refused():
    """The system's clock has no such moment."""
    assert "not in the range" in sidecar("health", "--timeout", "inf").stderr
