"""CSP and everything of a page but its scripts."""

from __future__ import annotations

import base64

from tests.zoo.site import (
    EMBEDS,
    FRAMED,
    FRAMED_SCRIPT,
    PICTURE,
    PNG,
    SEEN,
    WORKS,
    Family,
    Page,
    Visitor,
    html,
    script,
    shows,
)

FAMILY = Family("CSP: content")
_add = FAMILY.add
_COLOUR = "getComputedStyle(document.querySelector('p')).color === 'rgb(1, 2, 3)'"
_DATA = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
_SVG = Page(
    "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9'"
    " height='9'/></svg>",
    "image/svg+xml",
)
_WIDGET = html("<script>parent.postMessage('works', '*')</script>")
_LISTENS = script("addEventListener('message', (event) => { document.title = event.data; })")
_FORM = "<form method=post action='{}'><input name=q value=1><button>go</button></form>"
_ARRIVED = html("<p>thanks</p>", "<title>works</title>")


def _csp(value: str) -> str:
    return f'header: Content-Security-Policy, action: set, value: "{value}"'


def _sends(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('button').click()")
    return visitor.until("document.body !== null && document.body.textContent.includes('thanks')")


def _font(visitor: Visitor) -> bool:
    visitor.go("/")
    return visitor.arrives("cdn:/font.woff2")


_add(
    "csp-inline-style",
    _csp("style-src 'self'"),
    {"/": html("<p>text</p>", "<style>p { color: rgb(1, 2, 3) }</style>")},
    _COLOUR,
    breaks=True,
    witness="browsers",
    schemes=("http", "https"),
)
_add(
    "csp-style-attribute",
    _csp("default-src 'self'"),
    {"/": html("<p style='color: rgb(1, 2, 3)'>text</p>")},
    _COLOUR,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-style-file",
    _csp("style-src 'self'"),
    {
        "/": html("<p>text</p>", "<link rel=stylesheet href=/a.css>"),
        "/a.css": Page("p { color: rgb(1, 2, 3) }", "text/css"),
    },
    _COLOUR,
    breaks=False,
    witness="browsers",
    schemes=("https", "loopback"),
)
_add(
    "csp-image-elsewhere",
    _csp("img-src 'self'"),
    {"/": html("<img src='%CDN%/i.png'>"), "cdn:/i.png": PICTURE},
    SEEN,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-image-data",
    _csp("default-src 'self'"),
    {"/": html(f"<img src='{_DATA}'>")},
    SEEN,
    breaks=True,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-image-data-named",
    _csp("default-src 'self'; img-src 'self' data:"),
    {"/": html(f"<img src='{_DATA}'>")},
    SEEN,
    breaks=False,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-font-elsewhere",
    _csp("font-src 'self'"),
    {
        "/": html("<p>text</p>", "<link rel=stylesheet href=/a.css>"),
        "/a.css": Page(
            "@font-face { font-family: F; src: url(%CDN%/font.woff2) } p { font-family: F }",
            "text/css",
        ),
        "cdn:/font.woff2": Page(
            "no font, but asked for",
            "font/woff2",
            headers=(("Access-Control-Allow-Origin", "*"), ("Cache-Control", "no-store")),
        ),
    },
    _font,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-frame-elsewhere",
    _csp("default-src 'self'"),
    {
        "/": html("<iframe src='%OTHER%/widget'></iframe>", "<script src=/a.js></script>"),
        "/a.js": _LISTENS,
        "other:/widget": _WIDGET,
    },
    WORKS,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-frame-named",
    _csp("default-src 'self'; frame-src %OTHER%/"),
    {
        "/": html("<iframe src='%OTHER%/widget'></iframe>", "<script src=/a.js></script>"),
        "/a.js": _LISTENS,
        "other:/widget": _WIDGET,
    },
    WORKS,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-form-elsewhere",
    _csp("form-action 'self'"),
    {"/": html(_FORM.format("%OTHER%/search")), "other:/search": _ARRIVED},
    _sends,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-form-own",
    _csp("form-action 'self'"),
    {"/": html(_FORM.format("/search")), "/search": _ARRIVED},
    _sends,
    breaks=False,
    witness="browsers",
)
_add(
    "csp-base-elsewhere",
    _csp("base-uri 'self'"),
    {"/": html("<img src=i.png>", "<base href='%CDN%/'>"), "cdn:/i.png": PICTURE},
    SEEN,
    breaks=True,
    witness="browsers",
)
_add(
    "csp-object",
    _csp("object-src 'none'"),
    {"/": html("<object data=/i.svg type=image/svg+xml></object>"), "/i.svg": _SVG},
    "document.querySelector('object').contentDocument !== null",
    breaks=True,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-upgrade-insecure",
    _csp("upgrade-insecure-requests"),
    {"/": html("<img src='%CDN%/i.png'>"), "cdn:/i.png": PICTURE},
    SEEN,
    breaks=True,
    witness="browsers",
    schemes=("http",),
)
_add(
    "csp-upgrade-unneeded",
    _csp("upgrade-insecure-requests"),
    {"/": html("<img src='%CDN%/i.png'>"), "cdn:/i.png": PICTURE},
    SEEN,
    breaks=False,
    witness="browsers",
)
_FRAME = {"/": FRAMED, "/framed.js": FRAMED_SCRIPT, "/outer": EMBEDS, "other:/outer": EMBEDS}
_add(
    "csp-ancestors-none",
    _csp("frame-ancestors 'none'"),
    _FRAME,
    shows(WORKS, "%OTHER%/outer"),
    breaks=True,
    witness="browsers",
    schemes=("https", "http"),
)
_add(
    "csp-ancestors-named",
    _csp("frame-ancestors %OTHER-ORIGIN%"),
    _FRAME,
    shows(WORKS, "%OTHER%/outer"),
    breaks=False,
    witness="browsers",
)
_add(
    "csp-ancestors-unnamed",
    _csp("frame-ancestors https://partner.example"),
    _FRAME,
    shows(WORKS, "%OTHER%/outer"),
    breaks=True,
    witness="browsers",
)
_add(
    "csp-ancestors-own",
    _csp("frame-ancestors 'self'"),
    _FRAME,
    shows(WORKS, "/outer"),
    breaks=False,
    witness="browsers",
)
