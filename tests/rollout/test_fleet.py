"""Evidence of a fleet, on a real Prometheus that remembers a day: how long a rule was watched,
and numbers that can be asked for again.
"""

import time
from collections.abc import Iterator

import pytest

from sidecar.rollout.gate import judge
from sidecar.rollout.model import Climb, Evidence, Minimums, Verdict
from sidecar.rollout.prometheus import evidence
from sidecar.rollout.queries import FleetSeries, edited, evaluated, settled, window_since
from tests.deploy.fleet import Prometheus
from tests.portion import FULL, by_default

HOUR = 3600
EDIT = 3 * HOUR
"""How long ago the last pod got another value of the rule `edited`."""

SHOP = 'job="shop"'
HARMLESS = ({"kind": "harmless", "why": "it only judges", "source": "the test", "next": ""},)

PROXY = ({"kind": "proxy", "why": "requests say it", "source": "the test", "next": ""},)


def _series(job: str, pod: str, rule: str, mode: str, times: range) -> Iterator[str]:
    """One rule's counter, one response from scrape to scrape."""
    labels = f'job="{job}",instance="{pod}",route="default",rule="{rule}",mode="{mode}"'
    return (
        f"sidecar_rule_evaluations_total{{{labels}}} {position} {moment}"
        for position, moment in enumerate(times)
    )


def _history(now: int) -> Iterator[str]:
    """Two pods: rules of 26 and of 23 hours, and one that pod a enforced for a minute; one pod
    whose `up` is not kept.
    """
    enforced = range(now - 2 * HOUR, now - 2 * HOUR + 60, 15)
    yield "# TYPE sidecar_rule_evaluations counter"
    for pod, last in (("a", now - 20), ("b", now - 40)):
        yield from _series("shop", pod, "old", "report-only", range(now - 26 * HOUR, last, 15))
        yield from _series("shop", pod, "young", "report-only", range(now - 23 * HOUR, last, 15))
    yield from _series(
        "shop", "a", "back", "report-only", range(now - 26 * HOUR, enforced.start, 15)
    )
    yield from _series("shop", "a", "back", "enforce", enforced)
    yield from _series("shop", "a", "back", "report-only", range(enforced.stop, now - 20, 15))
    yield from _series("shop", "a", "climb", "enforce", range(now - 26 * HOUR, now - 20, 15))
    yield from _series("bare", "c", "old", "report-only", range(now - 300, now - 29, 15))
    yield from _series("shop", "a", "edited", "report-only", range(now - 26 * HOUR, now - 20, 15))
    yield from _series("shop", "b", "edited", "report-only", range(now - 26 * HOUR, now - 40, 15))
    yield "# TYPE sidecar_rule_info gauge"
    for pod, end, edit in (("a", now - 20, now - EDIT - 90), ("b", now - 40, now - EDIT)):
        for rule, demand, times in (
            ("edited", "before", range(now - 26 * HOUR, edit, 15)),
            ("edited", "after", range(edit, end, 15)),
            ("old", "same", range(now - 26 * HOUR, now - 5 * HOUR, 15)),
            ("old", "same", range(now - 4 * HOUR, end, 15)),
            ("back", "same", range(now - 26 * HOUR, end, 15)),
            ("young", "same", range(now - 23 * HOUR, end, 15)),
        ):
            labels = f'job="shop",instance="{pod}",route="default",rule="{rule}",demand="{demand}"'
            yield from (f"sidecar_rule_info{{{labels}}} 1 {moment}" for moment in times)
    yield "# TYPE sidecar_rule_affected counter"
    for rule in ("old", "young", "back", "edited"):
        labels = f'job="shop",instance="a",route="default",rule="{rule}",mode="report-only"'
        times = range(now - (23 if rule == "young" else 26) * HOUR, now - 20, 15)
        yield from (f"sidecar_rule_affected_total{{{labels}}} 0 {moment}" for moment in times)
    yield "# TYPE up gauge"
    for pod, last in (("a", now - 20), ("b", now - 31), ("stranger", now - 90)):
        yield f'up{{job="shop",instance="{pod}"}} 0 {last}.750'
    yield "# TYPE sidecar_would_break counter"
    labels = 'job="shop",instance="a",route="default",rule="climb"'
    for outcome, each in (("safe", 99), ("plain", 2)):
        for position, moment in enumerate(range(now - 26 * HOUR, now - 20, 15)):
            yield (
                f'sidecar_would_break_total{{{labels},outcome="{outcome}"}} {position * each}'
                f" {moment}"
            )
    yield "# EOF"


class Day:
    """A server with a day behind it and nothing to scrape; `now` is when it began."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.now = int(time.time())
        self.prometheus = Prometheus(
            tmp_path_factory.mktemp("fleet") / "prometheus",
            {},
            "\n".join(_history(self.now)) + "\n",
        )
        self.url = self.prometheus.url

        self._evidence: dict[int, list[Evidence]] = {}

    def verdict(self, rule: str, ago: int = 60) -> Verdict:
        """By the minimums that hold when nobody says others; each moment is asked for once."""
        at = float(self.now - ago)
        if ago not in self._evidence:
            known = {
                ("default", name): Evidence(
                    "default",
                    name,
                    "report-only",
                    0.0,
                    0.0,
                    0.0,
                    witnesses=HARMLESS,
                    subject="after" if name == "edited" else "same",
                )
                for name in ("old", "young", "back", "edited")
            }
            self._evidence[ago] = evidence(FleetSeries(self.url, "24h", SHOP, at), known)
        return judge(rule, self._evidence[ago], Minimums(), at)


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The day, ended with the tests of this file."""
    began = Day(tmp_path_factory)
    yield began
    began.prometheus.child.ask_to_end()
    began.prometheus.child.end()


@pytest.mark.parametrize("rule", by_default(["old", "back"], ["back"].__contains__))
def test_a_day_is_a_day(day: Day, rule: str):
    """A rule that was there when the window began has been watched for all of it, whenever
    asked, and a minute of enforcing does not end that.
    """
    verdicts = [day.verdict(rule, ago) for ago in range(60, 160, 9 if FULL else 90)]

    assert {(verdict.outcome, verdict.elapsed) for verdict in verdicts} == {("pass", 24 * HOUR)}
    assert all("seen on 1 of 1 route; needed: 1" in verdict.reasons for verdict in verdicts)


def test_a_rule_that_came_later_is_watched_since_then(day: Day):
    """The watch is never reported longer than it was, and at most a thousandth of the window
    shorter.
    """
    verdict = day.verdict("young")

    assert verdict.outcome == "inconclusive"
    assert 23 * HOUR - 60 - 86 <= verdict.elapsed <= 23 * HOUR - 60


@pytest.mark.parametrize("rule", ["old", "young", "back"])
def test_the_expression_gives_the_number(day: Day, rule: str):
    """Prometheus gives the gate's number for the expression and the moment that are written down
    with it.
    """
    verdict = day.verdict(rule)

    assert verdict.evaluated > 1000
    assert day.prometheus.value(
        evaluated(rule, "report-only", "24h", SHOP), verdict.at
    ) == pytest.approx(verdict.evaluated, rel=1e-9)


def test_an_edit_starts_anew(day: Day):
    """A rule whose value was edited is watched since the last pod has the new one, and what was
    counted before does not count, though its counters went on; the number can be asked for again.
    """
    verdict = day.verdict("edited")
    edits = edited(FleetSeries(day.url, "24h", SHOP, verdict.at))

    assert edits.keys() == {"edited"}
    assert EDIT - 60 - 120 <= verdict.elapsed <= EDIT - 60
    assert verdict.outcome == "inconclusive"
    assert verdict.evaluated == pytest.approx(2 * verdict.elapsed / 15, rel=0.02)
    window = window_since(edits["edited"], verdict.at)
    asked = evaluated("edited", "report-only", window, SHOP)
    assert day.prometheus.value(asked, verdict.at) == pytest.approx(verdict.evaluated, rel=1e-9)


def test_an_edit_under_way_counts_nothing(day: Day):
    """While pods have different values, nothing is known of either."""
    at = float(day.now - EDIT - 30)
    seen = [
        item
        for item in evidence(FleetSeries(day.url, "24h", SHOP, at), {})
        if item.rule == "edited"
    ]

    assert [(item.evaluated, item.since) for item in seen] == [(0.0, at)]


def test_a_step_of_a_ladder_is_watched_since_it_is_in_force(day: Day):
    """The counters do not know the step, so one sidecar says since when; the share is the whole
    fleet's.
    """
    at = float(day.now - 60)
    climb = Climb(2, (300, 86_400, 2_592_000))
    since = at - 3 * HOUR
    one = Evidence("default", "climb", "enforce", since, 0, 0, witnesses=PROXY, climb=climb)

    (seen,) = (
        item
        for item in evidence(FleetSeries(day.url, "24h", SHOP, at), {("default", "climb"): one})
        if item.rule == "climb"
    )
    verdict = judge("climb", [seen], Minimums(time=HOUR), at)

    assert (verdict.elapsed, verdict.outcome) == (3 * HOUR, "fail")
    assert verdict.reasons[0] == "98.01% of them came over https; needed: 99%"


def test_the_expression_of_everything(day: Day):
    """Without a selector every job is counted."""
    assert day.prometheus.value(
        evaluated("old", "report-only", "24h", ""), day.now
    ) > day.prometheus.value(evaluated("old", "report-only", "24h", SHOP), day.now)


@pytest.mark.parametrize(
    ("selector", "ago"), [(SHOP, 31), ('instance="a"', 20), ('job="bare"', 30)]
)
def test_a_moment_is_settled_when_the_slowest_scrape_is_in(day: Day, selector: str, ago: int):
    """The last scrape of every sidecar, failed ones too, strangers' not; the last sample where
    `up` is not kept; a whole second.
    """
    assert settled(day.url, "24h", selector) == day.now - ago


def test_where_nothing_was_seen_the_moment_is_now(day: Day):
    """An empty response has a moment too."""
    began = int(time.time())

    assert began <= settled(day.url, "24h", 'job="nobody"') <= time.time()
