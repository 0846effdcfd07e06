"""The metrics as text for Prometheus; loaded by the first scrape."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.exposition import CONTENT_TYPE_LATEST as CONTENT_TYPE
from prometheus_client.registry import Collector

from sidecar.telemetry.metric_table import BUCKETS, METRICS, Labels, Metric

__all__ = ["CONTENT_TYPE", "exposed", "families"]


def exposed(cells: Mapping[str, Mapping[Labels, list[float]]], *, process: bool) -> bytes:
    """Every metric of the table with its cells; `process`: and what this process says of itself."""
    registry = CollectorRegistry()
    registry.register(_Cells(cells))
    return generate_latest(registry) + (generate_latest(_itself()) if process else b"")


def families(
    cells: Mapping[str, Mapping[Labels, list[float]]], *, process: bool
) -> Iterator[PrometheusMetric]:
    """The same, one by one."""
    yield from _Cells(cells).collect()
    if process:
        yield from _itself().collect()


@cache
def _itself() -> CollectorRegistry:
    registry = CollectorRegistry()
    for made in (ProcessCollector, PlatformCollector, GCCollector):
        made(registry=registry)
    return registry


class _Cells(Collector):
    def __init__(self, cells: Mapping[str, Mapping[Labels, list[float]]]) -> None:
        self._cells = cells

    def collect(self) -> Iterator[CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily]:
        for name, row in METRICS.items():
            if row.kind == "histogram":
                yield _histogram_family(name, row, self._cells[name][()])
                continue
            make = CounterMetricFamily if row.kind == "counter" else GaugeMetricFamily
            family = make(name, row.help, labels=row.labels)
            for labels, numbers in self._cells[name].items():
                family.add_metric(labels, numbers[0])
            yield family


def _histogram_family(name: str, row: Metric, numbers: list[float]) -> HistogramMetricFamily:
    running, buckets = 0.0, []
    for bound, count in zip((*map(str, BUCKETS), "+Inf"), numbers, strict=False):
        running += count
        buckets.append((bound, running))
    family = HistogramMetricFamily(name, row.help)
    family.add_metric((), buckets, numbers[-1])
    return family
