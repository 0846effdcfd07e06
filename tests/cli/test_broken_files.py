"""Every verb that reads or writes files, given broken ones: exit code 1 or 2 and a sentence with
the file's name, never a traceback.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import Result
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sidecar.cli import commands
from tests.cli import invoked
from tests.portion import examples

NOBODY = ("--admin", "http://127.0.0.1:1")
"""Where no sidecar is: what a verb reads before it asks one is read all the same."""
POLICY = ("--policy", "POLICY")
READS: dict[tuple[str, str], tuple[str, ...]] = {
    ("run", "config"): ("run", "--config", "FILE", "--listen", "nowhere"),
    ("check", "files"): ("check", "FILE"),
    ("check", "config"): ("check", "POLICY", "--config", "FILE"),
    ("explain", "file"): ("explain", "--policy", "FILE"),
    ("diff", "old"): ("diff", "FILE", "POLICY"),
    ("diff", "new"): ("diff", "POLICY", "FILE"),
    ("diff", "baseline"): ("diff", "POLICY", "POLICY", "--baseline", "FILE"),
    ("diff", "har"): ("diff", "POLICY", "POLICY", "--har", "FILE"),
    ("test", "files"): ("test", "FILE"),
    ("audit", "har"): ("audit", "--har", "FILE"),
    ("audit", "raw"): ("audit", "--raw", "FILE"),
    ("audit", "cacert"): ("audit", "https://127.0.0.1:1/", "--cacert", "FILE"),
    ("import", "sources"): ("import", "FILE"),
    ("import", "hars"): ("import", "--har", "FILE"),
    ("import", "cacert"): ("import", "https://127.0.0.1:1/", "--cacert", "FILE"),
    ("export", "file"): ("export", "--to", "nginx", "--policy", "FILE"),
    ("verify", "file"): ("verify", "http://127.0.0.1:1", "--policy", "FILE"),
    ("verify", "hars"): ("verify", "http://127.0.0.1:1", *POLICY, "--har", "FILE"),
    ("verify", "token_file"): ("verify", "http://127.0.0.1:1", *POLICY, "--token-file", "FILE"),
    ("verify", "cacert"): ("verify", "https://127.0.0.1:1", *POLICY, "--cacert", "FILE"),
    ("capture", "hars"): ("capture", "--har", "FILE", "--output", "NOWHERE"),
    ("capture", "policy"): ("capture", "--har", "HAR", "--policy", "FILE", "--output", "NOWHERE"),
    ("drift", "file"): ("drift", "FILE", "--har", "HAR"),
    ("drift", "hars"): ("drift", "BASELINE", "--har", "FILE"),
    ("drift", "policy"): ("drift", "BASELINE", "--har", "HAR", "--policy", "FILE"),
    ("promote", "file"): ("promote", "frame", "--policy", "FILE", *NOBODY),
    ("rehearse", "config"): ("rehearse", "--config", "FILE", "--policy", "NOWHERE"),
    ("rehearse", "baseline"): ("rehearse", "--policy", "NOWHERE", "--baseline", "FILE"),
    ("rehearse", "har"): ("rehearse", "--policy", "NOWHERE", "--har", "FILE"),
    ("note", "written"): ("note", "--check", "FILE", *NOBODY),
    ("note", "inventory"): ("note", "--format", "pci", "--scripts", "FILE", *NOBODY),
    ("suggest", "file"): ("suggest", "--policy", "FILE", *NOBODY),
    ("suggest", "har"): ("suggest", *POLICY, "--har", "FILE", *NOBODY),
    ("suggest", "cacert"): (
        "suggest",
        *POLICY,
        "--url",
        "https://127.0.0.1:1",
        "--cacert",
        "FILE",
        *NOBODY,
    ),
    **{
        (verb, "token_file"): (verb, *more, *NOBODY, "--token-file", "FILE")
        for verb, more in {
            "status": (),
            "history": (),
            "reload": (),
            "rollback": (),
            "mode": ("report-only",),
            "capture": ("--output", "NOWHERE"),
            "drift": ("BASELINE",),
            "evidence": (),
            "promote": ("frame", *POLICY),
            "note": (),
            "reports": (),
            "suggest": POLICY,
        }.items()
    },
}
WRITES: dict[tuple[str, str], tuple[str, ...]] = {
    ("init", "output"): ("init", "--yes", "--preset", "baseline-2026-11", "--output", "FILE"),
    ("demo", "folder"): ("demo", "--dir", "FILE"),
    ("test", "report"): ("test", "SUITE", "--junit", "FILE"),
    ("audit", "write"): ("audit", "--har", "HAR", "--write", "FILE"),
    ("import", "output"): ("import", "CONF", "--output", "FILE"),
    ("export", "output"): ("export", "--to", "nginx", *POLICY, "--output", "FILE"),
    ("capture", "output"): ("capture", "--har", "HAR", "--output", "FILE"),
    ("note", "output"): ("note", "--output", "FILE", *NOBODY),
}
FOLDERS = {("test", "policy")}
"""Where only the folder of the file counts."""
BROKEN = (
    b"\xff\xfe\x00",
    b"reason: caf\xe9\n",
    b"\x00" * 40,
    b"{" * 5000,
    b"[" * 100_000,
    b'{"log": {"entries": [[]]}}',
    b"- a: [\n",
    b"version: 1\nversion: 1\n",
    b"HTTP/1.1",
)
"""What no verb can use, whatever it looks for."""
ODD = (b"", b"5", b"null", b"[]", b"{}", b'{"a": 1}', b'{"log": 3}', b'{"log": {"entries": {}}}')
"""What some verbs can use; the others refuse it in words."""
ANYTHING = frozenset(
    {("import", "sources"), ("note", "written"), ("promote", "file"), ("suggest", "file")}
)
"""Read as text: what more is wrong with it is no fault of the file, or comes to light when a
sidecar has been asked.
"""

CLOSED = Path("x" * 300)
"""A name that the disk refuses, so that asking whether it is there is an error: to root, as in a
closed folder to others.
"""
MADE = frozenset({("note", "inventory")})
"""Made where it is missing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files of each kind, by the words that stand for them."""
    made = tmp_path_factory.mktemp("files")
    rule = "{header: X-Frame-Options, action: set, value: DENY, mode: trial}"
    (made / "POLICY").write_text(f"version: 1\nrules:\n  frame: {rule}\n")
    (made / "HAR").write_text(
        '{"log": {"entries": [{"request": {"method": "GET", "url": "http://a.example/", "headers":'
        ' []}, "response": {"status": 200, "headers": []}}]}}'
    )
    (made / "CONF").write_text("add_header X-A 1;\n")
    (made / "SUITE").write_text("version: 1\npolicy: POLICY\ncases: []\n")
    done = _run(made, ("capture", "--har", "HAR", "--output", "BASELINE"))
    assert done.exit_code == 0, done.output
    return made


def _run(folder: Path, words: tuple[str, ...], file: Path | None = None) -> Result:
    """One verb, its words in capitals replaced by files."""
    named = {word: str(folder / word) for word in words if word.isupper()}
    if file is not None:
        named["FILE"] = str(file)
    return invoked(*(named.get(word, word) for word in words))


def _refused(done: Result, file: Path, *, may_pass: bool = False) -> None:
    """A verb ended as it should: an exit code, and a sentence that names the file where it is
    refused.
    """
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    assert done.exit_code in ((0, 1, 2) if may_pass else (1, 2)), done.output
    assert may_pass or str(file) in done.output.replace("\n", ""), done.output


def _paths() -> Iterator[tuple[str, str]]:
    context = click.Context(commands)
    for name in commands.list_commands(context):
        verb = commands.get_command(context, name)
        assert verb is not None
        yield from (
            (name, option.name or "")
            for option in verb.params
            if isinstance(option.type, click.Path)
        )


def test_every_file_of_every_verb_is_tried() -> None:
    """A verb that learns to read or write another file is put into one of the tables."""
    assert set(_paths()) | {("import", "sources")} == READS.keys() | WRITES.keys() | FOLDERS


@pytest.mark.parametrize("where", READS, ids="-".join)
def test_broken_files_are_refused_in_words(
    where: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    """Bytes that are no text, text that is no data, data of another shape, folders, missing and
    unreadable files.
    """
    file = tmp_path / "broken"
    for content in (*BROKEN, *ODD):
        file.write_bytes(content)
        may_pass = content in ODD or where in ANYTHING or where[1] == "token_file"
        _refused(_run(folder, READS[where], file), file, may_pass=may_pass)
    for other in (tmp_path, tmp_path / "missing", file / "below", Path("/proc/self/mem"), CLOSED):
        may_pass = where in MADE and (other is CLOSED or not other.exists())
        _refused(_run(folder, READS[where], other), other, may_pass=may_pass)


@pytest.mark.parametrize("where", READS, ids="-".join)
@settings(max_examples=examples(12), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary(max_size=60)
    | st.text("{}[]:,\"'-&*!|>#%@` \n\tae1", max_size=60).map(str.encode)
    | st.text(max_size=30).map(lambda text: text.encode("utf-16"))
)
def test_any_bytes(where: tuple[str, str], folder: Path, tmp_path: Path, content: bytes) -> None:
    """Any bytes at all end in an exit code."""
    file = tmp_path / "any"
    file.write_bytes(content)
    _refused(_run(folder, READS[where], file), file, may_pass=True)


@pytest.mark.parametrize("where", WRITES, ids="-".join)
def test_places_that_cannot_be_written(
    where: tuple[str, str], folder: Path, tmp_path: Path
) -> None:
    """A file below a file, or in a folder that is not there, is refused with its name and
    nothing is written.
    """
    below = tmp_path / "file"
    below.write_text("kept")
    for file in (below / "x", tmp_path / "nowhere" / "x", CLOSED):
        if where == ("demo", "folder") and file.parent.name == "nowhere":
            continue  # folders are made
        _refused(_run(folder, WRITES[where], file), file, may_pass=where[0] == "note")
    assert below.read_text() == "kept"
    assert not (tmp_path / "nowhere").exists()
