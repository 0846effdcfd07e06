"""What a rule on a cookie would have broken, read from the requests that carry it and the responses
that set it.

Source: RFC 6265bis sections 5.2 (SameSite) and 5.7 (what browsers store); Fetch Metadata Request
Headers (W3C).
"""

from __future__ import annotations

import re
from urllib.parse import quote_from_bytes

from sidecar.policy.browsers.framing import FramedPages
from sidecar.policy.browsers.storage import domain_of
from sidecar.policy.headers import cookies
from sidecar.policy.model import Attributes
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import (
    FRAMES,
    Fetch,
    Outcome,
    began_here,
    line,
    lines,
    sent_cookies,
    without_port,
)


class CookieTest:
    """Whether the browser would not have sent a cookie: SameSite cross-site, Secure on HTTP; or a
    script has read it (HttpOnly).

    In a frame of another site all requests are cross-site, also those of the framed page to its own
    host, which do not say so. Where the rule leaves a response alone, by a condition or as of
    another route, its request may carry the cookie all the same (`beside`).
    """

    __slots__ = (
        *("_carried", "_framed", "_hidden", "_open", "_pattern", "_secure", "_shown", "_strict"),
        *("_noted", "asks", "sets"),
    )

    def __init__(self, wanted: Attributes, pattern: str) -> None:
        self._pattern, self._strict = pattern, wanted.same_site == "Strict"
        self._secure, self._hidden = bool(wanted.secure), bool(wanted.http_only)
        self._open, self._shown = wanted.secure is False, wanted.http_only is False
        self._carried = self._noted = self.sets = False
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
        """After each judgement: "carried" for a cookie that no response has set yet, "set" for the
        first that does, "" after it.

        What the rule would change, and where else the cookie goes, only such a response tells.
        """
        if self._noted:
            return ""
        self._noted = self.sets
        return "set" if self.sets else "carried" if self._carried else ""

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
        silent = fetch.silent
        if silent == "unknown" and self._hidden and not (self.asks or self._secure or self._open):
            silent = None  # of HttpOnly alone, Fetch Metadata would say nothing
        if not sent:
            # The cookie was not sent: browsers with Fetch Metadata show this every day.
            return silent or "safe"
        self._carried = fetch.browser
        if self._hidden and _echoed(facts, sent):
            # The service itself may have written it into the form that was sent.
            return "open" if fetch.navigates else "break"
        if self._secure and facts.scheme == "http" and fetch.browser:
            # Secure is never written over http, so a cookie used only there keeps working; requests
            # over https say nothing of it.
            return "safe" if _leads_to_https(facts) else "open"
        if not self.asks:
            return silent or "safe"
        return silent or self._crossing(facts, fetch)

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
