"""The upstream's name: how long its addresses are believed, and what happens while it cannot be
resolved.

The system's resolver is stood in for by a script, which tests of the whole sidecar are not
(tests/e2e/test_upstream_name.py).
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from typing import Any

import pytest

from sidecar.proxy import names
from sidecar.proxy.names import Resolver, is_name

FOREVER, ALWAYS = 1000.0, 0.0
MISSING = socket.gaierror(socket.EAI_NONAME, "Name or service not known")


class Zone:
    """A resolver in a loop whose DNS this is; `asked` counts the questions."""

    def __init__(self, age: float) -> None:
        self.said: list[str] | OSError = ["10.0.0.1"]
        self.asked = 0
        self.heard: list[Any] = []
        self.answering = asyncio.Event()
        self.answering.set()
        loop = asyncio.get_running_loop()
        loop.getaddrinfo = self._getaddrinfo  # type: ignore[method-assign]
        self.resolver = Resolver(
            loop,
            "service.test",
            age,
            lambda old, new: self.heard.append((old, new)),
            lambda error: self.heard.append(error.strerror),
        )

    async def _getaddrinfo(self, *_: object, **__: object) -> Any:
        self.asked += 1
        await self.answering.wait()
        if isinstance(self.said, OSError):
            raise self.said
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (host, 0)) for host in self.said]

    async def addresses(self) -> tuple[str, ...]:
        return await self.resolver.addresses(0.05)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(names, "PAUSE", 0.0)
    yield


async def test_known_while_fresh() -> None:
    """A name is resolved once for all connections within its age; the next question is asked by
    then without being waited for.
    """
    zone = Zone(FOREVER)
    assert [await zone.addresses() for _ in range(3)] == [("10.0.0.1",)] * 3
    assert zone.asked == 1
    zone.resolver.close()


async def test_resolved_each_time() -> None:
    """An age of nothing resolves at each use, and tells when the addresses change, not when
    their order does.
    """
    zone = Zone(ALWAYS)
    await zone.addresses()
    zone.said = ["10.0.0.2", "10.0.0.1"]
    assert await zone.addresses() == ("10.0.0.2", "10.0.0.1")
    zone.said = ["10.0.0.1", "10.0.0.2"]
    assert await zone.addresses() == ("10.0.0.1", "10.0.0.2")
    assert zone.asked == 3
    assert zone.heard == [(("10.0.0.1",), ("10.0.0.2", "10.0.0.1"))]


async def test_asked_again_by_itself() -> None:
    """A name that nobody asks for is asked again all the same, so that kept connections learn of
    a move.
    """
    zone = Zone(0.01)
    await zone.addresses()
    zone.said = ["10.0.0.2"]
    while not zone.heard:
        await asyncio.sleep(0)
    assert zone.heard == [(("10.0.0.1",), ("10.0.0.2",))]
    zone.resolver.close()


@pytest.mark.parametrize("error", [MISSING, OSError(5, "resolver broken")])
async def test_stale_while_it_fails(error: OSError, monkeypatch: pytest.MonkeyPatch) -> None:
    """Known addresses hold while the name cannot be resolved, which is reported once, and only
    for so long.
    """
    zone = Zone(ALWAYS)
    await zone.addresses()
    zone.said = error
    assert [await zone.addresses() for _ in range(3)] == [("10.0.0.1",)] * 3
    assert zone.heard == [error.strerror]
    with monkeypatch.context() as patch:
        patch.setattr(names, "STALE", 0.0)
        with pytest.raises(OSError, match=error.strerror):
            await zone.addresses()
    zone.said = ["10.0.0.2"]
    assert await zone.addresses() == ("10.0.0.2",)


async def test_stale_while_it_is_silent() -> None:
    """A resolver that does not answer costs the patience that it is given; its answer still
    counts when it comes.
    """
    zone = Zone(ALWAYS)
    await zone.addresses()
    zone.answering.clear()
    zone.said = ["10.0.0.2"]
    assert await zone.addresses() == ("10.0.0.1",)
    assert await zone.addresses() == ("10.0.0.1",)
    assert zone.asked == 2
    zone.answering.set()
    while not zone.heard:
        await asyncio.sleep(0)
    assert zone.heard == [(("10.0.0.1",), ("10.0.0.2",))]


async def test_never_resolved() -> None:
    """Without an address there is none; the name is asked for again by the next who needs it."""
    zone = Zone(FOREVER)
    zone.said = MISSING
    with pytest.raises(socket.gaierror):
        await zone.addresses()
    zone.said = ["10.0.0.1"]
    assert await zone.addresses() == ("10.0.0.1",)
    zone.resolver.close()


async def test_many_ask_once() -> None:
    """Whoever comes while a question is under way waits for its answer."""
    zone = Zone(ALWAYS)
    assert set(await asyncio.gather(*(zone.addresses() for _ in range(20)))) == {("10.0.0.1",)}
    assert zone.asked == 1


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("127.0.0.1", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("localhost", True),
        ("1.2.3", True),
    ],
)
def test_is_name(host: str, name: bool) -> None:
    """Addresses are not resolved."""
    assert is_name(host) is name
