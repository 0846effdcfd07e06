"""The metrics for Prometheus, as text or as length-delimited protobuf messages, in which it takes
native histograms; loaded by the first scrape.

No library: prometheus_client writes text only, and protobuf is larger than the dozen fields of one
message. Source: io/prometheus/client/metrics.proto (numbers of fields), protobuf's encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import groupby
from typing import TypeAlias

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Sample,
)
from prometheus_client.core import Metric as PrometheusMetric
from prometheus_client.exposition import CONTENT_TYPE_LATEST as TEXT
from prometheus_client.registry import Collector

from sidecar.telemetry.counters import ZERO, ZERO_THRESHOLD, coarser
from sidecar.telemetry.metric_table import BUCKETS, METRICS, Labels, Metric

__all__ = ["MESSAGES", "TEXT", "as_messages", "as_text", "wants_messages"]

Cells: TypeAlias = Mapping[str, Mapping[Labels, list[float]]]
"""By metric and labels; a histogram's: its buckets, and the sum."""


def as_text(cells: Cells, *, process: bool) -> bytes:
    """Every metric of the table with its cells; `process`: and what this process says of itself."""
    registry = CollectorRegistry()
    registry.register(_Cells(cells))
    return generate_latest(registry) + (generate_latest(_itself()) if process else b"")


def as_messages(cells: Cells, *, process: bool) -> bytes:
    """The same, each metric behind its length; histograms with their sparse buckets, which stand
    in `cells` beside the histogram's own, each with its number as the label.
    """
    found = [*_Cells(cells).collect(), *(_itself().collect() if process else ())]
    return b"".join(
        _sized(_family(family, cells.get(family.name, {}))) for family in found if family.samples
    )


@cache
def _itself() -> CollectorRegistry:
    registry = CollectorRegistry()
    for made in (ProcessCollector, PlatformCollector, GCCollector):
        made(registry=registry)
    return registry


class _Cells(Collector):
    def __init__(self, cells: Cells) -> None:
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


MESSAGES = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)
_COUNTER, _GAUGE, _HISTOGRAM = 0, 1, 4


def wants_messages(accept: str) -> bool:
    """Whether a client takes this format, and text not rather (RFC 9110 section 12.5.1)."""
    ours = text = 0.0
    for item in accept.lower().split(","):
        kind, *words = (word.strip() for word in item.split(";"))
        said = dict(word.partition("=")[::2] for word in words)
        weight = _weight(said.get("q", "1"))
        asked = said.get("proto"), said.get("encoding")
        if kind == "text/plain":
            text = max(text, weight)
        elif kind == "application/vnd.google.protobuf" and asked == (
            "io.prometheus.client.metricfamily",
            "delimited",
        ):
            ours = max(ours, weight)
    return ours > 0 and ours >= text


def _family(family: PrometheusMetric, cells: Mapping[Labels, list[float]]) -> bytes:
    kind = {"counter": _COUNTER, "histogram": _HISTOGRAM}.get(family.type, _GAUGE)
    if kind == _HISTOGRAM:
        sparse = {int(labels[0]): numbers[0] for labels, numbers in cells.items() if labels}
        name, metrics = family.name, [_histogram(family.samples, sparse)]
    else:
        name = family.samples[0].name  # a counter's ends in _total
        field = 3 if kind == _COUNTER else 2
        metrics = [
            _labels(sample.labels) + _part(field, _double(1, sample.value))
            for sample in family.samples
        ]
    head = _text(1, name) + _text(2, family.documentation) + _whole(3, kind)
    return head + b"".join(_part(4, metric) for metric in metrics)


def _labels(labels: Mapping[str, str]) -> bytes:
    return b"".join(_part(1, _text(1, name) + _text(2, value)) for name, value in labels.items())


def _histogram(samples: Iterable[Sample], sparse: Mapping[int, float]) -> bytes:
    """A metric without labels. Its count is that of the sparse buckets, as Prometheus demands;
    the classic ones may have been read a moment earlier.
    """
    classic, found = b"", {}
    for sample in samples:
        if "le" in sample.labels:
            bound = float(sample.labels["le"])
            classic += _part(3, _whole(1, int(sample.value)) + _double(2, bound))
        else:
            found[sample.name.rpartition("_")[2]] = sample.value
    zero = int(sparse.get(ZERO, 0))
    schema, buckets = coarser({at: count for at, count in sparse.items() if at != ZERO})
    count = zero + int(sum(buckets.values()))
    return _part(
        7,
        _whole(1, count)
        + _double(2, found["sum"])
        + classic
        + _signed(5, schema)
        + _double(6, ZERO_THRESHOLD)
        + _whole(7, zero)
        + b"".join(_spans(buckets)),
    )


def _spans(buckets: Mapping[int, float]) -> Iterator[bytes]:
    """Runs of neighbouring buckets: how far each begins behind the one before, and its length;
    then all counts, each as the difference from the one before.
    """
    end = 0
    for _, run in groupby(enumerate(sorted(buckets)), lambda pair: pair[1] - pair[0]):
        places = [at for _, at in run]
        yield _part(12, _signed(1, places[0] - end) + _whole(2, len(places)))
        end = places[-1] + 1
    before = 0
    for at in sorted(buckets):
        yield _signed(13, int(buckets[at]) - before)
        before = int(buckets[at])


def _weight(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


# Fields of a message: number and wire type, then the value.


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 0x7F:
        made.append(number & 0x7F | 0x80)
        number >>= 7
    made.append(number)
    return bytes(made)


def _whole(field: int, number: int) -> bytes:
    return _varint(field << 3) + _varint(number)


def _signed(field: int, number: int) -> bytes:
    return _whole(field, number * 2 if number >= 0 else -number * 2 - 1)


def _double(field: int, number: float) -> bytes:
    return _varint(field << 3 | 1) + struct.pack("<d", number)


def _sized(data: bytes) -> bytes:
    return _varint(len(data)) + data


def _part(field: int, data: bytes) -> bytes:
    return _varint(field << 3 | 2) + _sized(data)


def _text(field: int, text: str) -> bytes:
    return _part(field, text.encode())
