"""The journal's chain: what was sealed is whole, every edit of an entry shows, and a compaction
leaves no break.
"""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.revisions.entries import SENT, START, Retention, check, gap, is_gap, sealed
from sidecar.revisions.store import Store

Entries = list[dict[str, object]]


def chained(count: int) -> Entries:
    """So many entries, each sealed onto the one before."""
    made: Entries = []
    for number in range(count):
        entry = {"time": f"t{number}", "event": "policy.activated", "who": "ops"}
        made.append(sealed(entry, str(made[-1]["hash"]) if made else START))
    return made


def test_a_chain_is_whole_and_ends_in_its_last_hash():
    """Nothing was changed; the head is what a note quotes."""
    entries = chained(5)

    assert (check(entries).breaks, check(entries).head) == ((), entries[-1]["hash"])


def test_no_entries_are_whole():
    """A new sidecar has no journal yet."""
    assert (check([]).breaks, check([]).head) == ((), START)


EDITS = {
    "another who": lambda made: made[2].update(who="nobody"),
    "another word more": lambda made: made[2].update(reason="because"),
    "a word less": lambda made: made[2].pop("who"),
    "one entry less": lambda made: made.pop(2),
    "two swapped": lambda made: made.insert(1, made.pop(2)),
    "one twice": lambda made: made.insert(2, made[2]),
    "one put in, sealed": lambda made: made.insert(
        2, sealed({"time": "t", "event": "x"}, str(made[1]["hash"]))
    ),
    "the first less": lambda made: made.pop(0),
    "one without a seal": lambda made: made.insert(2, {"time": "t", "event": "x"}),
    "one sealed anew": lambda made: made.__setitem__(
        2, sealed({"time": "t", "event": "x"}, str(made[1]["hash"]))
    ),
}


@pytest.mark.parametrize("edit", EDITS)
def test_an_edit_shows(edit: str):
    """Whatever is done to an entry that others follow."""
    entries = chained(5)
    EDITS[edit](entries)

    assert check(entries).breaks


def test_a_chain_sealed_anew_has_another_head():
    """Who seals all of the file again cannot reach the hash that a note quotes."""
    entries = chained(5)
    forged: Entries = []
    for entry in entries:
        own = {name: entry[name] for name in ("time", "event")} | {"who": "someone else"}
        forged.append(sealed(own, str(forged[-1]["hash"]) if forged else START))

    assert check(forged).breaks == ()
    assert check(forged).head != check(entries).head


def test_the_beginning_of_a_long_journal_is_not_asked_for():
    """The admin API sends the last entries only: the first of these follows another."""
    entries = chained(SENT + 5)

    assert check(entries[-SENT:]).breaks == ()
    assert check(entries[-SENT + 1 :]).breaks


@pytest.mark.parametrize("damage", ["all", "the last line"])
def test_a_restart_does_not_hide_a_damaged_line(tmp_path: Path, damage: str):
    """What cannot be read any more is no entry; the next one does not follow the one before it."""
    store = Store(tmp_path)
    store.open()
    for number in range(3):
        store.append({"time": f"2026-01-0{number + 1}T00:00:00Z", "event": "policy.rejected"})
    file = tmp_path / "journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    file.write_bytes(b"no entry\n" if damage == "all" else b"".join([*lines[:2], b"x" + lines[2]]))

    again = Store(tmp_path)
    again.open()
    again.append({"time": "2026-02-01T00:00:00Z", "event": "policy.activated"})

    (said,) = check(again.journal()).breaks
    assert said == (
        "before the entry of 2026-02-01T00:00:00Z (policy.activated),"
        " entries are missing or were put in"
    )


@given(kept=st.sets(st.integers(0, 9)))
def test_dropping_leaves_no_break(kept: set[int]):
    """Law: entries that stand for those that were dropped hold the chain together, and count
    them.
    """
    made: Entries = []
    run: Entries = []
    for place, entry in enumerate(chained(10)):
        if place not in kept:
            run.append(entry)
            continue
        made += [gap(run)] if run else []
        run = []
        made.append(entry)
    made += [gap(run)] if run else []

    assert (check(made).breaks, check(made).head) == ((), chained(10)[-1]["hash"])
    assert sum(int(str(one["entries"])) for one in made if is_gap(one)) == 10 - len(kept)


def _rejected(day: int) -> dict[str, object]:
    return {"time": f"2026-01-{day:02}T00:00:00Z", "event": "policy.rejected"}


def _opened(folder: Path) -> Store:
    store = Store(folder)
    store.open()
    return store


def test_two_processes_write_one_journal(tmp_path: Path):
    """A second sidecar that was started on the folder by mistake breaks no chain, nor does its
    compaction.
    """
    first, second = _opened(tmp_path), _opened(tmp_path)
    first.save_state({"active": "x"})
    for number in range(6):
        first.append(_rejected(2 * number + 1))
        second.append(_rejected(2 * number + 2))
    second.compact(Retention(3, 1e12, 0.0))
    first.append(_rejected(13))

    assert check(first.journal()).breaks == ()
    assert len(first.journal()) == 5


@pytest.mark.parametrize("edit", ["the last less", "one put in", "one edited"])
def test_an_edit_beside_a_running_process_shows(tmp_path: Path, edit: str):
    """What another writes into the file does not follow; the next entry does not hide it."""
    store = _opened(tmp_path)
    for day in (1, 2, 3):
        store.append(_rejected(day))
    file = tmp_path / "journal.jsonl"
    lines = file.read_bytes().splitlines(keepends=True)
    if edit == "the last less":
        lines.pop()
    elif edit == "one put in":
        lines.append(json.dumps(_rejected(4)).encode() + b"\n")
    else:
        lines[1] = lines[1].replace(b"rejected", b"activated")
    file.write_bytes(b"".join(lines))
    store.append(_rejected(5))

    assert check(store.journal()).breaks


def test_an_entry_that_could_not_be_written_leaves_no_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """A full disk: the error is raised, and the next entry stands on a line of its own."""
    store = _opened(tmp_path)
    store.append(_rejected(1))
    with monkeypatch.context() as full:
        full.setattr("sidecar.revisions.store._line", lambda _: b'{"half": ')
        full.setattr("os.fsync", _full)
        with pytest.raises(OSError, match="No space"):
            store.append(_rejected(2))
    store.append(_rejected(3))

    assert [entry["time"][:10] for entry in store.journal()] == ["2026-01-01", "2026-01-03"]
    assert check(store.journal()).breaks == ()


def _full(_: int) -> None:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_store_compacts_without_a_break(tmp_path: Path):
    """Entries go, later ones are added, more go: the chain holds, and nothing is written when
    nothing goes.
    """
    store = Store(tmp_path)
    store.open()
    store.save_state({"active": "x"})
    for number in range(10):
        store.append({"time": f"2026-01-{number + 1:02}T00:00:00Z", "event": "policy.rejected"})
    bounds = Retention(4, 1e12, 0.0)

    assert store.compact(bounds) == (6, 0)
    store.append({"time": "2026-02-01T00:00:00Z", "event": "policy.rejected"})
    assert store.compact(bounds) == (1, 0)
    assert store.compact(bounds) == (0, 0)
    assert check(store.journal()).breaks == ()
    assert [one.get("entries") for one in store.journal()] == [7, None, None, None, None]
