"""PromQL as far as these tests read it: the series that an expression selects, and Grafana's
variables filled in.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import yaml

from tests.deploy.files import DEPLOY, data

_SELECTOR = re.compile(
    r"(?<![\w:.])([a-z_]\w*(?::\w+)*)\s*\{([^}]*)\}|(?<![\w:.{\"$])((?:sidecar|process)_\w+)(?![\w:(])"
)
_MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
_BY = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")

FILLED = {
    "$namespace": ".*",
    "$job": ".*",
    "$instance": ".*",
    "$__rate_interval": "1m",
    "$__range": "5m",
    "${datasource}": "prometheus",
}
"""What Grafana would put in the place of its variables, when a minute is shown."""


@dataclass(frozen=True, slots=True)
class Named:
    """An expression and where it stands."""

    name: str
    text: str

    @property
    def filled(self) -> str:
        """As it is asked."""
        text = self.text
        for variable, value in FILLED.items():
            text = text.replace(variable, value)
        return text

    def selectors(self) -> Iterator[tuple[str, list[tuple[str, str]]]]:
        """Each metric that it selects, with its label matchers as (label, value)."""
        for braced, matchers, bare in _SELECTOR.findall(self.text):
            yield braced or bare, [(label, value) for label, _, value in _MATCHER.findall(matchers)]

    def grouped(self) -> set[str]:
        """The labels that it groups or joins by."""
        return {label.strip() for labels in _BY.findall(self.text) for label in labels.split(",")}


def groups() -> list[dict[str, Any]]:
    """The rule groups that we ship."""
    found: list[dict[str, Any]] = data("deploy/prometheus/rules.yml")["groups"]
    return found


def rules() -> list[dict[str, Any]]:
    """The rules of all groups."""
    return [rule for group in groups() for rule in group["rules"]]


def rule_queries() -> list[Named]:
    """The expression of every rule, by the rule's name."""
    return [Named(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


def dashboard() -> dict[str, Any]:
    """The dashboard that we ship."""
    found: dict[str, Any] = json.loads(
        (DEPLOY / "grafana" / "header-sidecar.json").read_text("utf-8")
    )
    return found


def panels() -> list[dict[str, Any]]:
    """Its panels, rows left out."""
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def panel_queries() -> list[Named]:
    """Every query of every panel, by the panel's title."""
    return [
        Named(f"{panel['title']} {target['refId']}", target["expr"])
        for panel in panels()
        for target in panel["targets"]
    ]


def annotation_queries() -> list[Named]:
    """The query of every annotation of ours."""
    return [
        Named(f"annotation {item['name']}", item["expr"])
        for item in dashboard()["annotations"]["list"]
        if "expr" in item
    ]


_CONTROLLERS = {"job": "shop", "rule": "release", "interval": "5m", "window": "5m"}


def controllers(name: str) -> list[dict[str, Any]]:
    """The objects of one file for controllers of rollouts."""
    file = DEPLOY / "kubernetes" / "progressive" / name
    return list(yaml.safe_load_all(file.read_text("utf-8")))


def progressive_queries() -> list[Named]:
    """Every query that a controller of rollouts asks of the sidecars of `shop`, its variables
    filled in.
    """
    (template,) = controllers("analysistemplate.yaml")
    said = {item["name"]: item["value"] for item in template["spec"]["args"] if "value" in item}
    said |= _CONTROLLERS
    found = [
        Named(
            f"Argo {metric['name']}",
            re.sub(
                r"\{\{args\.(\w+)\}\}",
                lambda found: said[found[1]],
                metric["provider"]["prometheus"]["query"],
            ),
        )
        for metric in template["spec"]["metrics"]
    ]
    return found + [
        Named(
            f"Flagger {item['metadata']['name']}",
            re.sub(
                r"\{\{ (?:variables\.)?(\w+) \}\}",
                lambda found: _CONTROLLERS[found[1]],
                item["spec"]["query"],
            ),
        )
        for item in controllers("metrictemplates.yaml")
    ]
