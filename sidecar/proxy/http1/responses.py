"""The head of an upstream's response: read strictly, and what of it may pass to the client. RFC
9110 and 9112.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sidecar.proxy.faults import UpstreamFailed
from sidecar.proxy.http1.grammar import (
    CHUNKED,
    HOP_BY_HOP,
    NEVER_NOMINATED,
    UNTIL_CLOSE,
    Fields,
    Malformed,
    TooLarge,
    connection_tokens,
    decimal,
)
from sidecar.proxy.http1.heads import WATCHED, Head, Names
from sidecar.settings import Limits

KEPT_STARTS = 64
KEPT_BYTES = 256
"""Status lines that are remembered, and how long they are at most."""
KEPT_LOOKS = 64
"""Sets of watched names whose readings are remembered; routes share them."""
_NOTHING: Final[frozenset[bytes]] = frozenset()

# RFC 9112 section 4: one space, no control byte but HTAB.
_STATUS = re.compile(rb"HTTP/1\.([01])( ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?)")

_LATER: Final = re.compile(rb"HTTP/1\.[2-9] ")

PASSED: Final = 0
DROPPED: Final = 1
CONNECTION: Final = 2
LENGTH: Final = 3
CODING: Final = 4
UPGRADE: Final = 5
_KINDS = {
    **dict.fromkeys(HOP_BY_HOP, DROPPED),
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"upgrade": UPGRADE,
}


class Response:
    """A response as it may be passed on; iterating gives name and value of its lines, those of the
    hop left out.

    Args:
        line: the status line after the version, b" 200 OK".
        head: all lines that came, behind the status line; those of the hop are gone.
        http11: the status line's version is HTTP/1.1.
        length: body bytes that follow, CHUNKED or UNTIL_CLOSE.
        upgrade: the Upgrade line's value, lower case, when Connection nominates it.
    """

    __slots__ = ("_fields", "head", "http11", "keep_alive", "length", "line", "status", "upgrade")

    def __init__(
        self,
        status: int,
        line: bytes,
        head: Head,
        length: int,
        *,
        http11: bool,
        keep_alive: bool,
        upgrade: bytes,
    ) -> None:
        self.status, self.line, self.head = status, line, head
        self.length, self.keep_alive, self.upgrade = length, keep_alive, upgrade
        self.http11 = http11
        self._fields: Fields | None = None

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Made when somebody asks."""
        if self._fields is None:
            self._fields = self.head.remaining()
        return iter(self._fields)

    def leaving(self, places: tuple[bytes | None, ...] = ()) -> list[bytes]:
        """The head that leaves, always as HTTP/1.1 (RFC 9110 section 2.5): its lines, each with
        its end, some in one piece. `places` holds what stands in the places of the lines that
        `head.watched` gives; None = the line.
        """
        head = self.head
        parts = [] if self.http11 else [b"HTTP/1.1", self.line, b"\r\n"]
        head.leaving(parts, 0 if self.http11 else head.start, places)
        return parts

    def unchunk(self) -> None:
        """For an HTTP/1.0 client, which knows no Transfer-Encoding (RFC 9112 section 6.1): a body
        in chunks ends with the connection.
        """
        if self.length == CHUNKED:
            self.length = UNTIL_CLOSE
        head = self.head
        for index, field in enumerate(head.fields):
            if field[0] & ~WATCHED == CODING:
                head.instead[index] = b""


def _names(looks: frozenset[bytes]) -> Names:
    known = _KINDS | {name: _KINDS.get(name, PASSED) | WATCHED for name in looks}
    return Names(known, None)


class ResponseReader:
    """Reads the heads of one upstream's responses."""

    def __init__(self, limits: Limits) -> None:
        self._bytes, self._most = limits.header_bytes, limits.headers
        self._starts: dict[bytes, tuple[int, bytes, bool]] = {}
        """Status lines by their bytes: status, what follows the version, whether that is 1.1."""
        self._last, self._said = b"", (0, b"", False)
        """The last status line with its end, and what it says: mostly the next is the same."""
        self._looking: dict[frozenset[bytes], Names] = {}
        self._look(_NOTHING)

    def read(self, data: bytes, method: str, looks: frozenset[bytes] = _NOTHING) -> Response | None:
        """Judge the head that `data` begins with; None while its end, the empty line, has not come.

        Args:
            data: as it has come.
            method: the request's.
            looks: lower-case names of the lines that are watched.

        Raises: UpstreamFailed: 502 for bytes that are no head, or framing that two readers could
            take differently.
        """
        if not self._last or not data.startswith(self._last):
            end = data.find(b"\r\n")
            if end < 0:
                return None
            if _LATER.match(data) is not None:  # RFC 9112 section 2.3: read as 1.1
                data = b"HTTP/1.1" + data[8:]
            if end == 12:  # RFC 9112 section 4: the space stands also ahead of no reason
                data, end = data[:12] + b" " + data[12:], 13
            start = self._starts.get(data[:end])
            self._said = self._start(data[:end]) if start is None else start
            self._last = data[: end + 2]
        begin = len(self._last)
        if looks is not self._looks:
            self._look(looks)
        try:
            head = Head(data, begin, self._names, self._most)
        except TooLarge:
            raise UpstreamFailed(502, "header_too_large") from None
        except Malformed as fault:
            raise UpstreamFailed(502, "invalid_header", str(fault)) from None
        if head.stop < 0:
            return None
        if head.stop - 2 > self._bytes:
            raise UpstreamFailed(502, "header_too_large")
        status, line, http11 = self._said
        return _judged(head, method, status, line, http11=http11)

    def _look(self, looks: frozenset[bytes]) -> None:
        """Read names so that these are watched, until others are."""
        names = self._looking.get(looks)
        if names is None:
            if len(self._looking) >= KEPT_LOOKS:
                self._looking.clear()
            names = self._looking[looks] = _names(looks)
        self._looks, self._names = looks, names

    def _start(self, data: bytes) -> tuple[int, bytes, bool]:
        found = _STATUS.fullmatch(data)
        if found is None:
            raise UpstreamFailed(502, "invalid_header", "status line")
        start = (int(found[3]), found[2], found[1] == b"1")
        if len(self._starts) < KEPT_STARTS and len(data) <= KEPT_BYTES:
            self._starts[data] = start
        return start


def _judged(head: Head, method: str, status: int, line: bytes, *, http11: bool) -> Response:
    """What follows from the lines, those that end here dropped."""
    length = coding = None
    upgrade = b""
    nominated: frozenset[bytes] | None = None
    for index, (known, _, colon, end) in enumerate(head.fields):
        kind = known & ~WATCHED
        if kind == PASSED:
            continue
        if kind == LENGTH:
            number = decimal(head.value(colon, end))
            if length is not None or number < 0:
                raise UpstreamFailed(502, "invalid_framing", "Content-Length")
            length = number
            if status >= 200 and status != 204:  # RFC 9110 section 8.6: none in a 1xx or 204
                continue
        elif kind == CODING:
            value = head.value(colon, end)
            if coding is not None or value.lower() != b"chunked" or not http11:
                raise UpstreamFailed(502, "invalid_framing", "Transfer-Encoding")
            coding = value
            if status >= 200 and status != 204:  # RFC 9112 section 6.1: no framing in a 1xx
                continue
        elif kind == CONNECTION:
            value = head.value(colon, end)
            if value != b"keep-alive":  # which says nothing that HTTP/1.1 does not
                tokens = connection_tokens(value)
                nominated = nominated | tokens if nominated else tokens
        elif kind == UPGRADE:
            value = head.value(colon, end)
            upgrade = value.lower() if not upgrade else b","
            if status == 426:  # RFC 9110 section 15.5.22: it says what would be right
                head.instead[index] = b"Connection: Upgrade\r\nUpgrade: %b\r\n" % value
                continue
        head.instead[index] = b""
    if length is not None and coding is not None:
        raise UpstreamFailed(502, "invalid_framing", "Content-Length with Transfer-Encoding")
    keep_alive = http11
    if nominated is None:
        upgrade = b""
    else:
        keep_alive = http11 and b"close" not in nominated
        if b"upgrade" not in nominated:
            upgrade = b""
        if not nominated <= NEVER_NOMINATED:
            head.drop(nominated - NEVER_NOMINATED)
    if method == "HEAD" or status < 200 or status in (204, 304):
        body = 0
    elif coding is not None:
        body = CHUNKED
    elif length is not None:
        body = length
    else:
        body = UNTIL_CLOSE
        keep_alive = False
    return Response(status, line, head, body, http11=http11, keep_alive=keep_alive, upgrade=upgrade)


def made(
    status: int, line: bytes, fields: Fields, length: int, looks: frozenset[bytes] = _NOTHING
) -> Response:
    """A response of our own."""
    lines = b"".join(b"%b: %b\r\n" % field for field in fields)
    names = Names(dict.fromkeys(looks, WATCHED), None)
    start = b"HTTP/1.1%b\r\n" % line
    head = Head(b"%b%b\r\n" % (start, lines), len(start), names, len(fields))
    return Response(status, line, head, length, http11=True, keep_alive=True, upgrade=b"")
