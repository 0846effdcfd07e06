"""The addresses of the upstream's name, at most so old."""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from typing import Final

STALE: Final = 600.0
"""Seconds for which known addresses are used while the name cannot be resolved."""

PAUSE: Final = 1.0
"""Seconds after a question that failed before the next."""

_UNKNOWN: Final = -float("inf")


def is_name(host: str) -> bool:
    """Whether a host has to be resolved."""
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return True
    return False


class Resolver:
    """One name. After the first use it is asked for again every `age` seconds (0 = at each use), by
    the system's resolver.

    `moved` is called with the old and the new addresses when they differ; `failed` with the error,
    once until it is resolved again. Only one question is under way at a time.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        host: str,
        age: float,
        moved: Callable[[tuple[str, ...], tuple[str, ...]], None],
        failed: Callable[[OSError], None],
    ) -> None:
        self._loop, self._host, self._age = loop, host, age
        self._moved, self._failed = moved, failed
        self._known: tuple[str, ...] = ()
        self._since = self._tried = _UNKNOWN
        self._error: OSError | None = None
        self._asking: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    async def addresses(self, patience: float) -> tuple[str, ...]:
        """The name's addresses in the resolver's order: those known while they are fresh enough, or
        nothing better comes within `patience` seconds.

        Raises:
            OSError: (socket.gaierror is one) when the name has none, or TimeoutError.
        """
        if self._loop.time() - self._since > 1.5 * self._age:
            await self._ask(patience)
        if self._loop.time() - self._since <= max(STALE, 1.5 * self._age):
            return self._known
        raise self._error or TimeoutError()

    async def anew(self, patience: float) -> tuple[str, ...]:
        """The addresses by a question of now, for who could not connect; else those known."""
        await self._ask(patience)
        return self._known

    def close(self) -> None:
        """Ask no more."""
        if self._timer is not None:
            self._timer.cancel()
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, patience: float) -> None:
        if self._known and self._error is not None and self._loop.time() - self._tried < PAUSE:
            return
        await asyncio.wait({self._question()}, timeout=patience)

    def _question(self) -> asyncio.Task[None]:
        if self._asking is None or self._asking.done():
            self._asking = self._loop.create_task(self._resolve())
        return self._asking

    async def _resolve(self) -> None:
        try:
            infos = await self._loop.getaddrinfo(self._host, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            first = self._error is None
            self._error = error if isinstance(error, OSError) else OSError(str(error))
            if first and self._known:
                self._failed(self._error)
        else:
            old = self._known
            self._known = tuple(dict.fromkeys(_written(info[4]) for info in infos))
            self._error, self._since = None, self._loop.time()
            if old and set(old) != set(self._known):
                self._moved(old, self._known)
        self._tried = self._loop.time()
        if self._age:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self._loop.call_later(self._age, self._question)


def _written(address: tuple[object, ...]) -> str:
    """An address as it can be connected to; one of a link keeps its zone."""
    host, zone = str(address[0]), address[3] if len(address) > 3 else 0
    return f"{host}%{zone}" if zone and "%" not in host else host
