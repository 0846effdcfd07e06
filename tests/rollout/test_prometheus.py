"""Evidence from a Prometheus that has less than all, or more than what is asked for: a pass never
claims more than was scraped.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import pytest

from sidecar.rollout.gate import judge
from sidecar.rollout.model import Evidence, Minimums, Verdict
from sidecar.rollout.prometheus import evidence
from sidecar.rollout.queries import FleetSeries, PrometheusFailed, mixed_services, query
from sidecar.telemetry.metric_table import SEEN
from tests.browser.test_trial import serving
from tests.deploy.fleet import Prometheus

HOUR = 3600
EVERY = 60
PROXY = ({"kind": "proxy", "why": "requests say it", "source": "the test", "next": ""},)
ENDS = ({"kind": "nobody", "why": "nobody", "source": "the test", "next": "ask"},)


@dataclass(frozen=True)
class Job:
    """What one Prometheus has of one service: a rule on each of some routes, from 26 hours ago to
    now, of which each request is `safe`.
    """

    demands: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: {"default": ("d",)})
    """By route, what the sidecars demand now; the counts of a route stop where it is "idle"."""
    drops: tuple[str, ...] = ()
    """Series that it lacks: how they begin."""
    gap: tuple[float, float] = (0.0, 0.0)
    """Hours ago between which it saw nothing."""
    rule_gap: tuple[float, float] = (0.0, 0.0)
    """Hours ago between which no sidecar had the rule."""
    born: tuple[str, float] = ("", 0.0)
    """What a process that came three hours ago counted before its first scrape, and how often."""
    moved: tuple[str, str] = ("report-only", "report-only")
    """Its modes until, and since, ten hours ago."""
    pods: tuple[str, ...] = ("a",)
    name: str = "shop"

    def series(self, job: str, now: int) -> Iterator[tuple[str, str, int]]:
        """Each sample: its metric and labels, its value, its time."""
        for moment in range(now - 26 * HOUR, now - 20, EVERY):
            ago = (now - moment) / HOUR
            if self.gap[1] < ago < self.gap[0]:
                continue
            for pod in self.pods:
                if pod == "new" and ago > 3:
                    continue
                for text, value in self._scrape(f'job="{job}",instance="{pod}"', pod, moment, now):
                    if not text.startswith(self.drops or "none"):
                        yield text, value, moment

    def _scrape(self, own: str, pod: str, moment: int, now: int) -> Iterator[tuple[str, str]]:
        ago = (now - moment) / HOUR
        yield f'sidecar_policy_info{{{own},name="{self.name}",revision="r"}}', "1"
        yield f"process_start_time_seconds{{{own}}}", "17.25"
        if self.rule_gap[1] < ago < self.rule_gap[0]:
            return
        steps = (moment - now) // EVERY + 27 * HOUR // EVERY
        for route, demands in self.demands.items():
            place = f'{own},route="{route}",rule="it"'
            mode = f'{place},mode="{self.moved[ago < 10]}"'
            count = 7 if route == "idle" else steps
            for demand in demands:
                yield f'sidecar_rule_info{{{place},demand="{demand}"}}', "1"
            what, times = self.born if pod == "new" else ("", 0.0)
            yield f"sidecar_rule_evaluations_total{{{mode}}}", f"{count}"
            yield f"sidecar_rule_affected_total{{{mode}}}", f"{count}"
            for kind in ("missing", "mismatch"):
                value = times if kind == what else count if kind == "missing" else 0
                yield f'sidecar_violations_total{{{mode},kind="{kind}"}}', f"{value}"
            for outcome in SEEN:
                value = times if outcome == what else count if outcome == "safe" else 0
                yield f'sidecar_would_break_total{{{place},outcome="{outcome}"}}', f"{value}"


JOBS = {
    "whole": Job(),
    "restarted": Job(gap=(5.0, 4.9)),
    "two-values": Job({"default": ("d",), "api": ("e",)}),
    "idle-value": Job({"default": ("d",), "idle": ("e",)}),
    "idle-route": Job({"default": ("d",), "idle": ("d",)}),
    "under-way": Job({"default": ("d", "e")}),
    "no-info": Job(drops=("sidecar_rule_info",)),
    "no-affected": Job(drops=("sidecar_rule_affected",)),
    "no-kinds": Job(drops=("sidecar_violations",)),
    "no-breaks": Job(drops=("sidecar_would_break_total{",)),
    "hole": Job(gap=(20.0, 2.0)),
    "removed": Job(rule_gap=(20.0, 2.0)),
    "broken-at-once": Job(pods=("a", "new"), born=("break", 1)),
    "open-at-once": Job(pods=("a", "new"), born=("open", 2)),
    "replaced-at-once": Job(pods=("a", "new"), born=("mismatch", 1)),
    "to-trial": Job(moved=("report-only", "trial")),
    "back": Job(moved=("trial", "report-only")),
    "blog": Job(name="blog"),
}


def _history(now: int) -> Iterator[str]:
    samples: dict[str, list[str]] = {}
    for name, job in JOBS.items():
        for text, value, moment in job.series(name, now):
            samples.setdefault(text.partition("{")[0], []).append(f"{text} {value} {moment}")
    for metric, lines in samples.items():
        kind = "counter" if metric.endswith("_total") else "gauge"
        yield f"# TYPE {metric.removesuffix('_total')} {kind}"
        yield from lines
    yield "# EOF"


class Past:
    """A server with a day behind it."""

    def __init__(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self.now = int(time.time())
        folder = tmp_path_factory.mktemp("prometheus") / "prometheus"
        self.prometheus = Prometheus(folder, {}, "\n".join(_history(self.now)) + "\n")
        self.at = float(self.now - 60)

    def evidence(self, job: str) -> list[Evidence]:
        """By a sidecar that demands `d` on the default route and on `idle`, and `e` on `api`."""
        says = {"default": "d", "idle": JOBS[job].demands.get("idle", ("d",))[0], "api": "e"}
        known = {
            (route, "it"): Evidence(
                route,
                "it",
                "report-only",
                0.0,
                0.0,
                0.0,
                witnesses=PROXY,
                demand=value,
                subject=value,
                replacing=ENDS,
            )
            for route, value in says.items()
        }
        return evidence(FleetSeries(self.prometheus.url, "24h", f'job="{job}"', self.at), known)

    def verdict(self, job: str) -> Verdict:
        """By the minimums that hold when nobody says others."""
        return judge("it", self.evidence(job), Minimums(), self.at)


@pytest.fixture(scope="module")
def past(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Past]:
    """The day, ended with the tests of this file."""
    began = Past(tmp_path_factory)
    yield began
    began.prometheus.child.ask_to_end()
    began.prometheus.child.end()


@pytest.mark.parametrize(
    ("job", "expected", "reason"),
    [
        ("whole", "pass", "of browsers that say where they come from"),
        ("restarted", "pass", "of browsers that say where they come from"),
        ("two-values", "pass", "of browsers that say where they come from"),
        ("idle-route", "pass", "of browsers that say where they come from"),
        ("idle-value", "inconclusive", "on route idle, where the rule says something else, alone"),
        ("under-way", "inconclusive", "not all sidecars demand the same"),
        ("no-info", "inconclusive", "Prometheus does not say what the rule demands"),
        ("no-affected", "inconclusive", "only a part of the rule's series"),
        ("no-kinds", "inconclusive", "only a part of the rule's series"),
        ("no-breaks", "inconclusive", "0 requests of browsers"),
        ("hole", "inconclusive", "watched for 6h"),
        ("removed", "inconclusive", "watched for 6h"),
        ("broken-at-once", "fail", "1 request would have broken"),
        ("open-at-once", "inconclusive", "2 requests of browsers may break"),
        ("replaced-at-once", "inconclusive", "nobody can tell"),
    ],
)
def test_what_was_not_scraped_is_not_claimed(past: Past, job: str, expected: str, reason: str):
    """Each value of a rule, each hole, each series that is missing, and what a process counted
    before its first scrape.
    """
    verdict = past.verdict(job)

    assert verdict.outcome == expected, verdict.reasons
    assert reason in verdict.reasons[0]
    assert bool(verdict.next) == (expected != "pass")


def test_no_more_is_claimed_than_came(past: Past):
    """Prometheus's own `increase` adds what may have come before the first scrape and after the
    last.
    """
    verdict = past.verdict("restarted")

    assert verdict.evaluated == verdict.observed in (24 * HOUR // EVERY - 1, 24 * HOUR // EVERY)


@pytest.mark.parametrize(("job", "mode"), [("to-trial", "trial"), ("back", "report-only")])
def test_a_rule_that_has_moved_is_judged_as_it_is_now(past: Past, job: str, mode: str):
    """What was seen in the mode before does not count, and its requests do."""
    (seen,) = past.evidence(job)

    assert (seen.mode, seen.outcomes["safe"] > 1000) == (mode, True)
    assert past.at - seen.since == pytest.approx(10 * HOUR, abs=200)


@pytest.mark.parametrize(
    ("selector", "name", "said"),
    [
        ('job="whole"', "shop", ""),
        ('job=~"whole|blog"', "shop", "policies named 'blog', 'shop'"),
        ('job="blog"', "shop", "policies named 'blog'; that of the sidecar asked is 'shop'"),
        ('job="none"', "shop", "it has no `sidecar_policy_info`"),
        ('instance="new"', "shop", "of several jobs: 'broken-at-once', 'open-at-once'"),
        ('job=~"whole|hole"', "shop", 'every sample of a twice, with job="hole" and job="whole"'),
    ],
)
def test_numbers_are_of_one_service_and_count_once(past: Past, selector: str, name: str, said: str):
    """Another service's, and one that two jobs scrape, are named."""
    found = mixed_services(FleetSeries(past.prometheus.url, "24h", selector, past.at), name)

    assert found == "" if not said else said in found


@pytest.mark.parametrize(
    "body",
    [
        "<html>",
        "[]",
        "{}",
        "null",
        '{"status": "success"}',
        '{"status": "success", "data": {"resultType": "vector", "result": [{}]}}',
        '{"status": "success", "data": {"resultType": "vector", "result": [{"metric": 5}]}}',
        '{"status": "success", "data": {"resultType": "matrix", "result": []}}',
        "[" * 100_000,
    ],
)
def test_what_is_no_prometheus_is_named(body: str):
    """Whatever it sends, in words."""
    with (
        serving({"/api/v1/query?query=up": ("application/json", body)}) as url,
        pytest.raises(PrometheusFailed, match="sends no result of a query"),
    ):
        query(url, "up")


def test_a_number_that_is_none_is_no_number():
    """As 0 / 0 gives."""
    item = '{"metric": {}, "value": [1, "NaN"]}'
    body = f'{{"status": "success", "data": {{"resultType": "vector", "result": [{item}]}}}}'
    with serving({"/api/v1/query?query=up": ("application/json", body)}) as url:
        assert query(url, "up") == []
