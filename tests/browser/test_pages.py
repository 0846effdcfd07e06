"""Hashes of a page's inline code, as a real Chromium computes them."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from sidecar.policy.browsers.pages import INLINE_DIRECTIVES, read_page, sample_of
from tests.browser.chromium import Chromium

PAGE = """<!doctype html><meta charset=utf-8>
<script>ran = ['script']; seen = []; addEventListener('securitypolicyviolation', it => seen.push(it.effectiveDirective + ' ' + it.sample))</script>
<script>
  ran.push('\u20ac &amp; <!-- -->')\r
</script>
<script type=module>ran.push('module')</script>
<svg><script>ran.push('svg' + (1 &lt; 2))</script><script><![CDATA[ran.push('cdata' + (1 < 2))]]></script></svg>
<style>p { color: rgb(1, 2, 3) }</style><p id=one>one</p><i id=two style="color: rgb(4, 5, 6)">two</i>
<b id=three onclick="ran.push(&quot;handler&quot;)">three</b>
<a id=four href=" javascript:void(ran.push('%6aavascript: \u20ac'))&#10;">four</a>
<iframe id=five srcdoc="<script>parent.ran.push('srcdoc')</script>"></iframe>
"""  # noqa: E501
ALL = [
    "script",
    "\u20ac &amp; <!-- -->",
    "svgtrue",
    "cdatatrue",
    "srcdoc",
    "module",
    "handler",
    "javascript: \u20ac",
]


@contextmanager
def serving(policy: str) -> Iterator[str]:
    """The page under a policy; its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            if policy:
                self.send_header("Content-Security-Policy", policy)
            self.end_headers()
            self.wfile.write(PAGE.encode())

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


def outcome(browser: Chromium, policy: str) -> tuple[set[str], list[str], list[str]]:
    """What ran, the colours of the styled texts, and what was refused."""
    with serving(policy) as address, browser.tab() as tab:
        tab.visit(address)
        tab.click("#three")
        tab.click("#four")
        tab.run("new Promise(done => setTimeout(done))")
        return (
            set(tab.run("ran")),
            [tab.run(f"getComputedStyle({name}).color") for name in ("one", "two")],
            tab.run("seen"),
        )


def test_a_browser_runs_what_the_hashes_allow(browser: Chromium):
    """Under a policy of nothing but the hashes of the page it does all that it does without one."""
    page = read_page(PAGE.encode(), "")
    lists: dict[str, list[str]] = {}
    for piece in page.inline:
        lists.setdefault(INLINE_DIRECTIVES[piece.kind], ["'unsafe-hashes'"]).append(piece.hash)
    policy = "; ".join(
        ["default-src 'none'", *(" ".join((name, *hashes)) for name, hashes in lists.items())]
    )

    free = outcome(browser, "")
    assert free == (set(ALL), ["rgb(1, 2, 3)", "rgb(4, 5, 6)"], [])
    assert outcome(browser, policy) == free


def test_a_browser_quotes_what_it_refuses_as_it_stands_here(browser: Chromium):
    """The sample of a report is the beginning of the piece's text, under the piece's directive."""
    first, *others = read_page(PAGE.encode()).inline
    policy = (
        "default-src 'none' 'report-sample'; script-src 'report-sample' 'unsafe-hashes'"
        f" {first.hash}"
    )
    ran, _, seen = outcome(browser, policy)

    assert ran == {"script"}
    assert set(seen) == {
        f"{INLINE_DIRECTIVES[piece.kind]} {sample_of(piece.text)}"
        for piece in others
        if "srcdoc" not in piece.text  # reported in the frame's own document
    }
