"""`python -m tests.pictures`: take the pictures of the admin page that the README shows.

A shop with faults behind a real sidecar, a browser that visits it, a trial with what it reports,
and the screenshots.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.chromium import Chromium, Tab
from tests.browser.test_trial import serving
from tests.e2e.processes import until
from tests.e2e.running import Sidecar

FOLDER = Path("deploy/pictures")
PICTURES = {
    "page.png": (1280, "light"),
    "page-dark.png": (1280, "dark"),
    "phone.png": (390, "light"),
    "phone-dark.png": (390, "dark"),
}
HIGH = 1900
"""Pixels: what stands below is cut off."""

HOME = """\
<!doctype html><html lang=en><title>Sample shop</title><h1>Sample shop</h1>
<script>document.title = document.title + " - open"</script>
<script src="https://cdn.example/stock.js"></script>
<p onclick="document.title = 'cart'">Tea, 4 euros</p></html>"""
FILES = {
    "/": ("text/html", HOME),
    "/cart": ("text/html", HOME.replace("4 euros", "two cups")),
    "/api/items": ("application/json", '{"items": ["tea"]}'),
}
POLICY = """\
version: 1
name: shop
owner: web-platform@example.com
reason: header review before the June release
expected: every page carries a CSP; no response names its server
rollback: sidecar rollback
mode: enforce
rules:
  no-server: {action: remove, header: [Server, X-Powered-By]}
  nosniff: {header: X-Content-Type-Options, action: set, value: nosniff, mode: report-only}
  referrer: {header: Referrer-Policy, action: default, value: strict-origin-when-cross-origin}
  hsts: {header: Strict-Transport-Security, action: set, ladder: [5m, 1d, 30d, 2y], when: {scheme: https}}
  csp:
    header: Content-Security-Policy
    action: default
    value: {default-src: ["'self'"], object-src: ["'none'"], base-uri: ["'self'"], frame-ancestors: ["'none'"]}
    when: {content-type: text/html}
    mode: report-only
  frames: {header: X-Frame-Options, action: set, value: DENY, mode: report-only}
routes:
  - name: api
    match: {path: /api/*}
    rules:
      nosniff: {mode: enforce}
"""  # noqa: E501


@contextmanager
def rollout(folder: Path, browser: Chromium, loads: int = 6) -> Iterator[Sidecar]:
    """A sidecar in the middle of a rollout: a trial that a browser reported, rules at each step,
    a history. In trial each page is loaded `loads` times.
    """
    with serving(FILES) as origin:
        settings = {"trial": {"canary": 1.0}}
        sidecar = Sidecar(folder, POLICY, origin, settings=settings).start()
        try:
            shop = f"http://127.0.0.1:{sidecar.listen[1]}"
            _visit(browser, shop, 2)
            sidecar.save("    mode: report-only", "    mode: trial")
            sidecar.event("policy.activated", who="file")
            _visit(browser, shop, loads)
            for _ in range(40):
                sidecar.get("/api/items")
            until(
                lambda: len(sidecar.ask("/api/reports").json()["causes"]) >= 3, "what was reported"
            )
            until(lambda: _drawn(sidecar), "the lines are drawn")
            yield sidecar
        finally:
            sidecar.stop()


def _visit(browser: Chromium, shop: str, times: int) -> None:
    for _ in range(times):
        with browser.tab() as tab:
            tab.visit(f"{shop}/")
            tab.visit(f"{shop}/cart")


def _drawn(sidecar: Sidecar) -> bool:
    return any(any(rule["trend"]) for rule in sidecar.ask("/api/rollout").json()["rules"])


def show(tab: Tab, sidecar: Sidecar, scheme: str) -> None:
    """The page, with nothing moving any more."""
    tab.send(
        "Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}]
    )
    tab.visit(sidecar.admin)
    tab.awaits("document.getElementById('live').textContent.startsWith('Live')", "it is live")


def take(target: Path) -> None:
    """All pictures into a folder."""
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="shop-") as folder:
        browser = Chromium(Path(folder) / "browser")
        try:
            with rollout(Path(folder) / "sidecar", browser) as sidecar, browser.tab() as tab:
                for name, (width, scheme) in PICTURES.items():
                    tab.resize(width)
                    show(tab, sidecar, scheme)
                    tab.resize(width, min(tab.run("document.documentElement.scrollHeight"), HIGH))
                    tab.picture(target / name)
        finally:
            browser.close()


if __name__ == "__main__":
    take(Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER)
