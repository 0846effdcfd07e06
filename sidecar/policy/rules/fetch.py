"""What a request shows of a browser's fetch: engine, Fetch Metadata, origin, cookies, preflight.

Evidence, never control: a client may forge what it sends. Clients other than browsers count as
irrelevant; a browser that sends no Fetch Metadata, as on plain http names, is unknown unless other
headers of the request say enough.

A service worker hides what for: its own `fetch` has the destination "empty" whatever the page
asked for.

Source: Fetch Metadata Request Headers (W3C); Fetch sections 3.2 (Origin) and 3.3 (CORS protocol);
HTML section 7.4 and Upgrade Insecure Requests section 3.2.1 (every navigation sends
`Upgrade-Insecure-Requests: 1`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Literal, TypeAlias, get_args

from sidecar.policy.data import media_types
from sidecar.policy.rules.conditions import Facts

Engine: TypeAlias = Literal["chromium", "firefox", "safari"]

# Chrome, Firefox and Edge on iOS are WebKit, so these come first. Safari's "OS" stays at 18_6; its
# own version is in Version/.
_ENGINES: tuple[tuple[re.Pattern[bytes], Engine], ...] = (
    (re.compile(rb"(?:iPhone|iPad|iPod).*\bVersion/(\d{1,3})\."), "safari"),
    (re.compile(rb"(?:iPhone|iPad|iPod).* OS (\d{1,3})_"), "safari"),
    (re.compile(rb"\bFirefox/(\d{1,4})"), "firefox"),
    (re.compile(rb"Chrom(?:e|ium)/(\d{1,4})"), "chromium"),
    (re.compile(rb"\bVersion/(\d{1,3})\.[\d.]+ (?:Mobile/\w+ )?Safari/"), "safari"),
)
_BOT = re.compile(rb"bot\b|crawl|spider|slurp|headless-checker", re.IGNORECASE)


@lru_cache(maxsize=512)
def engine_of(user_agent: bytes) -> tuple[Engine, int] | None:
    """The engine and its major version; None for curl, probes, services, crawlers."""
    if not user_agent.startswith(b"Mozilla/5.0") or len(user_agent) > 1024:
        return None
    if _BOT.search(user_agent):
        return None
    for pattern, engine in _ENGINES:
        if found := pattern.search(user_agent):
            return engine, int(found[1])
    return None


Outcome: TypeAlias = Literal["break", "safe", "open", "unknown", "irrelevant", "plain", "data"]
OUTCOMES: tuple[Outcome, ...] = get_args(Outcome)
"""`open`: the browser said all that it says, and the rule may break this very request; `unknown`:
it said too little. `plain`: over plain http, which contradicts a promise of https without breaking
at once. `data`: a page fetched something that is no page, where the rule does nothing.
"""
BreakageTest: TypeAlias = Callable[[Facts, "Fetch"], Outcome]

FRAMES = frozenset({b"iframe", b"frame", b"object", b"embed", b"fencedframe"})
SCRIPT_TYPES = media_types("javascript")
_WANTED = {
    b"sec-fetch-site": "site",
    b"sec-fetch-mode": "mode",
    b"sec-fetch-dest": "dest",
    b"user-agent": "agent",
    b"referer": "referer",
    b"origin": "origin",
    b"upgrade-insecure-requests": "upgrade",
    b"access-control-request-method": "asked_method",
    b"access-control-request-headers": "asked_headers",
}
_SPEAKS_SINCE: Mapping[Engine, int] = {"chromium": 80, "firefox": 90, "safari": 17}
"""Versions from which browsers send all of Fetch Metadata over https (MDN browser compatibility
data; Safari since 16.4, which a major version does not show).
"""
_LENGTHS = frozenset(map(len, (*_WANTED, b"cookie")))


def without_port(host: str) -> str:
    """A host without its port, brackets kept (RFC 3986 section 3.2.2)."""
    name, _, port = host.rpartition(":")
    return name if port.isdecimal() else host


class Fetch:
    """The request headers that breakage tests look at, found in one pass; None = not sent."""

    __slots__ = (*_WANTED.values(), "cookie", "secure")

    def __init__(self, facts: Facts) -> None:
        self.site: bytes | None = None
        self.mode: bytes | None = None
        self.dest: bytes | None = None
        self.agent: bytes | None = None
        self.referer: bytes | None = None
        self.origin: bytes | None = None
        self.upgrade: bytes | None = None
        self.asked_method: bytes | None = None
        self.asked_headers: bytes | None = None
        self.cookie: bytes | None = None
        self.secure = facts.scheme == "https"
        for name, value in facts.request:
            if len(name) not in _LENGTHS:
                continue
            key = name.lower()
            if key == b"cookie":
                self.cookie = value if self.cookie is None else self.cookie + b"; " + value
            elif (slot := _WANTED.get(key)) is not None:
                setattr(self, slot, value)

    @property
    def silent(self) -> Outcome | None:
        """The outcome for a request without Fetch Metadata: unknown for a browser's, irrelevant for
        others; None where it has them.

        Over https, who names itself a browser that always sends them, and does not, is none.
        """
        if self.dest is not None and self.site is not None and self.mode is not None:
            return None
        found = None if self.agent is None else engine_of(self.agent)
        if found is None or (self.secure and found[1] >= _SPEAKS_SINCE[found[0]]):
            return "irrelevant"
        return "unknown"

    @property
    def browser(self) -> bool:
        """Whether a browser sent it, by Fetch Metadata or by the User-Agent of a known engine."""
        if self.dest is not None and self.site is not None and self.mode is not None:
            return True
        return self.agent is not None and engine_of(self.agent) is not None

    @property
    def navigates(self) -> bool:
        """Whether the response would be shown in a window or a frame."""
        if self.dest is not None:
            return self.mode == b"navigate" or self.dest == b"document" or self.dest in FRAMES
        return self.upgrade == b"1"

    @property
    def relayed(self) -> bool:
        """Whether a service worker may have asked for it, so that nobody says what for.

        `fetch(event.request)` keeps the mode, which no script's own request to its own host has;
        `fetch(url)` names the worker's script as the Referer.
        """
        if self.dest != b"empty":
            return False
        return self.mode in _KEPT or (self.referer or b"").partition(b"?")[0].endswith(_SCRIPTS)


_KEPT = frozenset({b"navigate", b"no-cors", b"same-origin"})
_SCRIPTS = (b".js", b".mjs")
_PAGES = frozenset({b"text/html", b"application/xhtml+xml", b"image/svg+xml", b"application/pdf"})


def may_be_page(facts: Facts, fetch: Fetch) -> bool:
    """Whether a service worker may have asked for a page or a frame. A page that is fetched ahead
    (`prefetch`) is in mode no-cors.
    """
    if not fetch.relayed or fetch.mode in (b"no-cors", b"same-origin"):
        return False
    return fetch.mode == b"navigate" or media_type(facts) in _PAGES


def may_be_kept(facts: Facts, fetch: Fetch) -> bool:
    """Whether a service worker may have fetched a page to keep it, in a mode of its own choice."""
    if not fetch.relayed or media_type(facts) not in _PAGES:
        return False
    return not any(len(name) == 11 and name.lower() == b"sec-purpose" for name, _ in facts.request)


def sent_cookies(fetch: Fetch) -> list[tuple[bytes, bytes]]:
    """Names and values of the cookies that were sent."""
    pairs = (pair.partition(b"=") for pair in (fetch.cookie or b"").split(b";"))
    return [(name.strip(), value.strip()) for name, found, value in pairs if found]


def began_here(facts: Facts, fetch: Fetch) -> bool:
    """Whether a request that came by way of another site may have begun on a page of this host,
    as its Referer says.

    Fetch Metadata speaks of all the hosts on the way, CORP and SameSite of the first.
    """
    home = f"{facts.scheme}://{facts.host}".encode("latin-1", "replace")
    return fetch.referer is not None and fetch.referer.startswith((home + b"/", home + b"?"))


def media_type(facts: Facts) -> bytes:
    """The essence of the Content-Type, lower-case; empty = none."""
    return (line(facts, b"content-type") or b"").partition(b";")[0].strip().lower()


def line(facts: Facts, wanted: bytes) -> bytes | None:
    """The first value of a header of the response, by its lower-case name."""
    return next(iter(lines(facts, wanted)), None)


def lines(facts: Facts, wanted: bytes) -> list[bytes]:
    """All values of a header of the response, by its lower-case name."""
    return [value for name, value in facts.fields if name.lower() == wanted]
