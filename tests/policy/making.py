"""Situations for tests of the policy core: a valid policy and response in one call, and random
ones for laws.

Builders and Hypothesis strategies.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sidecar.policy.engine.judge import Decision
from sidecar.policy.engine.plan import Plan, compile_policy, decide
from sidecar.policy.engine.resolve import Resolved, resolve
from sidecar.policy.rules.conditions import Facts, RawFields
from sidecar.policy.terms import MODES, Mode
from sidecar.policy.values import CLASSES


def policy(rules: dict[str, Any] | None = None, **more: Any) -> Resolved:
    """A complete policy in enforce, unless `mode` says otherwise."""
    return resolve({"version": 1, "mode": "enforce", "rules": rules or {}, **more}, {})


def plan(rules: dict[str, Any] | None = None, *, override: Mode | None = None, **more: Any) -> Plan:
    """The same, compiled."""
    return compile_policy(policy(rules, **more), override=override)


def facts(*fields: tuple[bytes, bytes], **more: Any) -> Facts:
    """A GET over HTTPS for / of shop.example by nobody in particular, answered 200 with these
    lines.
    """
    situation: dict[str, Any] = {
        "method": "GET",
        "host": "shop.example",
        "path": "/",
        "scheme": "https",
        "request": [],
        "status": 200,
    }
    return Facts(**(situation | more), fields=list(fields))


def judged(
    rule: dict[str, Any], *fields: tuple[bytes, bytes], mode: Mode = "enforce", **more: Any
) -> Decision:
    """What one rule, named `it`, says of one response."""
    return decide(plan({"it": rule}, mode=mode).routes[-1], facts(*fields, **more))


TEXTS = ("DENY", "nosniff", "a", "*", "d*y", "default-src 'self'", "max-age=1", "")
CASES = st.sampled_from((str.lower, str.upper, str.title, str))
HEADERS = (
    "X-Frame-Options",
    "X-Odd",
    "Vary",
    "Content-Security-Policy",
    "Cache-Control",
    "Strict-Transport-Security",
)
HOSTS = ("shop.example", "www.shop.example", "other.example")
PATHS = (
    "/",
    "/api",
    "/api/",
    "/api/items",
    "/api/items/7",
    "/static/a.css",
    "/docs",
    "/openapi.json",
    "/logout/",
)

MEDIA = (
    "text/html; charset=utf-8",
    "application/json",
    "TEXT/CSS",
    "image/svg+xml",
    "application/zip",
    "text/plain",
)
TYPICAL = {
    "Set-Cookie": ("sid=1; Path=/", "a=b;secure", "s"),
    "Cache-Control": ("public", "private", "max-age=1"),
    "Content-Type": MEDIA,
    "Content-Disposition": ("attachment; filename=a", "inline", "Attachment"),
}


@st.composite
def lines(draw: st.DrawFn) -> RawFields:
    """Header lines of a response: typical or any bytes in values, repeats, odd case, names that
    no rule names.
    """
    made: RawFields = []
    for name in draw(
        st.lists(
            st.sampled_from(
                (
                    *HEADERS,
                    "Set-Cookie",
                    "Set-Cookie",
                    "Content-Type",
                    "Content-Type",
                    "Content-Disposition",
                    "",
                )
            ),
            max_size=9,
        )
    ):
        typical = st.sampled_from([text.encode() for text in TYPICAL.get(name, TEXTS)])
        value = draw(st.one_of(typical, typical, st.binary(max_size=12)))
        made.append((draw(CASES)(name).encode() or draw(st.binary(max_size=5)), value))
    return made


SITUATIONS = st.builds(
    Facts,
    method=st.sampled_from(("GET", "POST")),
    host=st.sampled_from(HOSTS),
    path=st.sampled_from(PATHS),
    scheme=st.sampled_from(("http", "https")),
    request=lines(),
    status=st.sampled_from((200, 204, 302, 404, 500)),
    fields=lines(),
    client=st.sampled_from(("192.0.2.1", "192.0.2.2")),
)

_values = st.sampled_from(TEXTS[:-1])
_modes = st.sampled_from((*[None] * 6, *MODES))
_shares = st.sampled_from((None, None, None, "30%", "60%", "100%"))
_patterns = st.dictionaries(st.sampled_from(HEADERS), st.one_of(st.booleans(), _values), max_size=2)


def _keys(given: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in given.items() if value is not None}


_whens = st.fixed_dictionaries(
    {},
    optional={
        "scheme": st.sampled_from(("http", "https")),
        "status": st.lists(st.sampled_from((200, "4xx", "302", "5xx")), min_size=1, max_size=2),
        "class": st.lists(st.sampled_from(CLASSES), min_size=1, max_size=2),
        "content-type": st.sampled_from(("text/html", "*/*", "a/*", ["text/html", "text/*"])),
        "request": _patterns,
        "response": _patterns,
    },
)


_jars = st.builds(
    lambda **keys: _keys(keys),
    cookie=st.sampled_from(("s*", "a", "*")),
    attributes=st.sampled_from(
        (
            {"Secure": True},
            {"HttpOnly": True, "SameSite": "Lax"},
            {"HttpOnly": False},
            {"Path": "/", "Domain": False},
        )
    ),
    action=st.sampled_from((None, "set", "require")),
    mode=_modes,
    share=_shares,
)


@st.composite
def rules(draw: st.DrawFn) -> dict[str, Any]:
    """One complete header rule of any action."""
    action = draw(
        st.sampled_from(("set", "default", "append", "remove", "merge", "require", "forbid"))
    )
    allowed = {"merge": HEADERS[3:4], "append": HEADERS[1:3]}.get(action, HEADERS)
    names = draw(st.lists(st.sampled_from(allowed), min_size=1, max_size=4, unique=True))
    rule: dict[str, Any] = {
        "action": action,
        "header": names,
        "mode": draw(_modes),
        "share": draw(_shares),
        "when": draw(st.one_of(st.none(), st.none(), st.none(), _whens)),
    }
    if action == "merge":
        rule |= {"value": "default-src 'self'", "widen": draw(st.sampled_from((None, True, False)))}
    elif action != "remove":
        rule["value"] = draw(
            _values if action in ("set", "default", "append") else st.one_of(st.none(), _values)
        )
    return _keys(rule)


def _sets(names: tuple[str, ...], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """Rules by name, now and then with one on cookies."""
    return st.builds(
        lambda header_rules, jar: header_rules | _keys({"jar": jar}),
        st.dictionaries(st.sampled_from(names), rules(), max_size=most),
        st.one_of(st.none(), _jars),
    )


_routes = st.lists(
    st.builds(
        lambda match, mode, rules: _keys({"match": match, "mode": mode, "rules": rules}),
        st.sampled_from(
            (
                {"path": "/api/*"},
                {"path": "/api/**"},
                {"path": ["/", "/static/*.css"]},
                {"host": "*.shop.example"},
                {"method": "POST", "path": "/**"},
            )
        ),
        _modes,
        _sets(("a", "b", "mine"), 2),
    ),
    max_size=3,
)

POLICIES = st.builds(
    lambda rules, routes, mode, share: resolve(
        _keys(
            {
                "version": 1,
                "mode": mode,
                "share": share,
                "rules": rules,
                "routes": [{"name": f"r{at}", **route} for at, route in enumerate(routes)],
            }
        ),
        {},
    ),
    _sets(("a", "b", "c", "d"), 4),
    _routes,
    st.sampled_from((None, *["enforce"] * 4)),
    _shares,
)
"""Complete policies of several rules, routes, modes, shares and conditions."""
OVERRIDES = st.sampled_from((*[None] * 6, *MODES))
