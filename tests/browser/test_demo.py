"""The part of the demo's tour that needs a browser: trial, reports, suggest, promote, enforce,
on a page with an inline script and a CDN.
"""

from __future__ import annotations

import json

from tests.browser.chromium import Chromium, Tab
from tests.e2e.processes import until
from tests.e2e.touring import Demo, demo, shell
from tests.portion import full

__all__ = ["demo"]


@full
def test_the_page_still_works_when_the_suggested_policy_enforces(
    browser: Chromium, demo: Demo
) -> None:
    """What browsers reported becomes the smallest edit; promoted on its evidence, it breaks
    nothing and stops an injected script.
    """
    look, _tell, _count, trial, reports, suggest, promote, enforce, look_again, *_ = demo.commands()
    page = look.split()[-1]
    shell(trial)
    until(lambda: "-Report-Only: " in shell(look), "the trial is in force")
    with browser.tab() as tab:
        tab.visit(page)
        until(
            lambda: shell(reports).count("in a page of the site") == 2, "both causes are reported"
        )
        assert _works(tab)
        done = shell(suggest)
        assert "script-src-elem" in done
        until(
            lambda: len({event["revision"] for event in _activated(demo)}) == 3,
            "the suggested policy is in force",
        )
        for _ in range(3):
            tab.visit(page)
        assert "csp: pass" in shell(promote)
        shell(enforce)
        until(lambda: "\nContent-Security-Policy: " in shell(look_again), "enforced")
        tab.visit(page)
        assert _works(tab)
        tab.run(
            "document.body.append(Object.assign(document.createElement('script'), {text:"
            " 'window.stolen = 1'}))"
        )
        assert tab.run("window.stolen") is None


def _works(tab: Tab) -> bool:
    """Both scripts of the page have run."""
    return bool(tab.run("document.body.innerText.includes('4 euros, in stock: 12')"))


def _activated(demo: Demo) -> list[dict[str, str]]:
    lines = (demo.folder / "events.jsonl").read_text().splitlines()
    return [event for line in lines if (event := json.loads(line))["event"] == "policy.activated"]
