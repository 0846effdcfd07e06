"""What a change of `Access-Control-*` would refuse to other origins, read from their requests.

A CORS request always names its origin (Fetch section 3.2), also on plain http, so these need no
Fetch Metadata.

Source: Fetch sections 3.3.3 (response headers) and 4.10 (CORS check, preflight).
"""

from __future__ import annotations

from sidecar.policy.headers.tokens import words
from sidecar.policy.model import Rule
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import BreakageTest, Fetch, Outcome, line

_SAFELISTED = frozenset({"GET", "HEAD", "POST"})
"""Methods that need no permission (Fetch section 2.2.1)."""


def sharing_test(name: str, rule: Rule, value: str) -> BreakageTest | None:
    """The test of a rule on this header (lower-case name); None where requests do not show it."""
    wanted = "" if rule.action == "remove" else value.strip()
    kept = rule.action == "default"
    if name == "access-control-allow-origin":
        return _origin(wanted, kept=kept)
    if name == "access-control-allow-credentials":
        return _credentials(allowed=wanted == "true", kept=kept)
    if name in ("access-control-allow-methods", "access-control-allow-headers"):
        return _listed(name.encode(), wanted, kept=kept)
    return None


def _crosses(facts: Facts, fetch: Fetch) -> Outcome | None:
    """None for a CORS request of another origin; else what the response shows."""
    if not fetch.browser:
        return "irrelevant"
    if fetch.origin is None or fetch.site == b"same-origin" or fetch.mode not in (None, b"cors"):
        return "safe"
    if fetch.origin.lower() == f"{facts.scheme}://{facts.host}".encode("latin-1", "replace"):
        return "safe"
    if fetch.mode is None and facts.method not in ("GET", "HEAD", "OPTIONS") and fetch.navigates:
        return "safe"  # a form sent from another site: nobody there reads the response
    if fetch.asked_method is not None and facts.method == "OPTIONS" and facts.status // 100 != 2:
        return "safe"  # a preflight that is refused today as well
    return None


def _origin(wanted: str, *, kept: bool) -> BreakageTest:
    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if (settled := _crosses(facts, fetch)) is not None:
            return settled
        own = _value(facts, b"access-control-allow-origin")
        origin = "" if fetch.origin is None else fetch.origin.decode("latin-1")
        if not _permits(own, origin, facts, fetch) or (kept and own):
            return "safe"
        if wanted == "*" != own and fetch.cookie is None and _credentialed(facts):
            return "open"  # a script may ask for credentials that its visitor has none of
        return "safe" if _permits(wanted, origin, facts, fetch) else "break"

    return judge


def _permits(value: str, origin: str, facts: Facts, fetch: Fetch) -> bool:
    if value == "*":
        # With credentials the star permits nothing (Fetch section 4.10).
        return not (fetch.cookie is not None and _credentialed(facts))
    return bool(value) and value == origin  # byte for byte (Fetch section 4.10)


def _credentials(*, allowed: bool, kept: bool) -> BreakageTest:
    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if (settled := _crosses(facts, fetch)) is not None:
            return settled
        if allowed or kept or not _credentialed(facts):
            return "safe"
        # Without a cookie it cannot be seen whether the script asks for credentials.
        return "break" if fetch.cookie is not None else "open"

    return judge


def _credentialed(facts: Facts) -> bool:
    return _value(facts, b"access-control-allow-credentials") == "true"


def _listed(name: bytes, value: str, *, kept: bool) -> BreakageTest:
    methods = name.endswith(b"methods")
    listed = _methods if methods else _words
    wanted = listed(value)

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if (settled := _crosses(facts, fetch)) is not None:
            return settled
        preflight = facts.method == "OPTIONS" and fetch.asked_method is not None
        if methods:
            asked = frozenset() if preflight else frozenset({facts.method})
            if preflight and fetch.asked_method is not None:
                asked = _methods(fetch.asked_method.decode("latin-1"))
            asked -= _SAFELISTED
        elif preflight:
            asked = _words((fetch.asked_headers or b"").decode("latin-1"))
        else:
            return "irrelevant"  # only its preflight shows what the script set by itself
        own = listed(_value(facts, name))
        if kept and own:
            return "safe"
        if preflight and not _covers(own, asked, fetch):
            return "safe"  # refused today as well
        if asked - wanted and "*" in wanted and "*" not in own and _credentialed(facts):
            return "open"  # a preflight does not say whether credentials follow
        return "safe" if _covers(wanted, asked, fetch) else "break"

    return judge


def _covers(allowed: frozenset[str], asked: frozenset[str], fetch: Fetch) -> bool:
    if "*" in allowed and fetch.cookie is None:
        return "authorization" not in asked or "authorization" in allowed
    return asked <= allowed


def _methods(value: str) -> frozenset[str]:
    """Case counts: of `patch`, browsers make no PATCH (Fetch section 2.2.1)."""
    return frozenset(words(value))


def _words(value: str) -> frozenset[str]:
    return frozenset(word.lower() for word in words(value))


def _value(facts: Facts, name: bytes) -> str:
    return (line(facts, name) or b"").decode("latin-1").strip()
