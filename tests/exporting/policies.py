"""Policies for exports: the presets, some written by hand, and random ones with routes,
conditions and cookies.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from sidecar.policy.values import CLASSES
from sidecar.source import preset_texts

Policy = dict[str, Any]
HEAD: Policy = {"version": 1, "mode": "enforce", "guard": "off"}

PRESETS: dict[str, Policy] = {name: {**HEAD, "extends": [name]} for name in preset_texts()}

SPECIAL = "$5; \"a\" \\b 100% {c} 'd' #e"
NAMES = (
    "X-Frame-Options",
    "X-Odd",
    "Vary",
    "Content-Security-Policy",
    "Cache-Control",
    "Strict-Transport-Security",
    "Referrer-Policy",
    "X-Powered-By",
    "Server",
)
_VALUES = st.sampled_from(("DENY", "a", "default-src 'self'; object-src 'none'", "Cookie", SPECIAL))
_PATTERNS = st.dictionaries(
    st.sampled_from(("X-Odd", "Cache-Control", "X-Powered-By")),
    st.one_of(st.booleans(), st.sampled_from(("a", "PHP*", "pu*", "*c*", "n?.che", "pr*te"))),
    min_size=1,
    max_size=1,
)
_REQUESTS = st.dictionaries(
    st.sampled_from(("Origin", "Sec-Fetch-Dest")),
    st.one_of(st.booleans(), st.sampled_from(("https://*", "document", "*e*t"))),
    min_size=1,
    max_size=2,
)
_WHENS = st.fixed_dictionaries(
    {},
    optional={
        "scheme": st.sampled_from(("http", "https")),
        "status": st.lists(st.sampled_from((200, "4xx", "302", "5xx")), min_size=1, max_size=2),
        "class": st.lists(st.sampled_from(CLASSES), min_size=1, max_size=3, unique=True),
        "content-type": st.sampled_from(("text/html", "application/*", ["text/html", "text/css"])),
        "request": _REQUESTS,
        "response": _PATTERNS,
    },
)
_MAYBE = st.one_of(st.none(), _WHENS)


@st.composite
def _rules(draw: st.DrawFn) -> Policy:
    action = draw(
        st.sampled_from(("set", "set", "default", "default", "append", "remove", "merge"))
    )
    allowed = {"append": ("X-Odd", "Vary"), "merge": ("Content-Security-Policy",)}.get(
        action, NAMES
    )
    rule: Policy = {
        "action": action,
        "header": draw(st.lists(st.sampled_from(allowed), min_size=1, max_size=2, unique=True)),
    }
    if action != "remove":
        rule["value"] = draw(_VALUES) if action != "merge" else "default-src 'self'"
    when = draw(_MAYBE)
    return rule | ({"when": when} if when else {})


@st.composite
def _jars(draw: st.DrawFn) -> Policy:
    rule: Policy = {
        "cookie": draw(st.sampled_from(("*", "s*", "*sid*", "theme", "csrftoken"))),
        "attributes": draw(
            st.sampled_from(
                (
                    {"Secure": True, "HttpOnly": True, "SameSite": "Lax"},
                    {"HttpOnly": True},
                    {"HttpOnly": False, "Secure": False},
                    {"SameSite": "None"},
                    {"SameSite": "Strict"},
                    {"Path": "/", "Domain": False},
                    {"Partitioned": True},
                )
            )
        ),
    }
    when = draw(_MAYBE)
    return rule | ({"when": when} if when else {})


_MATCHES = st.sampled_from(
    (
        {"path": "/api/*"},
        {"path": "/api/**"},
        {"path": ["/", "/static/*.css"]},
        {"host": "*.shop.example"},
        {"host": "Shop.example", "method": "POST"},
        {"method": ["GET", "HEAD"], "path": "/**/items"},
    )
)


def _named(
    rules: st.SearchStrategy[Policy], names: tuple[str, ...], most: int
) -> st.SearchStrategy[Policy]:
    return st.dictionaries(st.sampled_from(names), rules, max_size=most)


_ANY = st.one_of(_rules(), _rules(), _rules(), _jars())
POLICIES = st.builds(
    lambda rules, routes: {
        **HEAD,
        "name": "random",
        "rules": {**rules},
        "routes": [
            {
                "name": f"r{at}",
                "match": match,
                "rules": {
                    f"{name}-own" if name in rules else name: rule for name, rule in own.items()
                },
            }
            for at, (match, own) in enumerate(routes)
        ],
    },
    _named(_ANY, ("a", "b", "c", "d", "e"), 5),
    st.lists(st.tuples(_MATCHES, _named(_ANY, ("a", "x", "y"), 2)), max_size=3),
)

WRITTEN: dict[str, Policy] = {
    "special-characters": {
        **HEAD,
        "rules": {
            "odd": {"header": "X-Odd", "action": "set", "value": SPECIAL},
            "nel": {"header": "NEL", "action": "default", "value": '{"report_to":"x","max_age":1}'},
            "vary": {"header": "Vary", "action": "append", "value": SPECIAL},
        },
        "routes": [
            {
                "name": "docs",
                "match": {"path": "/docs"},
                "rules": {"odd": {"action": "default", "value": "\\{$1} %[x] \\\\"}},
            }
        ],
    },
}
WRITTEN["slashes"] = {
    **HEAD,
    "rules": {"odd": {"header": "X-Odd", "action": "default", "value": "site"}},
    "routes": [
        {
            "name": "one",
            "match": {"path": "/one"},
            "rules": {"more": {"header": "X-More", "action": "set", "value": "one"}},
        },
        {"name": "tree", "match": {"path": "/one/*/deep"}, "rules": {"odd": {"mode": "off"}}},
        {
            "name": "open",
            "match": {"path": "/two/**"},
            "rules": {"more": {"header": "X-More", "action": "set", "value": "two"}},
        },
    ],
}
"""A slash more at the end, and repeated ones."""
WRITTEN["long-conditions"] = {
    **HEAD,
    "rules": {
        "all": {
            "header": "X-Odd",
            "action": "set",
            "value": "all",
            "when": {
                "scheme": "https",
                "status": ["2xx", 404],
                "class": ["html", "logout"],
                "content-type": ["text/html", "text/css"],
                "request": {"Origin": False, "Sec-Fetch-Dest": False},
                "response": {"X-Odd": False, "X-Powered-By": "Exp*"},
            },
        }
    },
}
"""More than fits in one line of HAProxy."""
WRITTEN["one-header-after-another"] = {
    **HEAD,
    "rules": {
        "first": {"header": "Vary", "action": "set", "value": "DENY", "when": {"status": 302}},
        "second": {"header": "Vary", "action": "default", "value": "Origin"},
        "third": {"header": "Vary", "action": "append", "value": "Origin"},
    },
    "routes": [
        {
            "name": "api",
            "match": {"path": "/api/**"},
            "rules": {
                "x": {"header": "X-Odd", "action": "set", "value": "1"},
                "y": {"header": "X-Odd", "action": "append", "value": "2"},
            },
        },
        {
            "name": "docs",
            "match": {"path": "/docs"},
            "rules": {
                "y": {"header": "X-Odd", "action": "append", "value": "2"},
                "x": {"header": "X-Odd", "action": "default", "value": "3"},
            },
        },
    ],
}
"""Each rule sees what the ones before it made; two routes have rules of the same names in
another order.
"""
