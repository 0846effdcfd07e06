"""Fixtures: the sample services (one process each for the whole session) and sidecars in front
of them.
"""

from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.processes import COMMANDS, Service
from tests.e2e.running import Sidecar

Start = Callable[..., Sidecar]
FrontOf = Callable[[str], Sidecar]
FRAMEWORKS = tuple(COMMANDS)

POLICY = """\
version: 1
name: shop
owner: web@example.com
reason: header review
mode: report-only   # the one switch
rules:
  no-server: {action: remove, header: [Server, X-Powered-By]}
  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff}
  csp:
    header: Content-Security-Policy
    action: default
    value: {default-src: ["'self'"], frame-ancestors: ["'none'"]}
  mark: {header: X-Policy-Mark, action: set, value: one}
"""
ENFORCED = POLICY.replace("mode: report-only", "mode: enforce")


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Service]]:
    """Sample services by name, each started at its first use."""
    running: list[Service] = []

    @cache
    def named(name: str) -> Service:
        running.append(Service(name, tmp_path_factory.mktemp(name)))
        return running[-1]

    yield named
    for service in running:
        service.child.ask_to_end()
    for service in running:
        service.child.end()


@pytest.fixture(params=FRAMEWORKS)
def service(request: pytest.FixtureRequest, services: Callable[[str], Service]) -> Service:
    """Each sample service in turn."""
    return services(request.param)


@pytest.fixture(scope="session")
def shop(services: Callable[[str], Service]) -> Service:
    """One sample service, where the framework does not matter."""
    return services("fastapi")


def finish(sidecar: Sidecar) -> None:
    """End a sidecar and judge its whole output: exit code 0, JSON lines on stdout, nothing on
    stderr.
    """
    assert sidecar.stop() == 0
    events = sidecar.events()
    assert sidecar.child.stdout.read_bytes().endswith(b"\n") or not events
    assert sidecar.child.stderr.read_text() == ""
    assert not [
        data
        for data in events
        if data["event"] in ("process.error", "process.crashed", "exchange.crashed")
    ]


@pytest.fixture(scope="session")
def begin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Start]:
    """Start sidecars that end, and are judged, with the session."""
    yield from _starter(tmp_path_factory.mktemp)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start sidecars that end, and are judged, with the test."""
    yield from _starter(tmp_path.joinpath)


def _starter(folder: Callable[[str], Path]) -> Iterator[Start]:
    started: list[Sidecar] = []

    def starting(policy: str, upstream: str, /, **settings: Any) -> Sidecar:
        sidecar = Sidecar(folder(f"sidecar-{len(started)}"), policy, upstream, settings=settings)
        started.append(sidecar.start())
        return sidecar

    yield starting
    for sidecar in started:
        sidecar.child.ask_to_end()
    for sidecar in started:
        finish(sidecar)


@pytest.fixture(scope="session")
def _shared(services: Callable[[str], Service], begin: Start) -> Callable[[str], Sidecar]:
    return cache(lambda name: begin(POLICY, services(name).url))


@pytest.fixture
def front_of(_shared: Callable[[str], Sidecar]) -> FrontOf:
    """The sidecar in front of a sample service, in report-only; shared by all tests that leave
    its process standing.
    """

    def fronting(name: str) -> Sidecar:
        sidecar = _shared(name)
        assert sidecar.order("/-/mode", mode="enforce").status == 200
        sidecar.put(POLICY)
        return sidecar

    return fronting


@pytest.fixture
def front(front_of: FrontOf, shop: Service) -> Sidecar:
    """The shared sidecar in front of `shop`, in report-only."""
    return front_of(shop.name)
