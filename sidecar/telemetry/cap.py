"""A limit on events per second: `Cap`."""

from __future__ import annotations

import time
from collections.abc import Callable


class Cap:
    """So many events a second: all at once after a quiet second, evenly under load.

    `missed` counts those refused. Were all of them allowed when a second begins, each request after
    them would wait until they are written. This is the generic cell rate algorithm (ITU-T I.371):
    `_due` is when the events allowed so far would have come one by one.
    """

    __slots__ = ("_clock", "_due", "_each", "_saved", "missed")

    def __init__(self, per_second: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._each = 1 / per_second if per_second else float("inf")
        self._saved = 1 - self._each + 1e-9
        self._due = 0.0
        self.missed = 0

    def free(self) -> bool:
        """Whether there is a place; who asks and finds none has missed it."""
        if self._due > self._clock() + self._saved:
            self.missed += 1
            return False
        return True

    def take(self) -> bool:
        """Take a place; False when there is none."""
        if not self.free():
            return False
        self._due = max(self._due, self._clock()) + self._each
        return True
