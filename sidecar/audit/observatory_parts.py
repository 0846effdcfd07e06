"""The Observatory's tests of the Content Security Policy, of cookies and of the page's scripts.

Its reading of "unsafe" differs in places from CSP Level 3. `sidecar.policy.csp` parses and merges.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator
from email.utils import parsedate_to_datetime
from functools import reduce

from sidecar.audit.outcomes import worst
from sidecar.audit.visit import HTML_TYPES, PageMarkup
from sidecar.observed import ObservedResponse, split
from sidecar.policy import csp
from sidecar.policy.csp.sources import source_list
from sidecar.policy.csp.table import REPORTING
from sidecar.policy.headers.cookies import Cookie, parse

_SHORTEST = 6
"""Characters; a policy text below it is taken for no policy."""
_NOT_IN_META = frozenset({"frame-ancestors", "report-uri", "sandbox"})
_PASSIVE = ("img-src", "media-src")
_BROAD = {"ftp:", "http:", "https:", "*", "http://*", "http://*.*", "https://*", "https://*.*"}
_OPEN = _BROAD | {"'unsafe-inline'", "data:"}
_PASSED = frozenset(
    {
        "csp-implemented-with-no-unsafe-default-src-none",
        "csp-implemented-with-no-unsafe",
        "csp-implemented-with-unsafe-inline-in-style-src-only",
        "csp-implemented-with-insecure-scheme-in-passive-content-only",
    }
)
_FORGIVEN = frozenset({"heroku-session-affinity"})
"""Cookies of a platform that its users cannot change."""
_SAME_SITES = frozenset({"lax", "strict", "none"})
_REGISTRIES = frozenset(
    {"ac", "co", "com", "edu", "gob", "gouv", "gov", "gv", "mil", "ne", "net", "nom", "or", "org"}
)


def policy_of(headers: tuple[str, ...], metas: tuple[str, ...] = ()) -> csp.CspPolicy | None:
    """What all policies of a page allow together; None where the Observatory calls one invalid."""
    parts = [part.strip() for value in (*headers, *metas) for part in value.split(",")]
    if any(len(part) < _SHORTEST for part in parts):
        return None
    sent, written = csp.parse(",".join(headers)), csp.parse(",".join(metas))
    if _repeated((*sent, *written)) - REPORTING:
        return None
    kept = (
        csp.CspPolicy(tuple(one for one in policy.directives if one.name not in _NOT_IN_META))
        for policy in written
    )
    policies = [policy for policy in (*sent, *kept) if policy.directives]
    return reduce(csp.merge, policies) if policies else csp.CspPolicy()


def _repeated(policies: tuple[csp.CspPolicy, ...]) -> set[str]:
    return {
        fault.part for policy in policies for fault in policy.faults if fault.code == "csp-repeated"
    }


def policies(
    headers: tuple[str, ...], metas: tuple[str, ...], *, report_only: bool, is_https: bool
) -> str:
    """The outcome for the values of all header lines and meta elements."""
    policy = policy_of(headers, metas)
    if policy is None:
        return "csp-header-invalid"
    if not policy.directives:
        return "csp-not-implemented-but-reporting-enabled" if report_only else "csp-not-implemented"
    found = _worst(policy, is_https=is_https)
    # Reporting named twice is reported in place of any outcome that counts as passed, even of one
    # with points.
    if found in _PASSED and _repeated((*csp.parse(",".join(headers)), *csp.parse(",".join(metas)))):
        return "csp-implemented-but-duplicate-directives"
    return found


def _worst(policy: csp.CspPolicy, *, is_https: bool) -> str:
    scripts, styles, objects = (
        _sources(policy, name) for name in ("script-src", "style-src", "object-src")
    )
    if "'strict-dynamic'" in scripts:
        if not _has_secret(scripts):
            return "csp-header-invalid"
        scripts = {
            one
            for one in scripts
            if one not in ("'self'", "'unsafe-inline'") and not one.startswith(tuple(_BROAD))
        }
    scripts, styles = (
        one - {"'unsafe-inline'"} if _has_secret(one) else one for one in (scripts, styles)
    )
    if scripts & _OPEN or objects & _BROAD:
        return "csp-implemented-with-unsafe-inline"
    active = (one.values for one in policy.directives if one.name not in (*_PASSIVE, "script-src"))
    if is_https and _insecure({value.lower() for values in active for value in values} | scripts):
        return "csp-implemented-with-insecure-scheme"
    if "'unsafe-eval'" in scripts | styles:
        return "csp-implemented-with-unsafe-eval"
    if is_https and any(_insecure(_sources(policy, name)) for name in _PASSIVE):
        return "csp-implemented-with-insecure-scheme-in-passive-content-only"
    if styles & _OPEN:
        return "csp-implemented-with-unsafe-inline-in-style-src-only"
    default = policy.get("default-src")
    closed = default is not None and not source_list(default.values)
    return f"csp-implemented-with-no-unsafe{'-default-src-none' if closed else ''}"


def _sources(policy: csp.CspPolicy, name: str) -> set[str]:
    """The sources that govern `name`, in lower case; where nothing governs it, everything."""
    governing = csp.effective(policy, name)
    if governing is None:
        return {"*"}
    return {source.text.lower() for source in source_list(governing.values).values()}


def _has_secret(sources: set[str]) -> bool:
    secrets = ("'nonce-", "'sha256-", "'sha384-", "'sha512-")
    return any(source.startswith(secrets) for source in sources)


def _insecure(sources: set[str]) -> bool:
    return any(source.startswith(("http:", "ftp:")) for source in sources)


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
