"""What is counted: single numbers, and durations by bucket; and a limit on events per second.

Of the exponential buckets of native histograms only those that hold something are kept. Source:
Prometheus, Native Histograms (specification), section Schema.
"""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Mapping
from math import ceil, log2
from typing import Final

from sidecar.telemetry.metric_table import BUCKETS, FASTEST, Labels

SCHEMA: Final = 4
"""As the durations are counted: each power of two is cut into 2 ** SCHEMA buckets, so a quantile
is at most 2.2 % off. Bucket n ends at 2 ** (n / 2 ** SCHEMA) seconds, that end included.
"""
_CUTS: Final = 2**SCHEMA
ZERO: Final = -20 * _CUTS
"""The bucket of all that took 2 ** -20 seconds (about a microsecond) or less."""
ZERO_THRESHOLD: Final = 2.0**-20
_LAST: Final = 17 * _CUTS
"""The bucket of all that took longer than a day and a half, too. So there are 593 at most."""
MOST: Final = 160
"""Buckets that leave in one histogram."""


def bucket_of(seconds: float) -> int:
    """The bucket of a duration."""
    return ZERO if seconds <= ZERO_THRESHOLD else min(ceil(log2(seconds) * _CUTS), _LAST)


def coarser(buckets: Mapping[int, float]) -> tuple[int, Mapping[int, float]]:
    """The schema at which these buckets are no more than MOST, and the buckets: at each lower
    schema two neighbours become one.
    """
    schema = SCHEMA
    while len(buckets) > MOST:
        halved: dict[int, float] = {}
        for at, count in buckets.items():
            half = (at + 1) // 2
            halved[half] = halved.get(half, 0.0) + count
        schema, buckets = schema - 1, halved
    return schema, buckets


class Counter:
    """One number, and the series that it is exposed as; without one it is not exposed."""

    __slots__ = ("labels", "metric", "n")

    def __init__(self, metric: str = "", labels: Labels = ()) -> None:
        self.metric, self.labels = metric, labels
        self.n = 0.0


class Histogram:
    """Counts by bucket, and the sum. `sparse`: and by the exponential buckets of a native
    histogram; None = nobody asks for these.
    """

    __slots__ = ("_fastest", "_slower", "sparse", "total")

    def __init__(self, *, native: bool = False) -> None:
        self._fastest = 0.0
        self._slower = [0.0] * (len(BUCKETS) + 1)
        self.total = 0.0
        self.sparse: dict[int, float] | None = {} if native else None

    @property
    def counts(self) -> list[float]:
        """By bucket."""
        return [self._fastest, *self._slower[1:]]

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        if seconds <= FASTEST:
            self._fastest += 1.0
        else:
            self._slower[bisect_left(BUCKETS, seconds)] += 1.0
        self.total += seconds
        sparse = self.sparse
        if sparse is not None:
            at = bucket_of(seconds)
            sparse[at] = sparse.get(at, 0.0) + 1.0


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
