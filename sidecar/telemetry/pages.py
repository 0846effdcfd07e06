"""Reading pages of the service while a rule is in trial.

A copy never delays its response; pages are read in small steps between other work, in a tenth of
the time at most.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
import weakref
import zlib
from collections import deque
from collections.abc import Callable, Generator, Iterable
from dataclasses import replace

import brotli

from sidecar.policy.browsers.pages import PageElements, read_steps
from sidecar.policy.browsers.signs import (
    ISOLATING,
    PLAIN,
    SAYS,
    leads_to_plain,
    refreshes,
    scan,
)
from sidecar.policy.engine.plan import RoutePlan
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import SCRIPT_TYPES, media_type
from sidecar.telemetry.trials import page_load

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

FIRST = 10
"""Page loads of each route that are all read after an activation."""
MAX_PATHS = 500
"""Paths of each route whose first page is read after an activation, however late it is loaded."""
MAX_READERS = 5
"""Of one path, for so many sets of cookies: who is logged in may see another page."""
MAX_BYTES = 1 << 20
"""Bytes of a page that are read, as sent and as decoded."""
MAX_SCRIPT = 4 << 20
"""The same of a script: bundles are longer, and are only searched."""
MAX_SCRIPTS = 500
"""Scripts of each route that are read after an activation: once each, and once more where a worker
loads what a page had loaded.
"""
MAX_VERSIONS = 10
"""Different files at one script's path that are read: by query, login or deployment."""
MAX_COPIES = 16
"""Copies at a time: more page loads than this are not read."""
_SHARED_WORKERS = frozenset({b"sharedworker", b"serviceworker"})
"""Destinations of scripts that many pages share."""
_SLICE = 1 << 16
_REST = 9.0
"""Seconds of rest for each second of reading."""

OnPage = Callable[[str, str, str, PageElements], None]
"""Takes a page that was read: route, path of the page, client address, what it holds."""


class PageCopy:
    """The bytes of one response's body, as far as they are read."""

    __slots__ = (
        *("__weakref__", "_done", "_held", "address", "charset", "client"),
        *("coding", "drawn", "host", "path", "refresh", "route", "says"),
        *("script", "shared", "version", "worker"),
    )

    def __init__(
        self, done: Callable[[PageCopy], None], route: str, facts: Facts, *, script: bool = False
    ) -> None:
        self._done = done
        self._held = bytearray()
        self.route, self.path, self.client = route, facts.path, facts.client
        host = _header(facts.request, b"host").decode("ascii", "replace")
        self.host, self.script = host, script
        self.worker = script and _may_be_of_worker(facts)
        self.shared = script and _header(facts.request, b"sec-fetch-dest") in _SHARED_WORKERS
        self.version = _version(facts) if script else b""
        self.refresh = _header(facts.fields, b"refresh").decode("latin-1")
        self.says = [name for name in ISOLATING if _header(facts.fields, name.encode())]
        self.address = f"{facts.scheme}://{host}{facts.path}"
        self.drawn = b"svg" in _header(facts.fields, b"content-type").lower()
        self.charset = _charset(_header(facts.fields, b"content-type"))
        self.coding = _header(facts.fields, b"content-encoding").strip().lower()

    def take(self, piece: bytes) -> None:
        """The next bytes of the body."""
        room = self._most - len(self._held)
        if room > 0:
            self._held += piece[:room]

    @property
    def _most(self) -> int:
        return MAX_SCRIPT if self.script else MAX_BYTES

    def end(self) -> None:
        """The response went out whole."""
        self._done(self)

    def decoded(self) -> Generator[bytes, None, None]:
        """The decoded page in slices, as much as is read of one; broken data ends it."""
        decoder = _DECODERS[self.coding]
        left, data = self._most, bytes(self._held)
        for piece in decoder(data):
            yield piece[:left]
            left -= len(piece)
            if left <= 0:
                return


class PageReader:
    """Which page loads are read, and their reading. `on_page` takes what was read."""

    def __init__(self, share: float, draw: Callable[[], float] = random.random) -> None:
        self._share = share
        self._draw = draw
        self._first: dict[str, int] = {}
        self._paths: dict[str, dict[str, set[int]]] = {}
        """By route and path: hashes of the names of cookies with which the page was asked for. The
        names themselves are the client's, thousands in one request if it likes.
        """
        self._scripts: dict[str, dict[str, dict[bytes, bool]]] = {}
        """By route, path and version: whether it was read as a worker's."""
        self._alive: weakref.WeakSet[PageCopy] = weakref.WeakSet()
        self._waiting: deque[PageCopy] = deque()
        self._reading: asyncio.Task[None] | None = None
        self.on_page: OnPage = lambda *_: None

    def activated(self) -> None:
        """Another plan is in force: the first page loads of each route are read again."""
        self._first.clear()
        self._paths.clear()
        self._scripts.clear()

    def copy(self, route: RoutePlan, facts: Facts) -> PageCopy | None:
        """The copy that is to be filled with this response's body; None = this one is not read."""
        if self._share and self._unread(route, facts):
            return self._made(PageCopy(self._queue, route.name, facts, script=True))
        if not self._share or facts.status in (204, 206, 304):
            return None
        if not (page_load(facts) or _is_fragment(facts)) or len(self._alive) >= MAX_COPIES:
            return None
        first, new = self._first.get(route.name, 0), self._is_new(route, facts)
        if first >= FIRST and not new and self._draw() >= self._share:
            return None
        self._first[route.name] = first + 1
        return self._made(PageCopy(self._queue, route.name, facts))

    def _is_new(self, route: RoutePlan, facts: Facts) -> bool:
        """Whether it is the first page at its path, or the first for who has these cookies: after
        a login it may be another. Of errors there are as many paths as anyone asks for.
        """
        known = self._paths.setdefault(route.name, {})
        seen = known.get(facts.path)
        if facts.status >= 400 or (seen is None and len(known) >= MAX_PATHS):
            return False
        cookies = _header(facts.request, b"cookie").split(b";")
        names = hash(frozenset(one.partition(b"=")[0].strip() for one in cookies))
        if seen is None:
            seen = known[facts.path] = set()
        if names in seen or len(seen) >= MAX_READERS:
            return False
        seen.add(names)
        return True

    def _unread(self, route: RoutePlan, facts: Facts) -> bool:
        """Whether it is a script whose file has not been read."""
        if facts.status != 200 or facts.method != "GET" or len(self._alive) >= MAX_COPIES // 2:
            return False  # the other half is for pages
        known = self._scripts.get(route.name, {})
        versions = known.get(facts.path)
        if versions is None:
            return len(known) < MAX_SCRIPTS and _is_script(facts)
        of_worker = versions.get(_version(facts))
        if of_worker is None:
            return len(versions) < MAX_VERSIONS and _is_script(facts)
        return not of_worker and _may_be_of_worker(facts) and _is_script(facts)

    def _made(self, copy: PageCopy) -> PageCopy | None:
        if copy.coding not in _DECODERS:
            return None
        self._alive.add(copy)
        return copy

    def _queue(self, copy: PageCopy) -> None:
        if copy.script:
            versions = self._scripts.setdefault(copy.route, {}).setdefault(copy.path, {})
            versions[copy.version] = copy.worker or versions.get(copy.version, False)
        self._waiting.append(copy)
        if self._reading is None or self._reading.done():
            self._reading = asyncio.get_running_loop().create_task(self._read_all())

    async def _read_all(self) -> None:
        while self._waiting:
            copy = self._waiting.popleft()
            spent, steps = 0.0, _steps(copy)
            while True:
                begun = time.perf_counter()
                try:
                    next(steps)
                except StopIteration as end:
                    self.on_page(copy.route, copy.path, copy.client, end.value)
                    break
                finally:
                    spent += time.perf_counter() - begun
                await asyncio.sleep(0)
            del copy
            await asyncio.sleep(spent * _REST)


def _steps(copy: PageCopy) -> Generator[None, None, PageElements]:
    html = bytearray()
    for piece in copy.decoded():
        html += piece
        yield
    if copy.script:
        found = set()
        code = html.decode("latin-1")
        for sign in scan(code, copy.host, worker=copy.worker, shared=copy.shared):
            found.add(sign)
            yield
        return PageElements((), (), complete=True, signs=tuple(sorted(found - {""})), script=True)
    page = yield from read_steps(bytes(html), copy.charset, copy.address)
    found = {*page.signs, *(f"{SAYS}{name}" for name in copy.says)}
    if leads_to_plain(refreshes(copy.refresh), copy.host):
        found.add(PLAIN)
    return replace(page, drawn=copy.drawn, signs=tuple(sorted(found)))


def _plain(data: bytes) -> Generator[bytes, None, None]:
    yield data


def _inflated(data: bytes) -> Generator[bytes, None, None]:
    """gzip, or deflate with or without its zlib head (RFC 9110 section 8.4.1.2: both are used)."""
    gzip = data.startswith(b"\x1f\x8b")
    wrapped = len(data) > 1 and data[0] & 15 == 8 and not (data[0] << 8 | data[1]) % 31
    decoder = zlib.decompressobj(31 if gzip else 15 if wrapped else -15)
    try:
        while data and not decoder.eof:
            yield decoder.decompress(data, _SLICE)
            data = decoder.unconsumed_tail
    except zlib.error:
        return


def _unbrotli(data: bytes) -> Generator[bytes, None, None]:
    decoder = brotli.Decompressor()
    try:
        while not decoder.is_finished():
            piece = decoder.process(data, output_buffer_limit=_SLICE)
            if not piece and not data:
                return
            data = b""
            yield piece
    except brotli.error:
        return


def _unzstd(data: bytes) -> Generator[bytes, None, None]:
    decoder = zstd.ZstdDecompressor()
    try:
        while not decoder.eof:
            piece = decoder.decompress(data, _SLICE)
            if not piece and not data:
                return
            data = b""
            yield piece
    except zstd.ZstdError:
        return


_DECODERS: dict[bytes, Callable[[bytes], Generator[bytes, None, None]]] = {
    b"": _plain,
    b"identity": _plain,
    b"gzip": _inflated,
    b"x-gzip": _inflated,
    b"deflate": _inflated,
    b"br": _unbrotli,
    b"zstd": _unzstd,
}
"""Content codings that browsers ask for; a page in another, or in two of them, is not read."""


def _is_script(facts: Facts) -> bool:
    """Whether browsers run it: without `nosniff` they do whatever its type says, so what it was
    fetched for counts too.
    """
    if media_type(facts) in SCRIPT_TYPES:
        return True
    dest = _header(facts.request, b"sec-fetch-dest")
    return dest == b"script" or b"worker" in dest


def _is_fragment(facts: Facts) -> bool:
    """Whether a page's script fetched HTML, as it does to put it into the page."""
    if _header(facts.request, b"sec-fetch-dest") != b"empty":
        return False
    return facts.method in ("GET", "POST") and media_type(facts) == b"text/html"


def _version(facts: Facts) -> bytes:
    """What tells apart the files at one path."""
    return _header(facts.fields, b"etag") or b" ".join(
        _header(facts.fields, name) for name in (b"last-modified", b"content-length")
    )


def _may_be_of_worker(facts: Facts) -> bool:
    """Whether a script was fetched for a worker; of plain http names browsers do not say it."""
    dest = _header(facts.request, b"sec-fetch-dest")
    return b"worker" in dest or not dest


def _header(fields: Iterable[tuple[bytes, bytes]], name: bytes) -> bytes:
    return next((value for key, value in fields if key.lower() == name), b"")


def _charset(media: bytes) -> str:
    """The charset of a Content-Type; "" = none."""
    for parameter in media.split(b";")[1:]:
        name, _, value = parameter.partition(b"=")
        if name.strip().lower() == b"charset":
            return value.strip(b" \t\"'").decode("ascii", "replace")
    return ""
