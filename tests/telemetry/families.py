"""Scrapes in protobuf, read by Google's library and the published numbers of fields.

Source: io/prometheus/client/metrics.proto of client_model, the part without summaries and
exemplars.
"""

from typing import Any

from google.protobuf import descriptor_pb2, json_format, message_factory
from google.protobuf.internal.decoder import _DecodeVarint32

from sidecar.telemetry.counters import ZERO_THRESHOLD

ACCEPT = (
    "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited,"
    "application/openmetrics-text;version=1.0.0;q=0.8,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
)
"""What a Prometheus with native histograms sends."""
MESSAGES = {
    "LabelPair": "1 name string, 2 value string",
    "Gauge": "1 value double",
    "Counter": "1 value double",
    "Bucket": "1 cumulative_count uint64, 2 upper_bound double",
    "BucketSpan": "1 offset sint32, 2 length uint32",
    "Histogram": (
        "1 sample_count uint64, 2 sample_sum double, 3 bucket *Bucket, 5 schema sint32,"
        " 6 zero_threshold double, 7 zero_count uint64, 12 positive_span *BucketSpan,"
        " 13 positive_delta *sint64"
    ),
    "Metric": "1 label *LabelPair, 2 gauge Gauge, 3 counter Counter, 7 histogram Histogram",
    "MetricFamily": "1 name string, 2 help string, 3 type int32, 4 metric *Metric",
}
"""Number, name and type of each field; * = repeated."""


def _reader() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="metrics.proto", package="io.prometheus.client")
    for name, fields in MESSAGES.items():
        message = file.message_type.add(name=name)
        for field in fields.split(", "):
            number, called, kind = field.split()
            made = message.field.add(name=called, number=int(number), label=3 if "*" in kind else 1)
            kind = kind.removeprefix("*")
            if kind in MESSAGES:
                made.type, made.type_name = 11, f".io.prometheus.client.{kind}"
            else:
                made.type = getattr(made, f"TYPE_{kind.upper()}")
    return message_factory.GetMessages([file])["io.prometheus.client.MetricFamily"]


READER = _reader()


def decoded(data: bytes) -> dict[str, Any]:
    """The families by name. Raises where a byte is left over, or belongs to no known field."""
    found: dict[str, Any] = {}
    at = 0
    while at < len(data):
        size, at = _DecodeVarint32(data, at)
        family = READER.FromString(data[at : at + size])
        assert family.ByteSize() == size
        assert family.SerializeToString() == data[at : at + size]
        assert family.name not in found
        found[family.name] = family
        at += size
    return found


def plain(family: Any) -> dict[str, Any]:
    """A family as plain data."""
    return json_format.MessageToDict(family, preserving_proto_field_name=True)


def buckets(histogram: Any) -> dict[int, int]:
    """The sparse buckets of a native histogram: number -> count."""
    assert histogram.zero_threshold == ZERO_THRESHOLD
    at, count, found = 0, 0, {}
    deltas = iter(histogram.positive_delta)
    for span in histogram.positive_span:
        at += span.offset
        for _ in range(span.length):
            count += next(deltas)
            found[at] = count
            at += 1
    assert next(deltas, None) is None
    return found
