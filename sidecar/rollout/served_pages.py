"""What the pages of each route hold (inline code by its hash, addresses by directive), and the
scripts that browsers say they loaded.

In bounded memory, whatever is served. A policy asks for reports of loaded scripts by
`'report-sha256'` in script-src; source: CSP Level 3, reporting of hashes (`csp-hash`).
"""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from heapq import nsmallest
from itertools import islice
from typing import Any, TypeAlias, TypeVar

from sidecar.policy.browsers.page_loads import ALLOW, BLANK, CORS, SANDBOXED, SRCDOC
from sidecar.policy.browsers.pages import (
    INLINE_DIRECTIVES,
    Inline,
    InlineKind,
    PageElements,
    sample_of,
)
from sidecar.policy.browsers.reports import BrowserReport
from sidecar.policy.browsers.signs import SAYS, without_name
from sidecar.policy.engine.plan import Plan


def hashed_clients() -> Callable[[str], bytes]:
    """The client at an address, as 8 bytes that only whoever was given this function can make;
    other text counts as it is written.

    An IPv6 network of 64 bits counts as one client: a host may take any address in its own (RFC
    4291 section 2.5.1, RFC 8981), so a forger of reports would be as many clients as it likes.
    """
    salt = secrets.token_bytes(16)

    def client(address: str) -> bytes:
        data = (_network(address) if ":" in address else address).encode("utf-8", "replace")
        return hashlib.blake2b(data, digest_size=8, key=salt).digest()

    return client


def _network(address: str) -> str:
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or int(parsed) >> 64)


MAX_PIECES = 500
"""Pieces of inline code, and addresses, that are held of one route."""
MAX_TEXT = 1 << 19
"""Characters of inline code that are held of one route."""
MAX_SCRIPTS = 1000
"""Loaded scripts, by address and hash; of more, those seen least often are dropped."""
MAX_SIGNS = 500
"""Signs of one route; beyond them those alone that name nothing."""
_LONGEST_SIGN = 60
MAX_ROUTES = 100
MAX_PATHS = 500
_CLIENTS = 16
_SHOWN_PATHS = 5
_SCRIPT_PATHS = 8
ENOUGH = 3
"""After so many readings of a page, the service did not send what none of them held."""
ENOUGH_OF_ROUTE = 50
"""The same for a page that was never read, by readings of other pages of its route."""
_SHOWN = 120
_PART = 20
"""A twentieth of what is held is dropped at once."""
_ASKED = 4_096
_Identity: TypeAlias = tuple[InlineKind, str]
_Key = TypeVar("_Key")


@dataclass(slots=True)
class Occurrence:
    """When, how often and where a piece or address was seen; `first` and `last`: epoch seconds."""

    first: float
    last: float
    loads: int = 0
    clients: set[bytes] = field(default_factory=set)
    paths: list[str] = field(default_factory=list)

    def seen(self, at: float, client: bytes, path: str, most: int = _SHOWN_PATHS) -> None:
        """Count one more; `most` paths are kept."""
        self.last = at
        self.loads += 1
        if len(self.clients) < _CLIENTS:
            self.clients.add(client)
        if len(self.paths) < most and path not in self.paths:
            self.paths.append(path)

    def data(self) -> dict[str, Any]:
        """For JSON."""
        counts = {"loads": self.loads, "clients": len(self.clients)}
        return {**counts, "first": self.first, "last": self.last, "pages": list(self.paths)}


class _Route:
    """What one route's pages hold."""

    def __init__(self) -> None:
        self.read = 0
        self.paths: dict[str, int] = {}
        self.signs: set[str] = set()
        self.drawn: set[str] = set()
        """Those of `paths` that were images."""
        self.pieces: dict[tuple[InlineKind, str], tuple[Inline, Occurrence]] = {}
        self.urls: dict[tuple[str, str], Occurrence] = {}
        self.links: Counter[tuple[str, str]] = Counter()
        """How many addresses there are by what `_links` says of them."""
        self.made = 0
        """Pieces that were ever kept."""
        self.asked: dict[str, tuple[int, _Identity | None]] = {}
        """Texts searched for: how many pieces had been kept then, and the piece that holds it."""
        self.samples: dict[tuple[str, str], tuple[InlineKind, str]] = {}
        self.characters = 0
        self.dropped = 0
        self.version = 0
        """Changes when what is known of the route may."""

    def note(self, signs: Collection[str]) -> bool:
        """Keep signs; whether one is new. Names in them are whatever code says: of many, or of long
        ones, it counts that there are some.
        """
        if self.signs.issuperset(signs):
            return False
        before = len(self.signs)
        if before + len(signs) > MAX_SIGNS or max(map(len, signs)) > _LONGEST_SIGN:
            signs = set(map(without_name, signs))
        self.signs.update(signs)
        return len(self.signs) > before

    def forget(self, identity: tuple[InlineKind, str]) -> None:
        piece, _ = self.pieces.pop(identity)
        self.characters -= len(piece.text)
        self.dropped += 1
        for key in _quotes(piece):
            if self.samples.get(key) == identity:
                del self.samples[key]

    def keep_link(self, url: tuple[str, str], held: Occurrence) -> None:
        """Keep an address; several of the rarest go at once, as finding them is slow."""
        if len(self.urls) >= MAX_PIECES:
            for one in _rarest(self.urls):
                del self.urls[one]
                self.links.subtract(_links(one))
                self.dropped += 1
            self.links = +self.links
        self.urls[url] = held
        self.links.update(_links(url))
        self.version += 1

    def holds(self, text: str) -> bool:
        """Whether a piece holds this text. No piece is searched for the same text twice."""
        done, where = self.asked.get(text, (0, None))
        if where is None or where not in self.pieces:
            new = self.made - (done if where is None else 0)  # all, if the one that held it is gone
            newest = islice(reversed(self.pieces.items()), new)
            where = next((key for key, (piece, _) in newest if text in piece.text), None)
            if len(self.asked) >= _ASKED:
                self.asked.clear()
            self.asked[text] = self.made, where
        return where is not None


_UNREAD = _Route()


class ServedPages:
    """What the routes in trial hold; clients are known by a hash of this process alone.

    `reads`: whether any page is read (`trial.pages`).
    """

    def __init__(self, clock: Callable[[], float] = time.time, *, reads: bool = True) -> None:
        self._clock = clock
        self.reads = reads
        self._client = hashed_clients()
        self._routes: dict[str, _Route] = {}
        self._tried: frozenset[str] = frozenset()

    def activated(self, plan: Plan) -> None:
        """Another plan is in force: keep what is known of routes that are still in trial."""
        self._tried = frozenset(route.name for route in plan.routes if route.trials)
        self._routes = {name: it for name, it in self._routes.items() if name in self._tried}

    def add(self, route: str, path: str, client: str, page: PageElements) -> None:
        """Count one page that was read."""
        known = route in self._routes or len(self._routes) < MAX_ROUTES
        if route not in self._tried or not known:
            return
        held, now, path = self._routes.setdefault(route, _Route()), self._clock(), path[:_SHOWN]
        if held.note(page.signs):
            held.version += 1
        if page.script:
            return
        who = self._client(client)
        held.read += 1
        if path in held.paths or len(held.paths) < MAX_PATHS:
            held.paths[path] = held.paths.get(path, 0) + 1
            if page.drawn:
                held.drawn.add(path)
        if held.paths.get(path) == ENOUGH or held.read == ENOUGH_OF_ROUTE:
            held.version += 1
        for piece in page.inline:
            self._piece(held, piece, now)[1].seen(now, who, path)
        for url in page.urls:
            if url not in held.urls:
                held.keep_link(url, Occurrence(now, now))
            held.urls[url].seen(now, who, path)

    def _piece(self, held: _Route, piece: Inline, now: float) -> tuple[Inline, Occurrence]:
        identity = piece.kind, piece.hash
        found = held.pieces.get(identity)
        if found is not None:
            return found
        most = MAX_TEXT - len(piece.text)
        while held.pieces and (len(held.pieces) >= MAX_PIECES or held.characters > most):
            for one in _rarest({key: seen for key, (_, seen) in held.pieces.items()}):
                held.forget(one)
        held.made += 1
        made = held.pieces[identity] = piece, Occurrence(now, now)
        held.characters += len(piece.text)
        held.version += 1
        for key in _quotes(piece):
            held.samples.setdefault(key, identity)
        return made

    def _of(self, route: str) -> _Route:
        """What is known of a route; nothing of one that was not read."""
        return self._routes.get(route, _UNREAD)

    def version(self, route: str) -> int:
        """A number that changes when what is known of the route may."""
        return self._routes[route].version if route in self._routes else -1

    def knows(self, route: str, path: str) -> bool:
        """Whether a page was read often enough: what no reading held, the service did not send."""
        held = self._of(route)
        return held.paths.get(path, 0) >= ENOUGH or (
            path not in held.paths and held.read >= ENOUGH_OF_ROUTE
        )

    def has_read(self, path: str) -> bool:
        """Whether what stands at this path was read as a page of HTML, on any route."""
        path = (path or "/")[:_SHOWN]
        known = [held for held in self._routes.values() if path in held.paths]
        return bool(known) and not any(path in held.drawn for held in known)

    def frames_itself(self, route: str) -> bool:
        """Whether a page of the route holds a frame with scripts in its `srcdoc`."""
        return self.linked(route, SRCDOC, "about:")

    def says(self, header: str) -> bool:
        """Whether the service itself says this header (lower-case) for a page of any route."""
        return any(f"{SAYS}{header}" in held.signs for held in self._routes.values())

    def shares(self, route: str, url: str) -> bool:
        """Whether a page of the route asks for this address by CORS."""
        return self.linked(route, CORS, url)

    def frames_nothing(self, route: str) -> bool:
        """Whether a page of the route holds an empty frame."""
        return self.linked(route, BLANK, "about:")

    def frames_apart(self, route: str, features: Collection[str], *, by_default: object) -> bool:
        """Whether a page of the route holds a frame of no origin (`sandbox`) that is given one of
        the features, or any such frame, where frames have one of them by default.
        """
        if by_default:
            return self.linked(route, SANDBOXED, "about:")
        return any(self.linked(route, f"{ALLOW}{name}", "about:") for name in features)

    def quoted(self, route: str, directive: str, sample: str) -> bool:
        """Whether a report's sample is the beginning of inline code in a page of the route."""
        samples, begins = self._of(route).samples, sample_of(sample)
        return any(begins and (family, begins) in samples for family in _families(directive))

    def linked(self, route: str, directive: str, url: str) -> bool:
        """Whether a page of the route loads this address by a directive of that family."""
        links, wanted = self._of(route).links, bare(url)
        return any((family, wanted) in links for family in _families(directive))

    def uses_scheme(self, route: str, scheme: str) -> bool:
        """Whether a page of the route loads an address of this scheme, or its code names one."""
        begins = f"{scheme}:"
        held = self._of(route).urls
        return any(url.startswith(begins) for _, url in held) or self.named(route, f"{begins}//")

    def named(self, route: str, text: str) -> bool:
        """Whether inline code of the route contains `text`: a host or code that it uses."""
        return route in self._routes and self._routes[route].holds(text)

    def signs(self, route: str) -> frozenset[str]:
        """The signs in the route's scripts, and in the inline code of its pages."""
        return frozenset(self._of(route).signs)

    def data(self) -> dict[str, Any]:
        """For JSON: by route, how many pages were read and what they hold, most frequent first."""
        return {name: _data(held) for name, held in self._routes.items()}


def _data(held: _Route) -> dict[str, Any]:
    names = ("kind", "hash", "line", "text")
    pieces = sorted(held.pieces.values(), key=lambda it: -it[1].loads)
    urls = sorted(held.urls.items(), key=lambda it: -it[1].loads)
    return {
        "read": held.read,
        "dropped": held.dropped,
        "inline": [
            {**{name: getattr(piece, name) for name in names}, **seen.data()}
            for piece, seen in pieces
        ],
        "urls": [
            {"directive": directive, "url": url, **seen.data()}
            for (directive, url), seen in urls
            if not directive.startswith(ALLOW)
        ],
    }


def _rarest(held: Mapping[_Key, Occurrence]) -> list[_Key]:
    """A part of what is held: what was seen least often, and of that the oldest."""
    number = max(1, len(held) // _PART)
    return nsmallest(number, held, key=lambda key: (held[key].loads, held[key].last))


def _links(url: tuple[str, str]) -> set[tuple[str, str]]:
    """An address as it is, and its origin alone ("//host"), as browsers report frames."""
    family, address = _family(url[0]), bare(url[1])
    origin = "/".join(address.split("/", 3)[:3]) if address.startswith("//") else address
    return {(family, address), (family, origin)}


_ANY = (
    *("script", "style", "img", "font", "media", "frame"),
    *("object", "connect", "manifest", "worker", "default"),
)


def _family(directive: str) -> str:
    """script-src-elem and script-src-attr are of the family script."""
    return directive.partition("-src")[0]


def _families(directive: str) -> tuple[str, ...]:
    """The families that a report's directive may mean: older browsers name the fallback."""
    family = _family(directive)
    if family == "default":
        return _ANY
    return (family, "frame", "worker") if family == "child" else (family,)


def _quotes(piece: Inline) -> set[tuple[str, str]]:
    """How browsers quote a piece: Chromium without the space around it, others 40 characters."""
    family = _family(INLINE_DIRECTIVES[piece.kind])
    return {(family, sample_of(piece.text)), (family, sample_of(piece.text[:40]))}


def bare(url: str) -> str:
    """An address without http: or https: (behind TLS a page may name its own scheme wrongly)."""
    return url.partition(":")[2] if url.startswith(("http:", "https:")) else url


class LoadedScripts:
    """Scripts by address and hash; clients are known by a hash that this process alone can make."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._client = hashed_clients()
        self._held: dict[tuple[str, str], Occurrence] = {}

    def add(self, report: BrowserReport, client: str) -> None:
        """Count one report of a script that was loaded."""
        key, now = (report.blocked, report.hash), self._clock()
        if key not in self._held and len(self._held) >= MAX_SCRIPTS:
            for one in _rarest(self._held):
                del self._held[one]
        held = self._held.setdefault(key, Occurrence(now, now))
        held.seen(now, self._client(client), report.document, _SCRIPT_PATHS)

    def data(self) -> list[dict[str, Any]]:
        """For JSON: each script with its hash, the most frequent first; times in epoch seconds."""
        return [
            {"url": url, "hash": digest, "count": held.loads}
            | {name: value for name, value in held.data().items() if name != "loads"}
            for (url, digest), held in sorted(self._held.items(), key=lambda it: -it[1].loads)
        ]
