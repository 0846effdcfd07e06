"""Whoever is refused learns what to do next: a command or an option to add."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cli import VERBS, sidecar
from tests.e2e.processes import free_port

NEVER = {"demo", "schema", "run"}
"""Verbs that refuse nothing by themselves; what `run` says is its events' matter."""
BAD = "version: 1\nmode: enfroce\n"
WRONG = "version: 1\npolicy: bad.yaml\ncases: [{name: a, expect: {headers: {X-A: b}}}]\n"
FAILING = "version: 1\npolicy: good.yaml\ncases: [{name: a, expect: {headers: {X-A: b}}}]\n"
NO_ADMIN = ("--admin", "http://127.0.0.1:{port}")
CASES = [
    ("init", "http://127.0.0.1:{port}/"),
    ("init", "--preset", "none"),
    ("health", "http://127.0.0.1:{port}/readyz"),
    ("health", "ftp://x"),
    ("check", "bad.yaml"),
    ("check", "missing.yaml"),
    ("check",),
    ("explain", "--policy", "bad.yaml"),
    ("explain", "--policy", "missing.yaml"),
    ("presets", "none"),
    ("headers", "X-Odd"),
    ("headers", "X-Varnish-Server"),
    ("diff", "bad.yaml", "good.yaml"),
    ("test", "wrong.test.yaml"),
    ("test", "failing.test.yaml"),
    ("test", "--policy", "empty/policy.yaml"),
    ("audit",),
    ("audit", "http://127.0.0.1:{port}/"),
    ("audit", "http://127.0.0.1:{port}/", "--write", "good.yaml"),
    ("import", "good.yaml"),
    ("import", "nginx.conf", "--output", "good.yaml"),
    ("status", *NO_ADMIN),
    ("history", *NO_ADMIN),
    ("reload", *NO_ADMIN),
    ("rollback", *NO_ADMIN),
    ("mode", "report-only", *NO_ADMIN),
    ("capture", "http://127.0.0.1:{port}/", "--output", "baseline.yaml"),
    ("capture", "--output", "good.yaml"),
    ("drift", "bad.yaml", "http://127.0.0.1:{port}/"),
    ("evidence", *NO_ADMIN),
    ("reports", *NO_ADMIN),
    ("suggest", "--policy", "good.yaml", *NO_ADMIN),
    ("promote", "a", "--policy", "good.yaml", *NO_ADMIN),
    ("promote", "a", "--policy", "good.yaml", "--override", " "),
    ("export", "--policy", "missing.yaml", "--to", "nginx"),
    ("export", "--policy", "bad.yaml", "--to", "nginx"),
    ("verify", "http://127.0.0.1:{port}/", "--policy", "good.yaml"),
    ("verify", "http://127.0.0.1:{port}/", "--policy", "bad.yaml"),
    ("verify", "http://127.0.0.1:{port}/", "--policy", "good.yaml", "--path", "x"),
    ("rehearse", "--policy", "bad.yaml"),
    ("note", *NO_ADMIN),
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a sound policy, a bad one and tests."""
    texts = {
        "bad.yaml": BAD,
        "good.yaml": "version: 1\nrules: {a: {header: X-A, action: remove}}\n",
        "wrong.test.yaml": WRONG,
        "failing.test.yaml": FAILING,
        "nginx.conf": "add_header X-A 1 always;\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("words", CASES, ids=" ".join)
def test_a_refusal_names_the_next_command(folder: Path, words: tuple[str, ...]):
    """On stderr, as the last line, beside click's own pointer to --help."""
    result = sidecar(*(word.format(port=free_port()) for word in words))
    said = [line for line in result.stderr.splitlines() if not line.startswith(("Usage:", "Try "))]

    assert result.exit_code in (1, 2)
    assert re.search(r"sidecar [a-z]+|--[a-z]+|known: |write ", " ".join(said[-2:])), result.stderr


def test_every_verb_is_refused_here():
    """A new verb says what to do next, too."""
    assert {words[0] for words in CASES} | NEVER >= set(VERBS)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (("drift", "nowhere"), "sidecar capture --output FILE"),
        (("suggest", "--policy", "nowhere"), "sidecar init"),
        (("promote", "csp", "--policy", "nowhere"), "sidecar init"),
        (("check", "nowhere"), "sidecar init"),
    ],
)
def test_a_file_that_is_missing_has_the_command_that_writes_it(words: tuple[str, ...], first: str):
    """Each in the same words."""
    said = f"Error: nowhere: No such file or directory; a first one is written by: {first}\n"

    assert sidecar(*words).stderr.endswith(said)
