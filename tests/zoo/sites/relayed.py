"""What hides for what a response is asked for: service workers, pages fetched ahead, frames."""

from __future__ import annotations

from collections.abc import Callable

from tests.zoo.site import (
    EMBEDS,
    FRAMED,
    FRAMED_SCRIPT,
    WORKS,
    Asked,
    Family,
    Page,
    Visitor,
    html,
    script,
)

FAMILY = Family("Service workers and caches")
_add = FAMILY.add
_CODE = "document.title = 'works'"
_NOSNIFF = "header: X-Content-Type-Options, action: set, value: nosniff"
_DENY = "header: X-Frame-Options, action: set, value: DENY"
_SAVED = "header: Content-Disposition, action: set, value: attachment"
_LAX = "cookie: session, attributes: {SameSite: Lax}"
_TEXT = Page(_CODE, "text/plain")
_APP = html("", "<script src=/app.js></script>")
_READY = "document.title === 'ready' && navigator.serviceWorker.controller"


def _worker(passes_on: str, which: str = "true") -> dict[str, Page]:
    """A start page that registers a service worker, and the worker: it fetches what it is asked
    for by itself.
    """
    return {
        "/start": html(
            "",
            "<script>navigator.serviceWorker.register('/sw.js').then(() =>"
            " navigator.serviceWorker.ready).then(() => { document.title = 'ready'; })</script>",
        ),
        "/sw.js": script(
            "addEventListener('install', () => skipWaiting()); addEventListener('activate', (event)"
            " => event.waitUntil(clients.claim())); addEventListener('fetch', (event) => { if"
            f" ({which}) event.respondWith(fetch({passes_on})); }});"
        ),
    }


def _through(address: str) -> Callable[[Visitor], bool]:
    """A visit of a page that the service worker hands out."""

    def visit(visitor: Visitor) -> bool:
        visitor.go("/start")
        ready = visitor.until(_READY)
        visitor.go(address)
        return ready and visitor.until(WORKS)

    return visit


_ONLY_FILES = "event.request.mode !== 'navigate'"
for name, passes_on in (("kept", "event.request"), ("anew", "event.request.url")):
    _add(
        f"worker-nosniff-{name}",
        _NOSNIFF,
        {**_worker(passes_on), "/": _APP, "/app.js": _TEXT},
        _through("/"),
        breaks=True,
        witness="nobody",
    )
    _add(
        f"worker-nosniff-right-types-{name}",
        _NOSNIFF,
        {**_worker(passes_on), "/": _APP, "/app.js": script(_CODE)},
        _through("/"),
        breaks=False,
        witness="proxy",
    )
    _add(
        f"worker-frame-{name}",
        _DENY,
        {
            **_worker(passes_on, "new URL(event.request.url).pathname === '/'"),
            "/outer": EMBEDS,
            "/": FRAMED,
            "/framed.js": FRAMED_SCRIPT,
        },
        _through("/outer"),
        breaks=True,
        witness="nobody",
    )
_add(
    "worker-frame-fetched-as-a-file",
    f"{_DENY}, when: {{response: {{X-Page: '1'}}}}",
    {
        **_worker(
            "event.request.url, {mode: 'no-cors'}", "new URL(event.request.url).pathname === '/'"
        ),
        "/outer": EMBEDS,
        "/": html("<p>framed</p>", "<script src=/framed.js></script>", ("X-Page", "1")),
        "/framed.js": FRAMED_SCRIPT,
    },
    _through("/outer"),
    breaks=True,
    witness="nobody",
)
_add(
    "worker-files-only",
    _DENY,
    {**_worker("event.request", _ONLY_FILES), "/": _APP, "/app.js": script(_CODE)},
    _through("/"),
    breaks=False,
    witness="proxy",
)
_OWN_SCRIPTS = (
    "header: Content-Security-Policy, action: set, value: \"script-src 'self'\", when: {response:"
    " {X-Page: '1'}}"
)
_INLINE = html("", f"<script>{_CODE}</script>", ("X-Page", "1"))
_add(
    "worker-page-saved",
    f"{_SAVED}, when: {{response: {{X-Page: '1'}}}}",
    {**_worker("event.request"), "/": _INLINE},
    _through("/"),
    breaks=True,
    witness="proxy",
)
_add(
    "worker-csp-inline",
    _OWN_SCRIPTS,
    {**_worker("event.request"), "/": _INLINE},
    _through("/"),
    breaks=True,
    witness="browsers",
)
_add(
    "worker-csp-own",
    _OWN_SCRIPTS,
    {
        **_worker("event.request"),
        "/": html("", "<script src=/app.js></script>", ("X-Page", "1")),
        "/app.js": script(_CODE),
    },
    _through("/"),
    breaks=False,
    witness="browsers",
)


def _reads_on(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.until("performance.getEntriesByName(`${location.origin}/app.js`).length")
    visitor.go("/next")
    return visitor.until(WORKS)


for name, file in (("text", _TEXT), ("script", script(_CODE))):
    _add(
        f"prefetched-{name}",
        _NOSNIFF,
        {
            "/": html("", "<link rel=prefetch href=/app.js as=script>"),
            "/next": _APP,
            "/app.js": file,
        },
        _reads_on,
        breaks=name == "text",
        witness="proxy",
    )


def _saves(visitor: Visitor) -> bool:
    """The page stays while the file is saved."""
    visitor.go("/")
    visitor.run("document.querySelector('a').click()")
    asked = visitor.arrives("/setup.bin")
    visitor.run("new Promise((then) => setTimeout(then, 500))")
    return asked and visitor.until(WORKS) and visitor.until("location.pathname === '/'")


_LINKS = html("<a href=/setup.bin>download</a>", f"<script>{_CODE}</script>")
for name, kind in (("text", "text/plain"), ("binary", "application/octet-stream")):
    _add(
        f"nosniff-download-as-{name}",
        _NOSNIFF,
        {"/": _LINKS, "/setup.bin": Page(bytes(range(9)) * 90, kind)},
        _saves,
        breaks=name == "text",
        witness="nobody" if name == "text" else "proxy",
    )


def _knows(asked: Asked) -> Page:
    return Page("works" if asked.cookies.get("session") == "yes" else "who?", "text/plain")


def _calls(visitor: Visitor) -> bool:
    visitor.go("%OTHER%/")
    return visitor.until(WORKS)


_LISTENS = (
    "<script>addEventListener('message', (event) => { document.title = event.data; })</script>"
)
_IN_FRAME = {
    "/frame": html(
        "<script>fetch('/api/in').then(() => fetch('/api/me')).then((it) => it.text()).then((it) =>"
        " parent.postMessage(it, '*'))</script>"
    ),
    "/api/in": Page(
        "in",
        "text/plain",
        headers=(("Set-Cookie", "session=yes; Path=/api; Secure; SameSite=None; Partitioned"),),
    ),
    "/api/me": _knows,
}
_add(
    "cookie-lax-of-a-frame",
    _LAX,
    {**_IN_FRAME, "other:/": html("<iframe src='%SITE%/frame'></iframe>", _LISTENS)},
    _calls,
    breaks=True,
    witness="proxy",
)


def _calls_at_home(visitor: Visitor) -> bool:
    visitor.go("/outer")
    return visitor.until(WORKS)


_add(
    "cookie-lax-of-an-own-frame",
    _LAX,
    {**_IN_FRAME, "/outer": html("<iframe src=/frame></iframe>", _LISTENS)},
    _calls_at_home,
    breaks=False,
    witness="proxy",
)
