"""deploy/openapi.yaml is the admin API: each route is in it and none more, and what a running
sidecar sends is what it says.
"""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from sidecar.admin.api import Api
from sidecar.admin.listener import health_app
from tests.admin import control
from tests.browser.test_trial import serving
from tests.e2e import wire
from tests.e2e.conftest import POLICY, Start
from tests.e2e.processes import Service, until
from tests.e2e.running import Sidecar
from tests.e2e.test_suggest import CHROMIUM

FILE = Path("deploy/openapi.yaml")
PAGE = {"/", "/rules", "/revisions/{revision}", "/assets/{name}", "/login", "/orders/{order}"}
"""What people open in a browser: no API."""
HEALTH = {"/livez", "/healthz", "/readyz", "/metrics"}


@cache
def document() -> dict[str, Any]:
    """The file, with its schemas closed: a key that is not documented is found."""
    made: dict[str, Any] = yaml.safe_load(FILE.read_text("utf-8"))
    _close(made["components"]["schemas"])
    _close(made["paths"])
    return made


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if "properties" in node and "object" in node.get("type", ()):
            node.setdefault("additionalProperties", False)
        for value in node.values():
            _close(value)
    elif isinstance(node, list):
        for value in node:
            _close(value)


def validator(schema: dict[str, Any]) -> jsonschema.Draft202012Validator:
    """OpenAPI 3.1's schemas are JSON Schema 2020-12."""
    whole = {**copy.deepcopy(schema), "components": document()["components"]}
    jsonschema.Draft202012Validator.check_schema(whole)
    return jsonschema.Draft202012Validator(whole)


def operation(method: str, path: str) -> dict[str, Any]:
    """The operation for a path as it is asked."""
    for template, item in document()["paths"].items():
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), path) and method in item:
            found: dict[str, Any] = item[method]
            return found
    raise AssertionError(f"{method} {path} is not in {FILE}")


def conforms(method: str, path: str, response: wire.Response) -> Any:
    """The response's data, which is what the file says of this status and media type."""
    responses = operation(method, path)["responses"]
    said = responses.get(str(response.status)) or responses["default"]
    if "$ref" in said:
        said = document()["components"]["responses"][said["$ref"].rpartition("/")[2]]
    media = (response.value("Content-Type") or "").partition(";")[0]
    assert media in said["content"], f"{method} {path}: {response.status} as {media}"
    text = response.body.decode()
    data = json.loads(text) if media == "application/json" else text
    faults = [
        f"{method} {path}: {fault.json_path}: {fault.message}"
        for fault in validator(said["content"][media]["schema"]).iter_errors(data)
    ]
    assert faults == []
    return data


async def test_each_route_and_none_more(tmp_path: Path):
    """Methods and paths of both listeners' applications are those of the file; the page's are
    left out by name.
    """
    async with control(tmp_path) as made:
        around = made.around()
        admin = Api(made.made, made.telemetry, around, None).app()
        health = health_app(around.ready, made.telemetry, around.refresh)
        apps = {name: _routes(app) for name, app in (("admin", admin), ("health", health))}

    documented = {
        (method, path)
        for path, item in document()["paths"].items()
        for method in item
        if method in ("get", "post")
    }
    assert {path for _, path in apps["admin"]} >= PAGE
    assert {one for one in apps["admin"] if one[1] not in PAGE} == documented
    assert apps["health"] == {("get", path) for path in HEALTH}


def _routes(app: Any) -> set[tuple[str, str]]:
    return {
        (route.method.lower(), route.resource.canonical)
        for route in app.router.routes()
        if route.method != "HEAD"
    }


@pytest.mark.parametrize("order", ["reload", "rollback", "mode", "promotion", "suggestion"])
async def test_an_order_takes_the_documented_keys_and_no_others(tmp_path: Path, order: str):
    """The refusal of an unknown key names those that are known."""
    schema = operation("post", f"/-/{order}")["requestBody"]["content"]["application/json"][
        "schema"
    ]
    named = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    async with control(tmp_path) as made:
        status, data = await made.post(f"/-/{order}", {"nonsense": 1})

    assert (status, data["error"].partition("known: ")[2].split(", ")) == (
        400,
        sorted(named["properties"]),
    )


HTML = "<!doctype html><title>a</title><script>alert(1)</script><script src=/app.js></script>"
LADDER = (
    "  hsts: {header: Strict-Transport-Security, action: set, ladder: [5m, 1d], mode: enforce}\n"
)


@pytest.fixture
def busy(start: Start) -> Iterator[Sidecar]:
    """A sidecar with a rule in trial whose page was read, that a browser reported, and a rule
    with a ladder.
    """
    with serving({"/": ("text/html", HTML)}) as origin:
        sidecar = start(POLICY.replace("mode: report-only", "mode: trial") + LADDER, origin)
        page = sidecar.get("/", ("User-Agent", CHROMIUM), ("Sec-Fetch-Dest", "document"))
        (address,) = re.findall(
            r"report-uri ([^ ;]+)", page.values("Content-Security-Policy-Report-Only")[0]
        )
        here = f"http://127.0.0.1:{sidecar.listen[1]}/"
        body = {
            "document-uri": here,
            "effective-directive": "script-src-elem",
            "blocked-uri": "inline",
            "script-sample": "alert(1)",
            "source-file": here,
        }
        headers = (("Content-Type", "application/csp-report"), ("User-Agent", CHROMIUM))
        data = json.dumps({"csp-report": body}).encode()
        assert wire.ask(sidecar.listen, wire.request("POST", address, headers, data)).status == 204
        sidecar.save("value: nosniff}", "value: nosniff, mode: enforce}")
        sidecar.event("policy.activated", who="file")
        yield sidecar


def test_what_is_asked_has_the_documented_form(busy: Sidecar):
    """Every GET of the API of a sidecar that has seen a trial, a report, a ladder, a rollback
    and a refused file.
    """
    data = conforms("get", "/api/rollout", busy.ask("/api/rollout"))
    assert any(rule["causes"] for rule in data["rules"])
    assert any(
        item["climb"]
        for item in conforms("get", "/api/evidence", busy.ask("/api/evidence"))["evidence"]
    )
    assert conforms("get", "/api/reports", busy.ask("/api/reports"))["causes"]
    until(lambda: busy.ask("/api/pages").json()["routes"], "the page was read")
    held = conforms("get", "/api/pages", busy.ask("/api/pages"))["routes"]["default"]
    assert held["inline"]
    assert held["urls"]
    assert conforms("get", "/api/baseline", busy.ask("/api/baseline"))["tally"]["cells"]

    left = conforms("get", "/api/status", busy.ask("/api/status"))["revision"]
    order = {"mode": "report-only", "ttl": "30m", "reason": "look", "who": "anna"}
    assert conforms("post", "/-/mode", busy.order("/-/mode", **order))["override"]["until"]
    assert conforms("post", "/-/rollback", busy.order("/-/rollback", reason="look"))["left"] == left
    assert conforms("post", "/-/reload", busy.order("/-/reload"))["result"] == "pinned"
    assert (
        conforms("post", "/-/reload", busy.order("/-/reload", unpin=True))["result"] == "activated"
    )
    busy.write("version: 2\n")
    assert conforms("post", "/-/reload", busy.order("/-/reload"))["problems"]
    assert conforms(
        "post",
        "/-/promotion",
        busy.order("/-/promotion", rules=["csp"], policy=POLICY, move="trial"),
    )
    assert conforms("post", "/-/suggestion", busy.order("/-/suggestion", rules=["csp"]))
    for path, wrong in (
        ("/-/mode", {"mode": "loud"}),
        ("/-/rollback", {"to": "zzz"}),
        ("/-/promotion", {}),
        ("/-/suggestion", {}),
    ):
        refused = busy.order(path, **wrong)
        assert refused.status >= 400
        assert conforms("post", path, refused)["error"]

    status = conforms("get", "/api/status", busy.ask("/api/status"))
    assert status["override"]
    assert status["problems"]
    journal = conforms("get", "/api/revisions", busy.ask("/api/revisions"))
    assert len({entry["event"] for entry in journal["entries"]}) == 6
    for path in (f"/api/revisions/{left}", "/api/revisions/nowhere"):
        conforms("get", path, busy.ask(path))


@pytest.mark.parametrize("path", sorted(HEALTH))
def test_probes_have_the_documented_form(front: Sidecar, path: str):
    """On the health listener and on the admin listener alike."""
    conforms("get", path, wire.get(front.health, path))
    conforms("get", path, front.ask(path))


def test_drift_has_the_documented_form(start: Start, shop: Service, tmp_path: Path):
    """Beside a baseline that knows a header which the service does not send."""
    first = start(POLICY, shop.url)
    first.get("/")
    tally = first.ask("/api/baseline").json()["tally"]
    tally["cells"][0]["headers"]["X-Gone"] = "yes"
    file = tmp_path / "baseline.yaml"
    file.write_text(yaml.safe_dump(tally))
    second = start(POLICY, shop.url, baseline=str(file))
    second.get("/")

    assert conforms("get", "/api/baseline", second.ask("/api/baseline"))["drift"]["file"] == str(
        file
    )


def test_a_fleet_has_the_documented_form(start: Start, shop: Service):
    """Beside a store that is away, and where there is none."""
    alone = start(POLICY, shop.url)
    assert conforms("get", "/api/fleet", alone.ask("/api/fleet"))["fleet"] is None
    member = start(POLICY, shop.url, fleet={"url": "redis://127.0.0.1:1/0", "name": "shop"})
    assert conforms("get", "/api/fleet", member.ask("/api/fleet"))["fleet"]["connected"] is False
    assert conforms("get", "/api/status", member.ask("/api/status"))["fleet"]["trouble"]
    assert conforms("post", "/-/mode", member.order("/-/mode", mode="off"))["fleet"]["pending"]
    refused = member.order("/-/rollback", fleet=True)
    assert refused.status == 409
    assert conforms("post", "/-/rollback", refused)["error"]
