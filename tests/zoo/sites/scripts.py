"""CSP and the scripts of a page."""

from __future__ import annotations

import base64
import gzip
import hashlib
import itertools
from collections.abc import Callable

from tests.zoo.site import WORKS, Asked, Family, Page, Scheme, Visitor, html, script

FAMILY = Family("CSP: scripts")
_add = FAMILY.add
_INLINE = "document.title = 'works'"
_SELF = "header: Content-Security-Policy, action: set, value: \"default-src 'self'\""
_OWN = script(_INLINE)
_PLAIN_SCRIPT = html(
    "",
    "<script>const it = document.createElement('script'); it.src = '%CDN%/app.js'.replace('https:',"
    " 'http:'); document.head.append(it)</script>",
    ("Content-Security-Policy", "upgrade-insecure-requests"),
)
_NUMBERS = itertools.count(1)


def _csp(action: str, value: str, rest: str = "") -> str:
    return f'header: Content-Security-Policy, action: {action}, value: "{value}"{rest}'


def _clicks(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('button').click()")
    return visitor.until(WORKS)


def _with_extension() -> Callable[[Visitor], bool]:
    """Visits of which each third is by somebody whose browser puts a script of its own into
    every page.
    """
    visits = itertools.count(1)

    def visit(visitor: Visitor) -> bool:
        visitor.go("/")
        if not next(visits) % 3:
            visitor.run(
                "(() => { const it = document.createElement('script'); it.textContent ="
                " 'window.coupons = []'; document.body.append(it); return true; })()"
            )
        return visitor.until(WORKS)

    return visit


def _nonced(_: Asked) -> Page:
    nonce = base64.b64encode(hashlib.sha256(str(next(_NUMBERS)).encode()).digest()).decode()
    policy = f"script-src 'nonce-{nonce}' 'strict-dynamic'; object-src 'none'; base-uri 'none'"
    return html(
        f"<script nonce='{nonce}'>{_INLINE}</script>", "", ("Content-Security-Policy", policy)
    )


_HASH = base64.b64encode(hashlib.sha256(_INLINE.encode()).digest()).decode()
_ALL: tuple[Scheme, ...] = ("https", "http", "loopback")
_PAGE = {"/": html(f"<script>{_INLINE}</script>")}
_LAX = ("Content-Security-Policy", "default-src 'self' 'unsafe-inline'")
_EXTERNAL = {
    "/": html(
        "<p>all of it is our own</p><img src=/i.png>",
        "<script src=/app.js></script><link rel=stylesheet href=/app.css>",
    ),
    "/app.js": _OWN,
    "/app.css": Page("p { color: rgb(1, 2, 3) }", "text/css"),
    "/i.png": Page("", "image/png"),
}

_add("csp-inline-script", _SELF, _PAGE, WORKS, breaks=True, witness="browsers", schemes=_ALL)
_add(
    "csp-upgrade-kept",
    _csp("set", "script-src 'self' 'unsafe-inline' https:; upgrade-insecure-requests"),
    {"/": _PLAIN_SCRIPT, "cdn:/app.js": _OWN},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add("csp-own-files", _SELF, _EXTERNAL, WORKS, breaks=False, witness="browsers", schemes=_ALL)
_add(
    "csp-inline-hash",
    _csp("set", f"script-src 'sha256-{_HASH}'"),
    _PAGE,
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-inline-handler",
    _csp("set", "script-src 'self'"),
    {"/": html(f'<button onclick="{_INLINE}">go</button>')},
    _clicks,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-eval",
    _csp("set", "script-src 'self'"),
    {"/": html("", "<script src=/app.js></script>"), "/app.js": script(f'eval("{_INLINE}")')},
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-cdn-script",
    _SELF,
    {"/": html("", "<script src='%CDN%/lib.js'></script>"), "cdn:/lib.js": _OWN},
    WORKS,
    breaks=True,
    witness="browsers",
    schemes=("http", "https"),
)
_add(
    "csp-cdn-script-named",
    _csp("set", "default-src 'self'; script-src 'self' %CDN%/"),
    {"/": html("", "<script src='%CDN%/lib.js'></script>"), "cdn:/lib.js": _OWN},
    WORKS,
    breaks=False,
    witness="browsers",
    schemes=("http", "https"),
)
_add(
    "csp-fetch-elsewhere",
    _SELF,
    {
        "/": html("", "<script src=/app.js></script>"),
        "/app.js": script(
            "fetch('%API%/data').then((it) => it.text()).then((it) => { document.title = it; })"
        ),
        "api:/data": Page("works", "text/plain", headers=(("Access-Control-Allow-Origin", "*"),)),
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-worker-blob",
    _SELF,
    {
        "/": html("", "<script src=/app.js></script>"),
        "/app.js": script(
            """const it = new Worker(URL.createObjectURL(new Blob(["postMessage('works')"], {type: 'text/javascript'})));
                        it.onmessage = (event) => { document.title = event.data; };"""  # noqa: E501
        ),
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-inline-compressed",
    _SELF,
    {
        "/": Page(
            gzip.compress(
                f"<!doctype html><title>start</title><script>{_INLINE}</script>".encode()
            ),
            headers=(("Content-Encoding", "gzip"),),
        )
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add("csp-extension", _SELF, _EXTERNAL, _with_extension(), breaks=False, witness="browsers")
_add(
    "csp-nonce-replaced",
    _csp("set", "script-src 'self'; object-src 'none'"),
    {"/": _nonced},
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-nonce-kept",
    _csp("default", "default-src 'self'"),
    {"/": _nonced},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-default-kept",
    _csp("default", "default-src 'none'"),
    {"/": html(f"<script>{_INLINE}</script>", "", _LAX)},
    WORKS,
    breaks=False,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-default-absent",
    _csp("default", "default-src 'none'"),
    _PAGE,
    WORKS,
    breaks=True,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-append-narrows",
    _csp("append", "script-src 'self'"),
    {"/": html(f"<script>{_INLINE}</script>", "", _LAX)},
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-own-reports",
    _csp("append", "object-src 'none'"),
    {
        "/": html(
            f"<script>{_INLINE}</script>",
            "",
            _LAX,
            ("Content-Security-Policy-Report-Only", "default-src 'self'; report-uri /own-reports"),
        ),
        "/own-reports": Page(status=204),
    },
    WORKS,
    breaks=False,
    witness="browsers",
    schemes=("https", "http"),
)
_add(
    "csp-merge-narrows",
    "header: Content-Security-Policy, action: merge, value: {script-src: [\"'self'\"]}",
    {
        "/": html(
            f"<script>{_INLINE}</script>",
            "",
            ("Content-Security-Policy", "default-src 'self' 'unsafe-inline'; img-src *"),
        )
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-merge-adds",
    "header: Content-Security-Policy, action: merge, value: {object-src: [\"'none'\"], base-uri:"
    " [\"'self'\"]}",
    {"/": html(f"<script>{_INLINE}</script>", "", _LAX)},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-pages-only",
    _csp(
        "set",
        "default-src 'none'; script-src 'self'; connect-src 'self'",
        ", when: {content-type: text/html}",
    ),
    {
        "/": html("", "<script src=/app.js></script>"),
        "/app.js": script(
            "fetch('/data').then((it) => it.text()).then((it) => { document.title = it; })"
        ),
        "/data": Page("works", "application/json"),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-pages-only-inline",
    _csp("set", "script-src 'self'", ", when: {content-type: text/html}"),
    _PAGE,
    WORKS,
    breaks=True,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-trusted-types",
    _csp("set", "require-trusted-types-for 'script'"),
    {
        "/": html("<p></p>", "<script src=/app.js defer></script>"),
        "/app.js": script("document.querySelector('p').innerHTML = '<b>works</b>'"),
    },
    "document.querySelector('b') !== null",
    breaks=True,
    witness="browsers",
)
_add(
    "csp-trusted-types-unneeded",
    _csp("set", "require-trusted-types-for 'script'"),
    {
        "/": html("<p></p>", "<script src=/app.js defer></script>"),
        "/app.js": script("document.querySelector('p').textContent = document.title = 'works'"),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-sandbox",
    _csp("set", "sandbox allow-forms"),
    _EXTERNAL,
    WORKS,
    breaks=True,
    witness="nobody",
)
_WASM = script(
    "WebAssembly.instantiate(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0])).then(() => {"
    " document.title = 'works'; })"
)
_APP = html("", "<script src=/app.js></script>")
_add(
    "csp-wasm",
    _csp("set", "script-src 'self'"),
    {"/": _APP, "/app.js": _WASM},
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-wasm-named",
    _csp("set", "script-src 'self' 'wasm-unsafe-eval'"),
    {"/": _APP, "/app.js": _WASM},
    WORKS,
    breaks=False,
    witness="browsers",
)
_ASKS_API = script("fetch('%API%/data').then((it) => it.text()).then((it) => postMessage(it))")
_API = Page("works", "text/plain", headers=(("Access-Control-Allow-Origin", "*"),))
_STARTS = script("new Worker('/worker.js').onmessage = (event) => { document.title = event.data; }")
_WORKS_APART = {"/": _APP, "/app.js": _STARTS, "/worker.js": _ASKS_API, "api:/data": _API}
_add(
    "csp-in-worker",
    _csp("set", "connect-src 'self'"),
    _WORKS_APART,
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-in-worker-pages-only",
    _csp("set", "connect-src 'self'", ", when: {content-type: text/html}"),
    _WORKS_APART,
    WORKS,
    breaks=False,
    witness="browsers",
)
_SERVES = script(
    "onmessage = (event) => fetch('%API%/data').then((it) => it.text()).then((it) =>"
    " event.source.postMessage(it))"
)
_REGISTERS = script(
    "navigator.serviceWorker.onmessage = (event) => { document.title = event.data;"
    " };navigator.serviceWorker.register('/worker.js').then(() =>"
    " navigator.serviceWorker.ready).then((it) => it.active.postMessage(''))"
)
_add(
    "csp-in-service-worker",
    _csp("set", "connect-src 'self'"),
    {**_WORKS_APART, "/app.js": _REGISTERS, "/worker.js": _SERVES},
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "csp-srcdoc",
    _csp("set", "script-src 'self'"),
    {"/": html("<iframe srcdoc=\"<script>parent.document.title = 'works'</script>\"></iframe>")},
    WORKS,
    breaks=True,
    witness="browsers",
)
_INSECURE = (
    "<script>const it = document.createElement('script'); it.src = '%CDN%/lib.js'.replace('https:',"
    " 'http:'); document.head.append(it)</script>"
)
_UPGRADED = {
    "/": html("", _INSECURE, ("Content-Security-Policy", "upgrade-insecure-requests")),
    "cdn:/lib.js": _OWN,
}
_add(
    "csp-upgrade-lost",
    _csp("set", "object-src 'none'"),
    _UPGRADED,
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "csp-upgrade-removed",
    "header: Content-Security-Policy, action: remove",
    _UPGRADED,
    WORKS,
    breaks=True,
    witness="nobody",
)
