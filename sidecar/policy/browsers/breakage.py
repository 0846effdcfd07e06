"""What a rule would have broken in a real browser, read from the request that came before the response.

Lives here: `oracle`, and the oracles of framing, loading and cookies; those of CORS are in `sharing`, those of what
browsers show and keep in `keeping`. Must not know counters or modes.

Source: Fetch Metadata Request Headers (W3C); Fetch sections 3.6 (nosniff) and 3.7 (CORP); HTML section 7.1.6
(X-Frame-Options); CSP Level 3 section 6.4.2 (frame-ancestors); RFC 6265bis section 5.2 (SameSite).
"""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable
from itertools import chain
from urllib.parse import quote_from_bytes, urlsplit

from sidecar.policy import csp
from sidecar.policy.browsers.keeping import Clearing, disposition_oracle, store_oracle, unstored
from sidecar.policy.browsers.sharing import sharing_oracle
from sidecar.policy.model import WRITING, Rule
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import FRAMES, SCRIPT_TYPES, Fetch, Oracle, Outcome, media_type
from sidecar.policy.rules.ladder import HEADER as HSTS
from sidecar.policy.rules.ladder import transport

_SCRIPTS = frozenset(
    {b"script", b"worker", b"sharedworker", b"serviceworker", b"audioworklet", b"paintworklet"}
)
_SNIFFED_BY_ORB = (
    b"text/html",
    b"text/plain",
    b"application/json",
    b"text/json",
    b"application/xml",
    b"text/xml",
)
"""Types that Opaque Response Blocking refuses to other origins once sniffing is off (Fetch, ORB)."""


def oracle(rule: Rule, value: str) -> Oracle | None:
    """The oracle of a complete rule that would write `value`, or None where requests tell nothing."""
    if rule.cookie is not None:
        return _cookie_oracle(rule)
    if rule.header is None or rule.action not in WRITING:
        return None
    found = [one for name in rule.header if (one := _header_oracle(name.lower(), rule, value))]
    return None if not found else found[0] if len(found) == 1 else _worst(found)


_SEVERITY: tuple[Outcome, ...] = ("break", "unknown", "safe", "irrelevant")


def _worst(oracles: list[Oracle]) -> Oracle:
    """Several headers of one rule: what any of them would break."""

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        outcomes = [oracle(facts, fetch) for oracle in oracles]
        return min(outcomes, key=_SEVERITY.index)

    return judge


def _header_oracle(name: str, rule: Rule, value: str) -> Oracle | None:
    wanted = value.lower().strip()
    if name.startswith("access-control-"):
        return sharing_oracle(name, rule, value)
    if name == "content-disposition":
        return disposition_oracle(rule, value)
    if name == "content-security-policy" and rule.action in ("set", "remove"):
        framing = _framed_by(wanted)
        return (
            framing
            if _upgrades(csp.parse(wanted))
            else _worst([_upgrade, *filter(None, (framing,))])
        )
    if rule.action == "remove":
        return None
    if name == "clear-site-data":
        return Clearing(value)
    if name == "cache-control" and unstored(wanted):
        return store_oracle
    if name == "x-frame-options" and wanted in ("deny", "sameorigin"):
        return _framing(("'self'",) if wanted == "sameorigin" else (), overruled=True)
    if name == "content-security-policy":
        return _framed_by(wanted)
    if name == "cross-origin-resource-policy" and wanted in ("same-origin", "same-site"):
        return _resource(same_site_allowed=wanted == "same-site")
    if name == HSTS and rule.ladder is not None:
        return transport
    if name == "x-content-type-options" and wanted == "nosniff":
        return _nosniff
    return None


def _framed_by(value: str) -> Oracle | None:
    """Of a policy that speaks of framing alone: browsers report what others block."""
    ancestors = _only_ancestors(value)
    return None if ancestors is None else _framing(ancestors, overruled=False)


def _upgrades(policies: Iterable[csp.Policy]) -> bool:
    return any(policy.get("upgrade-insecure-requests") for policy in policies)


def _upgrade(facts: Facts, fetch: Fetch) -> Outcome:
    """The service's policy makes browsers load http: addresses over https, and ours would not: they are mixed content then.

    Source: Upgrade Insecure Requests section 3; Mixed Content section 5.
    """
    if facts.scheme != "https" or fetch.dest not in (None, b"document", *FRAMES):
        return "irrelevant"
    sent = (
        value.decode("latin-1")
        for name, value in facts.fields
        if name.lower() == b"content-security-policy"
    )
    return "break" if _upgrades(chain.from_iterable(map(csp.parse, sent))) else "irrelevant"


def _only_ancestors(value: str) -> tuple[str, ...] | None:
    """The sources of a policy that says nothing but `frame-ancestors`."""
    acting = [
        directive
        for policy in csp.parse(value)
        for directive in policy.directives
        if directive.name not in ("report-uri", "report-to")
    ]
    if len(acting) != 1 or acting[0].name != "frame-ancestors":
        return None
    return tuple(word for word in acting[0].values if word != "'none'")


def _framing(allowed: tuple[str, ...], *, overruled: bool) -> Oracle:
    """Who embeds a page: `allowed` as in frame-ancestors; `overruled` when the service's own frame-ancestors decides."""

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        silent = fetch.silent
        if overruled and silent != "irrelevant" and _own_ancestors(facts):
            return "safe"
        if silent is not None:
            return silent
        if fetch.dest not in FRAMES:
            return "safe" if fetch.dest == b"document" else "irrelevant"
        if 300 <= facts.status < 400:  # a redirect shows nothing; what it leads to is judged
            return "safe"
        if fetch.dest in (b"object", b"embed") and media_type(facts).startswith(b"image/"):
            return "safe"
        if fetch.site == b"none" or "*" in allowed:
            return "safe"
        if fetch.site == b"same-origin":
            return "safe" if "'self'" in allowed else _listed(allowed, fetch)
        return _listed(allowed, fetch)

    return judge


def _listed(allowed: tuple[str, ...], fetch: Fetch) -> Outcome:
    """Whether the embedding page's origin is on the list, as Referer or Origin tell it."""
    hosts = [word for word in allowed if not word.startswith("'")]
    if not hosts:
        return "break"
    data = fetch.origin if fetch.origin not in (None, b"null") else fetch.referer
    if data is None:
        return "unknown"
    try:
        parts = urlsplit(data.decode("latin-1"))
        scheme, host, port = parts.scheme, parts.hostname or "", parts.port
    except ValueError:
        return "unknown"
    return "safe" if any(_covers(word, scheme, host, port) for word in hosts) else "break"


def _covers(word: str, scheme: str, host: str, port: int | None) -> bool:
    """Whether a host-source or scheme-source covers an origin (CSP3 section 6.7.2.8), paths aside."""
    if word.endswith(":"):
        return word[:-1] == scheme
    wanted, separator, rest = word.partition("://")
    if not separator:
        wanted, rest = "", word
    if wanted and wanted != scheme and (wanted, scheme) != ("http", "https"):
        return False
    name, _, wanted_port = rest.partition("/")[0].partition(":")
    if wanted_port not in ("", "*") and wanted_port != str(
        port or {"https": 443, "http": 80}.get(scheme)
    ):
        return False
    if not wanted_port and port not in (None, 443, 80):
        return False
    return host.endswith(name[1:]) and host != name[2:] if name.startswith("*.") else host == name


def _own_ancestors(facts: Facts) -> bool:
    return csp.names_ancestors(
        value for name, value in facts.fields if name.lower() == b"content-security-policy"
    )


def _resource(*, same_site_allowed: bool) -> Oracle:
    blocked = frozenset({b"cross-site"} if same_site_allowed else {b"cross-site", b"same-site"})

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if (silent := fetch.silent) is not None:
            return silent
        if fetch.mode != b"no-cors" or fetch.site not in blocked:
            return "safe"
        # A beacon's response is read by nobody, and an error response shows nothing that could break.
        return "safe" if fetch.dest == b"empty" or facts.status >= 400 else "break"

    return judge


def _nosniff(facts: Facts, fetch: Fetch) -> Outcome:
    if (silent := fetch.silent) is not None:
        return silent
    if facts.status >= 300:
        return "safe"
    media = media_type(facts)
    if fetch.dest == b"style":
        return "safe" if media == b"text/css" else "break"
    if fetch.dest in _SCRIPTS:
        if media in SCRIPT_TYPES:
            return "safe"
        # A module script of another type was refused before (HTML section 8.1.4.2).
        return "safe" if fetch.mode == b"cors" and media else "break"
    if fetch.dest == b"document" or fetch.dest in FRAMES:
        return "safe" if media else "break"
    if fetch.dest == b"image" and fetch.site in (b"cross-site", b"same-site"):
        return "break" if not media or media in _SNIFFED_BY_ORB else "safe"
    return "safe"


def _cookie_oracle(rule: Rule) -> Oracle | None:
    """Whether the browser would have left the cookie at home: SameSite on cross-site requests, Secure on HTTP."""
    attributes, pattern = rule.attributes, rule.cookie
    if attributes is None or pattern is None:
        return None
    if not (attributes.same_site in ("Lax", "Strict") or attributes.secure or attributes.http_only):
        return None
    strict, secure = attributes.same_site == "Strict", bool(attributes.secure)
    same_site, hidden = attributes.same_site in ("Lax", "Strict"), bool(attributes.http_only)

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        sent = () if fetch.cookie is None else _values(fetch.cookie, pattern)
        if not sent:
            # The cookie stayed at home: that is what a browser that can say so shows every day.
            return fetch.silent or "safe"
        if hidden and _echoed(facts, sent):
            return "break"
        if secure and facts.scheme == "http" and fetch.silent != "irrelevant":
            # Secure is never written over http, so a cookie that only ever lives there keeps working.
            return "unknown"
        if not same_site:
            return fetch.silent or "safe"
        if (silent := fetch.silent) is not None:
            return silent
        if fetch.site != b"cross-site":
            return "safe"
        followed_link = (
            fetch.mode == b"navigate"
            and facts.method in ("GET", "HEAD")
            and fetch.dest == b"document"
        )
        return "safe" if followed_link and not strict else "break"

    return judge


def _values(cookie: bytes, pattern: str) -> tuple[bytes, ...]:
    """The values of the cookies whose names match."""
    glob = pattern.replace("[", "[[]").replace("?", "[?]")
    pairs = (pair.partition(b"=") for pair in cookie.split(b";"))
    return tuple(
        value.strip()
        for name, _, value in pairs
        if fnmatch.fnmatchcase(name.strip().decode("latin-1"), glob)
    )


def _echoed(facts: Facts, values: tuple[bytes, ...]) -> bool:
    """A cookie's value comes back in another header or in the body: a script has read it (double submit)."""
    for value in values:
        if len(value) < 8:
            continue
        if any(value in sent for name, sent in facts.request if name.lower() not in _NOT_SCRIPTS):
            return True
        if value in facts.body or quote_from_bytes(value).encode() in facts.body:
            return True
    return False


_NOT_SCRIPTS = frozenset({b"cookie", b"referer", b"origin", b"user-agent"})
