"""Attributes of cookies."""

from __future__ import annotations

from tests.zoo.site import EMBEDS, WORKS, Asked, Family, Page, Scheme, Visitor, html, script, shows

FAMILY = Family("Cookies")
_add = FAMILY.add
_FORM = "<form method=post action='{}'><input name=q value=1><button>go</button></form>"
_READS = script("document.title = document.cookie.includes('name=works') ? 'works' : 'nobody';")
_SENDS_HEADER = script(
    "const token = (document.cookie.match(/csrf=([^;]*)/) || [])[1] || '';fetch('/save', {method:"
    " 'POST', headers: {'X-CSRF-Token': token}}).then((it) => it.text()).then((it) => {"
    " document.title = it; });"
)
_FILLS_FORM = script(
    "document.querySelector('[name=csrf]').value = (document.cookie.match(/csrf=([^;]*)/) || [])[1]"
    " || '';"
)


def _cookie(name: str, attribute: str) -> str:
    return f"cookie: {name}, attributes: {{{attribute}}}"


def _gives(cookie: str, body: str = "<p>start</p>") -> Page:
    return html(body, "", ("Set-Cookie", cookie))


def _account(asked: Asked) -> Page:
    return html(f"<p>{'welcome' if asked.cookies.get('session') == 'yes' else 'who are you?'}</p>")


def _checked(asked: Asked) -> Page:
    sent = asked.headers.get("x-csrf-token") or asked.form.get("csrf")
    known = sent and sent == asked.cookies.get("csrf")
    return (
        html(f"<p>{'welcome' if known else 'refused'}</p>")
        if asked.form
        else Page("works" if known else "refused", "text/plain")
    )


_WELCOME = "document.body !== null && document.body.textContent.includes('welcome')"


def _leaves(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("/account")
    known = visitor.until(_WELCOME)
    visitor.go("/leave")
    visitor.go("/account")
    return known and visitor.until("document.body.textContent.includes('who are you')")


def _comes_by_link(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("%OTHER%/")
    visitor.run("document.querySelector('a').click()")
    return visitor.until(_WELCOME)


def _comes_by_form(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("%OTHER%/")
    visitor.run("document.querySelector('button').click()")
    return visitor.until(_WELCOME)


def _stays(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("/account")
    return visitor.until(_WELCOME)


def _framed(visitor: Visitor) -> bool:
    """The first frame sets the cookie, the second sends it."""
    visitor.go("%OTHER%/")
    visitor.go("%OTHER%/")
    return visitor.until(WORKS)


def _own_form(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.run("document.querySelector('button').click()")
    return visitor.until(_WELCOME)


def _in_frame(asked: Asked) -> Page:
    said = "works" if asked.cookies.get("session") == "yes" else "nobody"
    return html(
        f"<script>parent.postMessage('{said}', '*')</script>",
        "",
        ("Set-Cookie", f"{_NONE}; Partitioned"),
    )


_LISTENS = (
    "<script>addEventListener('message', (event) => { document.title = event.data; })</script>"
)
_NONE = "session=yes; Path=/; Secure; SameSite=None"
_BOTH: tuple[Scheme, ...] = ("https", "loopback")

_add(
    "cookie-strict-link",
    _cookie("session", "SameSite: Strict"),
    {
        "/": _gives("session=yes; Path=/; SameSite=Lax"),
        "/account": _account,
        "other:/": html("<a href='%SITE%/account'>to the shop</a>"),
    },
    _comes_by_link,
    breaks=True,
    witness="proxy",
    schemes=_BOTH,
)
_add(
    "cookie-lax-link",
    _cookie("session", "SameSite: Lax"),
    {
        "/": _gives(_NONE),
        "/account": _account,
        "other:/": html("<a href='%SITE%/account'>to the shop</a>"),
    },
    _comes_by_link,
    breaks=False,
    witness="proxy",
)
_add(
    "cookie-lax-cross-post",
    _cookie("session", "SameSite: Lax"),
    {"/": _gives(_NONE), "/account": _account, "other:/": html(_FORM.format("%SITE%/account"))},
    _comes_by_form,
    breaks=True,
    witness="proxy",
)
_add(
    "cookie-lax-framed",
    _cookie("session", "SameSite: Lax"),
    {"/frame": _in_frame, "other:/": html("<iframe src='%SITE%/frame'></iframe>", _LISTENS)},
    _framed,
    breaks=True,
    witness="proxy",
)
_add(
    "cookie-lax-own",
    _cookie("session", "SameSite: Lax"),
    {"/": _gives("session=yes; Path=/"), "/account": _account},
    _stays,
    breaks=False,
    witness="proxy",
    schemes=_BOTH,
)
_add(
    "cookie-httponly-read",
    _cookie("name", "HttpOnly: true"),
    {"/": _gives("name=works; Path=/", "<script src=/a.js></script>"), "/a.js": _READS},
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "cookie-httponly-header",
    _cookie("csrf", "HttpOnly: true"),
    {
        "/": _gives("csrf=0a1b2c3d4e5f6071; Path=/", "<script src=/a.js></script>"),
        "/a.js": _SENDS_HEADER,
        "/save": _checked,
    },
    WORKS,
    breaks=True,
    witness="proxy",
    schemes=("https", "http"),
)
_add(
    "cookie-httponly-field",
    _cookie("csrf", "HttpOnly: true"),
    {
        "/": _gives(
            "csrf=0a1b2c3d4e5f6071; Path=/",
            "<form method=post action=/save><input name=csrf><button>go</button></form><script"
            " src=/a.js></script>",
        ),
        "/a.js": _FILLS_FORM,
        "/save": _checked,
    },
    _own_form,
    breaks=True,
    witness="nobody",
)
_add(
    "cookie-httponly-field-of-the-service",
    _cookie("csrf", "HttpOnly: true"),
    {
        "/": _gives(
            "csrf=0a1b2c3d4e5f6071; Path=/",
            "<form method=post action=/save><input name=csrf value=0a1b2c3d4e5f6071>"
            "<button>go</button></form>",
        ),
        "/save": _checked,
    },
    _own_form,
    breaks=False,
    witness="nobody",
)
_add(
    "cookie-httponly-unread",
    _cookie("session", "HttpOnly: true"),
    {"/": _gives("session=yes; Path=/"), "/account": _account},
    _stays,
    breaks=False,
    witness="nobody",
)
_LOCKED = "Secure: true, HttpOnly: true, SameSite: Lax"
_add(
    "cookie-hidden-already",
    _cookie("session", _LOCKED),
    {
        "/": _gives("session=yes; HttpOnly; Path=/"),
        "/account": _account,
        "/leave": html("<p>left</p>", "", ("Set-Cookie", "session=; Max-Age=0; Path=/")),
    },
    _leaves,
    breaks=False,
    witness="proxy",
)
_add(
    "cookie-hidden-all-but-one",
    _cookie('"*"', _LOCKED),
    {
        "/": html(
            "<script src=/a.js></script>",
            "",
            ("Set-Cookie", "session=yes; HttpOnly; Path=/"),
            ("Set-Cookie", "name=works; Path=/"),
        ),
        "/a.js": _READS,
    },
    WORKS,
    breaks=True,
    witness="nobody",
)
_add(
    "cookie-secure",
    _cookie("session", "Secure: true"),
    {"/": _gives("session=yes; Path=/"), "/account": _account},
    _stays,
    breaks=False,
    witness="proxy",
    schemes=("https", "http"),
)


def _goes_to_subdomain(visitor: Visitor) -> bool:
    visitor.go("/")
    visitor.go("%SUB%/account")
    return visitor.until(_WELCOME)


_add(
    "cookie-secure-domain",
    _cookie("session", "Secure: true"),
    {
        "/": _gives("session=yes; Path=/; Domain=cookie-secure-domain.test"),
        "sub:/account": _account,
    },
    _goes_to_subdomain,
    breaks=True,
    witness="nobody",
)
_add(
    "cookie-strict-own",
    _cookie("session", "SameSite: Strict"),
    {"/": _gives("session=yes; Path=/"), "/account": _account},
    _stays,
    breaks=False,
    witness="proxy",
)
_IN_FRAME = (
    "<script>const said = document.cookie.includes('token=1') ? 'works' : 'lost';"
    " document.cookie = 'token=; Max-Age=0; Path=/; SameSite=None; Secure; Partitioned';"
    " parent.postMessage(said, '*')</script>"
)
_TOKEN = "token=1; Path=/; SameSite=None; Secure; Partitioned"
_add(
    "cookie-lax-set-in-frame",
    _cookie("token", "SameSite: Lax"),
    {"/": _gives(_TOKEN, _IN_FRAME), "other:/": EMBEDS},
    shows(WORKS, "%OTHER%/"),
    breaks=True,
    witness="nobody",
)
_add(
    "cookie-secure-taken-away",
    _cookie("session", "Secure: false"),
    {"/frame": _in_frame, "other:/": html("<iframe src='%SITE%/frame'></iframe>", _LISTENS)},
    _framed,
    breaks=True,
    witness="proxy",
)
_add(
    "cookie-partitioned-taken-away",
    _cookie("session", "Partitioned: false"),
    {"/frame": _in_frame, "other:/": html("<iframe src='%SITE%/frame'></iframe>", _LISTENS)},
    _framed,
    breaks=True,
    witness="nobody",
)


def _taken(asked: Asked) -> Page:
    """A form of a partner leads to the account, by a redirect that is no page."""
    known = asked.cookies.get("session") == "yes"
    cookie = f"known={'yes' if known else 'no'}; Path=/; Secure"
    return Page("", "text/plain", 303, (("Location", "/known"), ("Set-Cookie", cookie)))


_KNOWN = {
    "/taken": _taken,
    "/known": lambda asked: html("welcome" if asked.cookies.get("known") == "yes" else "who?"),
}
for name, start, visit, breaks in (
    ("elsewhere", "<p>start</p>", _comes_by_form, True),
    ("here", _FORM.format("/taken"), _own_form, False),
):
    _add(
        f"cookie-lax-of-pages-form-{name}",
        f"{_cookie('session', 'SameSite: Lax')}, when: {{content-type: text/html}}",
        {"/": _gives(_NONE, start), **_KNOWN, "other:/": html(_FORM.format("%SITE%/taken"))},
        visit,
        breaks=breaks,
        witness="proxy",
    )
