"""A sidecar that is killed in a trial: what stands against a rule is not lost while what speaks for
it is kept.
"""

from __future__ import annotations

import json
import re
import signal
from typing import Any

from tests.browser.test_trial import serving
from tests.e2e import wire
from tests.e2e.conftest import Start
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.e2e.test_suggest import CHROMIUM

POLICY = """\
version: 1
name: shop
mode: enforce
rules:
  csp: {header: Content-Security-Policy, action: set, value: "default-src 'self'", mode: trial}
"""
HEADERS = (("Content-Type", "application/csp-report"), ("User-Agent", CHROMIUM))


def tried(sidecar: Sidecar) -> dict[str, Any]:
    """What the trial of the one rule has shown."""
    (seen,) = sidecar.ask("/api/evidence").json()["evidence"]
    found: dict[str, Any] = seen["trial"]
    return found


def test_the_first_report_of_its_kind_outlives_a_crash(start: Start):
    """Page loads are kept every half minute, and their reports come later."""
    with serving({"/": ("text/html", "<!doctype html><title>a</title>")}) as origin:
        sidecar = start(POLICY, origin)
        page = sidecar.get("/", ("User-Agent", CHROMIUM), ("Sec-Fetch-Dest", "document"))
        found = re.search(
            r"report-uri (\S+)", page.values("Content-Security-Policy-Report-Only")[0]
        )
        assert found is not None
        report = {"document-uri": origin, "effective-directive": "img-src", "blocked-uri": "data"}
        body = json.dumps({"csp-report": report}).encode()
        wire.ask(sidecar.listen, wire.request("POST", found[1], HEADERS, body))
        kinds = {kind for kind, count in tried(sidecar)["reports"].items() if count}
        kept = sidecar.state / "evidence.json"
        until(
            lambda: kept.exists() and re.search(r'"report \w+": 1.0', kept.read_text("utf-8")),
            "it is kept",
        )
        sidecar.signal(signal.SIGKILL)
        sidecar.child.end()
        sidecar.start()

        after = tried(sidecar)
        assert kinds and {kind for kind, count in after["reports"].items() if count} == kinds
        assert after["loads"] == 1.0
