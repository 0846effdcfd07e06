"""What a rule would have broken in a real browser, read from the request's Fetch Metadata.

Lives here: oracles for headers that have no report-only twin of their own. Must not know counters or
modes. Evidence, never control: a client may forge these headers, and old or plain-HTTP browsers do not
send them, so absence is "unknown", not "safe".

Source: Fetch Metadata Request Headers (W3C); Fetch section 3.6 (nosniff) and 3.7 (CORP); HTML section
7.1.6 (X-Frame-Options); RFC 6265bis section 5.2 (SameSite).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Callable
from typing import Literal, TypeAlias

from sidecar.policy.conditions import Facts
from sidecar.policy.model import WRITING, Rule

Outcome: TypeAlias = Literal["break", "safe", "unknown"]
OUTCOMES: tuple[Outcome, ...] = ("break", "safe", "unknown")
Oracle: TypeAlias = Callable[[Facts, "Fetch"], Outcome]

_FRAMES = frozenset({b"iframe", b"frame", b"object", b"embed", b"fencedframe"})
_SCRIPTS = frozenset({b"script", b"worker", b"sharedworker", b"serviceworker", b"audioworklet", b"paintworklet"})
_SCRIPT_TYPES = frozenset(
    {b"text/javascript", b"application/javascript", b"application/ecmascript", b"application/x-javascript", b"text/ecmascript", b"text/x-javascript"}
)


class Fetch:
    """The request headers that oracles look at, found in one pass; None = not sent."""

    __slots__ = ("cookie", "dest", "mode", "site")

    def __init__(self, facts: Facts) -> None:
        self.site = self.mode = self.dest = self.cookie = None
        for name, value in facts.request:
            if len(name) not in (6, 14):
                continue
            key = name.lower()
            if key == b"sec-fetch-site":
                self.site = value
            elif key == b"sec-fetch-mode":
                self.mode = value
            elif key == b"sec-fetch-dest":
                self.dest = value
            elif key == b"cookie":
                self.cookie = value if self.cookie is None else self.cookie + b"; " + value


def oracle(rule: Rule, value: str) -> Oracle | None:
    """The oracle of a complete rule that would write `value`, or None where requests tell nothing."""
    if rule.cookie is not None:
        return _cookie_oracle(rule)
    if rule.header is None or len(rule.header) != 1 or rule.action not in WRITING or rule.action == "remove":
        return None
    name, wanted = rule.header[0].lower(), value.lower().strip()
    if name == "x-frame-options" and wanted in ("deny", "sameorigin"):
        return _framing(same_origin_allowed=wanted == "sameorigin")
    if name == "content-security-policy":
        ancestors = next((part.split()[1:] for part in wanted.split(";") if part.split()[:1] == ["frame-ancestors"]), None)
        if ancestors in (["'none'"], ["'self'"]):
            return _framing(same_origin_allowed=ancestors == ["'self'"])
    if name == "cross-origin-resource-policy" and wanted in ("same-origin", "same-site"):
        return _resource(same_site_allowed=wanted == "same-site")
    if name == "x-content-type-options" and wanted == "nosniff":
        return _nosniff
    return None


def _framing(*, same_origin_allowed: bool) -> Oracle:
    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if fetch.dest is None or fetch.site is None:
            return "unknown"
        if fetch.dest not in _FRAMES or (same_origin_allowed and fetch.site in (b"same-origin", b"none")):
            return "safe"
        return "break"

    return judge


def _resource(*, same_site_allowed: bool) -> Oracle:
    blocked = frozenset({b"cross-site"} if same_site_allowed else {b"cross-site", b"same-site"})

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if fetch.mode is None or fetch.site is None:
            return "unknown"
        return "break" if fetch.mode == b"no-cors" and fetch.site in blocked else "safe"

    return judge


def _nosniff(facts: Facts, fetch: Fetch) -> Outcome:
    if fetch.dest is None:
        return "unknown"
    if facts.status >= 300:
        return "safe"
    if fetch.dest == b"style":
        return "safe" if _media_type(facts) == b"text/css" else "break"
    if fetch.dest in _SCRIPTS:
        return "safe" if _media_type(facts) in _SCRIPT_TYPES else "break"
    return "safe"


def _media_type(facts: Facts) -> bytes:
    for name, value in facts.fields:
        if name.lower() == b"content-type":
            return value.partition(b";")[0].strip().lower()
    return b""


def _cookie_oracle(rule: Rule) -> Oracle | None:
    """Whether the browser would have left the cookie at home: SameSite on cross-site requests, Secure on HTTP."""
    attributes, pattern = rule.attributes, rule.cookie
    if attributes is None or pattern is None or not (attributes.same_site in ("Lax", "Strict") or attributes.secure):
        return None
    strict, secure = attributes.same_site == "Strict", bool(attributes.secure)
    same_site = attributes.same_site in ("Lax", "Strict")

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if fetch.cookie is None or not _sends(fetch.cookie, pattern):
            return "safe"
        if secure and facts.scheme == "http":
            return "break"
        if not same_site:
            return "safe"
        if fetch.site is None:
            return "unknown"
        if fetch.site != b"cross-site":
            return "safe"
        followed_link = fetch.mode == b"navigate" and facts.method in ("GET", "HEAD") and fetch.dest == b"document"
        return "safe" if followed_link and not strict else "break"

    return judge


def _sends(cookie: bytes, pattern: str) -> bool:
    names = (pair.partition(b"=")[0].strip().decode("latin-1") for pair in cookie.split(b";"))
    return any(fnmatch.fnmatchcase(name, pattern.replace("[", "[[]").replace("?", "[?]")) for name in names)
