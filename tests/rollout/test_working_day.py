"""The working day, from capture to note, as a user does it: real FastAPI, two sidecars, a real
Prometheus.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.fleet import PAGE_LOAD, Prometheus
from tests.e2e.conftest import Start
from tests.e2e.processes import Service, until
from tests.e2e.running import Sidecar, command

POLICY = """\
# the shop's headers
version: 1
name: shop
owner: web@example.com
reason: header review
expected: every response carries nosniff
rollback: sidecar rollback
mode: enforce
guard: {window: 20s, min-requests: 20}
rules:
  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff, mode: report-only}  # first
  frames: {header: X-Frame-Options, action: set, value: DENY, mode: report-only}
"""
GATE = ("--min-requests", "60", "--min-time", "1s")


def visit(sidecars: tuple[Sidecar, ...], count: int, target: str = "/") -> None:
    """So many requests to each."""
    for sidecar in sidecars:
        for _ in range(count):
            sidecar.get(target, *PAGE_LOAD)


def test_a_working_day(start: Start, shop: Service, tmp_path: Path):
    """Capture, release in report-only, watch a fleet, promote on evidence, be saved by the
    guard, repair, promote, write the note.
    """
    fleet = tuple(start(POLICY, shop.url) for _ in range(2))
    one, two = fleet
    prometheus = Prometheus(
        tmp_path / "prometheus", {"shop": [sidecar.health for sidecar in fleet]}
    )
    try:
        _day(one, two, prometheus, tmp_path, shop.url)
    finally:
        prometheus.child.ask_to_end()
        prometheus.child.end()


def _day(one: Sidecar, two: Sidecar, prometheus: Prometheus, folder: Path, upstream: str) -> None:
    fleet = one, two
    policy = ("--policy", str(one.policy))
    evidence = ("--prometheus", prometheus.url, "--window", "5m", "--selector", 'job="shop"')

    def promote() -> Any:
        data = one.verb("promote", "nosniff", *policy, *evidence, *GATE, "--json")
        return data.returncode, json.loads(data.stdout)

    def granted() -> Any:
        """The first promotion that passes: Prometheus has the numbers a scrape or two later."""
        tries = []

        def passed() -> bool:
            tries.append(promote())
            return bool(tries[-1][0] == 0)

        until(passed, "the rule is promoted")
        return tries[-1]

    until(lambda: prometheus.value('sum(up{job="shop"})') == 2, "Prometheus scrapes both")
    visit(fleet, 5)
    captured = one.verb("capture", "--output", str(folder / "baseline.yaml"))
    assert captured.returncode == 0, captured.stderr
    backup = one.policy.read_text()
    rehearsed = command(
        "rehearse",
        *policy,
        "--upstream",
        upstream,
        "--baseline",
        str(folder / "baseline.yaml"),
        "--json",
    )
    assert json.loads(rehearsed.stdout)["passed"], rehearsed.stdout

    code, data = promote()
    assert (code, data["verdicts"][0]["outcome"], one.policy.read_text()) == (
        1,
        "inconclusive",
        backup,
    )

    visit(fleet, 60)
    counted = 'sum(sidecar_rule_evaluations_total{job="shop",rule="nosniff",mode="report-only"})'
    until(lambda: prometheus.value(counted) == 130, "Prometheus has seen all requests")
    code, data = granted()
    assert (code, data["verdicts"][0]["outcome"], data["promoted"]) == (0, "pass", True)
    assert one.policy.read_text() == backup.replace(
        "nosniff, mode: report-only}  # first", "nosniff, mode: enforce}  # first"
    )
    _same_as_prometheus(data, prometheus)

    one.event("policy.activated", who="file")
    one.kept("policy.activated")
    assert one.get("/").value("X-Content-Type-Options") == "nosniff"
    visit((one,), 30, "/broken")
    fired = one.event("guard.fired")
    one.event("policy.rolled_back", who="guard")
    assert fired["signal"] == "server_errors"
    assert one.get("/").value("X-Content-Type-Options") is None

    one.save("mode: enforce}  # first", "mode: report-only}  # first")
    until(lambda: one.status()["pinned"] is None, "the repaired file is read")
    at = len(one.events())
    code, data = granted()
    assert (code, data["promoted"]) == (0, True)
    _same_as_prometheus(data, prometheus)
    one.event("policy.activated", at, who="file")
    visit((one,), 25)
    one.kept("policy.activated")

    note = one.verb("note", "--json")
    written = json.loads(note.stdout)
    assert (written["owner"], written["reason"], written["expected"]) == (
        "web@example.com",
        "header review",
        "every response carries nosniff",
    )
    assert written["verdicts"][-1] == data["verdicts"][0]
    assert written["files"][-1]["path"] == str(one.policy)
    assert "+  nosniff:" in written["files"][-1]["diff"]
    (after,) = [item for item in written["after"] if item["rule"] == "nosniff"]
    assert (after["mode"], after["evaluated"], after["affected"]) == ("enforce", 25, 25)
    assert (
        "+  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff, mode: enforce}"
        in one.verb("history", "--diff", written["since"]).stdout
    )
    text = one.verb("note").stdout
    assert f"`time={data['verdicts'][0]['at']:.0f}`" in text
    assert f"    {data['verdicts'][0]['query']}\n" in text
    assert f"sidecar rollback --to {written['since']}" in text
    assert "0 of 25, as 25 were corrected" in text


def _same_as_prometheus(data: dict[str, Any], prometheus: Prometheus) -> None:
    """The gate's numbers are those that Prometheus gives for the reported question at the same
    moment, and no more than its own `increase`.
    """
    (verdict,) = data["verdicts"]
    (item,) = [
        item
        for item in data["evidence"]
        if item["rule"] == "nosniff" and item["mode"] == "report-only"
    ]
    labels = 'job="shop",rule="nosniff",mode="report-only",route="default"'
    ours = f"sum(increase(sidecar_rule_evaluations_total{{{labels}}}[5m]))"
    most, asked = (prometheus.value(query, verdict["at"]) for query in (ours, verdict["query"]))
    assert verdict["source"] == prometheus.url
    assert verdict["evaluated"] == item["evaluated"] == pytest.approx(asked, rel=1e-9)
    assert asked <= most * (1 + 1e-9)
