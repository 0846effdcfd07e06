"""Everything that must happen by a time, under one timer: setting a deadline costs two attributes,
or a dictionary entry.

Its precision is one tick.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, Protocol, TypeVar

from sidecar.settings import RouteTimeouts, Timeouts

if TYPE_CHECKING:
    from sidecar.proxy.downstream import Downstream

T = TypeVar("T")
Error = Callable[[], Exception]

NEVER: Final = float("inf")

_NEVER: tuple[float, Error] = (NEVER, TimeoutError)


class Expiring(Protocol):
    """A future or a stream: something that takes an exception in place of what was waited for."""

    def set_exception(self, error: Exception, /) -> None:
        """End the waiting with this error."""


class Deadlines:
    """Deadlines by the thing they end; swept once a tick while there are any, so that an idle
    process sleeps. `timed` are the clients' connections, which keep their own in `due` and are
    ended with `late()` when it has passed; `watch` adds one.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, tick: float) -> None:
        self._loop = loop
        self._tick = tick
        self._entries: dict[Expiring, tuple[float, Error]] = {}
        self.timed: set[Downstream] = set()
        self._timer: asyncio.TimerHandle | None = None

    def watch(self, timed: Downstream) -> None:
        """End it when it is due, until it is discarded from `timed`."""
        self.timed.add(timed)
        self._wake()

    def set(self, waiting: Expiring, seconds: float, error: Error) -> None:
        """End `waiting` with `error()` in `seconds`, or move its deadline there."""
        self._entries[waiting] = (self._loop.time() + seconds, error)
        self._wake()

    def drop(self, waiting: Expiring) -> None:
        """Forget the deadline, if it stands."""
        self._entries.pop(waiting, None)

    async def wait(self, future: asyncio.Future[T], seconds: float, error: Error) -> T:
        """The future's result, or `error()` raised after `seconds`."""
        self.set(future, seconds, error)
        try:
            return await future
        finally:
            self._entries.pop(future, None)

    def close(self) -> None:
        """Stop the timer."""
        if self._timer is not None:
            self._timer.cancel()

    def _wake(self) -> None:
        if self._timer is None:
            self._timer = self._loop.call_later(self._tick, self._sweep)

    def _sweep(self) -> None:
        self._timer = None
        now = self._loop.time()
        for timed in tuple(self.timed):
            if timed.due <= now:
                timed.set_exception(timed.late())
        for waiting in [waiting for waiting, (when, _) in self._entries.items() if when <= now]:
            when, error = self._entries.get(waiting, _NEVER)
            if when > now:
                continue  # one that was ended just now has gone on, and moved or dropped it
            if not isinstance(waiting, asyncio.Future):
                # It stays until it is dropped: a stream may miss the first word.
                waiting.set_exception(error())
                continue
            self.drop(waiting)
            if not waiting.done():
                waiting.set_exception(error())
        if self.timed or self._entries:
            self._wake()


def tick_for(timeouts: Timeouts) -> float:
    """The precision that timeouts need, in seconds: a tenth of the shortest, from 0.02 to 0.5."""
    each = [timeouts.header, timeouts.body_idle, timeouts.connect, timeouts.tunnel_idle]
    parts: tuple[Timeouts | RouteTimeouts, ...] = (timeouts, *timeouts.routes.values())
    for part in parts:
        each += [seconds for seconds in (part.response, part.idle) if seconds is not None]
    return min(0.5, max(0.02, min(each) / 10))
