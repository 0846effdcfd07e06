"""X-Content-Type-Options. Must not know how a site is served or visited."""

from __future__ import annotations

from tests.zoo.site import PNG, SEEN, WORKS, Family, Page, html, script, shows

FAMILY = Family("X-Content-Type-Options")
_add = FAMILY.add
_RULE = "header: X-Content-Type-Options, action: set, value: nosniff"
_CODE = "document.title = 'works'"
_COLOUR = "getComputedStyle(document.querySelector('p')).color === 'rgb(1, 2, 3)'"
_PHOTO = Page(PNG, "text/html")

_add(
    "nosniff-script-as-text",
    _RULE,
    {"/": html("", "<script src=/a.js></script>"), "/a.js": Page(_CODE, "text/plain")},
    WORKS,
    breaks=True,
    witness="proxy",
    schemes=("https", "loopback"),
)
_add(
    "nosniff-script-as-text-http",
    _RULE,
    {"/": html("", "<script src=/a.js></script>"), "/a.js": Page(_CODE, "text/plain")},
    WORKS,
    breaks=True,
    witness="nobody",
    schemes=("http",),
)
_add(
    "nosniff-style-as-text",
    _RULE,
    {
        "/": Page("<link rel=stylesheet href=/a.css><p>in quirks mode", "text/html"),
        "/a.css": Page("p { color: rgb(1, 2, 3) }", "text/plain"),
    },
    _COLOUR,
    breaks=True,
    witness="proxy",
    schemes=("loopback",),
)
_add(
    "nosniff-untyped-page",
    _RULE,
    {
        "/": Page(
            "<!doctype html><html><head><title>works</title></head><body>text</body></html>", None
        )
    },
    WORKS,
    breaks=True,
    witness="proxy",
)
_add(
    "nosniff-image-as-page-elsewhere",
    _RULE,
    {"/photo": _PHOTO, "other:/": html("<img src='%SITE%/photo'>")},
    shows(SEEN, "%OTHER%/"),
    breaks=True,
    witness="proxy",
)
_add(
    "nosniff-image-as-page-own",
    _RULE,
    {"/": html("<img src=/photo>"), "/photo": _PHOTO},
    SEEN,
    breaks=False,
    witness="proxy",
)
_add(
    "nosniff-right-types",
    _RULE,
    {
        "/": html("<p>text</p>", "<script src=/a.js></script><link rel=stylesheet href=/a.css>"),
        "/a.js": script(_CODE),
        "/a.css": Page("p { color: red }", "text/css"),
    },
    WORKS,
    breaks=False,
    witness="proxy",
    schemes=("https", "loopback"),
)
_add(
    "nosniff-old-script-type",
    _RULE,
    {"/": html("", "<script src=/a.js></script>"), "/a.js": Page(_CODE, "text/x-javascript")},
    WORKS,
    breaks=False,
    witness="proxy",
)
_add(
    "nosniff-module-refused-already",
    _RULE,
    {
        "/": html("", f"<script type=module src=/m.js></script><script>{_CODE}</script>"),
        "/m.js": Page("document.title = 'module'", "text/plain"),
    },
    WORKS,
    breaks=False,
    witness="proxy",
)
_add(
    "nosniff-image-untyped-elsewhere",
    _RULE,
    {"/photo": Page(PNG, None), "other:/": html("<img src='%SITE%/photo'>")},
    shows(SEEN, "%OTHER%/"),
    breaks=False,
    witness="proxy",
)
