"""What replicas saw, judged as one: summed, causes of all, and a promotion that is everywhere or
nowhere.
"""

from __future__ import annotations

import json
import re
import signal
from typing import Any

from tests.browser.test_trial import serving
from tests.e2e import wire
from tests.e2e.conftest import POLICY
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.fleet.conftest import ABOUT, Join, fleet, mark
from tests.portion import full

CHROMIUM = (
    "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0"
    " Safari/537.36"
)
PAGE = "<!doctype html><title>a</title><script>alert(1)</script>"
ENOUGH = ("--min-requests", "3", "--min-time", "0s")


def evidence(sidecar: Sidecar, rule: str, *more: str) -> tuple[float, dict[str, Any]]:
    """Responses that a rule judged in all replicas, and the whole of what was printed."""
    done = sidecar.verb("evidence", "--fleet", "--json", *more)
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    return sum(one["evaluated"] for one in data["evidence"] if one["rule"] == rule), data


def listed(count: int, sidecar: Sidecar) -> None:
    """Wait until the store knows so many replicas."""
    until(lambda: len(fleet(sidecar)["replicas"] or ()) == count, f"{count} are listed")


def test_evidence_is_of_all_replicas_those_included_that_are_gone(join: Join):
    """A new replica with an empty folder begins with what the others saw, and says whose it is."""
    a, b = join("a", POLICY), join("b", POLICY)
    listed(2, a)
    for sidecar, times in ((a, 3), (b, 4)):
        for _ in range(times):
            sidecar.get("/")

    assert evidence(a, "mark")[0] == evidence(b, "mark")[0] == 7
    assert b.stop() == 0
    new = join("new", POLICY)
    listed(2, new)
    count, data = evidence(new, "mark")
    assert (count, data["source"]) == (7, "2 replicas of fleet shop, and 1 that are gone")
    assert "evidence of 2 replicas" in new.verb("evidence", "--fleet").stderr


def test_a_promotion_is_everywhere_and_the_second_of_two_is_refused(join: Join):
    """Judged on the sum, stored with its text, followed by all, whatever their files say; the
    loser learns what won.
    """
    a, b = join("a", ABOUT), join("b", ABOUT)
    listed(2, a)
    for sidecar in (a, b):
        for _ in range(2):
            sidecar.get("/")
    version = fleet(b)["version"]
    few = a.verb("promote", "mark", "--policy", str(a.policy), *ENOUGH)
    assert few.returncode == 1

    done = a.verb(
        "promote",
        "mark",
        "--fleet",
        "--policy",
        str(a.policy),
        *ENOUGH,
        "--override",
        "nobody can see it",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    moved = a.event("promotion.granted")
    assert (moved["source"], moved["verdicts"][0]["evaluated"]) == ("2 replicas of fleet shop", 4)
    assert "version 2, in force on 2 of 2 replicas" in done.stderr
    assert mark(a) == mark(b) == "one"
    assert "mode: enforce" in a.policy.read_text()
    assert b.policy.read_text() == ABOUT
    followed = b.event("decision.followed", decided="policy.promoted")
    assert (followed["reason"], followed["promotion"]) == ("mark to enforce", moved["promotion"])
    b.kept("decision.followed")
    (own, theirs) = (json.loads(one.verb("note", "--json").stdout) for one in (a, b))
    assert own["verdicts"] == theirs["verdicts"] == moved["verdicts"]
    assert own["commands"] == theirs["commands"] and own["files"] == theirs["files"]
    events = [one["event"] for one in fleet(b)["journal"]]
    assert events == [
        "policy.promoted",
        "promotion.granted",
        "promotion.refused",
        "policy.activated",
    ]
    late = b.order("/-/promotion", rules=["csp"], fleet=True, version=version)
    assert (late.status, "policy.promoted by" in late.json()["error"]) == (409, True)
    b.restart()
    assert mark(b) == "one"
    new = join("new", ABOUT)
    assert json.loads(new.verb("note", "--json").stdout)["verdicts"] == moved["verdicts"]
    assert new.stop() == 0
    nowhere = ("--fleet", "--policy", str(a.folder / "none.yaml"))
    back = b.verb("promote", "mark", "--step-back", *nowhere)
    assert (back.returncode, "no file here holds it" in back.stderr) == (0, True), back.stderr
    until(lambda: mark(a) is mark(b) is None, "the step back is everywhere")
    assert b.verb("rollback", "--fleet").returncode == 0
    until(lambda: mark(a) == mark(b) == "one", "the promotion is back")
    parent = a.status()["parent"]
    assert parent and b.verb("rollback", "--fleet", "--to", parent).returncode == 0
    until(lambda: mark(a) is mark(b) is None, "both are back")


@full
def test_what_browsers_reported_to_one_stands_against_the_rule_on_all(join: Join):
    """`reports --fleet` shows each cause once, the gate of every replica knows it."""
    trial = ABOUT.replace("mode: report-only", "mode: trial")
    with serving({"/": ("text/html", PAGE)}) as origin:
        a, b = (join(name, trial, upstream=origin) for name in "ab")
        listed(2, a)
        for sidecar in (a, b, b):
            _report(sidecar)
        (cause,) = json.loads(a.verb("reports", "--fleet", "--json").stdout)["causes"]

        assert (cause["rule"], cause["count"]) == ("csp", 3)
        assert "reported to 2 replicas" in b.verb("reports", "--fleet").stderr
        refused = a.verb("promote", "csp", "--fleet", "--policy", str(a.policy), *ENOUGH)
        assert (refused.returncode, "(3 reports" in refused.stdout) == (1, True)
        assert fleet(a)["version"] == 1
        edit = ("--fleet", "--policy", str(a.policy), "--min-time", "0s", "--min-clients", "1")
        assert "alert(1)" in a.verb("suggest", "csp", *edit).stdout
        (own,) = [one for one in a.ask("/api/evidence").json()["evidence"] if one["rule"] == "csp"]
        assert sum(one["count"] for one in own["trial"]["causes"]) == 3
        page = a.ask("/rules").body.decode()
        assert "alert(1)" in page and "sidecar evidence --fleet" in page


def _report(sidecar: Sidecar) -> None:
    """A page load in Chromium, and its report on the inline script."""
    page = sidecar.get("/", ("User-Agent", CHROMIUM), ("Sec-Fetch-Dest", "document"))
    header = page.values("Content-Security-Policy-Report-Only")[0]
    (address,) = re.findall(r"report-uri ([^ ;]+)", header)
    here = "http://shop.example/"
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


@full
def test_a_replica_that_says_nothing_is_named_and_holds_up_the_promotion(join: Join):
    """What it saw may be what speaks against the rule."""
    a, b = join("a", ABOUT), join("b", ABOUT)
    listed(2, a)
    for _ in range(4):
        a.get("/")
    silent = fleet(b)["replica"]
    b.signal(signal.SIGSTOP)
    try:
        refused = a.verb(
            "promote", "nosniff", "--to", "trial", "--fleet", "--policy", str(a.policy)
        )
    finally:
        b.signal(signal.SIGCONT)

    assert (refused.returncode, fleet(a)["version"]) == (1, 1)
    assert f"no response within 3 s, so missing from these numbers: {silent}" in refused.stderr
    assert a.policy.read_text() == ABOUT


def test_the_forms_of_a_fleet_are_the_documented_ones(join: Join):
    """Evidence and causes of all, the fleet itself, a promotion that decides."""
    from tests.e2e.test_openapi import conforms

    a = join("a", ABOUT)
    a.get("/")
    for path in ("evidence", "reports"):
        whole = a.ask(f"/api/{path}?fleet=true")
        assert conforms("get", f"/api/{path}", whole)["fleet"]["alive"] == 1
        assert a.ask(f"/api/{path}?fleet=maybe").status == 400
    assert conforms("get", "/api/fleet", a.ask("/api/fleet"))["fleet"]["decided"]
    wrong = a.order("/-/promotion", rules=["mark"], policy="version: 2")
    assert (wrong.status, "version" in wrong.json()["error"]) == (400, True)
    more = ABOUT.replace("value: one", "value: two")
    order = {"rules": ["mark"], "policy": more, "fleet": True, "override": "it is safe"}
    done = conforms("post", "/-/promotion", a.order("/-/promotion", **order, version=1))
    assert done["revision"] == a.status()["revision"]
    assert "value: two" not in done["edited"], "what is in force is edited, and nothing else"
