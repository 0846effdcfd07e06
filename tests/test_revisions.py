"""The life of a revision: start, edit, refusal, rollback, pin; real files, a clock that is
turned by hand.
"""

from __future__ import annotations

import asyncio
import shutil

import pytest

from sidecar.policy.terms import Mode, PolicyError
from sidecar.revisions import Active, history
from sidecar.revisions.entries import check
from sidecar.revisions.history import OrderRefused, Revision
from sidecar.revisions.store import Store
from tests.harness import BAD, Harness, edited, sent, text


async def test_start_puts_the_file_in_force(harness: Harness):
    """The revision is its meaning's hash; it is reported, counted, kept on disk and in the
    journal.
    """
    made = await harness.started()

    assert made.active.revision == made.current.id == made.current.resolved.revision()
    assert (sent(made), made.mode, made.current.who, made.current.parent) == (
        "DENY",
        "enforce",
        "start",
        None,
    )
    assert harness.names() == ["policy.activated"]
    assert harness.value("sidecar_config_last_reload_successful") == 1
    assert harness.value("sidecar_config_last_reload_success_timestamp_seconds") == harness.now
    assert harness.value("sidecar_config_reloads_total", "activated") == 1
    assert [entry["event"] for entry in made.history()] == ["policy.activated"]
    assert made.text(made.current.id) == harness.file.read_text()


async def test_an_edit_activates_a_new_revision_and_names_its_parent(harness: Harness):
    """One reference is swapped; who holds the old one keeps a whole old one."""
    made = await harness.started()
    held, first = made.active, made.current

    assert await edited(harness, made, text("SAMEORIGIN")) == "activated"
    assert made.active is not held
    assert held.revision == first.id
    assert (sent(made), made.current.parent) == ("SAMEORIGIN", first.id)


@pytest.mark.parametrize(
    "same",
    [
        text(comment="why"),
        text().replace("\n", "\r\n"),
        "\ufeff" + text(),
        text().replace("{header", "{ header"),
    ],
)
async def test_unchanged_meaning_is_unchanged(harness: Harness, same: str):
    """Comments, line ends and spaces make no new revision; nothing is swapped."""
    made = await harness.started()
    before = made.active

    assert await edited(harness, made, same) == "unchanged"
    assert made.active is before
    assert harness.value("sidecar_config_reloads_total", "unchanged") == 1


@pytest.mark.parametrize("content", [BAD, "", "{", "version: 1\nrules: {a: {header: A}}\n", "\x00"])
async def test_a_bad_file_keeps_the_last_good_revision(harness: Harness, content: str):
    """It is reported in event, gauge, counter and status, and a good file heals all of them."""
    made = await harness.started()
    before = made.active
    harness.now += 10

    assert await edited(harness, made, content) == "rejected"
    assert made.active is before
    assert harness.names()[1:] == ["policy.rejected"]
    rejected = harness.lines.events[-1]
    assert rejected["level"] == "error"
    assert rejected["in_force"] == before.revision
    assert rejected["problems"] == [str(problem) for problem in made.problems] != []
    assert harness.value("sidecar_config_last_reload_successful") == 0
    assert harness.value("sidecar_config_last_reload_success_timestamp_seconds") == harness.now - 10
    assert harness.value("sidecar_config_reloads_total", "rejected") == 1
    assert await edited(harness, made, text(comment="again")) == "unchanged"
    assert made.problems == ()
    assert harness.value("sidecar_config_last_reload_successful") == 1


async def test_a_refused_text_is_shown_at_its_place(harness: Harness):
    """The line with a caret under the place, even when the file has changed since."""
    made = await harness.started()
    await edited(harness, made, BAD)
    harness.file.write_text("")

    assert made.excerpt(made.problems[0]) == "mode: enfroce\n      ^"
    assert made.excerpt(PolicyError((made.problems[0].__class__("no place"),)).problems[0]) == ""


async def test_a_missing_file_keeps_the_last_good_revision(harness: Harness):
    """The reason is the system's."""
    made = await harness.started()
    harness.file.unlink()

    assert await made.reload() == "rejected"
    assert str(made.problems[0]).endswith(
        "the policy cannot be read: No such file or directory; sidecar init writes one"
    )


@pytest.mark.parametrize("content", [BAD, None])
async def test_a_start_with_a_bad_file_is_the_last_good_revision(
    harness: Harness, content: str | None
):
    """What was in force comes back, with its mode and parent; the file's fault is reported once."""
    made = await harness.started()
    await edited(harness, made, text("SAMEORIGIN"))
    good = made.current
    harness.file.unlink() if content is None else harness.file.write_text(content)

    again = await harness.started()

    assert (again.current.id, again.current.parent, sent(again)) == (
        good.id,
        good.parent,
        "SAMEORIGIN",
    )
    assert harness.names() == ["policy.rejected", "policy.activated"]
    assert harness.value("sidecar_config_last_reload_successful") == 0
    assert again.problems


@pytest.mark.parametrize("content", [BAD, None])
async def test_a_start_with_a_bad_file_and_nothing_before_is_refused(
    harness: Harness, content: str | None
):
    """With the file's own problems, so that the first start says what to repair."""
    harness.file.unlink() if content is None else harness.file.write_text(content)

    with pytest.raises(PolicyError, match="enfroce|cannot be read"):
        await harness.started()


async def test_a_last_good_revision_that_is_no_policy_any_more_does_not_count(harness: Harness):
    """A kept text that this version refuses is not put in force."""
    made = await harness.started()
    (harness.state / "revisions" / f"{made.current.id}.yaml").write_text(BAD)
    harness.file.write_text(BAD)

    with pytest.raises(PolicyError, match=r"policy\.yaml"):
        await harness.started()


async def test_a_restart_with_an_edited_file_goes_on_from_the_last(harness: Harness):
    """The parent is what was in force before the restart, so a rollback leads there; without an
    edit it stays.
    """
    first = (await harness.started()).current
    assert (await harness.started()).current.parent is None
    harness.file.write_text(text("SAMEORIGIN"))
    made = await harness.started()

    assert made.current.parent == first.id
    assert (await harness.started()).current.parent == first.id
    made = await harness.started()
    assert (await made.rollback()).id == first.id


async def test_a_rollback_goes_back_and_pins(harness: Harness):
    """At once, reported, counted; reload and edits of comments do not bring the file's revision
    back.
    """
    made = await harness.started()
    first = made.current
    await edited(harness, made, text("SAMEORIGIN"))
    second = made.current

    found = await made.rollback(who="anna", reason="pages broke")

    assert (found.id, sent(made), made.pinned, made.current.who) == (
        first.id,
        "DENY",
        second.id,
        "anna",
    )
    assert harness.names()[-2:] == ["policy.rolled_back", "policy.pinned"]
    data = harness.lines.events[-2]
    assert {
        key: data[key] for key in ("revision", "left", "who", "reason", "cause", "mode", "level")
    } == {
        "revision": first.id,
        "left": second.id,
        "who": "anna",
        "reason": "pages broke",
        "cause": "operator",
        "mode": "enforce",
        "level": "warning",
    }
    assert harness.value("sidecar_rollbacks_total", "operator") == 1
    assert await made.reload() == "pinned"
    assert await edited(harness, made, text("SAMEORIGIN", comment="same meaning")) == "pinned"
    assert (sent(made), harness.value("sidecar_config_reloads_total", "pinned")) == ("DENY", 2)
    entry = made.history()[-1]
    assert {key: entry[key] for key in ("event", "who", "reason", "left")} == {
        "event": "policy.rolled_back",
        "who": "anna",
        "reason": "pages broke",
        "left": second.id,
    }


async def test_a_pin_outlives_the_process(harness: Harness):
    """A restart keeps what was rolled back to, although the file still says the other."""
    made = await harness.started()
    await edited(harness, made, text("SAMEORIGIN"))
    await made.rollback()

    again = await harness.started()

    assert (sent(again), again.pinned) == ("DENY", made.pinned)
    assert harness.value("sidecar_config_reloads_total", "pinned") == 1
    assert await again.reload() == "pinned"


async def test_new_content_unpins(harness: Harness):
    """The operator's next edit is meant; the rolled-back content may come after it."""
    made = await harness.started()
    await edited(harness, made, text("SAMEORIGIN"))
    await made.rollback()

    assert await edited(harness, made, BAD) == "rejected"
    assert made.pinned is not None
    assert await edited(harness, made, text("ALLOW")) == "activated"
    assert (sent(made), made.pinned) == ("ALLOW", None)
    assert await edited(harness, made, text("SAMEORIGIN")) == "activated"


async def test_unpin_takes_the_file_at_its_word(harness: Harness):
    """The operator says so."""
    made = await harness.started()
    await edited(harness, made, text("SAMEORIGIN"))
    await made.rollback()

    assert await made.reload(unpin=True) == "activated"
    assert (sent(made), made.pinned) == ("SAMEORIGIN", None)


async def test_a_pin_lifted_by_editing_back_stays_lifted(harness: Harness):
    """The file says again what is in force: nothing to activate, and a restart does not remember
    the pin.
    """
    made = await harness.started()
    await edited(harness, made, text("SAMEORIGIN"))
    await made.rollback()
    assert await edited(harness, made, text()) == "unchanged"
    harness.file.write_text(text("SAMEORIGIN"))

    assert sent(await harness.started()) == "SAMEORIGIN"


async def test_rolling_back_twice_goes_further_back(harness: Harness):
    """Each step leads to the parent of what is in force; at the first there is none."""
    made = await harness.started()
    for value in ("ONE", "TWO"):
        await edited(harness, made, text(value))
    in_file = made.current.id

    assert [sent(made) for _ in range(2) if await made.rollback()] == ["ONE", "DENY"]
    assert made.pinned == in_file
    with pytest.raises(OrderRefused, match="there is no earlier revision"):
        await made.rollback()


async def test_a_rollback_to_a_revision_by_its_beginning(harness: Harness):
    """Forwards too: back to what the file says, which lifts the pin."""
    made = await harness.started()
    ids = [made.current.id]
    for value in ("ONE", "TWO", "THREE"):
        await edited(harness, made, text(value))
        ids.append(made.current.id)

    assert (await made.rollback(ids[1][:8])).id == ids[1]
    assert made.pinned == ids[3]
    assert (await made.rollback(ids[3])).id == ids[3]
    assert made.pinned is None
    again = await harness.started()
    assert (await again.rollback(ids[0][:8])).id == ids[0]


async def test_what_is_no_revision_is_refused(harness: Harness):
    """Unknown, in force already, or the beginning of several: nothing changes."""
    made = await harness.started()
    for value in range(20):  # with 21 hexadecimal names, two begin with the same digit
        await edited(harness, made, text(f"V{value}"))
    before = made.active
    first = [path.stem[0] for path in (harness.state / "revisions").iterdir()]
    twice = next(digit for digit in first if first.count(digit) > 1)

    for to, why in (
        ("zzz", "no revision 'zzz'"),
        ("../state", "no revision"),
        (made.current.id, "in force already"),
        (twice, "is the beginning of"),
    ):
        with pytest.raises(OrderRefused, match=why):
            await made.rollback(to)
    assert made.active is before
    assert harness.value("sidecar_rollbacks_total", "operator") == 0


async def test_a_rollback_under_a_file_that_was_bad_at_the_start_keeps_the_pin(harness: Harness):
    """What was rolled back stays held back, although this process never read it."""
    made = await harness.started()
    await edited(harness, made, text("ONE"))
    await edited(harness, made, text("TWO"))
    await made.rollback()
    harness.file.write_text(BAD)
    again = await harness.started()
    await again.rollback()

    assert await edited(harness, again, text("TWO")) == "pinned"


async def test_a_state_folder_that_cannot_be_used_refuses_the_start(harness: Harness):
    """Without it there would be no rollback; the fix is named."""
    harness.state.write_text("a file")

    with pytest.raises(
        PolicyError, match="state folder .* cannot be used: .*; choose another with --state DIR"
    ):
        await harness.started()


async def test_a_disk_that_refuses_stops_no_order(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
):
    """The swap comes first; what could not be kept is reported, and the process goes on serving."""
    made = await harness.started()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        for step in ("save_text", "save_state", "append"):
            full.setattr(Store, step, refuse)
        assert await edited(harness, made, text("SAMEORIGIN")) == "activated"
        assert await made.set_mode("report-only") == "report-only"
        await made.set_mode("enforce")
        await made.rollback()
        assert made.journal.unsaved == "No space left on device"

    assert sent(made) == "DENY"
    assert harness.names().count("state.failed") == 4
    assert (
        "No space left"
        in next(event for event in harness.lines.events if event["event"] == "state.failed")[
            "detail"
        ]
    )
    await made.journal.record({"event": "note.written", "who": "ops"})
    assert made.journal.unsaved is None
    assert [entry["event"] for entry in made.history()] == [
        "policy.activated",
        "policy.activated",
        "mode.overridden",
        "mode.overridden",
        "policy.rolled_back",
        "note.written",
    ]
    assert check(made.history()).breaks == ()
    assert (await harness.started()).pinned == made.pinned


async def test_what_the_disk_refused_is_saved_when_it_does_so_no_more(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
):
    """A restart hours later does not forget the rollback, though no order came since."""
    made = await harness.started()
    await edited(harness, made, text("SAMEORIGIN"))

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(Store, "save_state", refuse)
        await made.rollback()
        await made.journal.keep_up()
        assert made.journal.unsaved
    await made.journal.keep_up()

    assert made.journal.unsaved is None
    assert (await harness.started()).pinned == made.pinned is not None


async def test_a_state_folder_that_is_deleted_is_made_again(harness: Harness):
    """With what is in force, and what is held back."""
    made = await harness.started()
    await edited(harness, made, text("SAMEORIGIN"))
    await made.rollback()
    shutil.rmtree(harness.state)
    await made.journal.keep_up()

    again = await harness.started()
    assert (again.current.id, again.pinned) == (made.current.id, made.pinned)


async def test_many_revisions_leave_memory_bounded(harness: Harness):
    """Old ones are on disk alone, and can be gone back to."""
    made = await harness.started()
    first = made.current.id
    for value in range(history._IN_MEMORY + 5):
        await edited(harness, made, text(f"V{value}"))

    assert len(made._history._recent) == history._IN_MEMORY
    assert first not in made._history._recent
    assert made.text(first) == text()
    assert (await made.rollback(first)).id == first
    assert sent(made) == "DENY"


async def test_orders_are_carried_out_one_after_another(harness: Harness):
    """Whatever comes at the same time ends in one of the states that a sequence would."""
    made = await harness.started()
    harness.file.write_text(text("SAMEORIGIN"))
    await asyncio.gather(
        made.reload(),
        made.set_mode("report-only"),
        made.reload(),
        made.set_mode("enforce"),
        made.reload(),
    )

    assert (sent(made), made.mode) == ("SAMEORIGIN", "enforce")
    assert harness.value("sidecar_config_reloads_total", "activated") == 2
    assert harness.value("sidecar_config_reloads_total", "unchanged") == 2


async def test_a_swap_is_published_and_observed(harness: Harness):
    """Workers get the revision and its ceiling; the order is done when they have it."""
    published: list[tuple[str, Mode | None]] = []
    observed: list[tuple[str, str]] = []

    async def publish(revision: Revision, ceiling: Mode | None) -> None:
        await asyncio.sleep(0)
        published.append((revision.id, ceiling))

    def observe(active: Active, revision: Revision) -> None:
        observed.append((active.revision, revision.id))

    made = await harness.started(publish=publish, observers=(observe,))
    await made.set_mode("report-only")

    assert published == [(made.current.id, None), (made.current.id, "report-only")]
    assert observed == [(made.current.id, made.current.id)] * 2


async def test_what_was_seen_under_the_revision_before_stands_in_the_journal(harness: Harness):
    """Each change is written down with the counts that it ends."""
    counts = iter(range(10))
    made = await harness.started(seen=lambda: {"rules": next(counts)})
    await edited(harness, made, text("SAMEORIGIN"))
    await made.rollback()

    assert [entry["seen"] for entry in made.history()] == [{"rules": 0}, {"rules": 1}, {"rules": 2}]


async def test_other_orders_are_recorded(harness: Harness):
    """A suggestion for the file is reported without its text, and kept with it."""
    made = await harness.started()
    await made.journal.record({"event": "policy.suggested", "rules": ["frames"], "diff": "-a\n+b"})

    assert "diff" not in harness.lines.events[-1]
    assert made.history()[-1]["diff"] == "-a\n+b"
