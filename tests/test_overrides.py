"""The runtime ceiling: lowered at once, kept over restarts, lifted by order or by time."""

from __future__ import annotations

import asyncio

import pytest

from sidecar import revisions
from sidecar.policy.terms import Mode
from sidecar.revisions.store import Store
from tests.harness import Harness, edited, sent, text


async def test_an_override_lowers_at_once_and_is_reported(harness: Harness):
    """Report-only in the next response, without touching the revision; enforce lifts it."""
    made = await harness.started()

    assert await made.set_mode("report-only", who="anna", reason="look first") == "report-only"
    assert (sent(made), made.active.plan.mode) == ("-", "report-only")
    assert harness.value("sidecar_mode", "report-only") == 1
    data = harness.lines.events[-1]
    assert {
        key: data[key]
        for key in ("event", "override", "mode", "policy_mode", "who", "reason", "until")
    } == {
        "event": "mode.overridden",
        "override": "report-only",
        "mode": "report-only",
        "policy_mode": "enforce",
        "who": "anna",
        "reason": "look first",
        "until": None,
    }
    assert await made.set_mode("off") == "off"
    assert made.active.plan.routes[-1].checks == ()
    assert await made.set_mode("enforce") == "enforce"
    assert (sent(made), made.override) == ("DENY", None)


async def test_an_override_never_raises(harness: Harness):
    """Lifting it leaves the policy's own mode."""
    harness.file.write_text(text(mode="report-only"))
    made = await harness.started()

    assert await made.set_mode("enforce") == "report-only"
    assert sent(made) == "-"


@pytest.mark.parametrize(
    ("ceiling", "override", "expected"),
    [
        ("report-only", None, "report-only"),
        ("off", "report-only", "off"),
        ("enforce", "report-only", "report-only"),
        (None, None, "enforce"),
    ],
)
async def test_the_process_has_a_ceiling_too(
    harness: Harness, ceiling: Mode | None, override: Mode | None, expected: Mode
):
    """`run --mode` cannot be lifted from outside."""
    made = await harness.started(ceiling=ceiling)
    if override:
        await made.set_mode(override)

    assert made.mode == made.active.plan.mode == expected


async def test_an_override_outlives_the_process(harness: Harness):
    """And edits, and rollbacks: it is a ceiling over whatever comes."""
    made = await harness.started()
    await made.set_mode("report-only", who="anna", reason="look first", ttl=60)
    await edited(harness, made, text("SAMEORIGIN"))
    assert sent(made) == "-"

    again = await harness.started()

    assert again.override == revisions.Override(
        "report-only", "look first", "anna", harness.now + 60
    )
    assert (sent(again), again.mode) == ("-", "report-only")
    assert harness.names() == ["policy.activated", "mode.overridden"]


async def test_an_override_ends_with_its_time(harness: Harness):
    """Not a moment before, reported, and gone after a restart."""
    made = await harness.started()
    await made.set_mode("report-only", ttl=60)
    harness.now += 59
    await made.tick()
    assert sent(made) == "-"
    harness.now += 1
    await made.tick()

    assert (sent(made), made.override) == ("DENY", None)
    assert (harness.lines.events[-1]["override"], harness.lines.events[-1]["who"]) == (
        "enforce",
        "timer",
    )
    await made.tick()
    assert harness.names().count("mode.overridden") == 2


async def test_an_override_whose_time_came_while_nobody_ran_is_gone(harness: Harness):
    """The clock goes on between processes."""
    await (await harness.started()).set_mode("off", ttl=60)
    harness.now += 61

    assert (await harness.started()).override is None


async def test_the_end_of_one_override_does_not_lift_the_next(
    harness: Harness, monkeypatch: pytest.MonkeyPatch
):
    """An order that came first is not undone by the timer of the one before it."""
    made = await harness.started()
    await made.set_mode("report-only", ttl=60)
    harness.now += 60
    async with made.lock:
        order = asyncio.create_task(made.set_mode("off"))
        await asyncio.sleep(0)
        timer = asyncio.create_task(made.tick())
        await asyncio.sleep(0)
    await asyncio.gather(order, timer)

    assert made.mode == "off"


@pytest.mark.parametrize("saved", [None, "off", {"mode": "enforce"}, {"mode": "loud"}, {}])
async def test_an_override_that_makes_no_sense_is_not_restored(harness: Harness, saved: object):
    """The state is believed no further than it goes."""
    await harness.started()
    Store(harness.state).save_state({"override": saved})

    assert (await harness.started()).override is None
