"""Timeouts of single routes: each is told from the general one by which of two requests ends
first, not by a clock.
"""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest

from sidecar.policy.terms import PolicyError
from sidecar.rollout import deployment
from sidecar.runtime.settings_file import layered
from tests.e2e.conftest import Start, services, shop, start  # noqa: F401 - fixtures
from tests.e2e.processes import Service
from tests.wire.origin import Line
from tests.wire.requests_refused import get
from tests.wire.responses import ok
from tests.wire.stage import Stage, read_responses

POLICY = """
version: 1
mode: enforce
rules:
  mark: {header: X-Policy, action: set, value: 'on'}
routes:
  - {name: exports, match: {path: /exports}}
"""


def staged(**timeouts: Any) -> Stage:
    return Stage({"timeouts": timeouts}, policy=POLICY)


def begun(stage: Stage, target: bytes) -> socket.socket:
    """A client that has the first byte of its response's body."""
    client, data = stage.connect(), b""
    client.sendall(get(target=target))
    while not data.endswith(b"\r\n\r\na"):
        data += client.recv(65_536)
    return client


def test_response() -> None:
    """A route with more time has it, while the others end after theirs."""
    with staged(response="60s", routes={"exports": {"response": "1h"}}).running() as stage:
        release = asyncio.Event()

        async def script(line: Line) -> None:
            await release.wait()
            if line.request and line.request.target == "/exports":
                await line.send(ok(b"Content-Length: 0"))

        stage.origin.script = script
        with stage.connect() as client:
            client.sendall(get(target=b"/exports"))
            with stage.flying():
                assert stage.talk(get())[0].status == 504
            stage.loop.call_soon_threadsafe(release.set)
            assert read_responses(client)[0].status == 200


def test_idle() -> None:
    """The same of the time between two pieces of a response."""
    with staged(idle="60s", routes={"exports": {"idle": "1h"}}).running() as stage:
        release = asyncio.Event()

        async def script(line: Line) -> None:
            await line.send(ok(b"Content-Length: 2", body=b"a"))
            await release.wait()
            await line.send(b"b")

        stage.origin.script = script
        with begun(stage, b"/exports") as client, begun(stage, b"/") as other:
            with stage.flying():
                assert other.recv(1) == b""
            stage.loop.call_soon_threadsafe(release.set)
            assert client.recv(1) == b"b"


def test_total() -> None:
    """A route with less time ends, while the others go on; 0s means no limit there too."""
    with staged(total="60s", idle="1h", routes={"exports": {"total": "0s"}}).running() as stage:
        release = asyncio.Event()

        async def script(line: Line) -> None:
            await line.send(ok(b"Content-Length: 2", body=b"a"))
            await release.wait()
            await line.send(b"b")

        stage.origin.script = script
        with begun(stage, b"/exports") as client, begun(stage, b"/") as other:
            with stage.flying():
                assert other.recv(1) == b""
            stage.loop.call_soon_threadsafe(release.set)
            assert client.recv(1) == b"b"
        assert stage.count("sidecar_upstream_errors_total", "total_timeout") == 1


def test_what_is_not_named_is_the_general_one() -> None:
    """A route's own timeouts leave its others as they are, and draining reaches it."""
    with staged(response="60s", routes={"exports": {"idle": "1h"}}).running() as stage:

        async def stall(line: Line) -> None:
            await asyncio.Event().wait()

        stage.origin.script = stall
        with stage.flying():
            assert stage.talk(get(target=b"/exports"))[0].status == 504
        stage.origin.script = None
        stage.plane.draining = True
        (reply,) = stage.talk(get(target=b"/exports"))
        assert reply.values("connection") == ["close"]


@pytest.mark.parametrize("wrong", [{"header": "1s"}, {"body_idle": "1s"}, {"response": "soon"}])
def test_wrong_settings(wrong: dict[str, str]) -> None:
    """What passes before the route is known cannot be a route's."""
    with pytest.raises(PolicyError) as refused:
        layered({"timeouts": {"routes": {"exports": wrong}}}, {}, {})
    assert refused.value.problems[0].path == ("timeouts", "routes", "exports", *wrong)


def test_unknown_route(start: Start, shop: Service, tmp_path: Path) -> None:  # noqa: F811
    """A name that no route of the policy has stops nothing, as policies change while settings stay:
    it is reported with every activation, and fails the rehearsal.
    """
    timeouts = {"routes": {"export": {"response": "1h"}, "default": {"response": "1h"}}}
    sidecar = start(POLICY, shop.url, timeouts=timeouts)
    assert sidecar.event("timeouts.unmatched")["routes"] == ["export"]
    sidecar.put(POLICY.replace("name: exports", "name: export"))
    assert sidecar.get("/").status == 200
    assert len(sidecar.reported("timeouts.unmatched")) == 1

    policy = tmp_path / "policy.yaml"
    policy.write_text(POLICY)
    settings = layered({"timeouts": timeouts, "policy": str(policy)}, {}, {})
    (found,) = [found for found in deployment.check(settings) if found[0] == "timeouts"]
    assert found[1] == "fail"
    assert "export," in found[2]
