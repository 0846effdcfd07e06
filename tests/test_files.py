"""Files are written whole or not at all, and nobody's edit is lost."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar import files
from sidecar.files import edit_file, read_at_once, replace_bytes, write_file
from sidecar.policy.terms import PolicyError

TEXT = "# why\r\nmode: report-only  # first\n"


def left(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


@given(text=st.text(st.characters(exclude_categories=["Cs"])))
def test_a_text_is_written_as_it_is(tmp_path_factory: pytest.TempPathFactory, text: str):
    """Every character, line ends too, new or in the place of another."""
    file = tmp_path_factory.mktemp("files") / "policy.yaml"
    for _ in range(2):
        write_file(file, text)
        assert file.read_bytes() == text.encode()
    assert left(file.parent) == ["policy.yaml"]


def test_a_file_keeps_its_permissions_and_its_link(tmp_path: Path):
    """A new one has those that any program's has."""
    file, link = tmp_path / "policy.yaml", tmp_path / "link.yaml"
    write_file(file, "a")
    (tmp_path / "plain").write_text("a")
    assert file.stat().st_mode == (tmp_path / "plain").stat().st_mode
    file.chmod(0o640)
    link.symlink_to(file)
    write_file(link, "b")

    assert (link.is_symlink(), file.read_text()) == (True, "b")
    assert stat.S_IMODE(file.stat().st_mode) == 0o640


def test_an_edit_of_another_is_not_lost(tmp_path: Path):
    """Who edits what has changed since it was read is refused; so where it is gone."""
    file = tmp_path / "policy.yaml"
    file.write_bytes(TEXT.encode())
    edit_file(file, TEXT, TEXT.replace("report-only", "trial"))
    changed = file.read_bytes()
    assert changed == TEXT.replace("report-only", "trial").encode()

    with pytest.raises(PolicyError, match="the file was changed meanwhile"):
        edit_file(file, TEXT, TEXT.replace("report-only", "enforce"))
    assert file.read_bytes() == changed
    file.unlink()
    with pytest.raises(PolicyError, match="the file was changed meanwhile"):
        edit_file(file, TEXT, "new")
    assert left(tmp_path) == []


@pytest.mark.parametrize("call", ["fsync", "open"])
def test_a_write_that_fails_leaves_the_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
):
    """A full disk: the old text stands, and no part of the new one is left beside it."""
    file = tmp_path / "policy.yaml"
    file.write_text("old")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, call, full)
    with pytest.raises(PolicyError, match="cannot be written: No space left on device"):
        write_file(file, "new")
    monkeypatch.undo()

    assert (file.read_text(), left(tmp_path)) == ("old", ["policy.yaml"])


def test_a_name_that_cannot_be_taken_over_is_written_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A single file that is mounted into a container refuses the rename."""
    file = tmp_path / "policy.yaml"
    file.write_text("a longer old text")

    def busy(*_: object) -> None:
        raise OSError(16, "Device or resource busy")

    monkeypatch.setattr(Path, "replace", busy)
    write_file(file, "new")
    monkeypatch.undo()

    assert (file.read_text(), left(tmp_path)) == ("new", ["policy.yaml"])


def test_what_is_no_plain_file_is_written_to(tmp_path: Path):
    """A pipe, or `/dev/null`, is not replaced by a file."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reading = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        replace_bytes(pipe, b"text")
        assert os.read(reading, 100) == b"text"
    finally:
        os.close(reading)
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_a_named_pipe_is_not_waited_for(tmp_path: Path):
    """As a policy it would hold up every reload, and the end of the process."""
    pipe = tmp_path / "policy.yaml"
    os.mkfifo(pipe)

    assert read_at_once(pipe) == b""
