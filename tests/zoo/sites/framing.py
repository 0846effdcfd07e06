"""X-Frame-Options."""

from __future__ import annotations

from dataclasses import replace

from tests.zoo.site import (
    EMBEDS,
    FRAMED,
    FRAMED_SCRIPT,
    PICTURE,
    WORKS,
    Family,
    Page,
    Visitor,
    Witness,
    html,
    script,
    shows,
)

FAMILY = Family("X-Frame-Options")
_add = FAMILY.add
_DENY = "header: X-Frame-Options, action: set, value: DENY"
_SAME = "header: X-Frame-Options, action: set, value: SAMEORIGIN"
_PLACES = {"/": FRAMED, "/framed.js": FRAMED_SCRIPT, "/outer": EMBEDS, "other:/outer": EMBEDS}
_ABROAD, _AT_HOME = shows(WORKS, "%OTHER%/outer"), shows(WORKS, "/outer")
_OVERRULED = replace(
    FRAMED, headers=(("Content-Security-Policy", "frame-ancestors %OTHER-ORIGIN%"),)
)
_MOVED = Page(status=302, headers=(("Location", "%OTHER%/new"),))
_OBJECT = html("<object data=/i.png type=image/png></object>", "<script src=/a.js></script>")
_WATCHES = script(
    "addEventListener('load', () => { const it = document.querySelector('object'); document.title ="
    " it.offsetWidth === 1 ? 'works' : 'broken'; })"
)

_add(
    "xfo-deny-framed",
    _DENY,
    _PLACES,
    _ABROAD,
    breaks=True,
    witness="proxy",
    schemes=("https", "loopback"),
)
_add(
    "xfo-deny-framed-http",
    _DENY,
    _PLACES,
    _ABROAD,
    breaks=True,
    witness="browsers",
    schemes=("http",),
)
_add(
    "xfo-data-alone",
    _DENY,
    {
        "/data": Page("works", "application/json", headers=(("Access-Control-Allow-Origin", "*"),)),
        "other:/": html(
            "<script>fetch('%SITE%/data').then((it) => it.text()).then((it) => { document.title ="
            " it; })</script>"
        ),
    },
    shows(WORKS, "%OTHER%/"),
    breaks=False,
    witness="proxy",
)
_add("xfo-deny-framed-by-itself", _DENY, _PLACES, _AT_HOME, breaks=True, witness="proxy")
_add("xfo-sameorigin-framed", _SAME, _PLACES, _ABROAD, breaks=True, witness="proxy")
_add("xfo-sameorigin-framed-by-itself", _SAME, _PLACES, _AT_HOME, breaks=False, witness="proxy")
_add(
    "xfo-deny-unframed",
    _DENY,
    _PLACES,
    WORKS,
    breaks=False,
    witness="proxy",
    schemes=("https", "loopback"),
)
_add(
    "xfo-deny-overruled",
    _DENY,
    {**_PLACES, "/": _OVERRULED},
    _ABROAD,
    breaks=False,
    witness="proxy",
)
_add(
    "xfo-deny-redirect",
    _DENY,
    {
        **_PLACES,
        "/": _MOVED,
        "other:/new": html("<script>parent.postMessage('works', '*')</script>"),
    },
    _ABROAD,
    breaks=False,
    witness="proxy",
)
_add(
    "xfo-deny-object-image",
    _DENY,
    {"/": _OBJECT, "/a.js": _WATCHES, "/i.png": PICTURE},
    WORKS,
    breaks=False,
    witness="proxy",
)
_PASSES_ON = (
    "<script>addEventListener('message', (event) => { parent.postMessage(event.data, '*');"
    " document.title = event.data; })</script>"
)
_INNER = html("<script>parent.postMessage('works', '*')</script>", "", ("X-Widget", "1"))
_NESTED = {
    "other:/outer": EMBEDS,
    "/": html("<iframe src=/inner></iframe>", _PASSES_ON),
    "/inner": _INNER,
}
for name, rule in (
    ("xfo-sameorigin-frame-in-frame", _SAME),
    (
        "csp-ancestors-frame-in-frame",
        "header: Content-Security-Policy, action: set, value: \"frame-ancestors 'self'\"",
    ),
):
    _add(
        name,
        f"{rule}, when: {{response: {{X-Widget: '1'}}}}",
        _NESTED,
        _ABROAD,
        breaks=True,
        witness="proxy",
    )

_SVG = Page(
    "<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><rect width='9'"
    " height='9'/></svg>",
    "image/svg+xml",
)
_SAVES = html(
    "<button onclick=\"document.querySelector('iframe').src = '/list.csv'\">save</button><iframe"
    " hidden></iframe>",
    "<script>document.title = 'works'</script>",
)
_LET_IN = replace(
    FRAMED,
    headers=(
        ("Content-Security-Policy", "frame-ancestors %OTHER-ORIGIN%"),
        ("X-Frame-Options", "DENY"),
    ),
)


def _saves(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('button').click()")
    return visitor.arrives("/list.csv") and visitor.until(WORKS)


def _is_refused_first(visitor: Visitor) -> bool:
    visitor.go("%OTHER%/outer")
    visitor.go("/")
    return visitor.until(WORKS)


_add(
    "xfo-deny-object-svg",
    _DENY,
    {"/": html("<object data=/i.svg type=image/svg+xml></object>"), "/i.svg": _SVG},
    "document.querySelector('object').contentDocument.querySelector('rect') !== null",
    breaks=True,
    witness="proxy",
)
_add(
    "xfo-deny-download",
    _DENY,
    {
        "/": _SAVES,
        "/list.csv": Page("a,b", "text/csv", headers=(("Content-Disposition", "attachment"),)),
    },
    _saves,
    breaks=False,
    witness="proxy",
)
_add(
    "xfo-denied-already",
    _DENY,
    {
        **_PLACES,
        "/widget": replace(FRAMED, headers=(("X-Frame-Options", "DENY"),)),
        "other:/outer": html("<iframe src='%SITE%/widget'></iframe>"),
    },
    _is_refused_first,
    breaks=False,
    witness="proxy",
)
_LIFTED: tuple[tuple[str, str, Witness], ...] = (
    ("csp-ancestors-replaced", "set, value: \"object-src 'none'\"", "browsers"),
    ("csp-ancestors-removed", "remove", "proxy"),
)
for name, rule, witness in _LIFTED:
    _add(
        name,
        f"header: Content-Security-Policy, action: {rule}",
        {**_PLACES, "/": _LET_IN},
        _ABROAD,
        breaks=True,
        witness=witness,
    )
_PASSES_ON = (
    "<script>addEventListener('message', (event) => { document.title = event.data; if (parent !=="
    " window) parent.postMessage(event.data, '*'); });</script>"
)
_add(
    "csp-ancestors-in-a-portal",
    'header: Content-Security-Policy, action: set, value: "frame-ancestors %OTHER-ORIGIN%"',
    {
        "/": FRAMED,
        "/framed.js": FRAMED_SCRIPT,
        "other:/": html("<iframe src='%SITE%/'></iframe>", _PASSES_ON),
        "cdn:/portal": html("<iframe src='%OTHER%/'></iframe>", _PASSES_ON),
    },
    shows(WORKS, "%CDN%/portal"),
    breaks=True,
    witness="browsers",
)
