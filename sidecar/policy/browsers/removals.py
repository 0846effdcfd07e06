"""What a service's own header gives and a rule would remove: upgraded addresses, a fuller Referer.

The breakage tests of a removed `Content-Security-Policy` and of `Referrer-Policy`. Both look at the
service's own header in the response.

Source: Upgrade Insecure Requests section 3.1; Referrer Policy section 3.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from sidecar.policy.browsers.losses import (
    GRANTING,
    lifts,
    loses_grants,
    loses_sandbox,
    loses_types,
    loses_upgrade,
    taken,
)
from sidecar.policy.browsers.support import GONE
from sidecar.policy.headers.tokens import referrer_policy
from sidecar.policy.model import Rule
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import (
    FRAMES,
    SCRIPT_TYPES,
    BreakageTest,
    Fetch,
    Outcome,
    began_here,
    line,
    lines,
    may_be_page,
    media_type,
)

DEFAULT = "strict-origin-when-cross-origin"
"""What browsers do without a Referrer-Policy."""
_TELLING = (DEFAULT, "no-referrer-when-downgrade", "unsafe-url")
"""Policies that send no less than the default, each at least as much as the one before."""
_TELLING_ALL = ("origin", "origin-when-cross-origin")
"""Policies that send the origin to plain http addresses too, as `unsafe-url` alone does of the
others.
"""
_HIDING = ("no-referrer", "same-origin")
"""Policies under which other sites get no Referer, so that images that they refuse to show in pages
of others are shown.
"""


def sends_default_or_more(token: str | None) -> bool:
    """Whether a policy sends no less than browsers send by default."""
    return token in _TELLING


def upgrade_test(facts: Facts, fetch: Fetch) -> Outcome:
    """A policy is removed: whether it upgraded http: addresses, then refused or in the clear, had a
    default policy of Trusted Types run, or kept a page from having an origin.
    """
    if not fetch.browser:
        return "irrelevant"
    own = lines(facts, b"content-security-policy")
    if loses_upgrade(own, ()) or loses_types(own, ()):
        return "open"
    shown = fetch.navigates or may_be_page(facts, fetch)
    return "open" if shown and loses_sandbox(own, ()) else "safe"


def removal_test(facts: Facts, fetch: Fetch) -> Outcome:
    """The same, and whether its `frame-ancestors` let in who X-Frame-Options then keeps out."""
    found = upgrade_test(facts, fetch)
    own = lines(facts, b"content-security-policy")
    framing = (line(facts, b"x-frame-options") or b"").strip().lower()
    if found != "safe" or not lifts(own, ()) or framing not in (b"deny", b"sameorigin"):
        return found
    if fetch.silent is not None:
        return fetch.silent
    if may_be_page(facts, fetch):
        return "open"
    if fetch.dest not in FRAMES or (framing == b"sameorigin" and fetch.site == b"same-origin"):
        return "safe"
    return "break"


def referrer_of_rule(rule: Rule, value: str) -> BreakageTest | None:
    """The test of a rule on Referrer-Policy; None where its policy sends less than the default.

    It sees whether the service itself sends more today, which somebody may need, or hides it from
    other sites, which may refuse what comes from elsewhere.
    """
    token = DEFAULT if rule.action == "remove" else referrer_policy(value)
    if not sends_default_or_more(token):
        return None
    sheets = _Sheets()

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if not fetch.browser:
            return "irrelevant"
        own = referrer_policy(b",".join(lines(facts, b"referrer-policy")).decode("latin-1"))
        needed = own in _HIDING or (own in _TELLING_ALL and token != "unsafe-url")
        if own is None and rule.action != "remove":
            needed = _overruled(facts, fetch) or _hides(facts, fetch) or sheets.hide(facts, fetch)
        if own in _TELLING and token in _TELLING:
            needed = _TELLING.index(own) > _TELLING.index(token)
        return "open" if needed else "safe"

    return judge


def _overruled(facts: Facts, fetch: Fetch) -> bool:
    """Whether the response leads from a page of this host to another one: then its policy takes the
    place of the page's own, which may be in a `meta` element (Fetch section 4.4).

    A page that sends only its origin, or nothing, sends no more then.
    """
    moved = line(facts, b"location") if 300 <= facts.status < 400 else None
    if moved is None or fetch.site not in (None, b"same-origin") or not began_here(facts, fetch):
        return False
    try:
        host = urlsplit(moved.decode("latin-1").strip()).netloc.rpartition("@")[2]
    except ValueError:
        return False
    return host.lower() not in ("", facts.host.lower())


def _hides(facts: Facts, fetch: Fetch) -> bool:
    """Whether a page that hides its Referer asks for a module: what that imports then follows the
    policy of the module's own response (HTML section 8.1.4.2).
    """
    if fetch.referer is not None:
        return False
    if fetch.dest is None:  # a plain http name: whether it is a module is not said
        return media_type(facts) in SCRIPT_TYPES
    return fetch.dest == b"script" and fetch.mode == b"cors"


class _Sheets:
    """Style sheets that pages ask for, and how many of them without a Referer: what a sheet loads
    follows the policy of its own response (Referrer Policy section 7), in place of the page's.

    Some visitors' browsers never send a Referer, so a few such requests show no page that hides it.
    """

    __slots__ = ("_all", "_hidden")

    def __init__(self) -> None:
        self._all = self._hidden = 0

    def hide(self, facts: Facts, fetch: Fetch) -> bool:
        """Whether the page that asks for a sheet hides its Referer."""
        if (media_type(facts) if fetch.dest is None else fetch.dest) not in (b"style", b"text/css"):
            return False
        self._all += 1
        if fetch.referer is not None:
            return False
        self._hidden += 1
        return self._hidden * _FEW > self._all


_FEW = 50
"""One of so many requests may be of a browser that never sends a Referer."""


def grants_test(facts: Facts, fetch: Fetch) -> Outcome:
    """`Feature-Policy` is removed: Chromium still takes from it what Permissions-Policy alone gives
    otherwise.
    """
    if not fetch.browser:
        return "irrelevant"
    own = b";".join(lines(facts, b"feature-policy")).decode("latin-1").lower()
    names = (words[0] for part in own.replace(",", ";").split(";") if (words := part.split()))
    return "open" if any(name.startswith(GRANTING) for name in names) else "safe"


def permissions_test(rule: Rule, value: str) -> BreakageTest | None:
    """The test of a rule on Permissions-Policy which takes nothing from anybody but what the
    service's own line gives; None where browsers are asked.
    """
    if rule.action != "remove" and (taken(value).keys() - GONE or rule.action != "set"):
        return None
    after = () if rule.action == "remove" else (value.encode("latin-1", "replace"),)

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if not fetch.browser:
            return "irrelevant"
        return "open" if loses_grants(lines(facts, b"permissions-policy"), after) else "safe"

    return judge
