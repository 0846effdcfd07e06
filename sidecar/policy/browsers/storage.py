"""What browsers would no longer keep or show: pages saved, results of forms, cleared cookies.

Source: RFC 6266 section 4.2, RFC 9111 section 5.2.2.5, HTML section 7.4 (history), Clear Site Data
section 3.1.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from typing import ClassVar, NamedTuple

from sidecar.policy.data import media_types
from sidecar.policy.headers.tokens import parse_cache, words
from sidecar.policy.model import Rule
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import (
    BreakageTest,
    Fetch,
    Outcome,
    line,
    lines,
    may_be_page,
    media_type,
    sent_cookies,
    without_port,
)

REMEMBERED = 4096
"""Cookies of visitors that would have been cleared; the oldest are forgotten."""

_SHOWN = (b"image/", b"audio/", b"video/")
_SHOWN_TYPES, _SAVED_TEXTS = media_types("shown"), media_types("saved")


def disposition_test(rule: Rule, value: str) -> BreakageTest:
    """Pages that would be saved instead of shown, downloads that would be shown, and names of files
    that would be lost: of what is saved, and of what a script fetches.
    """
    wanted = rule.action != "remove" and value.strip().lower().startswith("attachment")
    kept = rule.action == "default"

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        navigates, hidden = fetch.navigates, may_be_page(facts, fetch)
        own = line(facts, b"content-disposition")
        # Under which name it is saved may matter to who opens it.
        lost = own is not None and b"filename" in own.lower() and own != value.encode()
        if not fetch.browser:  # other programs save under that name too
            return "open" if lost and not kept else "irrelevant"
        if not (navigates or hidden):
            return "open" if lost and not kept and fetch.dest in _BY_SCRIPT else "safe"
        if 300 <= facts.status < 400 or facts.status in (204, 205) or (kept and own is not None):
            return "safe"
        if saved(facts) == wanted or not _shown(media_type(facts)):
            return "open" if lost else "safe"
        return "break" if navigates else "open"

    return judge


_BY_SCRIPT = (b"empty", None)
"""Destinations of what scripts fetch; on a plain http name it is not said."""


def saved(facts: Facts) -> bool:
    """Whether the service itself has browsers save the response: so they do with every type that
    they do not know (RFC 6266 section 4.2), and not with parameters alone.
    """
    said = (line(facts, b"content-disposition") or b"").partition(b";")[0].strip().lower()
    return said not in (b"", b"inline") and b"=" not in said


def _shown(media: bytes) -> bool:
    """Whether browsers show this type in a window; without a type they sniff and mostly show it."""
    if not media or media in _SHOWN_TYPES or media.endswith((b"+xml", b"+json")):
        return True
    if media.startswith(b"text/"):
        return media not in _SAVED_TEXTS
    return media.startswith(_SHOWN)


def unstored(value: str) -> bool:
    """Whether a Cache-Control value says `no-store`."""
    return "no-store" in parse_cache(value)[0]


def store_test(facts: Facts, fetch: Fetch) -> Outcome:
    """`no-store`: the result of a form is gone when its reader returns to it, and another page is
    asked for again. A page with a validator is made for that; one without may be given only once.
    """
    if not fetch.browser:
        return "irrelevant"
    if not fetch.navigates or saved(facts):
        return "safe"
    if facts.method == "POST":  # a form that is shown again with its mistakes too
        return "safe" if 300 <= facts.status < 400 or facts.status in (204, 205) else "break"
    if facts.status != 200:
        return "safe"
    return "safe" if _validated(facts) or _caching(facts).unstored else "open"


def _validated(facts: Facts) -> bool:
    """Whether the response says how to ask whether it has changed."""
    return any(line(facts, name) is not None for name in (b"etag", b"last-modified"))


def asks_again(value: str) -> bool:
    """Whether browsers ask again before they use what they stored under this Cache-Control value.

    `private` or `must-revalidate` alone leave it to them how long they do not (RFC 9111 section
    4.2.2).
    """
    said = parse_cache(value)[0]
    always = "no-store" in said or ("no-cache" in said and said["no-cache"] is None)
    return always or said.get("max-age") == "0"


class _Caching(NamedTuple):
    """What the service's own Cache-Control says: browsers ask again, for how long it stays fresh,
    that it is not stored.
    """

    asks_again: bool
    dated: bool
    unstored: bool


def _caching(facts: Facts) -> _Caching:
    return _read_caching(b", ".join(lines(facts, b"cache-control")))


@lru_cache(128)
def _read_caching(value: bytes) -> _Caching:
    """Kept: to read a value costs as much as all else that is done for a response."""
    text = value.decode("latin-1")
    return _Caching(asks_again(text), "max-age" in parse_cache(text)[0], unstored(text))


def freshness_test(rule: Rule, value: str) -> BreakageTest | None:
    """The test of a Cache-Control value that does not say for how long a response stays fresh, in
    the place of one that does, or that lets a page be stored which the service has asked for again
    even on the way back; None for any other value.
    """
    said = parse_cache(value)[0]
    asking = asks_again(value)
    if not said or not (asking or said.keys() <= _UNDATED):
        return None

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if not fetch.browser:
            return "irrelevant"
        own = _caching(facts)
        dated = own.asks_again or own.dated
        returned_to = fetch.navigates and facts.status == 200
        # Whether a validator changes with what it is of, nobody asked while nothing was stored.
        stored_anew = own.unstored and (returned_to or _validated(facts))
        needed = stored_anew or (not asking and dated and _reusable(facts))
        return "open" if rule.action == "set" and needed else "safe"

    return judge


def pragma_test(facts: Facts, fetch: Fetch) -> Outcome:
    """`Pragma` is removed: Chromium asks again before each use of a response with `no-cache`."""
    if not fetch.browser:
        return "irrelevant"
    own = _caching(facts)
    kept = b"no-cache" not in (line(facts, b"pragma") or b"").lower() or own.asks_again
    stored = own.dated or _reusable(facts)
    return "open" if not kept and stored else "safe"


_UNDATED = frozenset({"private", "must-revalidate", "proxy-revalidate"})


def _reusable(facts: Facts) -> bool:
    """Whether browsers may use it for a while where Cache-Control does not say for how long."""
    return any(line(facts, name) is not None for name in (b"last-modified", b"expires"))


COOKIES = frozenset({"cookies", "*"})
"""Types of `Clear-Site-Data` that clear cookies."""
STORED = frozenset({"storage", "executioncontexts", "clienthints", "*"})
"""Those that clear what scripts have stored, or the service has asked for (`Accept-CH`)."""


def cleared(value: str) -> frozenset[str]:
    """The types that a `Clear-Site-Data` value names, lower-case, without quotes."""
    return frozenset(word.strip('"').lower() for word in words(value))


class Clearing:
    """The breakage test of `Clear-Site-Data`, and a bounded memory of the cookies it would clear.

    A visitor who still sends such a cookie to a host of the same domain would have lost it. Hashes
    of client, domain and cookie are kept.
    """

    __slots__ = ("_cleared", "_cookies", "_storage")

    asks: ClassVar[bool] = True
    """It must see every request."""

    def __init__(self, value: str) -> None:
        types = cleared(value)
        self._cookies, self._storage = bool(types & COOKIES), bool(types & STORED)
        self._cleared: OrderedDict[int, None] = OrderedDict()

    def __call__(self, facts: Facts, fetch: Fetch) -> Outcome:
        """What the response shows of the rule."""
        if not fetch.browser:
            return "irrelevant"
        if facts.scheme != "https" and fetch.dest is None and not _loopback(facts.host):
            return "safe"  # browsers obey it in secure contexts only, where they say more
        if not self._cookies:
            return "open" if self._storage else "safe"
        renewed = _set_names(facts)
        lost = [pair for pair in sent_cookies(fetch) if pair[0] not in renewed]
        for pair in lost:
            self._cleared[_key(facts, pair)] = None
            if len(self._cleared) > REMEMBERED:
                self._cleared.popitem(last=False)
        return "unknown" if lost or self._storage else "safe"

    def watch(self, facts: Facts, fetch: Fetch) -> bool:
        """Whether this request, of any route, carries a cookie that would have been cleared."""
        if not self._cleared:
            return False
        keys = {_key(facts, pair): pair[0] for pair in sent_cookies(fetch)}
        back = keys.keys() & self._cleared.keys()
        for key in back:
            del self._cleared[key]
        return bool(back) and not {keys[key] for key in back} <= _set_names(facts)


def _key(facts: Facts, pair: tuple[bytes, bytes]) -> int:
    return hash((facts.client, domain_of(facts.host), pair))


def domain_of(host: str) -> str:
    """What all hosts of a registered domain have in common: the last two labels; of an address
    all.
    """
    name = without_port(host)
    labels = name.lower().rstrip(".").split(".")
    return name if labels[-1].isdecimal() else ".".join(labels[-2:])


def _loopback(host: str) -> bool:
    name = host.rsplit(":", 1)[0]
    return name in ("localhost", "[::1]") or name.endswith(".localhost") or name.startswith("127.")


def _set_names(facts: Facts) -> set[bytes]:
    """Names of the cookies that the response sets anew or ends."""
    return {value.partition(b"=")[0].strip() for value in lines(facts, b"set-cookie")}
