"""X-Content-Type-Options."""

from __future__ import annotations

import io
import wave

from tests.zoo.site import PNG, SEEN, WORKS, Family, Page, Visitor, html, script, shows

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
# In standards mode the same request is for a style sheet that is refused already.
_add(
    "nosniff-style-as-text",
    _RULE,
    {
        "/": Page("<link rel=stylesheet href=/a.css><p>in quirks mode", "text/html"),
        "/a.css": Page("p { color: rgb(1, 2, 3) }", "text/plain"),
    },
    _COLOUR,
    breaks=True,
    witness="nobody",
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


def _wave() -> bytes:
    """Half a second of silence."""
    made = io.BytesIO()
    with wave.open(made, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(1)
        sound.setframerate(8000)
        sound.writeframes(b"\x80" * 4000)
    return made.getvalue()


def _downloads(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('a').click()")
    return visitor.arrives("/file") and visitor.until(WORKS)


_TITLED = "<!doctype html><html><head><title>works</title></head><body>text</body></html>"
_add(
    "nosniff-page-half-typed",
    _RULE,
    {"/": Page(_TITLED, "html")},
    WORKS,
    breaks=True,
    witness="proxy",
)
_add(
    "nosniff-untyped-error",
    _RULE,
    {"/": html("start"), "/gone": Page(_TITLED, None, 404)},
    shows(WORKS, "/gone"),
    breaks=True,
    witness="proxy",
)
_add(
    "nosniff-sound-as-text-elsewhere",
    _RULE,
    {
        "/sound": Page(_wave(), "text/plain"),
        "other:/": html(
            "<audio src='%SITE%/sound' preload=auto oncanplay=\"" + _CODE + '"></audio>'
        ),
    },
    shows(WORKS, "%OTHER%/"),
    breaks=True,
    witness="proxy",
)
_add(
    "nosniff-untyped-download",
    _RULE,
    {
        "/": html("<a href=/file>get</a>", f"<script>{_CODE}</script>"),
        "/file": Page("a,b", None, headers=(("Content-Disposition", "attachment"),)),
    },
    _downloads,
    breaks=False,
    witness="proxy",
)
_add(
    "nosniff-refused-already",
    _RULE,
    {
        "/": html("", f"<script src=/a.js></script><script>{_CODE}</script>"),
        "/a.js": Page("0", "text/plain", headers=(("X-Content-Type-Options", "nosniff"),)),
    },
    WORKS,
    breaks=False,
    witness="proxy",
)
_add(
    "nosniff-removed",
    "header: X-Content-Type-Options, action: remove",
    {
        "/": Page(
            b"\x01\x02log of the day",
            "text/plain",
            headers=(("X-Content-Type-Options", "nosniff"),),
        )
    },
    "document.body.textContent.includes('log of')",
    breaks=True,
    witness="nobody",
)
_add(
    "nosniff-crossorigin-script",
    _RULE,
    {"/": html("", "<script crossorigin src=/a.js></script>"), "/a.js": Page(_CODE, "text/plain")},
    WORKS,
    breaks=True,
    witness="nobody",
)
for _name, _text, _type in (
    ("json", '{"said": "works"}', "application/json"),
    ("css", "p { color: red }", "text/css"),
):
    _add(
        f"nosniff-module-of-{_name}",
        _RULE,
        {
            "/": html(
                "",
                f"<script type=module>import it from '/a.{_name}' with {{type: '{_name}'}};"
                " document.title = it.said ?? (it.cssRules.length ? 'works' : 'empty');</script>",
            ),
            f"/a.{_name}": Page(_text, _type),
        },
        WORKS,
        breaks=False,
        witness="proxy",
    )
_add(
    "nosniff-captions-as-text",
    _RULE,
    {
        "/": html("<video><track default src=/a.vtt></video>", "<script src=/a.js defer></script>"),
        "/a.js": script(
            "const it = document.querySelector('track');"
            " const loaded = () => { document.title = 'works'; };"
            " if (it.readyState === 2) loaded(); else it.addEventListener('load', loaded);"
            " it.track.mode = 'showing';"
        ),
        "/a.vtt": Page("WEBVTT\n\n00:00.000 --> 00:01.000\nword\n", "text/plain"),
    },
    WORKS,
    breaks=False,
    witness="proxy",
)
