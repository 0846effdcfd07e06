"""The journal's chain: what was sealed is whole, every edit of an entry shows, and a compaction
leaves no break.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.revisions.chain import SENT, START, check, gap, is_gap, sealed
from sidecar.revisions.retention import Bounds
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


def test_a_store_compacts_without_a_break(tmp_path: Path):
    """Entries go, later ones are added, more go: the chain holds, and nothing is written when
    nothing goes.
    """
    store = Store(tmp_path)
    store.open()
    store.save_state({"active": "x"})
    for number in range(10):
        store.append({"time": f"2026-01-{number + 1:02}T00:00:00Z", "event": "policy.rejected"})
    bounds = Bounds(4, 1e12, 0.0)

    assert store.compact(bounds) == (6, 0)
    store.append({"time": "2026-02-01T00:00:00Z", "event": "policy.rejected"})
    assert store.compact(bounds) == (1, 0)
    assert store.compact(bounds) == (0, 0)
    assert check(store.journal()).breaks == ()
    assert [one.get("entries") for one in store.journal()] == [7, None, None, None, None]
