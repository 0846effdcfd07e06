"""What is counted: single numbers, and durations by bucket. Must not know what they are of."""

from __future__ import annotations

from bisect import bisect_left

from sidecar.telemetry.metric_table import BUCKETS, FASTEST, Labels


class Counter:
    """One number, and the series that it is exposed as; without one it is not exposed."""

    __slots__ = ("labels", "metric", "n")

    def __init__(self, metric: str = "", labels: Labels = ()) -> None:
        self.metric, self.labels = metric, labels
        self.n = 0.0


class Histogram:
    """Counts by bucket, and the sum."""

    __slots__ = ("counts", "total")

    def __init__(self) -> None:
        self.counts = [0.0] * (len(BUCKETS) + 1)
        self.total = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self.counts[0 if seconds <= FASTEST else bisect_left(BUCKETS, seconds)] += 1.0
        self.total += seconds
