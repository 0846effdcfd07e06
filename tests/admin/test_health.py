"""Probes and metrics: on their own listener, and on the admin listener too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.admin import Control, control


@pytest.fixture
async def admin(tmp_path: Path) -> AsyncIterator[Control]:
    """A started process."""
    async with control(tmp_path) as made:
        yield made


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
async def test_alive_is_alive(admin: Control, path: str):
    """Whatever stands against taking traffic."""
    admin.against["drain"] = "draining"

    for base in (admin.health, admin.url):
        assert (await admin.get(path, base=base))[:2] == (200, "ok\n")


async def test_readiness_says_what_stands_against_it(admin: Control):
    """A line for each check; 503 as soon as one fails."""
    assert (await admin.get("/readyz", base=admin.health))[:2] == (200, "[+] policy\n[+] drain\n")
    admin.against["drain"] = "draining"
    assert (await admin.get("/readyz", base=admin.health))[:2] == (
        503,
        "[+] policy\n[-] drain: draining\n",
    )


async def test_a_scrape_is_up_to_date_and_parses(admin: Control):
    """Metrics are refreshed before they are reported."""
    status, data, headers = await admin.get("/metrics", base=admin.health)
    names = {family.name for family in text_string_to_metric_families(data)}

    assert (status, admin.refreshed) == (200, 1)
    assert headers["Content-Type"].startswith("text/plain; version=")
    assert {"sidecar_policy_info", "sidecar_rule_evaluations", "sidecar_mode"} <= names


@pytest.mark.parametrize("path", ["/api/status", "/", "/-/mode", "/login", "/api/events"])
async def test_the_health_listener_carries_nothing_else(admin: Control, path: str):
    """It may be bound to the pod's address: it is read-only and shows no policy."""
    assert (await admin.get(path, base=admin.health))[0] == 404
    assert (await admin.ask("POST", path, {"mode": "off"}, base=admin.health))[0] == 404
    assert admin.made.mode == "enforce"


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
async def test_probes_response_any_name_and_head(admin: Control, path: str):
    """A kubelet or a Prometheus sends the name that it was given."""
    assert (await admin.get(path, base=admin.health, headers={"Host": "pod.internal"}))[0] == 200
    assert (await admin.ask("HEAD", path, base=admin.health))[0] == 200
