"""Metrics: every series from the start, labels from the policy or closed lists, sums over
processes.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.engine.plan import Plan
from sidecar.policy.terms import KINDS, MODES
from sidecar.telemetry import metric_table
from sidecar.telemetry.metric_table import BUCKETS, FASTEST, METRICS, PER_WORKER
from sidecar.telemetry.metrics import Histogram, Metrics
from tests.policy.making import plan

RULES: dict[str, Any] = {
    "frames": {"header": "X-Frame-Options", "action": "set", "value": "DENY"},
    "no-server": {"header": ["Server", "X-Powered-By"], "action": "remove", "mode": "report-only"},
    "off": {"header": "X-Odd", "action": "require", "mode": "off"},
    "jar": {"cookie": "s*", "attributes": {"Secure": True}, "share": "10%"},
}
ROUTES = [
    {"name": "api", "match": {"path": "/api/**"}, "rules": {"frames": {"mode": "report-only"}}}
]


def scraped(made: Metrics) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """A scrape as Prometheus reads it: samples by name and labels."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(made.render().decode()):
        for sample in family.samples:
            found.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return found


def bound(*plans: Plan) -> Metrics:
    """Metrics with these plans put in force one after the other."""
    made = Metrics(process=False)
    for each in plans:
        made.bind(each)
    return made


def test_every_series_stands_at_zero_from_the_start():
    """An alert on a rate must see the zero before the first event."""
    found = scraped(bound(plan(RULES, routes=ROUTES)))

    for name, row in METRICS.items():
        sample = f"{name}_count" if row.kind == "histogram" else name
        if sample in found:
            assert set(found[sample].values()) == {0}, name
    assert set(METRICS) - {name.removesuffix("_count") for name in found} == {
        "sidecar_policy_info",
        "sidecar_rule_info",
        "sidecar_build_info",
        "sidecar_drift_total",
        "sidecar_fleet_connected",
        "sidecar_trial_page_loads_total",
        "sidecar_trial_reports_total",
    }


def test_series_of_rules_are_those_of_the_policy():
    """Each active rule of each route: its evaluations by mode, its violations by kind, its
    changes where it makes any.
    """
    found = scraped(bound(plan(RULES, routes=ROUTES)))
    evaluations = {
        tuple(dict(labels)[key] for key in ("route", "rule", "mode"))
        for labels in found["sidecar_rule_evaluations_total"]
    }

    assert evaluations == {
        (route, rule, mode)
        for route, modes in {
            "api": ("report-only", "report-only", "enforce"),
            "default": ("enforce", "report-only", "enforce"),
        }.items()
        for rule, mode in zip(("frames", "no-server", "jar"), modes, strict=True)
    }
    assert {dict(labels)["rule"] for labels in found["sidecar_header_changes_total"]} == {
        "frames",
        "jar",
    }
    violations = {
        (dict(labels)["route"], dict(labels)["kind"], dict(labels)["mode"])
        for labels in found["sidecar_violations_total"]
        if dict(labels)["rule"] == "frames"
    }
    assert violations == {
        (route, kind, mode)
        for route, mode in (("api", "report-only"), ("default", "enforce"))
        for kind in ("missing", "mismatch", "duplicate")
    }
    assert {
        dict(labels)["mode"]
        for labels in found["sidecar_violations_total"]
        if dict(labels)["rule"] == "jar"
    } == {"enforce", "report-only"}
    responses = {tuple(dict(labels).values()) for labels in found["sidecar_responses_total"]}
    assert len(responses) == 2 * len(metric_table.STATUS_CLASSES) * len(metric_table.ORIGINS)


def test_labels_are_closed():
    """Kinds, modes, outcomes and reasons come from lists; no name of a label is left open to the
    wire.
    """
    closed = {
        "mode": MODES,
        "kind": KINDS,
        "origin": metric_table.ORIGINS,
        "status_class": metric_table.STATUS_CLASSES,
        "result": METRICS["sidecar_config_reloads_total"].values,
        "cause": METRICS["sidecar_rollbacks_total"].values,
        "signal": METRICS["sidecar_guard_fired_total"].values,
        "outcome": metric_table.SEEN,
        "engine": metric_table.ENGINES,
        "cause_kind": CAUSE_KINDS,
        "reason": METRICS["sidecar_upstream_errors_total"].values
        + METRICS["sidecar_rejected_requests_total"].values,
    }
    of_the_policy = {"route", "rule", "action", "name", "revision", "demand"}
    of_the_build = {"version", "python", "aiohttp"}
    of_reports = {"type", "directive", "disposition"}
    of_the_settings = {"fleet"}

    assert {label for row in METRICS.values() for label in row.labels} == {
        *closed,
        *of_the_policy,
        *of_the_build,
        *of_reports,
        *of_the_settings,
    }
    for samples in scraped(bound(plan(RULES, routes=ROUTES))).values():
        for label, value in itertools.chain.from_iterable(samples):
            assert value in closed.get(label, (value,)), (label, value)


def test_names_follow_prometheus():
    """Counters end in _total, units are seconds, every help is a sentence."""
    for name, row in METRICS.items():
        assert re.fullmatch(r"sidecar_[a-z_]+", name)
        assert name.endswith("_total") is (row.kind == "counter"), name
        assert row.kind != "histogram" or name.endswith("_seconds")
        assert row.help.endswith(".")
        assert row.help[0].isupper() or row.help[0].isdigit()


def test_binding_again_keeps_counts_and_drops_what_is_gone():
    """A rule that stays counts on; the series of a removed rule, a left mode or a gone route
    vanish.
    """
    first = plan(RULES, routes=ROUTES)
    made = bound(first)
    tally = made.bind(first)["default"]
    tally.rules[0].evaluated.n += 5
    tally.rules[0].violations["missing", "enforce"].n += 2
    tally.responses["upstream"][1].n += 7

    left = {name: RULES[name] for name in ("frames",)}
    again = made.bind(plan(left))["default"]
    found = scraped(made)

    assert again.rules[0].evaluated.n == 5
    assert made.value("sidecar_violations_total", "default", "frames", "missing", "enforce") == 2
    assert made.value("sidecar_responses_total", "default", "2xx", "upstream") == 7
    for name in (
        "sidecar_rule_evaluations_total",
        "sidecar_rule_affected_total",
        "sidecar_violations_total",
        "sidecar_header_changes_total",
    ):
        assert {dict(labels)["rule"] for labels in found[name]} == {"frames"}, name
    assert {dict(labels)["route"] for labels in found["sidecar_responses_total"]} == {"default"}
    made.bind(plan(left, mode="report-only"))
    assert {dict(labels)["mode"] for labels in scraped(made)["sidecar_rule_evaluations_total"]} == {
        "report-only"
    }


def test_requests_under_an_old_plan_do_not_bring_its_series_back():
    """Their tally is theirs; what they count after the switch is not reported under a rule that
    is gone.
    """
    made = Metrics(process=False)
    old = made.bind(plan(RULES))["default"]
    made.bind(plan({}))
    old.rules[0].evaluated.n += 1

    assert "sidecar_rule_evaluations_total" not in scraped(made)


def test_evidence_and_scrape_read_one_counter():
    """Each counter of a rule is exposed under its own labels, once; with what other processes
    counted.
    """
    made, other = bound(plan(RULES, mode="trial")), bound(plan(RULES, mode="trial"))
    every = list(made.rule("default", "frames").all())
    for number, counter in enumerate(every, 1):
        counter.n = float(number)
    for counter in other.rule("default", "frames").all():
        counter.n = 100.0
    made.others = [other.snapshot()]

    assert len({(one.metric, one.labels) for one in every}) == len(every)
    for number, counter in enumerate(every, 1):
        assert made.read(counter) == made.value(counter.metric, *counter.labels) == number + 100


def test_an_info_metric_stands_once():
    """The revision before leaves no second series."""
    made = Metrics(process=False)
    made.stand("sidecar_policy_info", [("a", "1")])
    made.stand("sidecar_policy_info", [('b "\\\n', "2")])

    assert scraped(made)["sidecar_policy_info"] == {(("name", 'b "\\\n'), ("revision", "2")): 1}


@given(st.lists(st.floats(0, 1e6, allow_nan=False)))
def test_a_histogram_counts_every_duration_once(durations: list[float]):
    """Buckets are running sums by upper bound, the last holds all, the sum is the sum."""
    made = Metrics(process=False)
    for seconds in durations:
        made.histogram("sidecar_request_duration_seconds").observe(seconds)
    found = scraped(made)

    for bound_ in BUCKETS:
        assert found["sidecar_request_duration_seconds_bucket"][(("le", str(bound_)),)] == sum(
            seconds <= bound_ for seconds in durations
        )
    assert found["sidecar_request_duration_seconds_bucket"][(("le", "+Inf"),)] == len(durations)
    assert found["sidecar_request_duration_seconds_count"][()] == len(durations)
    assert math.isclose(
        found["sidecar_request_duration_seconds_sum"][()], sum(durations), rel_tol=1e-9
    )


def test_a_bound_itself_is_inside_its_bucket():
    """`le` means less or equal."""
    made = Histogram()
    made.observe(BUCKETS[3])
    assert BUCKETS[0] == FASTEST

    assert made.counts.index(1) == 3


def test_snapshots_of_other_processes_are_summed():
    """Counters, gauges and histograms of workers stand in one scrape; what is one of a kind is
    not doubled.
    """
    parent, worker = bound(plan(RULES)), bound(plan(RULES))
    for made in (parent, worker):
        made.counter("sidecar_requests_in_flight").n = 2
        made.counter("sidecar_upstream_errors_total", "refused").n = 3
        made.histogram("sidecar_request_duration_seconds").observe(0.2)
    worker.counter("sidecar_upstream_errors_total", "dns").n = 1
    sent = json.loads(
        json.dumps({name: cells for name, cells in worker.snapshot().items() if name in PER_WORKER})
    )
    parent.others = [
        {
            name: [(tuple(labels), numbers) for labels, numbers in cells]
            for name, cells in sent.items()
        }
    ]
    found = scraped(parent)

    assert found["sidecar_requests_in_flight"][()] == 4
    assert (
        found["sidecar_upstream_errors_total"][(("reason", "refused"),)]
        == parent.value("sidecar_upstream_errors_total", "refused")
        == 6
    )
    assert parent.total("sidecar_upstream_errors_total") == 7
    assert parent.total("sidecar_upstream_errors_total", reason="dns") == 1
    assert parent.totals("sidecar_upstream_errors_total", by="reason")["dns"] == 1
    assert found["sidecar_request_duration_seconds_count"][()] == 2
    assert parent.value("sidecar_upstream_errors_total", "nothing") == 0
    assert "sidecar_mode" not in PER_WORKER
    assert set(found["sidecar_mode"].values()) == {0}


def test_a_scrape_tells_of_the_process_too():
    """Memory and CPU come from the client library, in the one process that is asked."""
    names = {name for name in scraped(Metrics()) if not name.startswith("sidecar_")}

    assert {"process_resident_memory_bytes", "process_cpu_seconds_total", "python_info"} <= names


@pytest.mark.parametrize(
    "metric", [name for name, row in METRICS.items() if row.kind == "histogram"]
)
def test_histograms_are_found_by_name(metric: str):
    """The same object each time."""
    made = Metrics(process=False)

    assert made.histogram(metric) is made.histogram(metric)
