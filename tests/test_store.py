"""The state folder: whole writes, repaired after a crash."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.revisions.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An open store in a new folder."""
    made = Store(tmp_path / "a" / "state")
    made.open()
    return made


def test_a_new_folder_is_empty(tmp_path: Path):
    """It is made with its parents, closed to others; there is no state, journal, revision or evidence."""
    store = Store(tmp_path / "a" / "b")

    assert store.open() == {}
    assert (store.journal(), store.revisions(), store.text("abc"), store.evidence()) == (
        [],
        [],
        None,
        None,
    )
    assert (store.folder / "revisions").stat().st_mode & 0o007 == 0


def test_what_is_saved_is_there_for_the_next(store: Store):
    """State, texts, journal and evidence come back as they were."""
    store.save_state({"active": "abc", "pinned": None})
    store.save_text("abc", "version: 1\r\nname: \u00e9\n")
    store.append({"time": "t", "event": "a"})
    store.append({"time": "t", "event": "b"})
    store.save_evidence({"rules": 1})
    again = Store(store.folder)

    assert again.open() == {"active": "abc", "pinned": None}
    assert again.text("abc") == "version: 1\r\nname: \u00e9\n"
    assert again.revisions() == ["abc"]
    assert again.journal() == [{"time": "t", "event": "a"}, {"time": "t", "event": "b"}]
    assert again.evidence() == {"rules": 1}


def test_the_latest_text_of_a_meaning_wins(store: Store):
    """A comment changed in the file is kept; the same text again is not written again."""
    store.save_text("abc", "one")
    kept = store.folder / "revisions" / "abc.yaml"
    before = kept.stat().st_ino
    store.save_text("abc", "one")
    assert kept.stat().st_ino == before
    store.save_text("abc", "two")
    assert store.text("abc") == "two"


@pytest.mark.parametrize("name", ["", "../state", "a/b", ".", "a.yaml", "a b", "a\0"])
def test_a_name_cannot_leave_the_folder(store: Store, name: str):
    """Only letters and digits are looked for."""
    (store.folder / "revisions" / "a b.yaml").write_text("x")

    assert store.text(name) is None


@given(torn=st.binary(max_size=30).filter(lambda data: b"\n" not in data))
def test_a_torn_journal_line_is_cut_and_the_next_is_whole(
    tmp_path_factory: pytest.TempPathFactory, torn: bytes
):
    """A crash in the middle of an append loses that line alone."""
    store = Store(tmp_path_factory.mktemp("state"))
    store.open()
    store.append({"time": "1", "event": "e"})
    with (store.folder / "journal.jsonl").open("ab") as journal:
        journal.write(torn)
    store.open()
    store.append({"time": "2", "event": "e"})

    assert store.journal() == [{"time": "1", "event": "e"}, {"time": "2", "event": "e"}]


def test_foreign_journal_lines_are_passed_over(store: Store):
    """What is no JSON object, in the middle too, hides nothing else."""
    (store.folder / "journal.jsonl").write_bytes(
        b'{"time": "1", "event": "e"}\nnot json\n[1]\n{}\n\xff\n{"time": "2", "event": "e"}\n'
    )

    assert store.journal() == [{"time": "1", "event": "e"}, {"time": "2", "event": "e"}]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\xfe", b"null"])
def test_a_damaged_state_is_a_new_one(store: Store, damage: bytes):
    """The journal and the texts are still there."""
    store.save_text("abc", "x")
    (store.folder / "state.json").write_bytes(damage)

    assert store.open() == {}
    assert store.text("abc") == "x"


def test_stray_temporary_files_are_swept(store: Store):
    """A crash between write and rename leaves them; nothing else is touched."""
    strays = [store.folder / ".tmp-abc", store.folder / "revisions" / ".tmp-def"]
    for stray in strays:
        stray.write_text("half")
    (store.folder / "mine.txt").write_text("whole")
    store.open()

    assert not any(stray.exists() for stray in strays)
    assert (store.folder / "mine.txt").exists()


def test_a_failed_write_leaves_the_old_and_no_rest(store: Store, monkeypatch: pytest.MonkeyPatch):
    """The disk refuses at the last step: the caller is reported, readers see the old."""
    store.save_state({"active": "old"})

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(OSError, match="No space left"):
        store.save_state({"active": "new"})

    assert json.loads((store.folder / "state.json").read_bytes()) == {"active": "old"}
    assert list(store.folder.glob(".tmp-*")) == []


@pytest.mark.parametrize("text", [b"\xff", b"{"])
def test_texts_and_evidence_that_cannot_be_read_are_none(store: Store, text: bytes):
    """Somebody wrote there; nothing is believed of it."""
    (store.folder / "revisions" / "abc.yaml").write_bytes(b"\xff")
    (store.folder / "evidence.json").write_bytes(text)

    assert store.text("abc") is None
    assert store.evidence() is None
