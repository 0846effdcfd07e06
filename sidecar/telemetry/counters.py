"""What is counted: single numbers, and durations by bucket."""

from __future__ import annotations

from bisect import bisect_left

from sidecar.telemetry.metric_table import BUCKETS, FASTEST, Labels
from sidecar.telemetry.native_histograms import bucket_of


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
