"""What a rule would have broken in a real browser, read from the request.

A breakage test is a function from one request and response to an outcome. Those of loading and
cookies are here; those of frames in `framing`, of CORS in `cors`, of what browsers store and show
in `storage`, of headers that are taken away in `removals`.

Source: Fetch Metadata Request Headers (W3C); Fetch sections 3.6 (nosniff) and 3.7 (CORP); HTML
section 7.1.6 (X-Frame-Options); CSP Level 3 section 6.4.2 (frame-ancestors); RFC 6265bis section
5.2 (SameSite).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import quote_from_bytes

from sidecar.policy import csp
from sidecar.policy.browsers.cors import sharing_test
from sidecar.policy.browsers.framing import FramedPages, Framing
from sidecar.policy.browsers.removals import (
    grants_test,
    permissions_test,
    referrer_of_rule,
    removal_test,
)
from sidecar.policy.browsers.storage import (
    Clearing,
    disposition_test,
    domain_of,
    freshness_test,
    pragma_test,
    saved,
    store_test,
    unstored,
)
from sidecar.policy.csp.table import REPORTING
from sidecar.policy.data import media_types
from sidecar.policy.headers import cookies
from sidecar.policy.model import Attributes, Rule
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
    media_type,
    sent_cookies,
    without_port,
)
from sidecar.policy.rules.ladder import HEADER as HSTS
from sidecar.policy.rules.ladder import transport
from sidecar.policy.terms import WRITING

_REMOVED: Mapping[str, BreakageTest] = {
    "content-security-policy": removal_test,
    "feature-policy": grants_test,
    "pragma": pragma_test,
}
"""The tests of headers that are taken away."""
_SCRIPTS = frozenset(
    {b"script", b"worker", b"sharedworker", b"serviceworker", b"audioworklet", b"paintworklet"}
)
_OPAQUE = media_types("opaque")
_MEDIA = frozenset({b"image", b"audio", b"video"})
_SAYS_NOTHING = frozenset({b"unknown/unknown", b"application/unknown", b"*/*"})
_ANYTHING = frozenset({b"text/plain", b"application/octet-stream"})
"""Types of files whose type a service does not know: scripts and styles too."""
_SHOWN = (b"image/", b"audio/", b"video/", b"font/")
_NAMED = (".js", ".mjs", ".css")


def breakage_test(rule: Rule, value: str) -> BreakageTest | None:
    """The test of a complete rule that would write `value`; None where requests show nothing."""
    if rule.action not in (None, *WRITING):
        return None
    if rule.cookie is not None:
        return CookieTest(rule.attributes or Attributes(), rule.cookie)
    found = [one for name in rule.names if (one := _header_test(name, rule, value))]
    return _worst(found) if len(found) > 1 else next(iter(found), None)


_SEVERITY: tuple[Outcome, ...] = ("break", "open", "unknown", "safe", "data", "irrelevant")


def _worst(breakage_tests: list[BreakageTest]) -> BreakageTest:
    """Several headers of one rule: what any of them would break."""

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        outcomes = [breakage_test(facts, fetch) for breakage_test in breakage_tests]
        return min(outcomes, key=_SEVERITY.index)

    return judge


def _header_test(name: str, rule: Rule, value: str) -> BreakageTest | None:
    wanted = value.lower().strip()
    if name.startswith("access-control-"):
        return sharing_test(name, rule, value)
    if name == "content-disposition":
        return disposition_test(rule, value)
    if name == "referrer-policy":
        return referrer_of_rule(rule, value)
    if name == "permissions-policy":
        return permissions_test(rule, value)
    if name == "x-ua-compatible":
        return _old_mode
    if rule.action == "remove":
        return _REMOVED.get(name)
    if name == "clear-site-data":
        return Clearing(value)
    if name == "cache-control":
        return store_test if unstored(wanted) else freshness_test(rule, wanted)
    if name == "x-frame-options" and wanted in ("deny", "sameorigin"):
        return Framing(("'self'",) if wanted == "sameorigin" else (), overruled=True)
    if name == "content-security-policy" and (ancestors := _only_ancestors(wanted)) is not None:
        return Framing(ancestors, overruled=False, replaces=rule.action == "set")
    if name == "cross-origin-resource-policy" and wanted in ("same-origin", "same-site"):
        return _resource(same_site_allowed=wanted == "same-site")
    if name == HSTS and rule.ladder is not None:
        return transport
    if name == "x-content-type-options" and wanted == "nosniff":
        return _nosniff
    return None


def _only_ancestors(value: str) -> tuple[str, ...] | None:
    """The sources of a policy that says nothing but `frame-ancestors`."""
    acting = [one for one in csp.directives(value) if one.name not in REPORTING]
    if len(acting) != 1 or acting[0].name != "frame-ancestors":
        return None
    return tuple(word for word in acting[0].values if word != "'none'")


def _resource(*, same_site_allowed: bool) -> BreakageTest:
    blocked = frozenset({b"cross-site"} if same_site_allowed else {b"cross-site", b"same-site"})

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if (silent := fetch.silent) is not None:
            return silent
        if fetch.site not in blocked:
            return "safe"
        if fetch.dest in FRAMES and _embeds_isolated(facts):
            return "break"
        if fetch.mode != b"no-cors":
            return "safe"
        if fetch.dest == b"empty":
            # No script reads a ping's response; one may wait for that of its own fetch, which looks
            # like a beacon.
            pings = any(value == b"text/ping" for name, value in facts.request if len(name) == 12)
            return "safe" if pings else "open"
        if facts.status >= 400:  # shown nevertheless, where it is an image
            return "break" if media_type(facts).startswith(b"image/") else "safe"
        return "open" if began_here(facts, fetch) else "break"

    return judge


def _embeds_isolated(facts: Facts) -> bool:
    """Whether pages of other origins may frame it under COEP, where CORP decides (HTML 7.1.4)."""
    said = line(facts, b"cross-origin-resource-policy")
    return said == b"cross-origin" and line(facts, b"cross-origin-embedder-policy") is not None


def _nosniff(facts: Facts, fetch: Fetch) -> Outcome:
    if (silent := fetch.silent) is not None:
        return silent
    media = media_type(facts)
    if fetch.navigates:
        if 300 <= facts.status < 400 or facts.status in (204, 205) or saved(facts):
            return "safe"
        # Other files than texts are sent as plain text by mistake, and saved as what they are (MIME
        # Sniffing section 7.2).
        doubtful = media == b"text/plain" and not facts.path.endswith(".txt")
        return "break" if _sniffed(media) else "open" if doubtful else "safe"
    if facts.status >= 300:
        return "safe"
    if fetch.relayed and facts.method == "GET":
        return "open" if _may_be_refused(media, facts, fetch) else "safe"
    if fetch.dest == b"style":
        return _style(media, fetch)
    if fetch.dest in _SCRIPTS:
        if media in SCRIPT_TYPES:
            return "safe"
        # A module of another type was refused before (HTML section 8.1.4.2), a classic script with
        # `crossorigin` was not: requests do not tell them apart.
        return "open" if fetch.mode == b"cors" and media else "break"
    if fetch.dest in _MEDIA and fetch.site in (b"cross-site", b"same-site"):
        return "break" if media in _OPAQUE else "safe"
    return "safe"


def _may_be_refused(media: bytes, facts: Facts, fetch: Fetch) -> bool:
    """Whether what a service worker asks for, or a page for a later one, may be a script, a style
    sheet or what another site shows, of a type that `nosniff` has refused there.
    """
    if media in SCRIPT_TYPES or media == b"text/css" or media.startswith(_SHOWN):
        return False
    if _sniffed(media) or media in _ANYTHING or facts.path.endswith(_NAMED):
        return True
    # A page that is asked for ahead says so.
    return fetch.mode in (b"no-cors", b"same-origin") and not any(
        len(name) == 11 and name.lower() == b"sec-purpose" for name, _ in facts.request
    )


def _old_mode(facts: Facts, fetch: Fetch) -> Outcome:
    """Edge's mode for Internet Explorer still obeys X-UA-Compatible, and names its old engine."""
    if b"Trident/" in (fetch.agent or b""):
        return "open"
    return "safe" if fetch.browser else "irrelevant"


def _sniffed(media: bytes) -> bool:
    """Whether a page of this type is found out by its content (MIME Sniffing section 7): it has
    none, or one that says nothing.
    """
    return b"/" not in media or media in _SAYS_NOTHING


def _style(media: bytes, fetch: Fetch) -> Outcome:
    """A style sheet. Of another type it is taken only from the page's own origin and in quirks
    mode, which requests do not tell (HTML section 4.2.4.3).
    """
    if media == b"text/css" or (media and fetch.site != b"same-origin"):
        return "safe"
    return "open" if media else "break"


class CookieTest:
    """Whether the browser would not have sent a cookie: SameSite cross-site, Secure on HTTP; or a
    script has read it (HttpOnly).

    In a frame of another site all requests are cross-site, also those of the framed page to its own
    host, which do not say so. Where the rule leaves a response alone, by a condition or as of
    another route, its request may carry the cookie all the same (`beside`).
    """

    __slots__ = (
        *("_carried", "_framed", "_hidden", "_open", "_pattern", "_secure", "_shown", "_strict"),
        *("_unseen", "asks", "sets"),
    )

    def __init__(self, wanted: Attributes, pattern: str) -> None:
        self._pattern, self._strict = pattern, wanted.same_site == "Strict"
        self._secure, self._hidden = bool(wanted.secure), bool(wanted.http_only)
        self._open, self._shown = wanted.secure is False, wanted.http_only is False
        self._unseen = bool(wanted.http_only or wanted.path or wanted.same_site == "None")
        self._unseen |= wanted.domain is not None or wanted.partitioned is not None
        self._carried = self.sets = False
        """`sets`: whether a response that the rule looked at has set such a cookie."""
        self.asks = wanted.same_site in ("Lax", "Strict")
        """Whether it must see every request: SameSite is asked for."""
        self._framed = FramedPages()

    def watch(self, facts: Facts, fetch: Fetch) -> bool:
        """Note which pages another site frames, for every request on every route; False: nothing
        breaks.
        """
        if fetch.silent is None and fetch.dest is not None:
            if fetch.dest == b"document":
                self._framed.note(facts, framed=False)
            elif fetch.dest in FRAMES:
                away = fetch.site == b"cross-site" or self._framed.around(facts, fetch) != "safe"
                self._framed.note(facts, framed=away)
            elif fetch.dest in _NAMED_BY_OTHERS and self._framed.around(facts, fetch) != "safe":
                self._framed.note(facts, framed=True, surely=False)
        return False

    def beside(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What the request of a response that the rule leaves alone shows of a cookie that the rule
        would write elsewhere.
        """
        return self._of_request(facts, fetch) if self.sets else "irrelevant"

    def history(self) -> str:
        """After each judgement, where the rule writes what no request shows: "carried" for a
        cookie that no response has set yet, "set" for the first that does; else "".

        Whether such a rule changes anything, only those responses tell.
        """
        if not self._unseen:
            return ""
        if self.sets:
            self._unseen = False
            return "set"
        return "carried" if self._carried else ""

    def __call__(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What request and response show of the rule."""
        self._carried = False
        found = self._of_exchange(facts, fetch)
        if self._hidden and found != "break" and fetch.browser and self._hides(facts):
            return "open"
        return found

    def _hides(self, facts: Facts) -> bool:
        """Whether the rule would hide from scripts a cookie that they may read today. One that is
        deleted is read by none, with HttpOnly or without (RFC 6265bis section 5.6.2).
        """
        for value in lines(facts, b"set-cookie"):
            if not _matches(value.partition(b"=")[0].strip(), self._pattern):
                continue
            cookie = cookies.parse(value.decode("latin-1"))
            spared = "*" in self._pattern and cookies.is_readable_csrf(cookie.name)
            hidden = cookie.refused or cookie.get("httponly") is not None
            if not (spared or hidden or _DELETED.fullmatch(cookie.get("max-age") or "")):
                return True
        return False

    def _of_exchange(self, facts: Facts, fetch: Fetch) -> Outcome:
        attached = self.asks or self._secure
        set_now = self._set_now(facts)
        if attached and fetch.browser and any(one.get("domain") for one in set_now):
            return "open"
        if self._open and fetch.browser and any(map(_needs_secure, set_now)):
            return "break"
        if self._shown and fetch.browser and any(map(_needs_hiding, set_now)):
            return "break"
        found = self._of_request(facts, fetch)
        if found == "safe" and self.asks and any(map(_for_all_sites, set_now)):
            return "open" if self._inside(facts, fetch) else found  # it would not be stored there
        return found

    def of_socket(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What the handshake of a WebSocket shows: it names its page's origin, and says no more."""
        sent = any(_matches(name, self._pattern) for name, _ in sent_cookies(fetch))
        if fetch.origin is None or not sent or not fetch.browser:
            return "irrelevant"
        if self._secure and facts.scheme == "http":
            return "open"
        if not self.asks:
            return "irrelevant"
        page = fetch.origin.decode("latin-1").partition("://")[2].lower()
        own = facts.host.lower()
        if without_port(page) == without_port(own):
            return "safe" if self._framed.around(facts, fetch) == "safe" else "open"
        # Whether two hosts of a domain are of one site, the list of public suffixes says.
        return "open" if domain_of(page) == domain_of(own) else "break"

    def _set_now(self, facts: Facts) -> list[cookies.Cookie]:
        """The cookies of these names that the service sets with the response: each one where the
        rule takes attributes away; else those for all hosts of a domain, whose requests do not pass
        here, and those for all sites.

        To read the others would cost each response more than all else that is asked of it.
        """
        found = []
        for value in lines(facts, b"set-cookie"):
            if not self.sets:
                self.sets = _matches(value.partition(b"=")[0].strip(), self._pattern)
            written = value.lower()
            if self._open or self._shown or b"domain" in written or b"none" in written:
                found.append(cookies.parse(value.decode("latin-1")))
        return [one for one in found if cookies.matches(self._pattern, one.name)]

    def _of_request(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What the cookies show that the request carries."""
        sent = [value for name, value in sent_cookies(fetch) if _matches(name, self._pattern)]
        if not sent:
            # The cookie was not sent: browsers with Fetch Metadata show this every day.
            return fetch.silent or "safe"
        self._carried = fetch.browser
        if self._hidden and _echoed(facts, sent):
            # The service itself may have written it into the form that was sent.
            return "open" if fetch.navigates else "break"
        if self._secure and facts.scheme == "http" and fetch.browser:
            # Secure is never written over http, so a cookie used only there keeps working; requests
            # over https say nothing of it.
            return "safe" if _leads_to_https(facts) else "open"
        if not self.asks:
            return fetch.silent or "safe"
        return fetch.silent or self._crossing(facts, fetch)

    def _crossing(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What SameSite would do to a request that carries the cookie."""
        if fetch.site != b"cross-site":
            around = "safe" if fetch.dest == b"document" else self._framed.around(facts, fetch)
            return "open" if around == "unknown" else around
        navigates = fetch.mode == b"navigate" and fetch.dest == b"document"
        followed_link = navigates and facts.method in ("GET", "HEAD")
        if followed_link and not self._strict:
            return "safe"
        return "open" if followed_link and began_here(facts, fetch) else "break"

    def _inside(self, facts: Facts, fetch: Fetch) -> bool:
        """Whether the response may belong to a page of another site, or to a frame in one."""
        if fetch.silent is not None or fetch.dest == b"document":
            return False
        return fetch.site == b"cross-site" or self._framed.around(facts, fetch) != "safe"


def _leads_to_https(facts: Facts) -> bool:
    """Whether the response only sends its reader on to https, where the cookie is sent again."""
    moved = line(facts, b"location") if 300 <= facts.status < 400 else None
    return moved is not None and moved.strip().lower().startswith(b"https:")


def _matches(name: bytes, pattern: str) -> bool:
    return cookies.matches(pattern, name.decode("latin-1"))


def _for_all_sites(cookie: cookies.Cookie) -> bool:
    return (cookie.get("samesite") or "").lower() == "none"


def _needs_secure(cookie: cookies.Cookie) -> bool:
    """Whether browsers refuse the cookie without Secure (RFC 6265bis section 5.7)."""
    prefixed = cookie.name.lower().startswith(tuple(cookies.PREFIXES))
    return _for_all_sites(cookie) or cookie.get("partitioned") is not None or prefixed


def _needs_hiding(cookie: cookies.Cookie) -> bool:
    """Whether browsers refuse the cookie without HttpOnly: by the prefix of its name."""
    return "http-" in cookies.prefix_of(cookie.name)


def _echoed(facts: Facts, values: list[bytes]) -> bool:
    """A cookie's value comes back in another header or the body: a script read it."""
    others = [sent for name, sent in facts.request if name.lower() not in _NOT_SCRIPTS]
    for value in values:
        if len(value) >= _EXACT and any(value == sent.strip() for sent in others):
            return True
        if len(value) < _WITHIN:
            continue
        if any(value in sent for sent in (*others, facts.body)):
            return True
        if quote_from_bytes(value).encode() in facts.body:
            return True
    return False


_DELETED = re.compile(r"0+|-[0-9]+")
"""The Max-Age of a cookie that browsers are to forget."""
_NAMED_BY_OTHERS = frozenset({b"style", b"worker", b"sharedworker"})
"""What names itself, and not its page, as the Referer of what it loads."""
_EXACT, _WITHIN = 4, 8
"""Bytes of a value that is hardly a whole header field, or part of one, by chance."""
_NOT_SCRIPTS = frozenset({b"cookie", b"referer", b"origin", b"user-agent"})
