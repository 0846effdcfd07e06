"""Every name in the shipped files exists in the code: settings, variables, flags, verbs, ports,
paths, metrics, labels, events.
"""

import inspect
import re
from pathlib import Path
from typing import get_args

import click
import pytest
from prometheus_client import REGISTRY
from pydantic import BaseModel

import sidecar
from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.browsers.trial import REPORTS_PATH as REPORTS
from sidecar.policy.terms import MODES, Action
from sidecar.runtime.settings_file import ENV_PREFIX
from sidecar.settings import Settings
from sidecar.telemetry import metric_table
from sidecar.telemetry.metric_table import METRICS
from tests.cli import VERBS
from tests.deploy.files import ROOT, shipped
from tests.deploy.queries import Named, annotation_queries, panel_queries, rule_queries, rules

FILES = [path for path in shipped() if path.name not in ("app.py", ".dockerignore")]
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text("utf-8") for path in FILES if path.suffix != ".png"
}
SOURCE = "\n".join(
    path.read_text("utf-8") for path in Path(inspect.getfile(sidecar)).parent.rglob("*.py")
)

QUERIES = [*rule_queries(), *panel_queries(), *annotation_queries()]
FROM_SCRAPING = {"namespace", "job", "instance", "le"}
CLOSED = {
    "mode": MODES,
    "outcome": metric_table.SEEN,
    "engine": metric_table.ENGINES,
    "cause_kind": CAUSE_KINDS,
    "action": get_args(Action),
    "result": METRICS["sidecar_config_reloads_total"].values,
    "cause": METRICS["sidecar_rollbacks_total"].values,
    "status_class": metric_table.STATUS_CLASSES,
    "origin": metric_table.ORIGINS,
    "signal": METRICS["sidecar_guard_fired_total"].values,
    "reason": METRICS["sidecar_upstream_errors_total"].values
    + METRICS["sidecar_rejected_requests_total"].values,
}
"""Labels with values from a closed list, and the list."""


def _paths(model: type[BaseModel], above: str = "") -> set[str]:
    found = set()
    for name, field in model.model_fields.items():
        part = isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
        found |= _paths(field.annotation, f"{name}.") if part else {above + name}
    return found


SETTINGS = _paths(Settings)
PARTS = {path.partition(".")[0] for path in SETTINGS if "." in path}
VARIABLES = {f"{ENV_PREFIX}{path.replace('.', '__').upper()}" for path in SETTINGS}
FLAGS = {
    name: {flag for option in verb.params for flag in option.opts} | {"--help"}
    for name, verb in VERBS.items()
}
CLI_VARIABLES = {
    str(option.envvar) for verb in VERBS.values() for option in verb.params if option.envvar
}
SERIES = {
    f"{name}{suffix}"
    for name, row in METRICS.items()
    for suffix in (("_bucket", "_sum", "_count") if row.kind == "histogram" else ("",))
}
RECORDED = {rule["record"] for rule in rules() if "record" in rule}
OF_PYTHON = {sample.name for family in REGISTRY.collect() for sample in family.samples}


def found(pattern: str) -> list[tuple[str, str]]:
    """Every match of a pattern in every file, with the file."""
    return [(file, match) for file, text in TEXTS.items() for match in re.findall(pattern, text)]


def unknown(pattern: str, known: set[str]) -> list[tuple[str, str]]:
    """The matches that are not known. There must be some matches, or the pattern has lost its
    sense.
    """
    matches = found(pattern)
    assert matches
    return [(file, match) for file, match in matches if match not in known]


def test_every_environment_variable_is_read():
    """Each SIDECAR_ name is a setting's, or one that the command line reads."""
    assert not unknown(r"\bSIDECAR_[A-Z_]+\b", VARIABLES | CLI_VARIABLES)


def test_every_setting_exists():
    """Each `timeouts.x` and its like is a setting."""
    assert not unknown(
        rf"(?<![\w.])((?:{'|'.join(sorted(PARTS))})\.(?!md\b)[a-z_]+)\b(?!\()", SETTINGS
    )


def test_every_verb_and_flag_exists():
    """Where a file calls the command, the verb exists and takes the flags that follow it on that
    line.
    """
    calls = [
        (file, call)
        for file, text in TEXTS.items()
        for call in re.findall(r"(?:`|\$ |-- |/|#   )sidecar ([a-z]+)([^`\n|#]*)", text)
    ]
    assert len(calls) > 10
    for file, (verb, rest) in calls:
        assert verb in FLAGS, (file, verb)
        flags = set(re.findall(r"(?<!\S)--[a-z][a-z-]*", rest))
        assert flags <= FLAGS[verb], (file, verb, flags)


def test_every_metric_exists():
    """Each metric in prose, rules and panels is in the table."""
    assert not unknown(r"\bsidecar_[a-z_]+[a-z]\b(?!:)", SERIES | set(METRICS))


@pytest.mark.parametrize("query", QUERIES, ids=lambda query: query.name)
def test_every_query_asks_for_labels_that_exist(query: Named):
    """What a query selects, groups and joins by are labels of its metrics; values of closed
    lists are in their list.
    """
    labels = set(FROM_SCRAPING)
    for name, matchers in query.selectors():
        if name in RECORDED or name in OF_PYTHON:
            continue
        assert name in SERIES, name
        own = set(
            METRICS[
                re.sub(r"_(bucket|sum|count)$", "", name) if name not in METRICS else name
            ].labels
        )
        labels |= own
        for label, value in matchers:
            assert label in own | FROM_SCRAPING, (name, label)
            if label in CLOSED and not value.startswith("$"):
                assert set(value.split("|")) <= set(CLOSED[label]), (name, label, value)
    assert query.grouped() <= labels


def test_every_port_is_a_default():
    """Each port of ours is that of a listener, or of the upstream, as the settings have them."""
    default = Settings()
    ports = {
        address.rpartition(":")[2]
        for address in (default.listen, default.admin, default.health, default.upstream)
    }
    ports |= {"9090", "3000", "4318"}  # Prometheus's, Grafana's and OpenTelemetry's own
    assert not unknown(
        r"(?:(?<=[a-z0-9\]]:)|(?<=[pP]ort: )|(?<=EXPOSE ))(?!1000\d\b)(\d{4,5})\b", ports
    )


def test_every_path_is_served():
    """Each probe, metrics, admin and report path stands in the code that serves it."""
    served = set(re.findall(r'"(/(?:livez|readyz|healthz|metrics|api/\w+|-/\w+))"', SOURCE)) | {
        REPORTS
    }
    assert served >= {"/livez", "/readyz", "/metrics", "/-/rollback"}
    paths = unknown(r"(?<![\w./*])(/(?:[a-z]+z\b|metrics\b|-/\w+|\.well-known/[\w/]+))", served)
    assert not paths


def test_every_event_is_reported():
    """Each dotted event name in prose or in a log query is reported somewhere in the code."""
    families = {
        name.partition(".")[0]
        for name in re.findall(r'(?:tell\(\s*|name = )"([a-z]+\.[a-z_]+)"', SOURCE)
    }
    events = {
        name
        for name in re.findall(r'"([a-z]+\.[a-z_]+)"', SOURCE)
        if name.partition(".")[0] in families
    }
    assert not unknown(
        rf"(?<![\w./-])((?:{'|'.join(sorted(families - PARTS))})\.(?!yaml\b)[a-z_]+)\b(?!\.)",
        events,
    )


def test_every_verb_is_a_click_command():
    """The table of verbs that the other tests rely on is the real one."""
    assert all(isinstance(verb, click.Command) for verb in VERBS.values())
    assert {"run", "health", "check", "status", "rollback", "mode", "reload"} <= set(FLAGS)


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        (test_every_environment_variable_is_read, "SIDECAR_TIMEOUTS__DRIAN: 1s"),
        (test_every_setting_exists, "raise limits.head_bytes"),
        (test_every_verb_and_flag_exists, "`sidecar rollbak`"),
        (test_every_verb_and_flag_exists, "`sidecar mode off --until 30m`"),
        (test_every_metric_exists, "sidecar_violation_total"),
        (test_every_port_is_a_default, "http://127.0.0.1:18080"),
        (test_every_port_is_a_default, "containerPort: 9100"),
        (test_every_path_is_served, "path: /healthyz"),
        (test_every_path_is_served, "POST /-/rolback"),
        (test_every_event_is_reported, "the event header.would_changed"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_name_is_found(check, wrong, monkeypatch):
    """Each of the checks above fails on a file with one wrong name."""
    monkeypatch.setitem(TEXTS, "wrong", wrong)
    with pytest.raises(AssertionError):
        check()


@pytest.mark.parametrize(
    "wrong",
    [
        'sidecar_mode{modus="off"}',
        'sidecar_mode{mode="of"}',
        "sum by (rout) (sidecar_responses_total)",
        "sidecar_modes == 1",
    ],
)
def test_a_wrong_query_is_found(wrong):
    """The check of queries fails on a metric, a label, a value and a grouping that do not exist."""
    with pytest.raises(AssertionError):
        test_every_query_asks_for_labels_that_exist(Named("wrong", wrong))
