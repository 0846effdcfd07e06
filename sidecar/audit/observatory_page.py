"""The Observatory's tests of cookies and of the page's scripts."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime

from sidecar.audit.outcomes import worst
from sidecar.audit.visit import HTML_TYPES, PageMarkup
from sidecar.observed import ObservedResponse, split
from sidecar.policy.headers.cookies import Cookie, parse

_FORGIVEN = frozenset({"heroku-session-affinity"})
"""Cookies of a platform that its users cannot change."""
_SAME_SITES = frozenset({"lax", "strict", "none"})
_REGISTRIES = frozenset(
    {"ac", "co", "com", "edu", "gob", "gouv", "gov", "gv", "mil", "ne", "net", "nom", "or", "org"}
)


def cookies_kept(responses: Iterable[ObservedResponse]) -> tuple[Cookie, ...]:
    """The cookies that a browser would hold after these responses, by name."""
    held: dict[str, Cookie] = {}
    for response in responses:
        for line in response.values("set-cookie"):
            cookie = parse(line)
            held.pop(cookie.name, None)
            if not cookie.refused and cookie.name and not is_deletion(cookie, response):
                held[cookie.name] = cookie
    return tuple(cookie for cookie in held.values() if cookie.name not in _FORGIVEN)


def is_deletion(cookie: Cookie, response: ObservedResponse) -> bool:
    """Whether a cookie ends at once: by its age, or by expiring before the response's date."""
    age = cookie.get("max-age")
    if age is not None and re.fullmatch(r"-?[0-9]+", age):
        return age.startswith("-") or not age.strip("0")
    try:
        return parsedate_to_datetime(cookie.get("expires") or "") <= parsedate_to_datetime(
            response.first("date")
        )
    except (TypeError, ValueError, OverflowError):  # not dates, or one of them without a zone
        return False


def cookies(kept: tuple[Cookie, ...], page: ObservedResponse, *, hsts: bool) -> str:
    """The worst outcome of any cookie; `hsts`: browsers use only HTTPS for the host."""
    if not kept:
        return "cookies-not-found"
    found = {outcome for cookie in kept for outcome in _complaints(cookie, hsts=hsts)}
    said = (parse(line).get("samesite") for line in page.values("set-cookie"))
    if any(value is not None and value.lower() not in _SAME_SITES for value in said):
        found.add("cookies-samesite-flag-invalid")
    if found:
        return worst("cookies", found)
    same_site = "-and-samesite" if all(cookie.get("samesite") for cookie in kept) else ""
    return f"cookies-secure-with-httponly-sessions{same_site}"


def _complaints(cookie: Cookie, *, hsts: bool) -> Iterator[str]:
    name, same_site = cookie.name.lower(), (cookie.get("samesite") or "").lower()
    is_session = "login" in name or "sess" in name
    if cookie.get("secure") is None:
        protected = "-but-protected-by-hsts" if hsts else ""
        yield f"cookies-without-secure-flag{protected}"
        if is_session:
            yield f"cookies-session-without-secure-flag{protected}"
        if same_site == "none":
            yield "cookies-samesite-flag-invalid"
    if "csrf" in name and not same_site:
        yield "cookies-anticsrf-without-samesite-flag"
    if is_session and cookie.get("httponly") is None:
        yield "cookies-session-without-httponly-flag"


def scripts(response: ObservedResponse, page: PageMarkup | None) -> str:
    """How the page's scripts are loaded; `page` is None where the HTML cannot be read."""
    if response.media_type and response.media_type not in HTML_TYPES:
        return "sri-not-implemented-response-not-html"
    if page is None:
        return "html-not-parseable"
    if not page.scripts:
        return "sri-not-implemented-but-no-scripts-loaded"
    loads = [
        (*_origin(script.src, response), script.has_integrity)
        for script in page.scripts
        if script.src
    ]
    found = {outcome for load in loads if (outcome := _load(*load)) is not None}
    if found:
        return worst("subresource-integrity", found)
    if any(is_foreign for is_foreign, *_ in loads):
        return "sri-implemented-and-external-scripts-loaded-securely"
    return "sri-not-implemented-but-all-scripts-loaded-from-secure-origin"


def _load(is_foreign: bool, is_secure: bool, has_integrity: bool) -> str | None:
    """The outcome for one script; None = it changes nothing."""
    if not is_foreign:
        good = has_integrity and is_secure
        return "sri-implemented-and-all-scripts-loaded-securely" if good else None
    if has_integrity:
        return None if is_secure else "sri-implemented-but-external-scripts-not-loaded-securely"
    how = "but-external-scripts-loaded" if is_secure else "and-external-scripts-not-loaded"
    return f"sri-not-implemented-{how}-securely"


def _origin(src: str, response: ObservedResponse) -> tuple[bool, bool]:
    """Whether a script is another site's, and whether it is loaded over HTTPS.

    The Observatory counts any address that begins with `//` as foreign and insecure.
    """
    if src.startswith("//"):
        return True, False
    parts, page = split(src), response.place
    if parts.scheme not in ("http", "https"):
        return False, page.scheme == "https"
    return not same_site(parts.hostname or "", page.hostname or ""), parts.scheme == "https"


def same_site(one: str, other: str) -> bool:
    """Whether two hosts share a registered domain, as far as a short list of registries shows."""
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
