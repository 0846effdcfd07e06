"""CORS, downloads, stores, Referer, HSTS, and what is harmless by nature."""

from __future__ import annotations

from collections.abc import Callable

from tests.zoo.site import (
    PICTURE,
    SEEN,
    WORKS,
    Asked,
    Family,
    Page,
    Visitor,
    html,
    script,
    shows,
)

FAMILY = Family("Others")
_add = FAMILY.add
_ANY = ("Access-Control-Allow-Origin", "*")
_FETCHES = (
    "<script>fetch('{}').then((it) => it.text()).then((it) => {{ document.title = it; }}, () => {{"
    " document.title = 'refused'; }})</script>"
)
_DATA = Page("works", "application/json", headers=(_ANY,))
_WELCOME = "document.body !== null && document.body.textContent.includes('welcome')"
_FORM = "<form method=post action='{}'><input name=q value=1><button>go</button></form>"


def _account(asked: Asked) -> Page:
    return html(f"<p>{'welcome' if asked.cookies.get('session') == 'yes' else 'who are you?'}</p>")


def _careful(asked: Asked) -> Page:
    """A service that takes no form without a Referer of its own, as a CSRF check."""
    own = asked.headers.get("referer", "").split("/")[2:3] == [asked.headers.get("host")]
    return html(f"<p>{'welcome' if own else 'refused'}</p>")


def _stays(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("/account")
    visitor.go("/account")
    return visitor.until(_WELCOME)


def _sends(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('button').click()")
    return visitor.until(_WELCOME)


def _logs_out(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("/account")
    known = visitor.until(_WELCOME)
    visitor.go("/logout")
    return visitor.until(WORKS) and known


def _goes_back(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('button').click()")
    found = visitor.until("document.querySelector('a') !== null")
    visitor.run("document.querySelector('a').click()")
    read = visitor.until(WORKS)
    visitor.run("void history.back()")
    return found and read and visitor.until("document.querySelector('a') !== null")


def _old_subdomain(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("%SUB%/legacy")
    return visitor.until(WORKS)


def _downloads(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('a').click()")
    return visitor.arrives("/list.csv") and visitor.until(WORKS)


_SESSION = html("<p>start</p>", "", ("Set-Cookie", "session=yes; Path=/"))
_PLAIN = {
    "/": html("<p>text</p>", "<script src=/a.js></script>"),
    "/a.js": script("document.title = 'works'"),
}
_NAMED = {
    "/": html(
        "<p>text</p>", "<title>works</title>", ("X-Powered-By", "Python"), ("Server", "gunicorn")
    ),
    "/a": Page("works"),
}
_TITLED = "document.body.textContent === 'text'"
_SEARCH = {
    "/": html(_FORM.format("/found")),
    "/found": html("<a href=/one>one</a>"),
    "/one": Page("<title>works</title>one"),
}

_add(
    "cors-removed",
    "header: Access-Control-Allow-Origin, action: remove",
    {"/data": _DATA, "other:/": html(_FETCHES.format("%SITE%/data"))},
    shows(WORKS, "%OTHER%/"),
    breaks=True,
    witness="proxy",
    schemes=("https", "http"),
)
_add(
    "cors-narrowed",
    "header: Access-Control-Allow-Origin, action: set, value: https://partner.example",
    {"/data": _DATA, "other:/": html(_FETCHES.format("%SITE%/data"))},
    shows(WORKS, "%OTHER%/"),
    breaks=True,
    witness="proxy",
)
_add(
    "cors-narrowed-to-its-user",
    "header: Access-Control-Allow-Origin, action: set, value: '%OTHER-ORIGIN%'",
    {"/data": _DATA, "other:/": html(_FETCHES.format("%SITE%/data"))},
    shows(WORKS, "%OTHER%/"),
    breaks=False,
    witness="proxy",
)
_add(
    "cors-removed-unused",
    "header: Access-Control-Allow-Origin, action: remove",
    {"/data": _DATA, "/": html(_FETCHES.format("/data"))},
    WORKS,
    breaks=False,
    witness="proxy",
)
_add(
    "disposition-pages",
    "header: Content-Disposition, action: set, value: attachment",
    _PLAIN,
    WORKS,
    breaks=True,
    witness="proxy",
    schemes=("https", "loopback"),
)
_add(
    "disposition-download",
    "header: Content-Disposition, action: set, value: attachment, when: {content-type: text/csv}",
    {
        "/": html(
            "<a href=/list.csv download>list</a>",
            "<title>works</title><script>document.title = 'works'</script>",
        ),
        "/list.csv": Page("a,b", "text/csv"),
    },
    _downloads,
    breaks=False,
    witness="proxy",
)
_add(
    "clear-site-data-everywhere",
    "header: Clear-Site-Data, action: set, value: '\"cookies\"'",
    {"/": _SESSION, "/account": _account},
    _stays,
    breaks=True,
    witness="proxy",
)
_add(
    "clear-site-data-logout",
    "header: Clear-Site-Data, action: set, value: '\"cookies\"', when: {class: logout}",
    {
        "/": _SESSION,
        "/account": _account,
        "/logout": html("<script>document.title = 'works'</script>"),
    },
    _logs_out,
    breaks=False,
    witness="proxy",
)
_add(
    "clear-site-data-cache-after-post",
    "header: Clear-Site-Data, action: set, value: '\"cache\"'",
    _SEARCH,
    _goes_back,
    breaks=True,
    witness="nobody",
)
_add(
    "no-store-after-post",
    "header: Cache-Control, action: set, value: no-store",
    _SEARCH,
    _goes_back,
    breaks=True,
    witness="proxy",
    schemes=("https", "http"),
)
_add(
    "no-store-api",
    "header: Cache-Control, action: set, value: no-store, when: {content-type: application/json}",
    {"/": html(_FETCHES.format("/data")), "/data": _DATA},
    WORKS,
    breaks=False,
    witness="proxy",
    schemes=("https", "http"),
)
_add(
    "referrer-checked",
    "header: Referrer-Policy, action: set, value: no-referrer",
    {"/": html(_FORM.format("/save")), "/save": _careful},
    _sends,
    breaks=True,
    witness="nobody",
    schemes=("https", "http"),
)
_add(
    "referrer-unchecked",
    "header: Referrer-Policy, action: set, value: no-referrer",
    {"/": html(_FORM.format("/save")), "/save": html("<p>welcome</p>")},
    _sends,
    breaks=False,
    witness="nobody",
)
_add(
    "hsts-subdomains",
    "header: Strict-Transport-Security, action: set, value: max-age=600; includeSubDomains",
    {"/": html("<p>start</p>"), "sub:/legacy": html("<script>document.title = 'works'</script>")},
    _old_subdomain,
    breaks=True,
    witness="nobody",
)
_add(
    "hsts-short",
    "header: Strict-Transport-Security, action: set, value: max-age=600",
    _PLAIN,
    WORKS,
    breaks=False,
    witness="nobody",
)
_add(
    "server-removed",
    "header: [Server, X-Powered-By], action: remove",
    _NAMED,
    _TITLED,
    breaks=False,
    witness="harmless",
    schemes=("https", "http", "loopback"),
)
_add(
    "xss-protection-off",
    'header: X-XSS-Protection, action: set, value: "0"',
    _PLAIN,
    WORKS,
    breaks=False,
    witness="harmless",
    schemes=("http", "https"),
)
_add(
    "judge-only",
    "header: X-Content-Type-Options, action: require, value: nosniff",
    _PLAIN,
    WORKS,
    breaks=False,
    witness="harmless",
    schemes=("https", "http"),
)
_LOOKS = {
    "cdn:/lib.js": lambda asked: script(
        "document.title = 'works'" if asked.headers.get("referer", "").endswith("/shop") else ""
    )
}
_TOLD = ("Referrer-Policy", "unsafe-url")
_add(
    "referrer-narrowed",
    "header: Referrer-Policy, action: set, value: strict-origin-when-cross-origin",
    {"/shop": html("", "<script src='%CDN%/lib.js'></script>", _TOLD), **_LOOKS},
    shows(WORKS, "/shop"),
    breaks=True,
    witness="nobody",
)
_add(
    "referrer-default",
    "header: Referrer-Policy, action: set, value: strict-origin-when-cross-origin",
    {"/": html("", "<script>document.title = 'works'</script>")},
    WORKS,
    breaks=False,
    witness="proxy",
)
_WITH = (
    ("Access-Control-Allow-Origin", "%OTHER-ORIGIN%"),
    ("Access-Control-Allow-Credentials", "true"),
)
_add(
    "cors-star-with-credentials",
    "header: Access-Control-Allow-Origin, action: set, value: '*'",
    {
        "/data": Page("works", "application/json", headers=_WITH),
        "other:/": html(
            _FETCHES.replace("'{}'", "'%SITE%/data', {{credentials: 'include'}}").format()
        ),
    },
    shows(WORKS, "%OTHER%/"),
    breaks=True,
    witness="nobody",
)
_add(
    "server-replaced",
    "header: Server, action: set, value: web",
    _NAMED,
    _TITLED,
    breaks=False,
    witness="harmless",
)
_add(
    "trace-read",
    "header: X-B3-TraceId, action: remove",
    {
        "/": html(
            "",
            "<script>fetch('/data').then((it) => { document.title = it.headers.get('x-b3-traceid');"
            " })</script>",
        ),
        "/data": Page("data", "text/plain", headers=(("X-B3-TraceId", "works"),)),
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "no-store-page",
    "header: Cache-Control, action: set, value: no-store",
    _PLAIN,
    WORKS,
    breaks=False,
    witness="nobody",
)
_add(
    "no-store-page-with-validator",
    "header: Cache-Control, action: set, value: no-store",
    {**_PLAIN, "/": html("<p>text</p>", "<script src=/a.js></script>", ("ETag", '"1"'))},
    WORKS,
    breaks=False,
    witness="proxy",
)


def _comes_back(cookie: str) -> Callable[[Visitor], bool]:
    """A page without a name is left, a name is chosen, and the page is returned to. No frozen copy
    of it is kept, because it listens to `unload`.
    """

    def visit(visitor: Visitor) -> bool:
        visitor.go("/shop")
        visitor.run("void (document.cookie = 'cart=; Max-Age=0')")
        visitor.run("document.querySelector('a').click()")
        empty = visitor.until("document.querySelector('p').textContent === 'nothing'")
        visitor.run("document.querySelector('a').click()")
        left = visitor.until("document.querySelector('p') === null")
        visitor.run("void (document.cookie = 'cart=full')")
        visitor.run("void history.back()")
        return (
            empty
            and left
            and visitor.until(f"document.querySelector('p').textContent === '{cookie}'")
        )

    return visit


def _leaving(*headers: tuple[str, str]) -> Callable[[Asked], Page]:
    return lambda asked: html(
        f"<p>{asked.cookies.get('cart', 'nothing')}</p><a href=/shop>on</a>",
        "<script>addEventListener('unload', () => {});</script>",
        *headers,
    )


for name, value, headers, shown in (
    ("no-store-way-back", "no-store", (), "nothing"),
    ("no-store-way-back-needed", "no-cache", (("Cache-Control", "no-store"),), "full"),
):
    _add(
        name,
        f"header: Cache-Control, action: set, value: {value}",
        {"/shop": html("<a href=/cart>cart</a>"), "/cart": _leaving(*headers)},
        _comes_back(shown),
        breaks=True,
        witness="nobody",
    )
_add(
    "referrer-default-own-meta",
    "header: Referrer-Policy, action: set, value: strict-origin-when-cross-origin",
    {
        "/shop": html(
            "", "<meta name=referrer content=unsafe-url><script src='%CDN%/lib.js'></script>"
        ),
        **_LOOKS,
    },
    shows(WORKS, "/shop"),
    breaks=False,
    witness="proxy",
)
_HIDES = ("Referrer-Policy", "no-referrer")
for name, action in (
    ("referrer-hidden", "set, value: strict-origin-when-cross-origin"),
    ("referrer-hidden-removed", "remove"),
):
    _add(
        name,
        f"header: Referrer-Policy, action: {action}",
        {
            "/": html("<img src='%CDN%/i.png'>", "", _HIDES),
            "cdn:/i.png": lambda asked: (
                Page("not here", "text/plain", 403) if "referer" in asked.headers else PICTURE
            ),
        },
        SEEN,
        breaks=True,
        witness="nobody",
    )


def _cart(*headers: tuple[str, str]) -> Callable[[Asked], Page]:
    """A page that says what its visitor has chosen."""
    old = ("Last-Modified", "Wed, 01 Jan 2020 00:00:00 GMT")
    return lambda asked: html(
        f"<p>{asked.cookies.get('cart', 'nothing')}</p><a href=/shop>on</a>", "", old, *headers
    )


def _chooses(visitor: Visitor) -> bool:
    """The cart is seen empty, then with what was put in."""
    for cookie, shown in (("cart=; Max-Age=0", "nothing"), ("cart=works", "works")):
        visitor.go("/shop")
        visitor.run(f"void (document.cookie = '{cookie}')")
        visitor.run("document.querySelector('a').click()")
        if not visitor.until(f"document.querySelector('p').textContent === '{shown}'"):
            return False
    return True


_NO_CACHE = ("Cache-Control", "no-cache")
_SHOP = html("<a href=/cart>cart</a>")
for name, rule, headers, breaks in (
    ("cache-private-for-no-cache", "Cache-Control, action: set, value: private", _NO_CACHE, True),
    (
        "cache-private-too",
        'Cache-Control, action: set, value: "private, no-cache"',
        _NO_CACHE,
        False,
    ),
    ("pragma-removed", "Pragma, action: remove", ("Pragma", "no-cache"), True),
):
    _add(
        name,
        f"header: {rule}",
        {"/shop": _SHOP, "/cart": _cart(headers)},
        _chooses,
        breaks=breaks,
        witness="nobody" if breaks else "harmless",
    )


def _follows(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('a').click()")
    return visitor.until(WORKS)


_LEAVES = html("<a href=/out>out</a>", "<meta name=referrer content=same-origin>")
for name, rule, breaks in (
    ("referrer-redirect", "", True),
    ("referrer-redirect-left-out", ", when: {status: [2xx, 4xx, 5xx]}", False),
):
    _add(
        name,
        f"header: Referrer-Policy, action: set, value: strict-origin-when-cross-origin{rule}",
        {
            "/": _LEAVES,
            "/out": Page(status=302, headers=(("Location", "%OTHER%/in"),)),
            "other:/in": lambda asked: Page(
                f"<title>{'no strangers' if 'referer' in asked.headers else 'works'}</title>"
            ),
        },
        _follows,
        breaks=breaks,
        witness="nobody" if breaks else "proxy",
    )
_add(
    "csp-report-only-types",
    'header: Content-Security-Policy-Report-Only, action: set, value: "require-trusted-types-for'
    " 'script'\"",
    {
        "/": html("<div></div>", "<script src=/a.js defer></script>"),
        "/a.js": script(
            "trustedTypes.createPolicy('default', {createHTML: () => ''});"
            " document.querySelector('div').innerHTML = '<i>text</i>';"
            " if (document.querySelector('i')) document.title = 'works';"
        ),
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
for name, meta, breaks in (
    ("referrer-module", "<meta name=referrer content=no-referrer>", True),
    ("referrer-module-telling", "", False),
):
    _add(
        name,
        "header: Referrer-Policy, action: set, value: strict-origin-when-cross-origin",
        {
            "/": html("", f"{meta}<script type=module src=/a.js></script>"),
            "/a.js": script("import {said} from '%OTHER%/lib.js'; document.title = said;"),
            "other:/lib.js": lambda asked, told=not breaks: (
                script("export const said = 'works';", _ANY)
                if ("referer" in asked.headers) == told
                else Page("not for strangers", "text/plain", 403)
            ),
        },
        WORKS,
        breaks=breaks,
        witness="nobody" if breaks else "proxy",
        schemes=("https", "http"),
    )
for name, meta, breaks in (
    ("referrer-sheet", "<meta name=referrer content=no-referrer>", True),
    ("referrer-sheet-telling", "", False),
):
    _add(
        name,
        "header: Referrer-Policy, action: set, value: strict-origin-when-cross-origin",
        {
            "/": html("<p>text</p>", f"{meta}<link rel=stylesheet href=/a.css>"),
            "/a.css": Page("@import url('%CDN%/b.css');", "text/css"),
            "cdn:/b.css": lambda asked, told=not breaks: (
                Page("p { color: rgb(1, 2, 3) }", "text/css")
                if ("referer" in asked.headers) == told
                else Page("not for strangers", "text/plain", 403)
            ),
        },
        "getComputedStyle(document.querySelector('p')).color === 'rgb(1, 2, 3)'",
        breaks=breaks,
        witness="nobody" if breaks else "proxy",
    )
_add(
    "disposition-name-read",
    "header: Content-Disposition, action: remove",
    {
        "/": html(
            "",
            "<script>fetch('/export').then((it) => { document.title ="
            " it.headers.get('content-disposition').split('=')[1]; })</script>",
        ),
        "/export": Page(
            "a,b", "text/csv", headers=(("Content-Disposition", "attachment; filename=works"),)
        ),
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "cors-removed-refused-already",
    "header: Access-Control-Allow-Origin, action: remove",
    {
        "/data": Page("", "text/plain", 403, (_ANY,)),
        "other:/": html(
            "<script>fetch('%SITE%/data', {method: 'PUT'}).catch(() => { document.title = 'works';"
            " })</script>"
        ),
    },
    shows(WORKS, "%OTHER%/"),
    breaks=False,
    witness="proxy",
)
