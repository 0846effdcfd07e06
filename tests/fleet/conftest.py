"""A real redis-server for each test, and sidecars that share it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import POLICY, _shared, begin, front, front_of, services, shop
from tests.e2e.processes import Service, until
from tests.e2e.running import Sidecar
from tests.fleet.server import Server

__all__ = ["_shared", "begin", "front", "front_of", "join", "services", "shop", "store"]

ENFORCED = POLICY.replace("mode: report-only", "mode: enforce")
ABOUT = POLICY.replace(
    "mode: report-only", "expected: the same\nrollback: sidecar rollback\nmode: report-only"
)
Join = Callable[..., Sidecar]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Server]:
    """The fleet's store."""
    if shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    made = Server(tmp_path / "redis")
    yield made
    made.close()


@pytest.fixture
def join(store: Server, tmp_path: Path, shop: Service) -> Iterator[Join]:
    """Start a replica by name, with a policy; its stdout and exit code are judged at the end."""
    running: list[Sidecar] = []

    def started(name: str, policy: str = ENFORCED, upstream: str = "", **settings: Any) -> Sidecar:
        made = Sidecar(
            tmp_path / name,
            policy,
            upstream or shop.url,
            settings={"fleet": {"url": store.url, "name": "shop"}} | settings,
        )
        running.append(made.start())
        return made

    yield started
    for sidecar in running:
        if sidecar.child.returncode is None:
            assert sidecar.stop() == 0, sidecar.child.stderr.read_text()
        assert not sidecar.reported("process.error")


def mark(sidecar: Sidecar) -> str | None:
    """What clients get of the rule `mark`: the policy in force, "" where it is not enforced."""
    return sidecar.get("/").value("X-Policy-Mark")


def marked(value: str) -> str:
    """The policy with another value of `mark`."""
    return ENFORCED.replace("value: one", f"value: {value}")


def all_have(value: str | None, *sidecars: Sidecar) -> None:
    """Wait until every one serves this."""
    until(lambda: {mark(one) for one in sidecars} == {value}, f"all serve {value}")


def fleet(sidecar: Sidecar) -> dict[str, Any]:
    """The fleet as this replica sees it."""
    found: dict[str, Any] = sidecar.ask("/api/fleet").json()["fleet"]
    return found


def connected(value: float, *sidecars: Sidecar) -> None:
    """Wait until every one says so, in its metric."""
    until(
        lambda: (
            {one.metric("sidecar_fleet_connected", fleet="shop") for one in sidecars} == {value}
        ),
        f"all say that connected is {value}",
    )
