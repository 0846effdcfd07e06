"""The chart, linted and rendered by Helm's own library, and judged as a cluster would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

import sidecar
from sidecar.runtime.settings_file import layered
from sidecar.settings import Settings
from sidecar.source import load_policy
from tests.deploy.dockerfile import environment, stages
from tests.deploy.files import DEPLOY, ROOT, data, program, run
from tests.exporting.by_node import asked

CHART = DEPLOY / "helm" / "header-sidecar"
SHOP = {"app": {"image": "shop:1.0.0"}}
ALL: dict[str, Any] = {
    "app": {
        "image": "shop:1.0.0",
        "port": 9000,
        "command": ["uvicorn", "shop:app"],
        "env": [{"name": "A", "value": "b"}],
        "readinessProbe": {"httpGet": {"path": "/", "port": "http"}},
    },
    "sidecar": {
        "settings": {"FORWARDING__TRUSTED": "10.0.0.0/8", "REPORTS__ENABLED": True},
        "stopping": {"delay": 5, "drain": 15, "service": 40},
    },
    "policy": (
        "version: 1\nname: shop\nrules:\n  b: {header: X-B, action: remove}\n  a: {header: X-A,"
        " action: remove}\n"
    ),
    "podMonitor": {"enabled": True, "labels": {"release": "prometheus"}},
    "httpRoute": {
        "enabled": True,
        "gateway": {"name": "public", "namespace": "gateways"},
        "hostnames": ["shop.example"],
    },
}
CUSTOM = {"PodMonitor", "HTTPRoute"}


def helm(values: str) -> dict[str, Any]:
    """What Helm says of the chart with these values (JSON)."""
    packages = next(ROOT.glob(".ci/proxies/lib/python*/site-packages/helm_python"), None)
    if packages is None:
        pytest.skip("helm-python-sdk is not installed in .ci/proxies")
    question = {
        "chart": str(CHART),
        "values": json.loads(values),
        "name": "shop",
        "namespace": "web",
    }
    done = subprocess.run(
        [sys.executable, str(Path(__file__).parent / "helm.py")],
        input=json.dumps(question),
        env={**os.environ, "PYTHONPATH": str(packages.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@cache
def rendered(values: str) -> dict[str, Any]:
    """The objects, by kind."""
    found = helm(values)
    texts = [text for name, text in found["files"].items() if name.endswith(".yaml")]
    objects = [item for text in texts for item in yaml.safe_load_all(text) if item]
    return {item["kind"]: item for item in objects}


def of(values: dict[str, Any]) -> dict[str, Any]:
    """The same."""
    return rendered(json.dumps(values))


@pytest.mark.parametrize("values", [SHOP, ALL], ids=["least", "most"])
def test_lint_and_schema(values: dict[str, Any], tmp_path: Path):
    """Helm has no warning; each object passes the strict schema of the oldest cluster meant,
    custom ones their own.
    """
    assert helm(json.dumps(values))["lint"] == []
    plain = [item for kind, item in of(values).items() if kind not in CUSTOM]
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(plain), "utf-8")
    run(program("kubernetes-validate"), "--strict", "-k", "1.30", file)
    routes = [item for kind, item in of(values).items() if kind == "HTTPRoute"]
    assert not routes or asked("@kubernetes-models/gateway-api", objects=routes) == []


@pytest.mark.parametrize("values", [SHOP, ALL], ids=["least", "most"])
def test_the_sidecar_stands_before_the_service(values: dict[str, Any]):
    """Its settings can be used; ports, policy and selectors lead where they should; the service
    outlives the drain.
    """
    objects = of(values)
    template = objects["Deployment"]["spec"]["template"]
    (container,) = template["spec"]["initContainers"]
    (service,) = template["spec"]["containers"]
    env = {item["name"]: item["value"] for item in container["env"]}
    here: Settings = layered({}, environment(stages(ROOT / "Dockerfile")[-1]) | env, {})
    assert here.upstream == f"http://127.0.0.1:{service['ports'][0]['containerPort']}"
    assert [port["targetPort"] for port in objects["Service"]["spec"]["ports"]] == [18000]
    assert objects["Service"]["spec"]["selector"].items() <= template["metadata"]["labels"].items()
    waits = service["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert here.timeouts.drain_delay + here.timeouts.drain == waits
    assert waits < template["spec"]["terminationGracePeriodSeconds"]
    config = objects["ConfigMap"]
    volumes = {item["name"]: item for item in template["spec"]["volumes"]}
    assert volumes["header-sidecar-policy"]["configMap"]["name"] == config["metadata"]["name"]
    load_policy(config["data"]["policy.yaml"].encode(), "policy.yaml")


def test_the_policy_is_carried_byte_for_byte():
    """The order of rules is part of what a policy means, so it is a text."""
    assert of(ALL)["ConfigMap"]["data"]["policy.yaml"] == ALL["policy"]


def test_a_policy_that_stands_elsewhere_is_not_written():
    """`existingPolicy` names it."""
    objects = of({**SHOP, "existingPolicy": "ours"})

    volumes = objects["Deployment"]["spec"]["template"]["spec"]["volumes"]
    assert "ConfigMap" not in objects
    assert {"configMap": {"name": "ours"}}.items() <= volumes[0].items()


@pytest.mark.parametrize(
    ("values", "word"),
    [
        ({}, "image"),
        ({"app": {"image": "a", "prot": 1}}, "prot"),
        ({**SHOP, "sidecar": {"settings": {"SIDECAR_MODE": "off"}}}, "SIDECAR_MODE"),
        ({**SHOP, "policy": {"version": 1}}, "policy"),
        ({**SHOP, "httpRoute": {"enabled": True}}, "name"),
    ],
)
def test_wrong_values_are_refused(values: dict[str, Any], word: str):
    """By the schema of values, with the place."""
    found = helm(json.dumps(values))

    assert word in found["error"]


def test_versions_and_pods_are_those_of_the_component():
    """The chart is of this version; its sidecar is the container that the Kustomize component
    injects.
    """
    assert data(CHART / "Chart.yaml")["appVersion"] == sidecar.__version__
    (chart,) = of(SHOP)["Deployment"]["spec"]["template"]["spec"]["initContainers"]
    component = data("deploy/kubernetes/components/native/sidecar.yaml")
    (injected,) = component["spec"]["template"]["spec"]["initContainers"]
    assert chart == injected
