"""Native histograms: which bucket, how many, and the bytes in which Prometheus takes them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.telemetry import exposition
from sidecar.telemetry.counters import (
    MOST,
    SCHEMA,
    ZERO,
    ZERO_THRESHOLD,
    bucket_of,
    coarser,
)
from sidecar.telemetry.metric_table import METRICS
from sidecar.telemetry.metrics import Metrics
from tests.admin import control
from tests.telemetry.families import ACCEPT, buckets, decoded, plain

NAME = "sidecar_request_duration_seconds"
TEXT = "text/plain"
OURS = exposition.MESSAGES


def end(bucket: int, schema: int = SCHEMA) -> float:
    """Where a bucket ends, in seconds."""
    return 2.0 ** (bucket / 2**schema)


def measured(*durations: float) -> Metrics:
    """Metrics of one process that saw these."""
    made = Metrics(process=False, native=True)
    for seconds in durations:
        made.histogram(NAME).observe(seconds)
    return made


@given(st.floats(ZERO_THRESHOLD, 100_000, exclude_min=True))
def test_a_duration_lies_in_its_bucket(seconds: float):
    """Above the end of the bucket before, not above its own; but for what a double rounds."""
    at = bucket_of(seconds)

    assert end(at - 1) * (1 - 1e-12) < seconds <= end(at) * (1 + 1e-12)


@pytest.mark.parametrize("power", range(-19, 18))
def test_a_power_of_two_ends_its_bucket(power: int):
    """Where doubles are exact, so are the buckets."""
    assert bucket_of(2.0**power) == power * 2**SCHEMA


@pytest.mark.parametrize("seconds", [-1.0, 0.0, 1e-9, ZERO_THRESHOLD])
def test_what_took_no_time_is_in_the_zero_bucket(seconds: float):
    """A clock may even step back."""
    assert bucket_of(seconds) == ZERO


def test_what_takes_for_ever_is_in_the_last_bucket():
    """So that the number of buckets is bounded whatever comes."""
    assert bucket_of(1e300) == bucket_of(2.0**17)


@given(st.dictionaries(st.integers(ZERO + 1, 17 * 2**SCHEMA), st.integers(1, 1000)))
def test_fewer_buckets_hold_the_same(given: dict[int, int]):
    """No more than may leave, none is lost, and each lies in the one that it became a part of."""
    schema, found = coarser(given)

    assert len(found) <= MOST
    assert sum(found.values()) == sum(given.values())
    assert len(given) > MOST or (schema, found) == (SCHEMA, given)
    for at in given:
        assert math.ceil(at / 2 ** (SCHEMA - schema)) in found


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_bytes_say_what_was_counted(durations: list[float]):
    """Count, sum, zero bucket and sparse buckets, as another library reads them."""
    family = decoded(measured(*durations).render(messages=True))[NAME]
    histogram = family.metric[0].histogram
    found = buckets(histogram)

    assert histogram.sample_count == len(durations)
    assert histogram.sample_sum == pytest.approx(sum(durations))
    assert histogram.zero_count == sum(seconds <= ZERO_THRESHOLD for seconds in durations)
    assert histogram.zero_count + sum(found.values()) == len(durations)
    assert set(found) == {bucket_of(seconds) for seconds in durations} - {ZERO}
    assert histogram.bucket[-1].cumulative_count == len(durations)
    assert histogram.bucket[-1].upper_bound == math.inf


def test_decoded_bytes_are_as_written_here():
    """Spans by their distance, counts by their differences, classic buckets beside."""
    made = measured(0.0, 0.25, 0.25, 0.25, 0.26, 1.0)
    family = plain(decoded(made.render(messages=True))[NAME])
    histogram = family["metric"][0]["histogram"]
    classic = histogram.pop("bucket")

    assert family | {"metric": []} == {
        "name": NAME,
        "help": METRICS[NAME].help,
        "type": 4,
        "metric": [],
    }
    assert histogram == {
        "sample_count": "6",
        "sample_sum": 2.01,
        "schema": 4,
        "zero_threshold": 2.0**-20,
        "zero_count": "1",
        "positive_span": [{"offset": -32, "length": 2}, {"offset": 30, "length": 1}],
        "positive_delta": ["3", "-2", "0"],
    }
    assert classic[6:9] == [
        {"cumulative_count": "1", "upper_bound": 0.1},
        {"cumulative_count": "4", "upper_bound": 0.25},
        {"cumulative_count": "5", "upper_bound": 0.5},
    ]


def test_everything_else_is_there_too():
    """Each series of the text, those of the process included, under the same name and labels."""
    made = Metrics(native=True)
    made.counter("sidecar_mode", "enforce").n = 1.0
    made.counter("sidecar_browser_reports_total", "csp-violation", 'a "\n\\', "enforce").n = 2.0
    found = {
        (family.name, tuple((pair.name, pair.value) for pair in metric.label)): metric
        for family in decoded(made.render(messages=True)).values()
        for metric in family.metric
    }
    names = {name for name, _ in found}
    reported = (("type", "csp-violation"), ("directive", 'a "\n\\'), ("disposition", "enforce"))

    assert found["sidecar_mode", (("mode", "enforce"),)].gauge.value == 1
    assert found["sidecar_browser_reports_total", reported].counter.value == 2
    assert names >= {"process_cpu_seconds_total", "python_info"}
    assert {name for name in METRICS if made.summed()[name]} == names & METRICS.keys()


def test_processes_are_summed():
    """Buckets of a worker's snapshot, as it comes over the channel, are added one by one."""
    parent, worker = measured(0.25, 1.0), measured(0.25, 3.0)
    sent = json.loads(json.dumps(worker.snapshot()))
    parent.others = [
        {name: [(tuple(labels), numbers) for labels, numbers in cells]}
        for name, cells in sent.items()
    ]
    histogram = decoded(parent.render(messages=True))[NAME].metric[0].histogram

    assert (histogram.sample_count, histogram.sample_sum) == (4, 4.5)
    assert buckets(histogram) == {bucket_of(0.25): 2, bucket_of(1.0): 1, bucket_of(3.0): 1}


def test_without_the_setting_nothing_is_kept():
    """A request counts in classic buckets alone."""
    made = Metrics(process=False)
    made.histogram(NAME).observe(1.0)

    assert made.histogram(NAME).sparse is None
    assert [labels for labels, _ in made.snapshot()[NAME]] == [()]


@pytest.mark.parametrize(
    ("accept", "wanted"),
    [
        (ACCEPT, True),
        (OURS, True),
        (OURS.upper(), True),
        (f"{OURS};escaping=allow-utf-8;q=0.6,{TEXT};q=0.3", True),
        (f"{OURS};q=0.5,{TEXT};q=0.5", True),
        (f"{OURS};q=0.4,{TEXT};q=0.5", False),
        (f"{OURS};q=0", False),
        (f"{OURS};q=much", False),
        ("application/vnd.google.protobuf", False),
        (OURS.replace("delimited", "text"), False),
        (f"{TEXT},*/*;q=0.1", False),
        ("*/*", False),
        ("", False),
    ],
)
def test_the_format_is_for_those_who_ask(accept: str, wanted: bool):
    """With its message and its framing, and no less gladly than text."""
    assert exposition.wants_messages(accept) is wanted


@pytest.mark.parametrize("native", [True, False])
async def test_a_scrape_gets_what_it_asks_for(tmp_path: Path, native: bool):
    """On both listeners; text where the setting is off, whatever is asked."""
    async with control(tmp_path) as admin:
        admin.telemetry.metrics.native = native
        for base in (admin.url, admin.health):
            for accept, expected in ((ACCEPT, OURS if native else TEXT), (TEXT, TEXT)):
                headers = {"Accept": accept}
                async with admin.http.get(f"{base}/metrics", headers=headers) as response:
                    given = response.headers["Content-Type"].replace(" ", "")
                    data = await response.read()
                assert given.startswith(expected.replace(" ", ""))
                if expected == OURS:
                    assert decoded(data)["sidecar_mode"]
