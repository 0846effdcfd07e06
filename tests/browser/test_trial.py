"""The gate in a real Chromium: what breaks is never passed, a trial tells it, and what is
harmless passes.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tests.browser.chromium import Chromium
from tests.e2e.conftest import Start
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.portion import full

PAGE = "<!doctype html><title>before</title><p>a page</p>"
INLINE = PAGE + "<script>document.title = 'ran'</script>"
EXTERNAL = PAGE + "<script src=/app.js></script>"
POLICY = """\
version: 1
owner: web@example.com
expected: nothing breaks
rollback: sidecar rollback
mode: enforce
rules:
  it: {header: Content-Security-Policy, action: set, value: "VALUE", mode: report-only}
"""
ENOUGH = ("--min-requests", "3", "--min-time", "0s")


@contextmanager
def serving(
    files: Mapping[str, tuple[str, str | Callable[[Mapping[str, str]], str]]],
) -> Iterator[str]:
    """A service with these files, media type and text (or what makes it of a request's headers)
    by path; its address.
    """

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            media, made = files.get(self.path, ("text/plain", ""))
            text = made if isinstance(made, str) else made(self.headers)
            self.send_response(200 if self.path in files else 404)
            self.send_header("Content-Type", media)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def verdict(sidecar: Sidecar, *words: str) -> dict[str, Any]:
    """What the gate says of the rule now."""
    policy = ("--policy", str(sidecar.policy), "--dry-run", "--json")
    done = sidecar.verb("promote", "it", *policy, *ENOUGH, *words)
    data: dict[str, Any] = json.loads(done.stdout)["verdicts"][0]
    return data


def visit(browser: Chromium, sidecar: Sidecar, times: int = 3) -> list[str]:
    """The page's title after each visit."""
    titles = []
    for _ in range(times):
        with browser.tab() as tab:
            tab.visit(f"http://127.0.0.1:{sidecar.listen[1]}/")
            titles.append(tab.run("document.title"))
    return titles


def test_what_no_page_holds_is_not_the_sites(browser: Chromium, start: Start):
    """A script that the visitor's browser brings: its own kind, neither pass nor fail, until
    somebody waives it.
    """
    with serving({"/": ("text/html", PAGE)}) as origin:
        sidecar = start(
            POLICY.replace("VALUE", "default-src 'self'").replace(
                "mode: report-only}", "mode: trial}"
            ),
            origin,
        )
        visit(browser, sidecar, 3)
        with browser.tab() as tab:
            tab.visit(f"http://127.0.0.1:{sidecar.listen[1]}/")
            tab.run(
                "(() => { const it = document.createElement('script'); it.textContent ="
                " 'window.coupons = []'; document.body.append(it) })()"
            )

        def kinds() -> list[tuple[str, str]]:
            causes = sidecar.ask("/api/reports").json()["causes"]
            return [(cause["kind"], cause["sample"]) for cause in causes]

        until(lambda: kinds() == [("unserved", "window.coupons = []")], "the report is joined")
        until(lambda: canaries(sidecar) == 4, "all canaries came back")
        until(lambda: settled(sidecar) == 4, "all page loads have had time to report")

        said = verdict(sidecar)
        assert said["outcome"] == "inconclusive", said
        (cause,) = said["causes"]
        assert f"promote --waive {cause}" in said["next"]
        assert verdict(sidecar, "--waive", cause)["outcome"] == "pass"


def settled(sidecar: Sidecar) -> float:
    """Page loads that count."""
    return float(
        sum(item["trial"]["settled"] for item in sidecar.ask("/api/evidence").json()["evidence"])
    )


def canaries(sidecar: Sidecar) -> float:
    """How many came back."""
    evidence = sidecar.ask("/api/evidence").json()["evidence"]
    return float(
        sum(returned for item in evidence for _, returned in item["trial"]["canaries"].values())
    )


@pytest.mark.parametrize(
    ("html", "value", "outcome"),
    [
        pytest.param(INLINE, "default-src 'self'", "fail", id="an inline script"),
        pytest.param(INLINE, "object-src 'none'", "pass", id="an inline script that stays allowed"),
        pytest.param(EXTERNAL, "default-src 'self'", "pass", id="a script of the site"),
        pytest.param(
            EXTERNAL, "script-src https://cdn.test", "fail", id="a script that would be blocked"
        ),
        pytest.param(
            PAGE,
            "default-src 'self'; sandbox allow-scripts",
            "inconclusive",
            id="what nobody reports",
        ),
    ],
)
@full
def test_a_trial_tells_what_breaks(
    browser: Chromium, start: Start, html: str, value: str, outcome: str
):
    """Report-only is never enough for CSP; after a trial the verdict is the truth, and the page
    ran as before.
    """
    with serving(
        {"/": ("text/html", html), "/app.js": ("text/javascript", "document.title = 'ran'")}
    ) as origin:
        sidecar = start(POLICY.replace("VALUE", value), origin)
        before = visit(browser, sidecar)
        assert verdict(sidecar)["outcome"] == "inconclusive"

        sidecar.save("mode: report-only}", "mode: trial}")
        sidecar.event("policy.activated", who="file")
        assert visit(browser, sidecar) == before
        until(lambda: canaries(sidecar) == 3, "all canaries came back")

        said = verdict(sidecar)
        assert said["outcome"] == outcome, said
        assert said["canaries"]["chromium"] == [3, 3]
