"""Rules: read by promtool, each alert proved to fire and to clear, each with what to do about
it.
"""

import re

import pytest
import yaml

from tests.deploy.files import DEPLOY, data, program, run
from tests.deploy.queries import rules
from tests.portion import full

HERE = DEPLOY / "prometheus"
ALERTS = {rule["alert"]: rule for rule in rules() if "alert" in rule}


def test_promtool_reads_configuration_and_rules():
    """Neither file earns a complaint or a lint of promtool."""
    run(program("promtool"), "check", "config", "--lint-fatal", HERE / "prometheus.yml")
    run(program("promtool"), "check", "rules", "--lint-fatal", HERE / "rules.yml")


def test_the_promtool_tests_pass():
    """rules_test.yml holds against rules.yml."""
    run(program("promtool"), "test", "rules", "rules_test.yml", cwd=HERE)


def test_each_alert_is_proved_quiet_firing_and_clear_again():
    """For every alert, the promtool tests expect nothing, then the alert, then nothing; and
    every recorded series is expected once.
    """
    asked = [
        item for test in data(HERE / "rules_test.yml")["tests"] for item in test["promql_expr_test"]
    ]
    for alert in ALERTS:
        firing = f'ALERTS{{alertname="{alert}", alertstate="firing"}}'
        given = [bool(item.get("exp_samples")) for item in asked if item["expr"] == firing]
        assert given == [False, True, False], alert
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    assert recorded == {item["expr"] for item in asked if item["expr"] in recorded}


@pytest.mark.parametrize("broken", [("> 0.05", "> 0.5"), ("for: 30m", "for: 90m")])
@full
def test_the_promtool_tests_can_fail(broken, tmp_path):
    """A rule with another threshold or another time does not pass its test."""
    before, after = broken
    rules_file = (HERE / "rules.yml").read_text("utf-8")
    assert before in rules_file
    (tmp_path / "rules.yml").write_text(rules_file.replace(before, after), "utf-8")
    (tmp_path / "rules_test.yml").write_bytes((HERE / "rules_test.yml").read_bytes())
    run(program("promtool"), "test", "rules", "rules_test.yml", cwd=tmp_path, good=False)


@pytest.mark.parametrize("alert", ALERTS)
def test_each_alert_says_what_it_means_and_what_to_do(alert):
    """A name in CamelCase with our prefix, a known severity, a summary that is one fixed
    sentence, a description, a runbook.
    """
    rule = ALERTS[alert]
    assert re.fullmatch(r"Sidecar([A-Z][a-z]+)+", alert)
    assert rule["labels"]["severity"] in ("critical", "warning", "info")
    summary, description, runbook = (
        rule["annotations"][key] for key in ("summary", "description", "runbook")
    )
    assert summary.endswith(".") and "{{" not in summary
    assert "{{ $labels.job }}" in description
    assert len(runbook) > 100


def test_the_rules_are_a_prometheus_rule_when_wrapped():
    """The file has `groups` alone at its top, so that it can stand as the spec of a
    PrometheusRule.
    """
    assert list(yaml.safe_load((HERE / "rules.yml").read_text("utf-8"))) == ["groups"]
