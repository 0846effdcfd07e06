"""The state folder: whole writes, repaired after a crash."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.revisions.entries import Retention, check, is_gap, kept_entries
from sidecar.revisions.store import Store
from sidecar.rollout.note import write_note

NOW = 1_800_000_000.0


def entry(event: str, age: float = 0.0, **facts: object) -> dict[str, object]:
    return {"time": datetime.fromtimestamp(NOW - age, UTC).isoformat(), "event": event, **facts}


def plain(store: Store) -> list[dict[str, object]]:
    """The entries without the chain."""
    return [
        {name: value for name, value in found.items() if name not in ("previous", "hash")}
        for found in store.journal()
        if not is_gap(found)
    ]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """An open store in a new folder."""
    made = Store(tmp_path / "a" / "state")
    made.open()
    return made


def test_a_new_folder_is_empty(tmp_path: Path):
    """It is made with its parents, closed to others; there is no state, journal, revision or
    evidence.
    """
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
    assert plain(again) == [{"time": "t", "event": "a"}, {"time": "t", "event": "b"}]
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

    assert plain(store) == [{"time": "1", "event": "e"}, {"time": "2", "event": "e"}]
    assert check(store.journal()).breaks == ()


def test_foreign_journal_lines_are_passed_over(store: Store):
    """What is no JSON object, in the middle too, hides nothing else."""
    (store.folder / "journal.jsonl").write_bytes(
        b'{"time": "1", "event": "e"}\nnot json\n[1]\n{}\n\xff\n{"time": "2", "event": "e"}\n'
    )

    assert store.journal() == [{"time": "1", "event": "e"}, {"time": "2", "event": "e"}]


def test_promotions_are_the_entries_that_name_one(store: Store):
    """A mention elsewhere in an entry does not count."""
    (store.folder / "journal.jsonl").write_bytes(
        b'{"time": "1", "event": "e"}\n'
        b'{"time": "2", "event": "e", "promotion": "p"}\n'
        b'{"time": "3", "event": "e", "reason": ["promotion"]}\n'
    )

    assert store.promotions() == [{"time": "2", "event": "e", "promotion": "p"}]


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


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"\xff", {}),
        (b"[" * 100_000, {}),
        (b"[]", {}),
        (b'{"active": 5, "pinned": [], "parents": "x", "override": 1, "fleet": [1]}', {}),
        (b'{"active": null, "parents": {"a": [], "b": null, "c": "a"}}', {"b": None, "c": "a"}),
    ],
)
def test_of_a_state_of_another_shape_nothing_is_believed(
    store: Store, text: bytes, expected: object
):
    """The sidecar starts all the same."""
    (store.folder / "state.json").write_bytes(text)

    found = store.open()
    assert found.get("parents", {}) == expected
    assert not any(value for key, value in found.items() if key != "parents")
    store.compact(Retention(1, 1e9, NOW), starting=True)


@pytest.mark.parametrize("text", [b"\xff", b"{", b"[" * 100_000, b""])
def test_texts_and_evidence_that_cannot_be_read_are_nothing(store: Store, text: bytes):
    """Somebody wrote there; nothing is believed of it."""
    (store.folder / "revisions" / "abc.yaml").write_bytes(b"\xff")
    (store.folder / "evidence.json").write_bytes(text)

    assert store.text("abc") is None
    assert store.evidence() == ""


def filled(store: Store, revisions: int = 20) -> None:
    """A history of so many activations, one a day, the last of today."""
    for number in range(revisions):
        name, parent = f"r{number}", f"r{number - 1}" if number else None
        store.save_text(name, f"# {number}")
        age = (revisions - 1 - number) * 86_400.0
        os.utime(store.folder / "revisions" / f"{name}.yaml", (NOW - age, NOW - age))
        store.append(entry("policy.activated", age, revision=name, parent=parent))
    last = f"r{revisions - 1}"
    parents = {f"r{n}": f"r{n - 1}" if n else None for n in range(revisions)}
    store.save_state({"active": last, "pinned": "r2", "parents": parents})


@pytest.mark.parametrize(
    ("bounds", "left"),
    [
        (Retention(5, 1e9, NOW), {"r2", *(f"r{n}" for n in range(14, 20))}),
        (Retention(1, 1e9, NOW), {"r2", "r17", "r18", "r19"}),
        (Retention(99, 3.5 * 86_400, NOW), {"r2", *(f"r{n}" for n in range(15, 20))}),
        (Retention(99, 0.0, NOW), {"r2", "r17", "r18", "r19"}),
    ],
    ids=["count", "count of one", "age", "age of nothing"],
)
def test_compaction(store: Store, bounds: Retention, left: set[str]):
    """What is beyond the bounds goes, entries with the texts that only they name; the revision in
    force, the one before it with its own parent, and the one pinned away stay; the oldest left has
    no parent. Twice is once.
    """
    filled(store)
    store.compact(bounds, starting=True)
    assert set(store.revisions()) == left
    parents = store.open()["parents"]
    assert parents.keys() == left
    assert set(parents.values()) <= {*left, None}
    assert store.compact(bounds, starting=True) == (0, 0)


def test_a_running_process_keeps_its_state(store: Store):
    """Only before a start is the state pruned: later it is held in memory."""
    filled(store)
    before = store.open()
    assert store.compact(Retention(5, 1e9, NOW)) == (15, 13)
    assert store.open() == before


def test_nothing_to_drop_writes_nothing(store: Store):
    """A folder within its bounds is left alone, and one that is not there is not made."""
    filled(store)
    stamp = (store.folder / "journal.jsonl").stat().st_ino
    assert store.compact(Retention(1000, 1e9, NOW), starting=True) == (0, 0)
    assert (store.folder / "journal.jsonl").stat().st_ino == stamp
    nowhere = Store(store.folder / "none")
    assert nowhere.compact(Retention(1, 1.0, NOW), starting=True) == (0, 0)
    assert not nowhere.folder.exists()


@pytest.mark.parametrize("step", range(4))
def test_a_compaction_that_is_cut(store: Store, step: int, monkeypatch: pytest.MonkeyPatch):
    """Where the disk refuses in between, the folder opens with all that must stay, and the next
    compaction does the rest.
    """
    filled(store)
    real, calls = os.fsync, 0

    def refuse(handle: int) -> None:
        nonlocal calls
        calls += 1
        if calls > step:
            raise OSError(28, "No space left on device")
        real(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", refuse)
        with pytest.raises(OSError, match="No space"):
            store.compact(Retention(5, 1e9, NOW), starting=True)
    again = Store(store.folder)
    assert again.open()["active"] == "r19"
    assert [found["revision"] for found in plain(again)][-6:] == [f"r{n}" for n in range(14, 20)][
        -len(plain(again)) :
    ]
    assert check(again.journal()).breaks == ()
    assert {"r2", *(f"r{n}" for n in range(14, 20))} <= set(again.revisions())
    again.compact(Retention(5, 1e9, NOW), starting=True)
    assert set(again.revisions()) == {"r2", *(f"r{n}" for n in range(14, 20))}


EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("policy.activated"), st.sampled_from("abcdefgh")),
        st.tuples(st.just("policy.rolled_back"), st.sampled_from("abcdefgh")),
        st.tuples(st.just("promotion.granted"), st.just("")),
        st.tuples(st.just("mode.overridden"), st.just("")),
        st.tuples(st.just("policy.rejected"), st.just("")),
    ),
    max_size=40,
)


@given(events=EVENTS, keep=st.integers(1, 12))
def test_the_note_survives(events: list[tuple[str, str]], keep: int):
    """Whatever happened, all since the revision before came in force stays for the note, but for
    texts that were refused beyond the bounds; so does the last promotion.
    """
    active, parents, entries = None, dict[str, str | None](), list[dict[str, object]]()
    for number, (event, revision) in enumerate(events):
        facts: dict[str, object] = {}
        if revision and revision != active:
            facts = {
                "revision": revision,
                "parent" if event.endswith("ed") and "act" in event else "left": active,
            }
            parents[revision] = active
            active = revision
        elif revision:
            continue
        if event == "promotion.granted":
            facts = {
                "promotion": str(number),
                "revision": active or "",
                "rules": [],
                "file": "p",
                "before": str(number),
                "after": "",
                "diff": "",
                "command": f"c{number}",
            }
        entries.append(entry(event, 40.0 - number, **facts))
    state = {"active": active, "parents": parents}
    kept = [entries[place] for place in kept_entries(entries, state, Retention(keep, 1e9, NOW))]
    assert kept[-keep:] == entries[-keep:]
    if active is None:
        return
    about = dict.fromkeys(("name", "owner", "reason", "expected", "rollback", "mode", "source"), "")
    status = {**about, "revision": active, "parent": parents[active]}
    texts = {name: name for name in "abcdefgh"}
    whole, left = (write_note(status, found, [], texts, None) for found in (entries, kept))
    lives = [e for e in entries if e["event"] in ("policy.activated", "policy.rolled_back")]
    last = [e for e in lives if e.get("revision") == (parents[active] or active)][-1]
    since = [e for e in entries[entries.index(last) :] if e["event"] != "policy.rejected"]
    assert [e for e in kept if e["event"] != "policy.rejected"][-len(since) :] == since
    assert whole["commands"][len(whole["commands"]) - len(left["commands"]) :] == left["commands"]
    promoted = [e for e in entries if e["event"] == "promotion.granted"]
    assert [e for e in kept if e["event"] == "promotion.granted"][-1:] == promoted[-1:]
