"""Compose: both layouts are right by the specification's schema, closed where they must be, and
name what exists.
"""

import re

import pytest

from sidecar.runtime.settings_file import layered
from sidecar.source import load, load_policy
from tests.deploy.dockerfile import environment, of, stages
from tests.deploy.files import DEPLOY, ROOT, data, program, run

HERE = DEPLOY / "compose"
LAYOUTS = {"own": HERE / "compose.yaml", "shared": HERE / "compose.shared.yaml"}
IMAGE = stages(ROOT / "Dockerfile")[-1]


def _seconds(text: str) -> float:
    return float(text.removesuffix("s"))


@pytest.mark.parametrize("file", sorted(HERE.glob("compose*.yaml")), ids=lambda file: file.name)
def test_the_schema_of_the_specification_is_content(file):
    """Each file is valid by the Compose specification's JSON schema."""
    run(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file)


def test_the_fleet_shares_a_store_that_nobody_else_reaches():
    """Both sidecars name it by settings that exist, on a network without a way out; services and
    states are their own.
    """
    compose = data(HERE / "compose.replicas.yaml")
    services = compose["services"]
    assert compose["networks"]["store"] == {"internal": True}
    assert services["store"].keys() & {"ports", "volumes"} == set()
    for name, sidecar in (("sidecar", services["sidecar"]), ("second", services["second-sidecar"])):
        assert "store" in sidecar["networks"], name
        settings = layered({}, sidecar["environment"], {})
        assert (settings.fleet.url, settings.fleet.name) == ("redis://store/0", "shop")
    assert "store" not in services["second-service"]["networks"]
    assert "second-state:/var/lib/sidecar" in services["second-sidecar"]["volumes"]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_everything_mounted_or_built_exists(layout):
    """Every host path is a folder (a file mount goes stale when an editor replaces the file);
    every volume and network is declared.
    """
    compose = data(LAYOUTS[layout])
    for service in compose["services"].values():
        if "build" in service:
            assert (HERE / service["build"] / "Dockerfile").is_file()
        for mount in service.get("volumes", ()):
            source = mount.partition(":")[0]
            assert (
                (HERE / source).is_dir() if source.startswith(".") else source in compose["volumes"]
            ), mount
        assert set(service.get("networks", ())) <= set(compose["networks"])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_sidecar_is_locked_down_and_may_finish(layout):
    """Read-only root, no capabilities, no new privileges, state in a volume, and more time to
    stop than the drain takes.
    """
    sidecar = data(LAYOUTS[layout])["services"]["sidecar"]
    settings = data("config/sidecar.yaml")["timeouts"]
    assert sidecar["read_only"] is True
    assert sidecar["cap_drop"] == ["ALL"]
    assert sidecar["security_opt"] == ["no-new-privileges:true"]
    assert f"state:{environment(IMAGE)['SIDECAR_STATE']}" in sidecar["volumes"]
    assert _seconds(sidecar["stop_grace_period"]) > _seconds(settings["drain_delay"]) + _seconds(
        settings["drain"]
    )


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_service_cannot_be_reached_past_the_sidecar(layout):
    """Only the sidecar's port is published in front of the service, on loopback; the service is
    on a network of its own or on loopback.
    """
    services = data(LAYOUTS[layout])["services"]
    published = [
        port for name in ("service", "sidecar") for port in services[name].get("ports", ())
    ]
    assert published == ["127.0.0.1:18000:18000"]
    if layout == "own":
        assert services["service"]["networks"] == ["inner"]
        assert [
            name for name, service in services.items() if "inner" in service.get("networks", ())
        ] == ["service", "sidecar"]
    else:
        assert services["sidecar"]["network_mode"] == "service:service"
        assert services["service"]["command"] == ["--host", "127.0.0.1"]


def test_the_policy_is_where_the_image_looks_for_it():
    """The mounted folder holds the file that the image's environment names."""
    mount = next(
        mount
        for mount in data(LAYOUTS["own"])["services"]["sidecar"]["volumes"]
        if mount.startswith(".")
    )
    source, target, _ = mount.split(":")
    policy = environment(IMAGE)["SIDECAR_POLICY"]
    assert policy.startswith(f"{target}/")
    assert (HERE / source / policy.removeprefix(f"{target}/")).is_file()


@pytest.mark.parametrize("layout", LAYOUTS)
def test_prometheus_scrapes_a_name_that_resolves(layout):
    """The scrape target is a service, or an alias, of that layout on Prometheus's network, at an
    exposed port.
    """
    (target,) = data("deploy/prometheus/prometheus.yml")["scrape_configs"][0]["static_configs"][0][
        "targets"
    ]
    name, port = target.split(":")
    services = data(LAYOUTS[layout])["services"]
    networks = {
        known: service["networks"]
        for known, service in services.items()
        if isinstance(service.get("networks"), dict)
    }
    aliases = {
        alias
        for joined in networks.values()
        for network in joined.values()
        for alias in network.get("aliases", ())
    }
    assert name in aliases or "outer" in services[name].get("networks", ())
    assert port in of(IMAGE, "EXPOSE")[0].split()


def test_grafana_finds_data_source_and_dashboard():
    """The provisioned data source is the Prometheus beside it, and the provider looks where the
    dashboard is mounted.
    """
    grafana = data(LAYOUTS["own"])["services"]["grafana"]
    source = data("deploy/compose/grafana/datasources/prometheus.yaml")["datasources"][0]
    provider = data("deploy/compose/grafana/dashboards/header-sidecar.yaml")["providers"][0]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert re.fullmatch(r"http://prometheus:9090", source["url"]) and source["type"] == "prometheus"
    mount = next(mount for mount in grafana["volumes"] if mount.startswith("../grafana"))
    assert provider["options"]["path"] == mount.split(":")[1]
    assert (DEPLOY / "grafana" / home.removeprefix(f"{provider['options']['path']}/")).is_file()


def test_the_quick_start_of_the_readme_can_be_pasted(tmp_path):
    """The block is valid by the specification's schema, its policy can be put in force, and its
    names are the image's.
    """
    text = (DEPLOY / "README.md").read_text("utf-8").partition("<!-- quick start -->")[2]
    block = text.partition("```yaml\n")[2].partition("```")[0]
    file = tmp_path / "compose.yaml"
    file.write_text(block)
    run(program("check-jsonschema"), "--builtin-schema", "vendor.compose-spec", file)
    compose = load(block.encode(), "compose.yaml").data
    sidecar = compose["services"]["sidecar"]
    policy, checked = compose["configs"]["policy"]["content"], environment(IMAGE)

    assert load_policy(policy.encode(), "policy.yaml").mode == "report-only"
    assert sidecar["configs"][0]["target"] == checked["SIDECAR_POLICY"]
    assert sidecar["volumes"] == [f"state:{checked['SIDECAR_STATE']}"]
    assert sidecar["ports"][0].rpartition(":")[2] in of(IMAGE, "EXPOSE")[0].split()
    assert sidecar["image"] == data(LAYOUTS["own"])["services"]["sidecar"]["image"]
    assert sidecar["environment"]["SIDECAR_UPSTREAM"] == "http://service:8000"
    assert "8000" in compose["services"]["service"]["command"]
    assert "ports" not in compose["services"]["service"]
