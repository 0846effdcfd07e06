"""Native histograms in a real Prometheus: what it says of durations is what they were."""

import asyncio
import json
from pathlib import Path

import pytest

from sidecar.admin.listener import health_app
from sidecar.telemetry import Events, Telemetry
from sidecar.telemetry.counters import SCHEMA
from sidecar.telemetry.metrics import Metrics
from tests.admin import listening
from tests.deploy.files import program
from tests.deploy.fleet import Prometheus
from tests.harness import Collected

NAME = "sidecar_request_duration_seconds"
DURATIONS = [0.01 * 1000 ** (at / 1000) for at in range(1, 1001)]
"""From ten milliseconds to ten seconds, as many in each third."""
WIDTH = 2 ** (1 / 2**SCHEMA)
"""From one end of a bucket to the other."""


def observe(here: Metrics) -> None:
    """Half of it here, half in a worker, whose counts come as over its channel."""
    worker = Metrics(process=False, native=True)
    for at, seconds in enumerate(DURATIONS):
        (worker, here)[at % 2].histogram(NAME).observe(seconds)
    sent = json.loads(json.dumps(worker.snapshot()))
    here.others = [
        {name: [(tuple(labels), numbers) for labels, numbers in cells]}
        for name, cells in sent.items()
    ]


def quantiles(folder: Path, host: str, port: int, here: Metrics) -> dict[float, float]:
    """What a Prometheus says that has seen them come."""
    made = Prometheus(folder, {"native": [(host, port)]}, enable_feature="native-histograms")
    try:
        made.sees(f"histogram_count({NAME}) == 0")
        observe(here)
        made.sees(f"histogram_count(rate({NAME}[1m])) > 0")
        assert made.value(f"histogram_count({NAME})") == len(DURATIONS)
        assert made.value(f"histogram_sum({NAME})") == pytest.approx(sum(DURATIONS))
        made.sees("sidecar_mode")
        assert {target["lastError"] for target in made.ask("targets")["activeTargets"]} == {""}
        return {
            share: made.value(f"histogram_quantile({share}, rate({NAME}[1m]))")
            for share in (0.01, 0.5, 0.9, 0.99)
        }
    finally:
        made.child.ask_to_end()
        made.child.end()


async def test_a_quantile_is_that_of_the_durations(tmp_path: Path):
    """Prometheus takes them as native histograms, and a quantile of their rate is off by no more
    than the width of a bucket.
    """
    program("prometheus")
    here = Metrics(native=True)

    async def ready() -> dict[str, str]:
        return {}

    async def refresh() -> None:
        return None

    telemetry = Telemetry(Events(Collected()), here)
    runner, url = await listening(health_app(ready, telemetry, refresh))
    host, _, port = url.removeprefix("http://").rpartition(":")
    try:
        found = await asyncio.to_thread(quantiles, tmp_path / "prometheus", host, int(port), here)
    finally:
        await runner.cleanup()
    for share, seconds in found.items():
        sent = DURATIONS[int(share * len(DURATIONS)) - 1]
        assert sent / WIDTH < seconds < sent * WIDTH, share
