"""The shipped rules and dashboard against a real Prometheus that scrapes real sidecars through a
scripted working day.
"""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from sidecar.telemetry.metric_table import METRICS
from tests.deploy.files import DEPLOY, program
from tests.deploy.fleet import Fleet, Prometheus
from tests.deploy.queries import (
    annotation_queries,
    panel_queries,
    progressive_queries,
    rule_queries,
    rules,
)
from tests.e2e.processes import until

ALERTS = [rule["alert"] for rule in rules() if "alert" in rule]
CONSTANT = {"sidecar_build_info", "sidecar_policy_info", "sidecar_rule_info"}
"""Always 1: what moves is which series there are."""


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """A fleet that has had its day."""
    program("prometheus")
    with ExitStack() as stack:
        yield Fleet(tmp_path_factory.mktemp("fleet"), stack).play()


@pytest.fixture(scope="module")
def prometheus(fleet: Fleet) -> Prometheus:
    """The Prometheus that watched it."""
    return fleet.prometheus


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_moves(prometheus, name):
    """The script changes every metric of the table, so that data in a panel means something."""
    series = f"{name}_count" if METRICS[name].kind == "histogram" else name
    if name in CONSTANT:
        assert prometheus.ever(series)
    else:
        assert prometheus.ever(f"max_over_time({series}[5m]) != min_over_time({series}[5m])")


@pytest.mark.parametrize(
    "query", [*panel_queries(), *annotation_queries()], ids=lambda query: query.name
)
def test_every_panel_and_annotation_returns_data(prometheus, query):
    """Each query of the dashboard, variables filled in, has had at least one value that is a
    number.
    """
    assert prometheus.ever(query.filled)


@pytest.mark.parametrize("query", rule_queries(), ids=lambda query: query.name)
def test_every_rule_expression_returns_data(prometheus, query):
    """Each rule's expression has had a result, which for an alert means that it was true."""
    assert prometheus.ever(query.text)


@pytest.mark.parametrize("query", progressive_queries(), ids=lambda query: query.name)
def test_controllers_of_rollouts_get_one_number(prometheus, query):
    """Argo Rollouts and Flagger look at the first value only: there is exactly one, also where
    nothing was counted.
    """
    ours = prometheus.ask("query", query=query.text)["result"]
    none = prometheus.ask("query", query=query.text.replace('"shop"', '"nobody"'))["result"]

    assert [len(ours), len(none)] == [1, 1]
    assert float(none[0]["value"][1]) == 0
    assert float(ours[0]["value"][1]) >= 0


@pytest.mark.parametrize("alert", ALERTS)
def test_every_alert_became_active(prometheus, alert):
    """Prometheus itself, evaluating the shipped file, has raised each alert."""
    assert prometheus.ever(f'ALERTS{{alertname="{alert}"}}')


def test_what_alerts_say_is_rendered(prometheus):
    """The templates of the alerts that are active have found their labels and values."""
    active = prometheus.ask("alerts")["alerts"]
    assert active
    for alert in active:
        said = " ".join(alert["annotations"].values())
        assert "<no value>" not in said and "<error" not in said
        assert alert["labels"]["job"] in said


def test_prometheus_has_no_complaint(prometheus):
    """All targets are up, and every rule of the file was evaluated without error."""
    targets = lambda: prometheus.ask("targets")["activeTargets"]  # noqa: E731 - asked again and again
    until(lambda: not any(target["lastError"] for target in targets()), "no scrape fails")
    evaluated = [rule for group in prometheus.ask("rules")["groups"] for rule in group["rules"]]
    assert len(evaluated) == len(rules())
    assert {rule["health"] for rule in evaluated} == {"ok"}


def test_the_documented_event_is_the_one_that_is_written(fleet):
    """The example in the log examples has the fields, in the event and in each change, that a
    real event has.
    """
    shown = json.loads(
        re.findall(r"```json\n(.+?)\n```", (DEPLOY / "logs" / "README.md").read_text("utf-8"))[0]
    )
    written = fleet.first.reported("header.would_change")[0]
    assert list(shown) == list(written)
    assert list(shown["changes"][0]) == list(written["changes"][0])


def test_the_line_filters_of_the_log_examples_find_real_lines(fleet):
    """What the Loki examples search for as text stands so in real lines."""
    filters = set(re.findall(r"\|= `([^`]+)`", (DEPLOY / "logs" / "README.md").read_text("utf-8")))
    lines = fleet.first.child.stdout.read_text("utf-8").splitlines()
    assert len(filters) > 2
    for text in filters:
        assert any(text in line for line in lines), text
