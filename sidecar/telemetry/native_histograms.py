"""Native histograms: exponential buckets, of which only those that hold something are kept.

Source: Prometheus, Native Histograms (specification), section Schema.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, log2
from typing import Final

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
