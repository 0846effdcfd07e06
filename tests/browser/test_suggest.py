"""From a trial to a policy that the page works under, in a real Chromium: trial, suggest, trial,
promote, enforce.
"""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Mapping
from typing import Any

import pytest

from tests.browser.chromium import Chromium
from tests.browser.test_trial import ENOUGH, POLICY, canaries, serving
from tests.e2e.conftest import Start
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.portion import by_default, full

LIBRARY = "document.body.dataset.library = 'ran'"
PAGE = """\
<!doctype html>
<title>before</title>
<link rel=stylesheet href=/site.css>
<style>p { color: rgb(1, 2, 3) }</style>
<p>a page</p>
<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
<button onclick="this.textContent = 'bought'">buy</button>
<script>
  document.title = 'inline ran'
</script>
<script src="CDN/lib.js"></script>
"""
SEEN = """JSON.stringify([document.title, document.body.dataset.library, document.querySelector('button').textContent,
  getComputedStyle(document.querySelector('p')).color, getComputedStyle(document.body).fontWeight])"""  # noqa: E501
WORKS = ["inline ran", "ran", "bought", "rgb(1, 2, 3)", "700"]


def visit(browser: Chromium, sidecar: Sidecar, times: int = 3) -> list[Any]:
    """What stands on the page after its button was clicked, at the last visit."""
    seen: list[Any] = []
    for _ in range(times):
        with browser.tab() as tab:
            tab.visit(f"http://127.0.0.1:{sidecar.listen[1]}/")
            tab.click("button")
            seen = json.loads(tab.run(SEEN))
    return seen


def verb(name: str, sidecar: Sidecar, *words: str) -> subprocess.CompletedProcess[str]:
    """A verb about the rule, with the sidecar's file and admin address."""
    return sidecar.verb(name, "it", *words, "--policy", str(sidecar.policy), "--json")


def causes(sidecar: Sidecar) -> list[Any]:
    """What browsers reported that is not an extension's doing."""
    reported = sidecar.ask("/api/reports").json()["causes"]
    return [cause for cause in reported if cause["kind"] != "noise"]


@pytest.mark.parametrize(
    ("value", "number"),
    by_default(
        [("default-src 'none'", 7), ("default-src 'self'", 5)], lambda case: "none" in case[0]
    ),
    ids=str,
)
def test_from_a_trial_to_a_policy(browser: Chromium, start: Start, value: str, number: int):
    """What was suggested silences the second trial; enforced, the page does all that it did."""
    with (
        serving({"/lib.js": ("text/javascript", LIBRARY)}) as cdn,
        serving(
            {
                "/": ("text/html", PAGE.replace("CDN", cdn)),
                "/site.css": ("text/css", "body { font-weight: bold }"),
            }
        ) as origin,
    ):
        sidecar = start(POLICY.replace("VALUE", value).replace("report-only", "trial"), origin)
        assert visit(browser, sidecar) == WORKS
        until(lambda: len(causes(sidecar)) == number, "all causes are reported")
        assert suggested(sidecar) == 0
        enforced(browser, sidecar)


@full
def test_a_script_that_varies_takes_a_nonce(browser: Chromium, start: Start):
    """The value gets the word for it, and the template writes the nonce that the sidecar gives
    the service.
    """
    numbers = itertools.count()

    def page(headers: Mapping[str, str]) -> str:
        opening = (
            f"<script nonce='{headers.get('X-CSP-Nonce', '')}'>window.number = {next(numbers)};"
        )
        return PAGE.replace("CDN", "").replace("<script>", opening)

    files = {
        "/": ("text/html", page),
        "/lib.js": ("text/javascript", LIBRARY),
        "/site.css": ("text/css", "body { font-weight: bold }"),
    }
    with serving(files) as origin:
        value = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:"
        sidecar = start(POLICY.replace("VALUE", value).replace("report-only", "trial"), origin)
        assert visit(browser, sidecar) == WORKS
        until(lambda: len(causes(sidecar)) == 4, "three scripts and a handler are reported")
        assert suggested(sidecar) == 1
        assert "'nonce-{request}'" in sidecar.policy.read_text()
        enforced(browser, sidecar)


def suggested(sidecar: Sidecar) -> int:
    """Let the policy be mended, from the pages that the sidecar read; the exit code: 1 where a
    person has something left to do.
    """
    pages = lambda: sidecar.ask("/api/pages").json()["routes"]  # noqa: E731 - asked again and again
    until(lambda: pages() and pages()["default"]["read"] >= 3, "the pages are read")
    terms = ("--min-clients", "1", "--min-time", "0s", "--from-trial")
    done = verb("suggest", sidecar, *terms, "--write")
    assert json.loads(done.stdout)["written"], done.stdout
    sidecar.event("policy.activated", who="file")
    return done.returncode


def enforced(browser: Chromium, sidecar: Sidecar) -> None:
    """A second trial is silent, the gate passes, and under the enforced policy the page does all
    that it did.
    """
    assert visit(browser, sidecar) == WORKS
    until(lambda: canaries(sidecar) >= 3, "the canaries came back")
    assert causes(sidecar) == [], sidecar.policy.read_text()
    promoted = verb("promote", sidecar, *ENOUGH)
    assert promoted.returncode == 0, promoted.stdout
    until(lambda: sidecar.get("/").value("Content-Security-Policy"), "it is enforced")
    assert visit(browser, sidecar, 1) == WORKS
