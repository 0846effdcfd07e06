"""Kubernetes: every overlay is rendered by a real kustomize and judged as a cluster would:
schema, probes, stop, ways in.
"""

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from sidecar.runtime.settings_file import layered
from sidecar.settings import Settings
from tests.deploy.dockerfile import environment, stages
from tests.deploy.files import DEPLOY, ROOT, data, program, run
from tests.portion import by_default

HERE = DEPLOY / "kubernetes"
OVERLAYS = {"report-only": "1.30", "enforce": "1.30", "older-clusters": "1.25"}
"""Each overlay and the oldest cluster it is for."""
ENV = environment(stages(ROOT / "Dockerfile")[-1])
SERVICE_NEEDS = 10
"""Seconds that a service may need after its TERM."""


@cache
def rendered(name: str) -> dict[str, Any]:
    """The objects of one overlay, by kind."""
    tool = program("kubectl", "kustomize")
    text = run(tool, "kustomize" if Path(tool).name == "kubectl" else "build", HERE / name)
    objects = list(yaml.safe_load_all(text))
    assert len({item["kind"] for item in objects}) == len(objects)
    return {item["kind"]: item for item in objects}


def pod(overlay: str) -> dict[str, Any]:
    """The pod template of one overlay's Deployment."""
    template: dict[str, Any] = rendered(f"overlays/{overlay}")["Deployment"]["spec"]["template"]
    return template


def containers(overlay: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The sidecar's container and the service's."""
    spec = pod(overlay)["spec"]
    every = {item["name"]: item for item in (*spec["initContainers"], *spec["containers"])}
    return every["header-sidecar"], every["service"]


def settings(overlay: str) -> Settings:
    """What the sidecar of one overlay runs with: the image's environment, then the container's."""
    return layered(
        {}, ENV | {item["name"]: item["value"] for item in containers(overlay)[0]["env"]}, {}
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
@pytest.mark.parametrize("cluster", by_default(["oldest", "newest"], "oldest".__eq__))
def test_every_object_passes_the_strict_schema(overlay, cluster, tmp_path):
    """kubernetes-validate finds no unknown and no wrong field, for the oldest cluster meant and
    for the newest known.
    """
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(rendered(f"overlays/{overlay}").values()), "utf-8")
    version = ["-k", OVERLAYS[overlay]] if cluster == "oldest" else []
    run(program("kubernetes-validate"), "--strict", *version, file)


def test_the_sidecar_is_native_where_it_can_be():
    """A native sidecar is an init container that is kept running; on older clusters it is an
    ordinary second container.
    """
    native, classic = pod("enforce")["spec"], pod("older-clusters")["spec"]
    assert [(item["name"], item["restartPolicy"]) for item in native["initContainers"]] == [
        ("header-sidecar", "Always")
    ]
    assert [item["name"] for item in native["containers"]] == ["service"]
    assert classic["initContainers"] == []
    assert [item["name"] for item in classic["containers"]] == ["service", "header-sidecar"]
    assert "restartPolicy" not in containers("older-clusters")[0]


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_probes_cannot_deadlock(overlay):
    """Start and life ask the sidecar's own process; only readiness may wait for the service,
    which starts after it.
    """
    sidecar, _ = containers(overlay)
    ports = {port["name"]: port["containerPort"] for port in sidecar["ports"]}
    for probe, path in (
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ):
        assert sidecar[probe]["httpGet"]["path"] == path
        assert settings(overlay).health == f"0.0.0.0:{ports[sidecar[probe]['httpGet']['port']]}"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_service_outlives_the_drain_and_both_have_the_time(overlay):
    """The service's preStop lasts as long as the sidecar's delay and drain; what it needs after
    that still fits.
    """
    sidecar, service = containers(overlay)
    hook = service["lifecycle"]["preStop"]
    waits = hook["sleep"]["seconds"] if "sleep" in hook else int(hook["exec"]["command"][-1])
    timeouts = settings(overlay).timeouts
    assert timeouts.drain_delay > 0
    assert timeouts.drain_delay + timeouts.drain <= waits
    assert waits + SERVICE_NEEDS <= pod(overlay)["spec"]["terminationGracePeriodSeconds"]
    told_by_itself = "lifecycle" in sidecar
    assert told_by_itself == ("restartPolicy" in sidecar), (
        "only a native sidecar is data to stop last, and must tell itself"
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_pod_is_restricted(overlay):
    """All containers meet the restricted Pod Security Standard, and have a read-only root; the
    sidecar is the image's user.
    """
    for container in containers(overlay):
        security = container["securityContext"]
        assert security["runAsNonRoot"] is True and security["runAsUser"] > 0
        assert (
            security["allowPrivilegeEscalation"] is False
            and security["readOnlyRootFilesystem"] is True
        )
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    user = stages(ROOT / "Dockerfile")[-1]
    assert str(containers(overlay)[0]["securityContext"]["runAsUser"]) in next(
        item.rest for item in user if item.word == "USER"
    )


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_policy_is_a_folder_that_is_updated(overlay):
    """The ConfigMap keeps its name, is mounted whole (a subPath is never updated), and holds the
    file the sidecar reads.
    """
    sidecar, _ = containers(overlay)
    volumes = {volume["name"]: volume for volume in pod(overlay)["spec"]["volumes"]}
    mounts = {
        volumes[mount["name"]].get("configMap", {}).get("name", "state"): mount
        for mount in sidecar["volumeMounts"]
    }
    config = rendered(f"overlays/{overlay}")["ConfigMap"]
    mount = mounts[config["metadata"]["name"]]
    assert "subPath" not in mount
    assert settings(overlay).policy.removeprefix(f"{mount['mountPath']}/") in config["data"]
    assert mounts["state"]["mountPath"] == settings(overlay).state


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_only_ways_in_are_the_sidecars(overlay):
    """The Service and the NetworkPolicy lead to the sidecar's ports by number, the policy's
    selector meets the pods, the upstream is the service's port.
    """
    objects, here = rendered(f"overlays/{overlay}"), settings(overlay)
    data_port, health_port = (
        int(address.rpartition(":")[2]) for address in (here.listen, here.health)
    )
    assert [port["targetPort"] for port in objects["Service"]["spec"]["ports"]] == [data_port]
    network = objects["NetworkPolicy"]["spec"]
    assert [port["port"] for way in network["ingress"] for port in way["ports"]] == [
        data_port,
        health_port,
    ]
    assert (
        network["podSelector"]["matchLabels"].items() <= pod(overlay)["metadata"]["labels"].items()
    )
    assert (
        here.upstream == f"http://127.0.0.1:{containers(overlay)[1]['ports'][0]['containerPort']}"
    )


def test_selectors_meet_the_pods():
    """Service, disruption budget and Deployment select the pods that are made; injecting changes
    no selector.
    """
    objects, labels = rendered("overlays/enforce"), pod("enforce")["metadata"]["labels"].items()
    for selector in (
        objects["Service"]["spec"]["selector"],
        objects["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    assert objects["Deployment"]["spec"]["selector"]["matchLabels"] == {
        "app.kubernetes.io/name": "shop"
    }


def test_the_pod_monitor_finds_pods_port_and_path():
    """The PodMonitor selects injected pods everywhere, by the name of their metrics port, and
    takes the job from a label they have.
    """
    monitor = rendered("monitoring")["PodMonitor"]["spec"]
    labels = pod("enforce")["metadata"]["labels"]
    assert monitor["selector"]["matchLabels"].items() <= labels.items()
    assert monitor["jobLabel"] in labels
    (endpoint,) = monitor["podMetricsEndpoints"]
    assert endpoint["port"] in {port["name"] for port in containers("enforce")[0]["ports"]}
    assert endpoint["path"] == "/metrics"


def test_the_two_modes_differ_in_one_word():
    """From report-only to enforce is one edited line of one file."""
    pair = [
        (HERE / "overlays" / mode / "policy.yaml").read_text("utf-8").splitlines()
        for mode in ("report-only", "enforce")
    ]
    assert [lines for lines in zip(*pair, strict=True) if lines[0] != lines[1]] == [
        ("mode: report-only", "mode: enforce")
    ]
    assert data("deploy/kubernetes/overlays/report-only/kustomization.yaml") == data(
        "deploy/kubernetes/overlays/enforce/kustomization.yaml"
    )
