"""The metrics as length-delimited protobuf messages, in which Prometheus takes native histograms.

No library: prometheus_client writes text only, and protobuf is larger than the dozen fields of one
message. Source: io/prometheus/client/metrics.proto (numbers of fields), protobuf's encoding.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import TypeAlias

from prometheus_client.core import Metric, Sample

from sidecar.telemetry.native_histograms import ZERO, ZERO_THRESHOLD, coarser

CONTENT_TYPE = (
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
)
_COUNTER, _GAUGE, _HISTOGRAM = 0, 1, 4

Sparse: TypeAlias = Mapping[str, Mapping[int, float]]
"""Metric -> bucket -> count; see `native_histograms`."""


def wanted(accept: str) -> bool:
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


def exposed(families: Iterable[Metric], sparse: Sparse) -> bytes:
    """These metrics, each behind its length; histograms with their sparse buckets too."""
    return b"".join(_sized(_family(family, sparse)) for family in families if family.samples)


def _family(family: Metric, sparse: Sparse) -> bytes:
    kind = {"counter": _COUNTER, "histogram": _HISTOGRAM}.get(family.type, _GAUGE)
    if kind == _HISTOGRAM:
        name, metrics = family.name, [_histogram(family.samples, sparse.get(family.name, {}))]
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
