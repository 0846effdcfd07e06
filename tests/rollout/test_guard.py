"""The guard: worse responses after an activation that enforces more take it back, once."""

import pytest

from sidecar.policy.model import Guard
from sidecar.rollout.guard import ActivationWatch, Counts, compare, enforces_more
from sidecar.telemetry import Metrics
from tests.policy.making import plan

RULE = {"header": "X-Odd", "action": "set", "value": "1"}
BEFORE = Counts(responses=1000, client_errors=50, server_errors=5, upstream_errors=1)


@pytest.mark.parametrize(
    ("case", "before", "now", "signal"),
    [
        ("as before", BEFORE, Counts(1000, 50, 5, 1), None),
        ("one point more of 5xx is allowed", BEFORE, Counts(1000, 50, 20, 1), None),
        ("three points more are not", BEFORE, Counts(1000, 50, 36, 1), "server_errors"),
        ("exchanges that fail", BEFORE, Counts(100, 5, 0, 10), "upstream_errors"),
        ("nothing but failed exchanges", BEFORE, Counts(0, 0, 0, 60), "upstream_errors"),
        ("a shift to 4xx", BEFORE, Counts(100, 20, 0, 0), "client_errors"),
        ("too little to judge", BEFORE, Counts(49, 49, 49, 0), None),
        (
            "no time before: server faults count from nothing",
            Counts(),
            Counts(100, 0, 3, 0),
            "server_errors",
        ),
        ("no time before: client errors say nothing", Counts(), Counts(100, 90, 0, 0), None),
    ],
)
def test_signals(case: str, before: Counts, now: Counts, signal: str | None):
    """Shares are compared with the time before, in points."""
    breach = compare(before, now, Guard())

    assert (breach.signal if breach else None) == signal, case


@pytest.mark.parametrize(
    ("before", "after", "more"),
    [
        ({"mode": "report-only"}, {"mode": "enforce"}, True),
        ({"mode": "enforce"}, {"mode": "report-only"}, False),
        ({"mode": "enforce"}, {"mode": "enforce"}, False),
        ({"mode": "enforce"}, {"mode": "enforce", "rules": {"it": RULE | {"value": "2"}}}, True),
        ({"mode": "enforce"}, {"mode": "enforce", "rules": {}}, False),
        (
            {"mode": "enforce"},
            {"mode": "enforce", "rules": {"it": RULE | {"reason": "said better"}}},
            False,
        ),
    ],
)
def test_enforcing_more(before: dict[str, object], after: dict[str, object], more: bool):
    """Only a rule that enforces now and did not so before starts a watch."""
    made = [plan(**({"rules": {"it": RULE}} | known)) for known in (before, after)]

    assert enforces_more(*made) is more


class Harness:
    """A watch over counters that the test moves, and a clock that it sets."""

    def __init__(self) -> None:
        self.now = 0.0
        self.metrics = Metrics(process=False)
        self.watch = ActivationWatch(self.metrics, lambda: self.now)
        self.report_only, self.enforce = (
            plan({"it": RULE}, mode=mode) for mode in ("report-only", "enforce")
        )
        self.metrics.bind(self.enforce)

    def second(self, good: int = 0, bad: int = 0) -> str | None:
        """One second with so many responses; the signal of the breach, if there was one."""
        self.now += 1
        self.metrics.counter("sidecar_responses_total", "default", "2xx", "upstream").n += good
        self.metrics.counter("sidecar_responses_total", "default", "5xx", "upstream").n += bad
        breach = self.watch.tick()
        return breach.signal if breach else None

    @property
    def watching(self) -> bool:
        """What the gauge says."""
        return self.metrics.value("sidecar_guard_watching") == 1


def test_a_breach_is_reported_once():
    """After it the watch is over, so nothing flaps."""
    harness = Harness()
    harness.watch.activated("r1", harness.report_only, Guard())
    for _ in range(5):
        harness.second(good=100)
    harness.watch.activated("r2", harness.enforce, Guard())

    data = [harness.second(bad=30) for _ in range(4)]

    assert data == [None, "server_errors", None, None]
    assert harness.watch.before == "r1"
    assert not harness.watching


def test_the_watch_ends_with_its_window():
    """What comes later is not laid at the activation's door."""
    harness = Harness()
    harness.watch.activated("r1", harness.report_only, Guard())
    harness.watch.activated("r2", harness.enforce, Guard(window=10.0))
    for _ in range(11):
        assert harness.second(good=100) is None
    assert not harness.watching

    assert [harness.second(bad=100) for _ in range(3)] == [None, None, None]


def test_off_by_a_word():
    """`guard: off` starts no watch, and ends one."""
    harness = Harness()
    harness.watch.activated("r1", harness.report_only, "off")
    harness.watch.activated("r2", harness.enforce, Guard())
    assert harness.watching

    harness.watch.activated("r3", harness.enforce, "off")

    assert not harness.watching
    assert harness.second(bad=100) is None


def test_going_back_ends_the_watch():
    """After a rollback there is nothing left to watch."""
    harness = Harness()
    harness.watch.activated("r1", harness.report_only, Guard())
    harness.watch.activated("r2", harness.enforce, Guard())

    harness.watch.activated("r1", harness.report_only, Guard())

    assert not harness.watching


def test_own_responses_do_not_fire_it():
    """Requests that the sidecar refuses, as a client may send at will, are no signal."""
    harness = Harness()
    harness.watch.activated("r1", harness.report_only, Guard())
    harness.watch.activated("r2", harness.enforce, Guard())
    harness.metrics.counter("sidecar_responses_total", "default", "5xx", "sidecar").n += 1000

    assert harness.second(good=100) is None
