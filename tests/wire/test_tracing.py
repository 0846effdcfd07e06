"""What helps to follow a request: its trace, and where its time went."""

from __future__ import annotations

import json
import re

import pytest

from tests.telemetry.test_traces import TRACE, WHOLE
from tests.wire.origin import Line
from tests.wire.requests_refused import get, post
from tests.wire.responses import ok
from tests.wire.stage import Stage
from tests.wire.test_responses import play

TRACED = (b"traceparent: " + WHOLE, b"tracestate: congo=t61rcWkgMzE,a@b=1")
BOUNDED = """
version: 1
mode: report-only
max-body: 1B
rules: {}
"""


def traced(stage: Stage, event: str) -> list[str]:
    """The traces of the events of one kind."""
    lines = [json.loads(line) for line in stage.events.lines]
    return [line.get("trace_id", "") for line in lines if line["event"] == event]


def test_passed_on_untouched(stage: Stage) -> None:
    """The header and its state reach the upstream as they came, valid or not, and none is made."""
    for sent in ((*TRACED,), (b"traceparent: 00-short-01", b"tracestate: ,=,"), ()):
        assert stage.talk(get(*sent))[0].status == 200
        seen = [
            f"{name}: {value}".encode()
            for name, value in stage.origin.requests[-1].headers
            if name.lower().startswith("trace")
        ]
        assert seen == list(sent)


async def _reset(line: Line) -> None:
    line.reset()


def test_in_every_event(stage: Stage) -> None:
    """A request that failed or was refused is found by its trace too; without a valid one the
    events have none.
    """
    stage.origin.script = _reset
    for event, request, method in (
        ("header.changed", get(*TRACED, target=b"/canary"), "GET"),
        ("upstream.failed", get(*TRACED), "GET"),
        ("request.rejected", post(*TRACED, b"Content-Length: 99999999"), "POST"),
    ):
        stage.events.lines.clear()
        assert len(stage.talk(request, method=method)) == 1
        assert traced(stage, event) == [TRACE.decode()], event
        stage.events.lines.clear()
        stage.talk(request.replace(WHOLE, WHOLE.upper()), method=method)
        assert traced(stage, event) == [""], event


def test_of_a_body_beyond_the_policys_bound() -> None:
    """The same where the policy would have refused it."""
    with Stage(policy=BOUNDED).running() as stage:
        request = post(*TRACED, b"Content-Length: 5", body=b"hello")
        assert stage.talk(request, method="POST")[0].status == 200
        assert traced(stage, "request.would_reject") == [TRACE.decode()]


# Server-Timing.


def timing(stage: Stage, *lines: bytes, target: bytes = b"/x") -> list[str]:
    return stage.talk(get(*lines, target=target))[0].values("server-timing")


def test_off(stage: Stage) -> None:
    """Nobody is reported where the time went unless the settings say so; the service's own line
    passes.
    """
    assert timing(stage) == []
    stage.origin.script = play(ok(b"Server-Timing: db;dur=1", b"Content-Length: 0"))
    assert timing(stage) == ["db;dur=1"]


@pytest.mark.parametrize(
    ("client", "reported"), [(b"10.1.2.3", True), (b"203.0.113.9", False), (b"unknown", False)]
)
def test_for_whom(client: bytes, reported: bool) -> None:
    """Clients in the networks get a line of their own beside the service's, whoever connects for
    them; our own responses have none.
    """
    settings = {
        "debug": {"server_timing": ["10.0.0.0/8"]},
        "forwarding": {"trusted": ["127.0.0.0/8"]},
    }
    with Stage(settings).running() as stage:
        stage.origin.script = play(ok(b"Server-Timing: db;dur=1", b"Content-Length: 0"))
        first, *ours = timing(stage, b"X-Forwarded-For: " + client)
        assert first == "db;dur=1"
        assert len(ours) == reported
        assert all(
            re.fullmatch(r"upstream;dur=\d+\.\d\d, sidecar;dur=\d+\.\d\d", line) for line in ours
        )
        stage.origin.script = _reset
        (reply,) = stage.talk(get(b"X-Forwarded-For: " + client))
        assert (reply.status, reply.values("server-timing")) == (502, [])
