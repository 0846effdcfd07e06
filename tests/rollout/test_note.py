"""The note: everything a reader of the change needs, from the journal alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from sidecar.revisions.entries import START, sealed
from sidecar.rollout.note import digest, markdown, write_note

STATUS = {
    "name": "shop",
    "owner": "web@example.com",
    "reason": "review",
    "expected": "nosniff everywhere",
    "rollback": "sidecar rollback",
    "revision": "r2",
    "parent": "r1",
    "mode": "enforce",
    "source": "policy.yaml",
}
TEXTS = {"r1": "mode: report-only\n", "r2": "mode: enforce\n"}


def seen(mode: str, evaluated: float, affected: float) -> dict[str, Any]:
    """Evidence of one rule, as the API tells it."""
    return {
        "route": "default",
        "rule": "nosniff",
        "mode": mode,
        "evaluated": evaluated,
        "affected": affected,
    }


ENTRIES = [
    {
        "time": "t0",
        "event": "policy.activated",
        "revision": "r0",
        "parent": None,
        "who": "start",
        "reason": "earlier",
    },
    {
        "time": "t1",
        "event": "policy.activated",
        "revision": "r1",
        "parent": "r0",
        "who": "file",
        "reason": "trial",
    },
    {
        "time": "t2",
        "event": "promotion.granted",
        "promotion": "p1",
        "revision": "r2",
        "rules": ["nosniff"],
        "to": {"nosniff": "enforce"},
        "reason": "nosniff: pass, enough",
        "who": "ann",
        "command": "sidecar promote nosniff",
        "file": "policy.yaml",
        "before": "aa",
        "after": "bb",
        "diff": "-a\n+b\n",
        "override": None,
        "waived": ["7017f6ae"],
        "verdicts": [
            {
                "rule": "nosniff",
                "outcome": "pass",
                "witnesses": ["proxy"],
                "reasons": ["enough"],
                "evaluated": 100.0,
                "elapsed": 3600.0,
                "breaks": 0.0,
                "unknown": 5.0,
                "at": 1795362450.0,
                "source": "http://prometheus:9090",
                "query": "sum(increase(x[24h]))",
            }
        ],
    },
    {
        "time": "t3",
        "event": "policy.activated",
        "revision": "r2",
        "parent": "r1",
        "who": "file",
        "reason": "review",
        "seen": [seen("report-only", 100, 40)],
        "promotion": "p1",
    },
    {"time": "t4", "event": "something.else"},
]


def chained(entries: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The entries as a journal holds them, each with the hash of the one before."""
    made: list[dict[str, Any]] = []
    for entry in entries:
        made.append(sealed(entry, made[-1]["hash"] if made else START))
    return made


JOURNAL = chained(ENTRIES)


def test_a_promotion_is_reported_whole():
    """Since the revision before: files with hashes and diff, the command, the verdict's numbers,
    before and after, the way back.
    """
    note = write_note(STATUS, JOURNAL, [seen("enforce", 50, 20)], TEXTS, None, {"findings": [1, 2]})
    text = markdown(note, "http://127.0.0.1:19000")

    assert (note["since"], [entry["time"] for entry in note["timeline"]]) == ("r1", ["t2", "t3"])
    for line in (
        "- **Reason:** review",
        "- **Owner:** web@example.com",
        "- **Expected result:** nosniff everywhere",
        "- **Roll back:** `sidecar rollback --to r1 --admin http://127.0.0.1:19000`",
        "- before: sha256 aa",
        "    sidecar promote nosniff",
        "| nosniff | pass | proxy | 100 | 1h | 0 | 5 | enough |",
        "Causes that did not count (`--waive`): 7017f6ae.",
        (
            "nosniff: http://prometheus:9090 at 2026-11-22T15:47:30+00:00 (`time=1795362450`);"
            " a query for that time gives the same number:"
        ),
        "    sum(increase(x[24h]))",
        (
            "| default | nosniff | report-only | 40 of 100 | enforce | 0 of 50, as 20 were"
            " corrected |"
        ),
        "The service differs from its baseline in 2 ways now (`sidecar drift` lists them).",
        "| t2 | promotion.granted | nosniff to enforce | ann | nosniff: pass, enough |",
        f"The journal is unbroken over its last 5 entries, up to sha256 {JOURNAL[-1]['hash']}.",
    ):
        assert line in text.splitlines(), line


def test_numbers_of_the_sidecar_itself_bear_their_moment():
    """Without Prometheus the note says who counted, until when."""
    verdict = JOURNAL[2]["verdicts"][0] | {"source": "http://127.0.0.1:19000", "query": None}

    text = markdown(
        write_note(
            STATUS,
            [*JOURNAL[:2], JOURNAL[2] | {"verdicts": [verdict]}, JOURNAL[3]],
            [],
            TEXTS,
            None,
        ),
        "here",
    )

    assert (
        "nosniff: counted by http://127.0.0.1:19000 until 2026-11-22T15:47:30+00:00."
        in text.splitlines()
    )


def test_an_edit_by_hand_is_shown_by_its_texts():
    """Without a promotion the files are compared by what was in force."""
    (file,) = write_note(
        STATUS,
        [entry for entry in JOURNAL if entry["event"] != "promotion.granted"],
        [],
        TEXTS,
        None,
    )["files"]

    assert (file["before"], file["after"]) == (digest(TEXTS["r1"]), digest(TEXTS["r2"]))
    assert file["diff"].splitlines()[-2:] == ["-mode: report-only", "+mode: enforce"]


def test_a_promotion_that_never_came_is_no_evidence():
    """The command died before it wrote: the timeline says so, and no verdict stands for it."""
    dead = ENTRIES[2] | {"promotion": "p0", "revision": "r9", "command": "sidecar promote x"}
    note = write_note(STATUS, chained([*ENTRIES[:2], dead, *ENTRIES[2:]]), [], TEXTS, None)

    assert note["commands"] == ["sidecar promote nosniff"]
    assert len(note["verdicts"]) == 1
    assert [entry["why"] for entry in note["timeline"][:2]] == [
        "never in force: nosniff: pass, enough",
        "nosniff: pass, enough",
    ]


def test_two_promotions_before_the_file_is_read_are_one_change():
    """The first is in force with the revision of the second; the diff is that of both."""
    first = ENTRIES[2] | {"promotion": "p0", "revision": "r9", "rules": ["frames"]}
    first |= {"to": {"frames": "trial"}, "before": digest(TEXTS["r1"]), "after": "aa"}
    first |= {"command": "sidecar promote frames --to trial"}
    second = ENTRIES[2] | {"after": digest(TEXTS["r2"])}
    entries = chained([*ENTRIES[:2], first, second, *ENTRIES[3:]])
    note = write_note(STATUS, entries, [], TEXTS, None)
    (file,) = note["files"]

    assert note["commands"] == ["sidecar promote frames --to trial", "sidecar promote nosniff"]
    assert not any("never" in entry["why"] for entry in note["timeline"])
    assert (file["before"], file["after"]) == (digest(TEXTS["r1"]), digest(TEXTS["r2"]))
    assert file["diff"].splitlines()[-2:] == ["-mode: report-only", "+mode: enforce"]


def test_a_million_responses_are_written_out():
    """Not as 1e+06, which hides what was counted."""
    verdict = JOURNAL[2]["verdicts"][0] | {"evaluated": 1_234_567.0}
    entries = chained([*ENTRIES[:2], ENTRIES[2] | {"verdicts": [verdict]}, *ENTRIES[3:]])
    note = write_note(STATUS, entries, [seen("enforce", 1_234_567, 1_000_000)], TEXTS, None)
    text = markdown(note, "here")

    assert "| 1,234,567 | 1h |" in text
    assert "0 of 1,234,567, as 1,000,000 were corrected" in text


def test_since_an_earlier_revision():
    """The note can start further back."""
    assert [
        entry["time"]
        for entry in write_note(STATUS, JOURNAL, [], {"r0": "", **TEXTS}, "r0")["timeline"]
    ] == ["t1", "t2", "t3"]


def test_nothing_said_is_said():
    """Missing words are named, and no change is reported as none."""
    bare = dict.fromkeys(STATUS, "") | {"revision": "r1", "parent": None, "mode": "report-only"}

    text = markdown(write_note(bare, [], [], TEXTS, None), "here")

    assert "(none given)" in text
    assert "None: the text of the policy is the same." in text
    assert "## Commands used\n\nNone." in text


def test_a_note_says_that_the_journal_was_changed():
    """Who approved a promotion cannot be edited away without a word of it in the note."""
    edited = [{**entry, "who": "bob"} if entry.get("who") == "ann" else entry for entry in JOURNAL]

    text = markdown(write_note(STATUS, edited, [], TEXTS, None), "here")
    edit = "the entry of t2 (promotion.granted) was edited"
    assert f"The journal is changed after it was written: {edit}." in text
