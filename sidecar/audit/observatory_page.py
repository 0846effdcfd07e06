"""The Observatory's tests that look at cookies and at the page's own scripts.

Lives here: which cookies of a visit count, and the order of their outcomes; which scripts are
foreign. Must not know points, nor how a Set-Cookie line or HTML is read.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from email.utils import parsedate_to_datetime

from sidecar.audit.outcomes import Outcome
from sidecar.audit.page import Page
from sidecar.audit.visit import HTML_TYPES
from sidecar.observed import Response, split
from sidecar.policy.headers.cookies import Cookie, parse

_COOKIES_WORST_LAST = (
    Outcome.COOKIES_INSECURE_HSTS,
    Outcome.COOKIES_INSECURE,
    Outcome.COOKIES_SESSION_INSECURE_HSTS,
    Outcome.COOKIES_BAD_SAME_SITE,
    Outcome.COOKIES_CSRF_NO_SAME_SITE,
    Outcome.COOKIES_SESSION_READABLE,
    Outcome.COOKIES_SESSION_INSECURE,
)
_SCRIPTS_WORST_LAST = (
    Outcome.SRI_ALL,
    Outcome.SRI_INSECURE,
    Outcome.SRI_ABSENT_SECURE,
    Outcome.SRI_ABSENT_INSECURE,
)
_FORGIVEN = frozenset({"heroku-session-affinity"})
"""Cookies of a platform that its users cannot change."""
_SAME_SITES = frozenset({"lax", "strict", "none"})
_REGISTRIES = frozenset(
    {"ac", "co", "com", "edu", "gob", "gouv", "gov", "gv", "mil", "ne", "net", "nom", "or", "org"}
)


def cookies_kept(responses: Iterable[Response]) -> tuple[Cookie, ...]:
    """The cookies that a browser would hold after these responses, by name."""
    held: dict[str, Cookie] = {}
    for response in responses:
        for line in response.values("set-cookie"):
            cookie = parse(line)
            held.pop(cookie.name, None)
            if cookie.refused is None and cookie.name and not is_deletion(cookie, response):
                held[cookie.name] = cookie
    return tuple(cookie for cookie in held.values() if cookie.name not in _FORGIVEN)


def is_deletion(cookie: Cookie, response: Response) -> bool:
    """Whether a cookie ends at once: by its age, or because it expires before the response's own
    date.
    """
    age = cookie.get("max-age")
    if age is not None and re.fullmatch(r"-?[0-9]+", age):
        return age.startswith("-") or not age.strip("0")
    try:
        return parsedate_to_datetime(cookie.get("expires") or "") <= parsedate_to_datetime(
            response.first("date")
        )
    except (TypeError, ValueError, OverflowError):  # not dates, or one of them without a zone
        return False


def cookies(kept: tuple[Cookie, ...], page: Response, *, hsts: bool) -> Outcome:
    """The worst that can be said of any cookie; `hsts`: the host is held to HTTPS."""
    if not kept:
        return Outcome.COOKIES_ABSENT
    lines = (parse(line).get("samesite") for line in page.values("set-cookie"))
    found = {
        Outcome.COOKIES_BAD_SAME_SITE
        for said in lines
        if said is not None and said.lower() not in _SAME_SITES
    }
    for cookie in kept:
        found |= _complaints(cookie, hsts=hsts)
    if found:
        return max(found, key=_COOKIES_WORST_LAST.index)
    return (
        Outcome.COOKIES_SAME_SITE
        if all(cookie.get("samesite") for cookie in kept)
        else Outcome.COOKIES_SECURE
    )


def _complaints(cookie: Cookie, *, hsts: bool) -> set[Outcome]:
    name, same_site = cookie.name.lower(), (cookie.get("samesite") or "").lower()
    is_session = "login" in name or "sess" in name
    found = set[Outcome]()
    if cookie.get("secure") is None:
        found.add(Outcome.COOKIES_INSECURE_HSTS if hsts else Outcome.COOKIES_INSECURE)
        if is_session:
            found.add(
                Outcome.COOKIES_SESSION_INSECURE_HSTS if hsts else Outcome.COOKIES_SESSION_INSECURE
            )
        if same_site == "none":
            found.add(Outcome.COOKIES_BAD_SAME_SITE)
    if "csrf" in name and not same_site:
        found.add(Outcome.COOKIES_CSRF_NO_SAME_SITE)
    if is_session and cookie.get("httponly") is None:
        found.add(Outcome.COOKIES_SESSION_READABLE)
    return found


def scripts(response: Response, page: Page | None) -> Outcome:
    """How the page's scripts are loaded; `page` is None where the HTML cannot be read."""
    if response.media_type and response.media_type not in HTML_TYPES:
        return Outcome.SRI_NOT_HTML
    if page is None:
        return Outcome.HTML_BROKEN
    if not page.scripts:
        return Outcome.SRI_NO_SCRIPTS
    loads = [
        (*_origin(script.src, response), script.has_integrity)
        for script in page.scripts
        if script.src
    ]
    found = {outcome for load in loads if (outcome := _load(*load)) is not None}
    if found:
        return max(found, key=_SCRIPTS_WORST_LAST.index)
    return (
        Outcome.SRI_EXTERNAL
        if any(is_foreign for is_foreign, *_ in loads)
        else Outcome.SRI_SAME_ORIGIN
    )


def _load(is_foreign: bool, is_secure: bool, has_integrity: bool) -> Outcome | None:
    """What one script's loading comes to; None = nothing to say."""
    if not is_foreign:
        return Outcome.SRI_ALL if has_integrity and is_secure else None
    if has_integrity:
        return None if is_secure else Outcome.SRI_INSECURE
    return Outcome.SRI_ABSENT_SECURE if is_secure else Outcome.SRI_ABSENT_INSECURE


def _origin(src: str, response: Response) -> tuple[bool, bool]:
    """Whether a script is another site's, and whether it is loaded over HTTPS.

    The Observatory counts an address that begins with `//` as foreign and insecure, whatever its
    host.
    """
    if src.startswith("//"):
        return True, False
    parts = split(src)
    if parts.scheme in ("http", "https"):
        return (
            not same_site(parts.hostname or "", response.place.hostname or ""),
            parts.scheme == "https",
        )
    return False, response.place.scheme == "https"


def same_site(one: str, other: str) -> bool:
    """Whether two hosts belong to one registered domain, as well as can be reported without the
    list of registries.
    """
    return one == other or (_site(one) == _site(other) != "")


def _site(host: str) -> str:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        labels = host.lower().rstrip(".").split(".")
    else:
        return host
    below_registry = len(labels) > 2 and len(labels[-1]) == 2 and labels[-2] in _REGISTRIES
    return ".".join(labels[-3:] if below_registry else labels[-2:]) if len(labels) > 1 else ""
