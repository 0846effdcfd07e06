"""The admin API: what it reports, what it obeys, and what it refuses."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.revisions.entries import fulfilled, unfulfilled
from sidecar.revisions.store import Store
from tests.admin import EVIDENCE, Control, control
from tests.harness import text
from tests.patience import PATIENCE


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Control]:
    """A process whose policy was edited once, without a token."""
    async with control(tmp_path) as made:
        made.file.write_text(text("SAMEORIGIN"))
        await made.made.reload("start")
        yield made


async def test_status_has_the_documented_shape(admin: Control):
    """Every key that pages, scripts and `sidecar status` read."""
    status, data, headers = await admin.get("/api/status")

    assert (status, headers["Content-Type"]) == (200, "application/json; charset=utf-8")
    assert {key: data.pop(key) for key in ("revision", "in_file", "parent", "source")} == {
        "revision": admin.made.current.id,
        "in_file": admin.made.current.id,
        "parent": admin.made.current.parent,
        "source": str(admin.file),
    }
    assert data == {
        "name": "policy",
        "owner": "",
        "reason": "",
        "expected": "",
        "rollback": "",
        "activated": admin.now,
        "who": "start",
        "mode": "enforce",
        "policy_mode": "enforce",
        "override": None,
        "pinned": None,
        "unsaved": None,
        "problems": [],
        "routes": [
            {
                "name": "default",
                "rules": [{"name": "frames", "mode": "enforce", "ceiling": "policy"}],
            }
        ],
        "version": "0.0.0",
        "uptime": 1.0,
        "listen": ["127.0.0.1:1"],
        "upstream": "http://127.0.0.1:2",
        "in_flight": 0,
        "draining": False,
    }


async def test_revisions_are_the_journal_newest_first(admin: Control):
    """With the name of the active one; each text can be had."""
    _, data, _ = await admin.get("/api/revisions")

    assert data["active"] == admin.made.current.id
    assert [entry["revision"] for entry in data["entries"]] == [
        admin.made.current.id,
        admin.made.current.parent,
    ]
    assert (await admin.get(f"/api/revisions/{admin.made.current.parent}"))[1] == {
        "revision": admin.made.current.parent,
        "text": text(),
    }
    assert (await admin.get("/api/revisions/nowhere"))[:2] == (404, {"error": "no such revision"})
    assert (await admin.get("/api/revisions/..%2Fstate"))[0] == 404


async def test_evidence_and_baseline_are_those_of_the_process(admin: Control):
    """The API adds nothing."""
    assert (await admin.get("/api/evidence"))[1] == {"evidence": [EVIDENCE]}
    assert (await admin.get("/api/baseline"))[1] == {"sent": {}, "drift": None}


async def test_reload_reports_its_result(admin: Control):
    """Activated and unchanged are 200; rejected and pinned are 409 with the reasons."""
    active = admin.made.current.id
    assert await admin.post("/-/reload") == (
        200,
        {"result": "unchanged", "revision": active, "problems": [], "unsaved": None},
    )
    admin.file.write_text("version: 2\n")
    status, data = await admin.post("/-/reload")
    assert (status, data["result"], data["revision"]) == (409, "rejected", active)
    assert data["problems"] == [f"{admin.file}:1:10: error: unknown version 2; known: 1"]
    admin.file.write_text(text("SAMEORIGIN"))
    await admin.post("/-/rollback")
    status, data = await admin.post("/-/reload")
    assert (status, data["result"], data["problems"]) == (
        409,
        "pinned",
        ["the file holds the revision that was rolled back; edit it, or: sidecar reload --unpin"],
    )
    assert (await admin.post("/-/reload", {"unpin": True, "who": "anna"}))[1][
        "result"
    ] == "activated"
    assert admin.made.current.who == "anna"


async def test_whoever_gives_no_name_is_an_operator(admin: Control):
    """Left out, null or empty."""
    for order in ({}, {"who": None}, {"who": ""}):
        await admin.post("/-/mode", {"mode": "report-only", **order})

        assert admin.made.history()[-1]["who"] == "operator"


async def test_rollback_reports_its_target_and_what_is_held_back(admin: Control):
    """Who and why stand in the journal; what cannot be is 409 with the reason."""
    left, parent = admin.made.current.id, admin.made.current.parent

    assert await admin.post("/-/rollback", {"who": "anna", "reason": "broke"}) == (
        200,
        {
            "revision": parent,
            "left": left,
            "pinned": left,
            "mode": "enforce",
            "unsaved": None,
            "fleet": None,
        },
    )
    assert {key: admin.made.history()[-1][key] for key in ("who", "reason")} == {
        "who": "anna",
        "reason": "broke",
    }
    assert await admin.post("/-/rollback") == (
        409,
        {"error": "there is no earlier revision to go back to"},
    )
    assert (await admin.post("/-/rollback", {"to": "zzz"}))[0] == 409
    assert (await admin.post("/-/rollback", {"to": left[:9], "reason": None}))[1]["pinned"] is None


async def test_mode_sets_the_runtime_ceiling(admin: Control):
    """At once, for a time in words or seconds; the response says what came of it."""
    status, data = await admin.post(
        "/-/mode", {"mode": "report-only", "reason": "look", "ttl": "30m", "who": "anna"}
    )
    assert (status, data) == (
        200,
        {
            "mode": "report-only",
            "override": {
                "mode": "report-only",
                "reason": "look",
                "who": "anna",
                "until": admin.now + 1800,
            },
            "policy_mode": "enforce",
            "unsaved": None,
            "fleet": None,
        },
    )
    assert admin.made.active.plan.mode == "report-only"
    assert (await admin.post("/-/mode", {"mode": "off", "ttl": 1.5}))[1]["override"][
        "until"
    ] == admin.now + 1.5
    assert (await admin.post("/-/mode", {"mode": "enforce"}))[1] == {
        "mode": "enforce",
        "override": None,
        "policy_mode": "enforce",
        "unsaved": None,
        "fleet": None,
    }


ABOUT = "owner: a@b.c\nexpected: none\nrollback: sidecar rollback\n"


def promotion(admin: Control, **more: Any) -> dict[str, Any]:
    """An order to enforce the rule of the file, which only reports."""
    policy = ABOUT + text(mode="report-only")
    order = {"rules": ["frames"], "policy": policy, "file": str(admin.file), "who": "anna"}
    return {**order, **more}


async def test_a_promotion_without_evidence_is_refused_and_journalled(admin: Control):
    """The verdict and its reason stand in the journal, and no edit."""
    status, data = await admin.post("/-/promotion", promotion(admin))

    assert (status, data["granted"], data["promotion"]) == (200, False, None)
    last = admin.made.history()[-1]
    assert (last["event"], last["who"], last["source"]) == (
        "promotion.refused",
        "anna",
        "http://here:1",
    )
    assert last["verdicts"] == data["verdicts"]
    assert last["reason"] == data["reason"]
    assert "frames: inconclusive, the rule is not judged on any route" in last["reason"]
    assert not {"revision", "after", "diff"} & last.keys()


async def test_the_revision_of_a_promotion_names_it(admin: Control):
    """The decision stands in the journal before anything is written; what loads then is tied to
    it, once.
    """
    _, data = await admin.post("/-/promotion", promotion(admin, override="I know it"))
    granted = admin.made.history()[-1]

    assert (granted["event"], granted["promotion"]) == ("promotion.granted", data["promotion"])
    assert (granted["reason"], granted["to"]) == ("I know it", {"frames": "enforce"})
    assert unfulfilled(granted, fulfilled(admin.made.history()), admin.made.current.id)

    admin.file.write_text(data["edited"])
    assert await admin.made.reload("file") == "activated"
    assert admin.made.current.id == granted["revision"]
    assert admin.made.history()[-1]["promotion"] == data["promotion"]
    assert not unfulfilled(granted, fulfilled(admin.made.history()), "another")
    await admin.made.rollback()
    await admin.made.reload(unpin=True)
    again = admin.made.history()[-1]
    assert (again["revision"], "promotion" in again) == (granted["revision"], False)


@pytest.mark.parametrize(("move", "status"), [("enforce", 409), ("back", 200)])
async def test_a_promotion_without_an_entry_is_none(
    admin: Control, monkeypatch: pytest.MonkeyPatch, move: str, status: int
):
    """On a full disk it is refused, and never stands in the journal; a step back is a way out."""

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    order = promotion(admin, override="I know it")
    if move == "back":
        order = promotion(admin, move="back", policy=ABOUT + text())
    with monkeypatch.context() as full:
        full.setattr(Store, "append", refuse)
        got, data = await admin.post("/-/promotion", order)
    await admin.made.journal.keep_up()

    assert got == status, data
    events = [entry["event"] for entry in admin.made.history()]
    assert ("No space left" in str(data)) == (move == "enforce")
    assert "promotion.granted" not in events
    assert ("step_back.granted" in events) == (move == "back")


async def test_a_promotion_is_tied_over_a_restart(admin: Control):
    """The command wrote the file, and the sidecar ended before it read it."""
    _, data = await admin.post("/-/promotion", promotion(admin, override="I know it"))
    admin.file.write_text(data["edited"])
    started = await admin.started()

    assert started.history()[-1]["promotion"] == data["promotion"]


@pytest.mark.parametrize(
    "more", [{"dry_run": True, "override": "w"}, {"policy": ABOUT + text(), "override": "w"}]
)
async def test_what_is_only_tried_or_said_already_is_not_journalled(
    admin: Control, more: dict[str, Any]
):
    """A dry run, and a policy that enforces the rule."""
    before = admin.made.history()
    status, data = await admin.post("/-/promotion", promotion(admin, **more))

    assert (status, data["granted"], data["promotion"]) == (200, True, None)
    assert admin.made.history() == before


async def test_a_promotion_that_cannot_be_made_says_where(admin: Control):
    """Each problem with its place in the file, as `check` says it."""
    order = promotion(admin, policy=text(mode="report-only"))
    status, data = await admin.post("/-/promotion", order)

    assert status == 400
    (problem,) = data["problems"]
    assert problem.startswith(f"{admin.file}:")
    assert "may not enforce without owner and expected and rollback" in problem


@pytest.mark.parametrize(
    ("path", "body", "why"),
    [
        ("/-/mode", {"mode": "enfroce"}, "unknown mode 'enfroce'; did you mean 'enforce'?"),
        ("/-/mode", {}, "mode is missing"),
        ("/-/mode", {"mode": ["off"]}, "unknown mode ['off']"),
        ("/-/mode", {"mode": "off", "ttl": "soon"}, "unknown duration 'soon'"),
        ("/-/mode", {"mode": "off", "ttl": 0}, "ttl must be more than 0s"),
        ("/-/mode", {"mode": "off", "ttl": "0s"}, "ttl must be more than 0s"),
        ("/-/mode", {"mode": "off", "ttl": 10**400}, "at most 366d"),
        ("/-/mode", {"mode": "\ud800"}, "mode must be a text of whole characters"),
        ("/-/reload", {"\ud800": 1}, "must be a text of whole characters"),
        ("/-/mode", {"mode": "off", "who": "\ud800"}, "who must hold whole characters only"),
        ("/-/note", {"file": "\ud800", "sha256": "a" * 64}, "file must hold whole characters only"),
        ("/-/suggestion", {"rules": ["\ud800"]}, "rules must hold whole characters only"),
        (
            "/-/suggestion",
            {"rules": [], "diff": {"a": "\ud800"}},
            "diff must hold whole characters",
        ),
        ("/-/mode", {"mode": "off", "ttl": -1}, "ttl must be more than 0s"),
        ("/-/mode", {"mode": "off", "ttl": "367d"}, "at most 366d"),
        ("/-/mode", {"mode": "off", "ttl": True}, "unknown duration True"),
        ("/-/mode", {"mode": "off", "ttl": float("nan")}, "ttl must be"),
        ("/-/mode", {"mode": "off", "ttl": float("inf")}, "ttl must be"),
        ("/-/mode", {"mode": "off", "reason": 5}, "reason must be a text"),
        (
            "/-/mode",
            {"mode": "off", "mod": 1},
            "unknown key 'mod'; known: fleet, mode, reason, ttl, version, who",
        ),
        ("/-/rollback", {"to": 5}, "to must be a text"),
        ("/-/rollback", {"to": 0}, "to must be a text"),
        ("/-/rollback", {"to": []}, "to must be a text"),
        ("/-/rollback", {"who": {"a": 1}}, "who must be a text"),
        (
            "/-/rollback",
            {"revision": "abc"},
            "unknown key 'revision'; known: fleet, reason, to, version, who",
        ),
        ("/-/rollback", {"x\r\ny": 1}, "unknown key 'x\\r\\ny'"),
        ("/-/reload", {"unpin": "yes"}, "unpin must be true or false"),
        ("/-/reload", {"who": 5}, "who must be a text"),
        ("/-/promotion", {}, "a promotion names its rules"),
        ("/-/note", {"file": "note.md"}, "sha256 is missing"),
        ("/-/note", {"file": 5, "sha256": "0" * 64}, "file must be a text"),
        ("/-/note", {"file": "note.md", "sha256": "0" * 63}, "sha256 must be 64 hex digits"),
        ("/-/promotion", {"rules": "frames"}, "rules must be a list of texts"),
        ("/-/promotion", {"rules": [5]}, "rules must be a list of texts"),
        ("/-/promotion", {"rules": ["a"]}, "a promotion holds the policy that is to be edited"),
        ("/-/promotion", {"rules": ["a"], "move": "up"}, "unknown move 'up'; known: back, "),
        ("/-/promotion", {"rules": ["a"], "evidence": 5}, "evidence must be an object"),
        ("/-/promotion", {"rules": ["a"], "dry_run": 1}, "dry_run must be true or false"),
        (
            "/-/promotion",
            {"rules": ["a"], "policy": "x", "minimums": {"time": -1}},
            "the minimum time must be a number from 0 on",
        ),
        (
            "/-/promotion",
            {"rules": ["a"], "policy": "x", "minimums": {"tim": 1}},
            "unknown minimum 'tim'; known: requests, time, routes, breaks, https",
        ),
        (
            "/-/promotion",
            {"rules": ["a"], "policy": "x", "evidence": {"found": [5]}},
            "the evidence is none of `sidecar evidence`",
        ),
        ("/-/promotion", {"event": "x", "rules": ["a"]}, "unknown key 'event'"),
        ("/-/reload", [], "the body must be a JSON object"),
        ("/-/reload", "x", "the body must be a JSON object"),
    ],
)
async def test_an_order_that_is_not_right_is_refused_whole(
    admin: Control, path: str, body: Any, why: str
):
    """A wrong key, word or type changes nothing: it must not turn into another order."""
    before, entries = admin.made.active, len(admin.made.history())
    status, data = await admin.post(path, body)

    assert status == 400
    assert why in data["error"]
    assert admin.made.active is before
    assert len(admin.made.history()) == entries


@pytest.mark.parametrize(
    ("data", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"to=abc", "application/x-www-form-urlencoded", 415),
        (b'{"who": "' + b"x" * (1 << 20) + b'"}', "application/json", 413),
    ],
)
async def test_a_body_that_is_no_json_is_refused(
    admin: Control, data: bytes, kind: str, status: int
):
    """Forms of other sites cannot send JSON, and nothing else is obeyed."""
    async with admin.http.post(
        admin.url + "/-/rollback", data=io.BytesIO(data), headers={"Content-Type": kind}
    ) as response:
        assert response.status == status
        assert (await response.json())["error"]
    assert admin.made.pinned is None


async def test_an_order_without_a_body_is_the_plain_one(admin: Control):
    """`curl -X POST .../-/rollback` is enough in an emergency."""
    async with admin.http.post(admin.url + "/-/rollback") as response:
        assert response.status == 200
    assert admin.made.history()[-1]["who"] == "operator"


@pytest.mark.parametrize("path", ["/-/reload", "/-/rollback", "/-/mode", "/-/promotion"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_no_order_is_obeyed_but_by_post(admin: Control, path: str, method: str):
    """A link or an image cannot give an order."""
    before = admin.made.active
    status, _, headers = await admin.ask(method, path)

    assert (status, headers["Allow"]) == (405, "POST")
    assert admin.made.active is before


async def test_unknown_paths_are_json_too(admin: Control):
    """A script that mistyped gets a response that it can read."""
    assert (await admin.get("/api/nowhere"))[:2] == (404, {"error": "Not Found"})


@pytest.mark.parametrize(
    "path",
    [
        "/api/status",
        "/-/nowhere",
        "/livez",
        "/readyz",
        "/metrics",
        "/",
        "/assets/page.css",
        "/login",
    ],
)
async def test_every_response_carries_headers_of_its_own(admin: Control, path: str):
    """The control plane judges other people's headers, so its own are right, and it does not
    name what it runs on.
    """
    _, _, headers = await admin.get(path)

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Cache-Control"] == "no-store"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert headers["Server"] == "sidecar"


async def next_event(stream: Any) -> tuple[str, Any]:
    """Name and data of the next server-sent event."""
    name = ""
    async with asyncio.timeout(PATIENCE):
        while True:
            line = (await stream.readline()).decode().rstrip("\n")
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                return name, json.loads(line.removeprefix("data: "))


async def test_events_are_streamed_live(admin: Control):
    """What is reported after the connection stands arrives at once, as one JSON line."""
    async with admin.http.get(admin.url + "/api/events") as response:
        assert response.headers["Content-Type"] == "text/event-stream"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert response.headers["Server"] == "sidecar"
        assert await response.content.readline() == b": live\n"
        await admin.post("/-/mode", {"mode": "off", "reason": "line\nbreak"})
        _, data = await next_event(response.content)

    assert (data["event"], data["override"], data["reason"]) == (
        "mode.overridden",
        "off",
        "line\nbreak",
    )


async def test_a_reader_of_events_that_left_is_forgotten(admin: Control):
    """Its watcher goes when the next event finds nobody."""
    before = len(admin.telemetry._watchers)
    async with admin.http.get(admin.url + "/api/events"):
        while len(admin.telemetry._watchers) == before:
            await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        while len(admin.telemetry._watchers) > before:
            admin.telemetry.emit("service.state")
            await asyncio.sleep(0.005)


async def test_a_reader_that_falls_behind_loses_the_oldest(admin: Control):
    """More events in one step of the loop than the backlog holds: the last ones arrive."""
    before = len(admin.telemetry._watchers)
    async with admin.http.get(admin.url + "/api/events") as response:
        while len(admin.telemetry._watchers) == before:
            await asyncio.sleep(0)
        for number in range(1000):
            admin.telemetry.emit("service.state", number=number)
        numbers = [(await next_event(response.content))[1]["number"] for _ in range(256)]

    assert numbers == list(range(744, 1000))


async def test_a_reader_of_events_sees_the_end_of_the_process(admin: Control):
    """Its stream ends whole, in place of holding up the stop until it is cut."""
    before = len(admin.telemetry._watchers)
    async with admin.http.get(admin.url + "/api/events") as response:
        while len(admin.telemetry._watchers) == before:
            await asyncio.sleep(0)
        await admin.stop()

        assert (await response.content.read()).startswith(b": live\n")
    assert len(admin.telemetry._watchers) == before


async def test_events_cannot_be_asked_for_by_head(admin: Control):
    """It would be a response without end and without a body."""
    assert (await admin.ask("HEAD", "/api/events"))[0] == 405
