"""Several workers behind one address are one sidecar: one switch, one sum, one end."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sidecar.runtime import request_server
from sidecar.runtime.request_server import _WORKER, Workers
from sidecar.settings import Settings
from sidecar.telemetry import Events, Metrics, Telemetry
from tests.e2e import wire
from tests.e2e.conftest import ENFORCED, POLICY, Start
from tests.e2e.processes import Service, until
from tests.e2e.running import Sidecar
from tests.portion import full
from tests.telemetry import Collected
from tests.telemetry.families import ACCEPT, buckets, decoded

WORKERS = 2
ASKED = 40


@pytest.fixture(scope="module")
def _several(begin: Start, shop: Service) -> Sidecar:
    return begin(
        POLICY,
        shop.url,
        workers=WORKERS,
        metrics={"native_histograms": True},
        log={"events_per_second": 10_000},
    )


@pytest.fixture
def several(_several: Sidecar) -> Sidecar:
    """A sidecar of two workers, in report-only; shared by tests that leave the parent standing."""
    _several.put(POLICY)
    return _several


def children(sidecar: Sidecar) -> list[int]:
    """The workers' process ids."""
    return [
        int(pid)
        for pid in (
            Path(f"/proc/{sidecar.child.pid}/task/{sidecar.child.pid}/children").read_text().split()
        )
    ]


def runs(pid: int) -> bool:
    """True until the process has ended; one that nobody has waited for yet has ended too."""
    try:
        return " Z " not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


def marks(sidecar: Sidecar, target: str = "/") -> set[str | None]:
    """What many fresh connections get to see."""
    return {sidecar.get(target).value("X-Policy-Mark") for _ in range(ASKED)}


def test_all_switch_together_and_are_summed(several: Sidecar, shop: Service) -> None:
    """An edit enforces in every worker, a rollback restores in every worker, metrics are the sum
    and events come from one stdout.
    """
    assert len(children(several)) == WORKERS
    assert "[+] workers" in several.ready()[1]
    violations, since = (
        several.metric("sidecar_violations_total", rule="mark", mode="report-only"),
        len(several.events()),
    )
    assert marks(several, "/nowhere") == {None}
    assert (
        several.metric("sidecar_violations_total", rule="mark", mode="report-only")
        == violations + ASKED
    )
    until(
        lambda: len(several.reported("header.would_change", since, url_path="/nowhere")) == ASKED,
        "every worker's events on the one stdout",
    )
    several.put(ENFORCED)
    changes = several.metric("sidecar_header_changes_total", rule="mark")
    assert marks(several) == {"one"}
    assert several.metric("sidecar_header_changes_total", rule="mark") == changes + ASKED
    assert several.verb("rollback").returncode == 0
    assert marks(several) == {None}
    assert several.get("/").stable == wire.get(shop.address, "/").stable


def test_native_histograms_are_summed(several: Sidecar) -> None:
    """A scrape that asks for them gets the durations that all workers saw."""

    def seen() -> int:
        scrape = wire.get(several.health, "/metrics", ("Accept", ACCEPT))
        histogram = decoded(scrape.body)["sidecar_request_duration_seconds"].metric[0].histogram
        assert histogram.zero_count + sum(buckets(histogram).values()) == histogram.sample_count
        return int(histogram.sample_count)

    before = seen()
    marks(several)
    assert seen() == before + ASKED


def test_a_dead_worker_is_replaced_under_the_same_policy(several: Sidecar) -> None:
    """A worker that is killed is reported, replaced, and serves the revision that is in force;
    no count is lost.
    """
    several.put(ENFORCED)
    assert marks(several) == {"one"}
    counted = several.metric("sidecar_responses_total", origin="upstream")
    killed, since = children(several)[0], len(several.events())
    os.kill(killed, signal.SIGKILL)
    assert several.event("worker.died", since)["pid"] == killed
    several.event("worker.replaced", since)
    assert killed not in children(several)
    assert marks(several) == {"one"}
    assert several.metric("sidecar_responses_total", origin="upstream") >= counted + ASKED


def test_the_counts_of_killed_workers_stay(several: Sidecar) -> None:
    """What workers served while nobody asked them for their counts is kept when they are killed,
    but for the last moment.
    """
    before = several.metric("sidecar_responses_total", origin="upstream")
    workers, since = children(several), len(several.events())
    several.signal(signal.SIGSTOP)  # the parent asks nothing from here on
    try:
        for _ in range(500):
            assert several.get("/").status == 200
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        until(lambda: not any(map(runs, workers)), "the workers are gone")
    finally:
        several.signal(signal.SIGCONT)
    until(lambda: len(several.reported("worker.replaced", since)) == WORKERS, "they are replaced")
    assert several.metric("sidecar_responses_total", origin="upstream") > before


def test_a_stuck_worker_holds_up_no_rollback(several: Sidecar) -> None:
    """The others have gone back when the order returns, and it obeys when it goes on."""
    several.put(ENFORCED)
    stuck, since = children(several)[0], len(several.events())
    os.kill(stuck, signal.SIGSTOP)
    try:
        assert several.order("/-/rollback", reason="stuck").status == 200
        assert several.event("worker.late", since)["pid"] == stuck
    finally:
        os.kill(stuck, signal.SIGCONT)
    until(lambda: marks(several) == {None}, "all have gone back")
    assert stuck in children(several)


@full
def test_a_worker_that_stays_stuck_is_replaced(several: Sidecar) -> None:
    """Its clients would wait for ever."""
    several.put(ENFORCED)
    stuck, since = children(several)[0], len(several.events())
    os.kill(stuck, signal.SIGSTOP)
    assert several.order("/-/rollback", reason="stuck").status == 200
    assert several.event("worker.stuck", since)["pid"] == stuck
    several.event("worker.replaced", since)
    assert stuck not in children(several)
    assert marks(several) == {None}


def test_term_drains_all(start: Start, shop: Service) -> None:
    """TERM lets the request in flight in a worker finish, and all processes end."""
    several = start(POLICY, shop.url, workers=WORKERS)
    with wire.Line(several.listen) as line:
        line.send(wire.request("GET", "/held/workers"))
        until(lambda: several.metric("sidecar_requests_in_flight") == 1, "in flight")
        workers = children(several)
        several.signal(signal.SIGTERM)
        several.event("service.draining")
        shop.open_gate("workers")
        assert line.response().status == 200
    assert several.child.wait() == 0
    until(lambda: not any(map(runs, workers)), "the workers are gone")


def test_a_worker_that_is_still_loading_leaves_signals_to_its_parent():
    """A terminal sends Ctrl-C to both: the worker printed where it was."""
    ignoring, _, loading = _WORKER.partition("import gc\n")
    kills = "import os, signal\nfor number in (1, 2, 10, 12, 15): os.kill(os.getpid(), number)"
    done = subprocess.run(
        [sys.executable, "-c", ignoring + kills], capture_output=True, text=True, check=False
    )

    assert loading.startswith("gc.disable()")
    assert (done.returncode, done.stderr) == (0, "")


async def test_a_worker_that_does_not_start_is_missing(monkeypatch: pytest.MonkeyPatch):
    """It does not stand among the living: nobody would wait for its counts."""
    monkeypatch.setattr(request_server, "_WORKER", "raise SystemExit(3)")
    telemetry = Telemetry(Events(Collected()), Metrics(process=False))
    workers = Workers(Settings(workers=WORKERS, listen="127.0.0.1:0"), telemetry)

    with pytest.raises(OSError, match="a worker did not start"):
        await workers.start()
    assert workers.missing() == WORKERS
