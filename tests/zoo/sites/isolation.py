"""CORP, COEP, COOP, Permissions-Policy, Integrity-Policy."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import replace

from tests.zoo.site import PICTURE, SEEN, WORKS, Asked, Family, Page, Visitor, html, script, shows

FAMILY = Family("Isolation")
_add = FAMILY.add
_CORP = "header: Cross-Origin-Resource-Policy, action: set, value: same-origin"
_COEP = "header: Cross-Origin-Embedder-Policy, action: set, value: require-corp"
_COOP = "header: Cross-Origin-Opener-Policy, action: set, value: same-origin"
_INTEGRITY = 'header: Integrity-Policy, action: set, value: "blocked-destinations=(script)"'
_CODE = "document.title = 'works'"
_HASH = base64.b64encode(hashlib.sha256(_CODE.encode()).digest()).decode()
_LIBRARY = script(_CODE, ("Access-Control-Allow-Origin", "*"))
_LOGIN = script(
    "addEventListener('message', (event) => { document.title = event.data;"
    " });document.querySelector('button').onclick = () => { window.open('%OTHER%/login', 'login',"
    " 'width=300,height=200'); };"
)
_RESPONSES = html(
    "<script>onload = () => { if (opener) setTimeout(() => opener.postMessage('works', '*'), 200);"
    " };</script>"
)
"""It responds a moment after it is loaded, as a person logs in: Chromium may not yet watch the
opener while a page is parsed, and then has nothing to report.
"""
_SYNC = script(
    "const it = new XMLHttpRequest(); it.open('GET', '/data', false); it.send(); document.title ="
    " it.responseText;"
)
_WHERE = script(
    "navigator.geolocation.getCurrentPosition(() => { document.title = 'works'; }, () => {"
    " document.title = 'refused'; });"
)


_MAPPED = html(
    "<iframe src='%OTHER%/map' allow='geolocation'></iframe>", "<script src=/a.js></script>"
)
_HEARS = script("addEventListener('message', (event) => { document.title = event.data; });")
_MAP = html(
    "<script>navigator.geolocation.getCurrentPosition(() => parent.postMessage('works', '*'), () =>"
    " parent.postMessage('refused', '*'));</script>"
)
_SHARING = html(
    "",
    "<script src=/a.js></script>",
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cross-Origin-Embedder-Policy", "require-corp"),
)
_SHARES = script("if (crossOriginIsolated) { new SharedArrayBuffer(8); document.title = 'works'; }")


def _permissions(value: str) -> str:
    return f'header: Permissions-Policy, action: set, value: "{value}"'


def _logs_in(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('button').click()")
    return visitor.until(WORKS)


def _beacon(visitor: Visitor) -> bool:
    visitor.go("%OTHER%/")
    return visitor.arrives("/log")


def _located(visitor: Visitor) -> bool:
    visitor.allow("geolocation")
    visitor.go("/")
    return visitor.until(WORKS)


_add(
    "corp-image-elsewhere",
    _CORP,
    {"/i.png": PICTURE, "other:/": html("<img src='%SITE%/i.png'>")},
    shows(SEEN, "%OTHER%/"),
    breaks=True,
    witness="proxy",
)
_add(
    "corp-image-own",
    _CORP,
    {"/": html("<img src=/i.png>"), "/i.png": PICTURE},
    SEEN,
    breaks=False,
    witness="proxy",
    schemes=("https", "loopback"),
)
_add(
    "corp-beacon",
    _CORP,
    {
        "/log": Page(status=204),
        "other:/": html("<script>navigator.sendBeacon('%SITE%/log', 'seen')</script>"),
    },
    _beacon,
    breaks=False,
    witness="nobody",
)
_add(
    "corp-missing-image",
    _CORP,
    {
        "/": html("", f"<script>{_CODE}</script>"),
        "other:/": html("<img src='%SITE%/none.png'>", "<title>works</title>"),
    },
    shows("document.images[0].complete", "%OTHER%/"),
    breaks=False,
    witness="proxy",
)
_add(
    "coep-image-elsewhere",
    _COEP,
    {"/": html("<img src='%CDN%/i.png'>"), "cdn:/i.png": PICTURE},
    SEEN,
    breaks=True,
    witness="browsers",
)
_add(
    "coep-image-own",
    _COEP,
    {"/": html("<img src=/i.png>"), "/i.png": PICTURE},
    SEEN,
    breaks=False,
    witness="browsers",
)
_add(
    "coop-popup-login",
    _COOP,
    {
        "/": html("<button>log in</button><script src=/a.js></script>"),
        "/a.js": _LOGIN,
        "other:/login": _RESPONSES,
    },
    _logs_in,
    breaks=True,
    witness="browsers",
)
_add(
    "coop-no-popup",
    _COOP,
    {"/": html("", "<script src=/a.js></script>"), "/a.js": _LIBRARY},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "permissions-geolocation",
    _permissions("geolocation=()"),
    {"/": html("", "<script src=/a.js></script>"), "/a.js": _WHERE},
    _located,
    breaks=True,
    witness="browsers",
)
_add(
    "permissions-sync-xhr",
    _permissions("sync-xhr=()"),
    {
        "/": html("", "<script src=/a.js></script>"),
        "/a.js": _SYNC,
        "/data": Page("works", "text/plain"),
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "permissions-unused",
    _permissions("camera=(), microphone=(), geolocation=()"),
    {"/": html("", "<script src=/a.js></script>"), "/a.js": _LIBRARY},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "permissions-frame-listed",
    _permissions("geolocation=*, camera=()"),
    {"/": _MAPPED, "/a.js": _HEARS, "other:/map": _MAP},
    _located,
    breaks=False,
    witness="browsers",
)
_add(
    "coop-isolation-lost",
    "header: Cross-Origin-Opener-Policy, action: set, value: same-origin-allow-popups",
    {"/": _SHARING, "/a.js": _SHARES},
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "coop-isolation-kept",
    "header: Cross-Origin-Opener-Policy, action: set, value: same-origin",
    {"/": _SHARING, "/a.js": _SHARES},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "integrity-missing",
    _INTEGRITY,
    {"/": html("", "<script src='%CDN%/lib.js'></script>"), "cdn:/lib.js": _LIBRARY},
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "integrity-given",
    _INTEGRITY,
    {
        "/": html(
            "", f"<script src='%CDN%/lib.js' crossorigin integrity='sha256-{_HASH}'></script>"
        ),
        "cdn:/lib.js": _LIBRARY,
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_LISTENS = (
    "<script>addEventListener('message', (event) => { document.title = event.data; });</script>"
)
_SPEAKS = html("<script>(opener || parent).postMessage('works', '*')</script>")


def _opens(address: str) -> Page:
    return html(
        "<button>open</button>",
        f"{_LISTENS}<script>addEventListener('DOMContentLoaded', () => {{"
        f" document.querySelector('button').onclick = () => window.open('{address}', 'w' +"
        " Math.random()); })</script>",
    )


def _clicks(start: str) -> Callable[[Visitor], bool]:
    def visit(visitor: Visitor) -> bool:
        visitor.go(start)
        visitor.run("document.querySelector('button').click()")
        return visitor.until(WORKS)

    return visit


_add(
    "coop-opened-by-another",
    _COOP,
    {"/login": _SPEAKS, "other:/": _opens("%SITE%/login")},
    _clicks("%OTHER%/"),
    breaks=True,
    witness="browsers",
)
_add(
    "coop-own-window",
    _COOP,
    {"/": _opens("/window"), "/window": _SPEAKS},
    _clicks("/"),
    breaks=False,
    witness="browsers",
)
_add(
    "coop-popups-allowed",
    f"{_COOP}-allow-popups",
    {"/": _opens("%OTHER%/login"), "other:/login": _SPEAKS},
    _clicks("/"),
    breaks=False,
    witness="browsers",
)
_add(
    "coep-own-frame",
    _COEP,
    {"/": html("<iframe src=/frame></iframe>", _LISTENS), "/frame": _SPEAKS},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "coep-in-worker",
    _COEP,
    {
        "/": html(
            "",
            "<script>new Worker('/worker.js').onmessage = (event) => { document.title = event.data;"
            " }</script>",
        ),
        "/worker.js": script(
            "fetch('%CDN%/i.png', {mode: 'no-cors'}).then(() => postMessage('works'))"
        ),
        "cdn:/i.png": PICTURE,
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_ISOLATED = ("Cross-Origin-Embedder-Policy", "require-corp")
_add(
    "corp-framed-by-isolated",
    _CORP,
    {
        "/frame": html(
            "<script>parent.postMessage('works', '*')</script>",
            "",
            _ISOLATED,
            ("Cross-Origin-Resource-Policy", "cross-origin"),
        ),
        "other:/": html("<iframe src='%SITE%/frame'></iframe>", _LISTENS, _ISOLATED),
    },
    shows(WORKS, "%OTHER%/"),
    breaks=True,
    witness="proxy",
)
_WHERE_FRAMED = html(
    "<script>navigator.geolocation.getCurrentPosition(() => parent.postMessage('works', '*'), () =>"
    " parent.postMessage('refused', '*'))</script>"
)
_GIVEN = "<iframe src='%OTHER%/widget' allow=geolocation></iframe>"
_MADE = script(
    "const it = document.createElement('iframe'); it.allow = 'geolocation'; it.src ="
    " '%OTHER%/widget'; document.documentElement.append(it);"
)
_add(
    "permissions-frame-given",
    _permissions("geolocation=(self)"),
    {"/": html(_GIVEN, _LISTENS), "other:/widget": _WHERE_FRAMED},
    _located,
    breaks=True,
    witness="browsers",
)
_add(
    "permissions-frame-made",
    _permissions("geolocation=(self)"),
    {
        "/": html("", f"{_LISTENS}<script src=/a.js defer></script>"),
        "/a.js": _MADE,
        "other:/widget": _WHERE_FRAMED,
    },
    _located,
    breaks=True,
    witness="nobody",
)
_add(
    "permissions-frame-named",
    _permissions('geolocation=(self \\"%OTHER-ORIGIN%\\")'),
    {"/": html(_GIVEN, _LISTENS), "other:/widget": _WHERE_FRAMED},
    _located,
    breaks=False,
    witness="browsers",
)
_add(
    "permissions-frame-given-nothing",
    _permissions("geolocation=(self)"),
    {"/": html("<iframe src='%OTHER%/widget'></iframe>", _LISTENS), "other:/widget": _SPEAKS},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "permissions-gamepad",
    _permissions("gamepad=()"),
    {"/": html("", "<script>navigator.getGamepads(); document.title = 'works';</script>")},
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "corp-fetch-elsewhere",
    _CORP,
    {
        "/ping": Page("pong", "text/plain"),
        "other:/": html(
            "",
            f"<script>fetch('%SITE%/ping', {{mode: 'no-cors'}}).then(() => {{ {_CODE} }})</script>",
        ),
    },
    shows(WORKS, "%OTHER%/"),
    breaks=True,
    witness="nobody",
)
_add(
    "corp-image-of-error",
    _CORP,
    {
        "/face.png": replace(PICTURE, status=404),
        "other:/": html("<img src='%SITE%/face.png'>"),
    },
    shows(SEEN, "%OTHER%/"),
    breaks=True,
    witness="proxy",
)
_add(
    "corp-for-all",
    "header: Cross-Origin-Resource-Policy, action: set, value: cross-origin",
    {"/i.png": PICTURE, "other:/": html("<img src='%SITE%/i.png'>")},
    shows(SEEN, "%OTHER%/"),
    breaks=False,
    witness="harmless",
)
_add(
    "coop-noopener-own-window",
    "header: Cross-Origin-Opener-Policy, action: set, value: noopener-allow-popups",
    {"/": _opens("/window"), "/window": _SPEAKS},
    _clicks("/"),
    breaks=True,
    witness="browsers",
)
_add(
    "coop-own-window-unlike",
    _COOP,
    {"/": replace(_opens("/window"), headers=(_ISOLATED,)), "/window": _SPEAKS},
    _clicks("/"),
    breaks=True,
    witness="nobody",
)
_add(
    "coep-frame-no-page",
    f"{_COEP}, when: {{content-type: text/html}}",
    {"/": html("<iframe src=/notes.txt></iframe>"), "/notes.txt": Page("notes", "text/plain")},
    "frames[0].document.body.textContent.includes('notes')",
    breaks=True,
    witness="nobody",
)
_add(
    "coep-frame-a-page",
    f"{_COEP}, when: {{content-type: text/html}}",
    {"/": html("<iframe src=/frame></iframe>", _LISTENS), "/frame": _SPEAKS},
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "permissions-frame-own",
    _permissions("geolocation=(self)"),
    {"/": html("<iframe src=/map></iframe>", _LISTENS), "/map": _WHERE_FRAMED},
    _located,
    breaks=False,
    witness="browsers",
)
_add(
    "permissions-frame-own-apart",
    _permissions("geolocation=()") + ", when: {response: {X-Page: '1'}}",
    {
        "/": html("<iframe src=/map></iframe>", _LISTENS, ("X-Page", "1")),
        "/map": _WHERE_FRAMED,
    },
    _located,
    breaks=True,
    witness="nobody",
)
_add(
    "permissions-frame-srcdoc",
    _permissions("geolocation=()"),
    {
        "/": html(
            '<iframe srcdoc="<script>navigator.geolocation.getCurrentPosition(() =>'
            " parent.postMessage('works', '*'))</script>\"></iframe>",
            _LISTENS,
        )
    },
    _located,
    breaks=True,
    witness="nobody",
)
_SYNC_FRAMED = (
    "<script>try { const it = new XMLHttpRequest(); it.open('GET', '%SITE%/data', false);"
    " it.send(); parent.postMessage(it.responseText, '*'); }"
    " catch { parent.postMessage('refused', '*'); }</script>"
)
_SHARED = Page("works", "text/plain", headers=(("Access-Control-Allow-Origin", "*"),))
_add(
    "permissions-frame-sandboxed",
    _permissions("sync-xhr=(self)"),
    {
        "/": html("<iframe sandbox=allow-scripts src=/frame></iframe>", _LISTENS),
        "/frame": html(_SYNC_FRAMED),
        "/data": _SHARED,
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "permissions-frame-data",
    _permissions("sync-xhr=(self)"),
    {
        "/": html(f'<iframe src="data:text/html,{_SYNC_FRAMED}"></iframe>', _LISTENS),
        "/data": _SHARED,
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "permissions-frame-sandboxed-given-nothing",
    _permissions("geolocation=(self)"),
    {"/": html("<iframe sandbox=allow-scripts src=/frame></iframe>", _LISTENS), "/frame": _SPEAKS},
    WORKS,
    breaks=False,
    witness="browsers",
)
_HINT = "Sec-CH-UA-Platform-Version"
_GIVES = html(
    "<img src='%OTHER%/i.png'>",
    "",
    ("Accept-CH", _HINT),
    ("Permissions-Policy", 'ch-ua-platform-version=(self "%OTHER-ORIGIN%")'),
)


def _comes_again(visitor: Visitor) -> bool:
    """The first visit asks for client hints, the second sends them."""
    visitor.go("/")
    visitor.go("/")
    return visitor.until(SEEN)


_GAVE = replace(
    _GIVES, headers=(("Accept-CH", _HINT), ("Feature-Policy", "ch-ua-platform-version *"))
)


def _hinted(asked: Asked) -> Page:
    return PICTURE if _HINT.lower() in asked.headers else Page("which?", "text/plain", 400)


_add(
    "permissions-hints-of-old-removed",
    "header: Feature-Policy, action: remove",
    {"/": _GAVE, "other:/i.png": _hinted},
    _comes_again,
    breaks=True,
    witness="nobody",
)
for _name, _rule in (
    ("removed", "header: Permissions-Policy, action: remove"),
    ("replaced", _permissions("camera=()")),
):
    _add(
        f"permissions-hints-{_name}",
        _rule,
        {"/": _GIVES, "other:/i.png": _hinted},
        _comes_again,
        breaks=True,
        witness="nobody",
    )
    _add(
        f"permissions-own-{_name}",
        _rule,
        {
            "/": html(
                "", "<script src=/a.js></script>", ("Permissions-Policy", "microphone=(self)")
            ),
            "/a.js": _LIBRARY,
        },
        WORKS,
        breaks=False,
        witness="browsers",
    )
_TWO = (
    "header: [Cross-Origin-Opener-Policy, Cross-Origin-Resource-Policy], action: set, value:"
    " same-origin"
)


def _goes_home_first(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("%OTHER%/")
    return visitor.until(WORKS)


_add(
    "coop-and-corp-fetch-elsewhere",
    _TWO,
    {
        "/": html("<p>home</p>"),
        "/ping": Page("pong", "text/plain"),
        "other:/": html(
            "",
            f"<script>fetch('%SITE%/ping', {{mode: 'no-cors'}}).then(() => {{ {_CODE} }})</script>",
        ),
    },
    _goes_home_first,
    breaks=True,
    witness="nobody",
)
_add(
    "coop-and-corp-own",
    _TWO,
    {"/": html("<img src=/i.png>", f"<script>{_CODE}</script>"), "/i.png": PICTURE},
    WORKS,
    breaks=False,
    witness="browsers",
)
_SANDBOXED = html("<iframe sandbox=allow-scripts src=/frame></iframe>", _LISTENS)
_add(
    "coep-frame-sandboxed",
    _COEP,
    {
        "/": _SANDBOXED,
        "/frame": html("<img src='%CDN%/i.png' onload=\"parent.postMessage('works', '*')\">"),
        "cdn:/i.png": PICTURE,
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "integrity-frame-sandboxed",
    _INTEGRITY,
    {
        "/": _SANDBOXED,
        "/frame": html("<script src='%CDN%/lib.js'></script>"),
        "cdn:/lib.js": script("parent.postMessage('works', '*')"),
    },
    WORKS,
    breaks=True,
    witness="nobody",
)


def _arrives_by_link(visitor: Visitor) -> bool:
    visitor.go("%OTHER%/")
    visitor.run("document.querySelector('a').click()")
    return visitor.until(WORKS)


_add(
    "coop-link-from-elsewhere",
    _COOP,
    {
        "/": html("", "<script src=/a.js></script>"),
        "/a.js": _LIBRARY,
        "other:/": html("<a href='%SITE%/'>shop</a>"),
    },
    _arrives_by_link,
    breaks=False,
    witness="browsers",
)
_add(
    "integrity-in-worker",
    _INTEGRITY,
    {
        "/": html(
            "",
            "<script>new Worker('/w.js').onmessage = (event) => { document.title = event.data; };"
            "</script>",
        ),
        "/w.js": script("importScripts('/lib.js'); postMessage(said);"),
        "/lib.js": script("var said = 'works';"),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
for _name, _feature, _breaks in (("", "camera", True), ("-of-another", "notifications", False)):
    _add(
        f"permissions-asked{_name}",
        _permissions("camera=()"),
        {
            "/": html("", "<script src=/a.js></script>"),
            "/a.js": script(
                f"navigator.permissions.query({{name: '{_feature}'}}).then((it) => {{"
                " document.title = it.state === 'denied' ? 'denied' : 'works'; });"
            ),
        },
        WORKS,
        breaks=_breaks,
        witness="nobody" if _breaks else "browsers",
    )
_add(
    "corp-post-elsewhere",
    _CORP,
    {
        "/log": Page(status=204),
        "other:/": html(
            "<script>fetch('%SITE%/log', {method: 'POST', mode: 'no-cors', body: 'seen'})"
            f".then(() => {{ {_CODE} }})</script>"
        ),
    },
    shows(WORKS, "%OTHER%/"),
    breaks=True,
    witness="nobody",
)


def _pings(visitor: Visitor) -> bool:
    visitor.go("%OTHER%/")
    visitor.run("document.querySelector('a').click()")
    return visitor.arrives("/log")


_add(
    "corp-ping",
    _CORP,
    {
        "/log": Page(status=204),
        "other:/": html("<a ping='%SITE%/log' href=#on>on</a>"),
    },
    _pings,
    breaks=False,
    witness="proxy",
)


_POSITION = (
    "navigator.geolocation.getCurrentPosition(() => parent.postMessage('works', '*'), () =>"
    " parent.postMessage('refused', '*'))"
)
_HEARS = "addEventListener('message', (event) => { document.title = event.data; });"
for _name, _rule, _places in (
    (
        "inside-made",
        _permissions("geolocation=()"),
        {
            "/": html("", "<script src=/a.js defer></script>"),
            "/a.js": script(
                f"{_HEARS} const it = document.createElement('iframe'); it.srcdoc ="
                f" `<script>{_POSITION}</` + `script>`; document.body.append(it);"
            ),
        },
    ),
    (
        "given-by-script",
        _permissions("geolocation=(self)"),
        {
            "/": html("<iframe src='%OTHER%/map'></iframe>", "<script src=/a.js defer></script>"),
            "/a.js": script(
                f"{_HEARS} addEventListener('load', () => {{ const it ="
                " document.querySelector('iframe'); it.allow = 'geolocation *'; it.src = it.src;"
                " });"
            ),
            "other:/map": html(
                "<script>navigator.geolocation.getCurrentPosition(() => parent.postMessage('works',"
                " '*'))</script>"
            ),
        },
    ),
):
    _add(
        f"permissions-frame-{_name}",
        _rule,
        _places,
        _located,
        breaks=True,
        witness="nobody",
    )
_add(
    "coep-frame-sandboxed-by-script",
    _COEP,
    {
        "/": html("", "<script src=/a.js defer></script>"),
        "/a.js": script(
            f"{_HEARS} const it = document.createElement('iframe'); it.sandbox = 'allow-scripts';"
            " it.src = '/inner'; document.body.append(it);"
        ),
        "/inner": html(
            "<img src='%CDN%/i.png' onload=\"parent.postMessage('works', '*')\">",
        ),
        "cdn:/i.png": PICTURE,
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "permissions-frame-made-for-text",
    _permissions("geolocation=()"),
    {
        "/": html("", "<script src=/a.js defer></script>"),
        "/a.js": script(
            f"{_HEARS} const it = document.createElement('iframe'); it.srcdoc ="
            " `<script>parent.postMessage('works', '*')</` + `script>`; document.body.append(it);"
        ),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "permissions-video-embedded",
    _permissions("camera=(), microphone=(), geolocation=(), payment=()"),
    {
        "/": html(
            "<iframe allow='autoplay; clipboard-write; encrypted-media; gyroscope; web-share'"
            " allowfullscreen src='%OTHER%/video'></iframe>",
            _LISTENS,
        ),
        "other:/video": html("<script>parent.postMessage('works', '*')</script>"),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_WHOLE = html(
    "<script>parent.postMessage(document.fullscreenEnabled ? 'works' : 'small', '*')</script>"
)
_add(
    "permissions-whole-screen-of-a-frame",
    _permissions("camera=(), fullscreen=(self)"),
    {
        "/": html("<iframe allowfullscreen src='%OTHER%/video'></iframe>", _LISTENS),
        "other:/video": _WHOLE,
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "permissions-whole-screen-of-the-page",
    _permissions("camera=(), fullscreen=(self), autoplay=(self)"),
    {
        "/": html(
            "<iframe src=/video></iframe><iframe src='%OTHER%/map'></iframe>",
            _LISTENS,
        ),
        "/video": _WHOLE,
        "other:/map": html("<p>map</p>"),
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "integrity-frame-made",
    _INTEGRITY,
    {
        "/": html(
            "",
            f"<script>{_HEARS} addEventListener('load', () => {{ const it ="
            " document.createElement('iframe'); it.srcdoc = '<script src=\"%SITE%/a.js\"></' +"
            " 'script>'; document.body.append(it); });</script>",
        ),
        "/a.js": script("parent.postMessage('works', '*');"),
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
for _name, _used, _breaks in (("", "usb", True), ("-of-another", "serial", False)):
    _add(
        f"permissions-in-worker{_name}",
        _permissions("usb=()"),
        {
            "/": html("", "<script src=/a.js></script>"),
            "/a.js": script(
                "new Worker('/w.js').onmessage = (event) => { document.title = event.data; };"
            ),
            "/w.js": script(
                f"navigator.{_used}.get{'Devices' if _breaks else 'Ports'}().then(() =>"
                " postMessage('works'), () => postMessage('refused'));"
            ),
        },
        WORKS,
        breaks=_breaks,
        witness="nobody" if _breaks else "browsers",
    )
