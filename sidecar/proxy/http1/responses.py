"""The head of an upstream's response: read strictly, and what of it may pass to the client. RFC 9110 and 9112.

Lives here: `Response`, and `ResponseReader`, which makes one of bytes or says what is wrong with them. Must
not know connections, bodies or the policy.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from sidecar.proxy.faults import UpstreamFailed
from sidecar.proxy.http1.grammar import (
    CHUNKED,
    DIGITS,
    HOP_BY_HOP,
    NEVER_NOMINATED,
    UNTIL_CLOSE,
    Malformed,
    TooLarge,
    connection_tokens,
)
from sidecar.proxy.http1.heads import Head, Names
from sidecar.proxy.http1.writing import Fields
from sidecar.settings import Limits

KEPT_STARTS = 64
KEPT_BYTES = 256
"""Status lines that are remembered, and how long they are at most."""

# RFC 9112 section 4: one space, no control byte but HTAB.
_STATUS = re.compile(rb"HTTP/1\.([01])( ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?)")

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
    """A response as it may be passed on; iterating gives name and value of its lines, those of the hop left out.

    Args:
        line: the status line after the version, b" 200 OK".
        head: all lines that came.
        gone: indices of those that must not be passed on, in order.
        length: body bytes that follow, CHUNKED or UNTIL_CLOSE.
        upgrade: the Upgrade line's value, lower case, when Connection nominates it.
    """

    __slots__ = (
        "_fields",
        "_watched",
        "gone",
        "head",
        "keep_alive",
        "length",
        "line",
        "status",
        "upgrade",
    )

    def __init__(
        self,
        status: int,
        line: bytes,
        head: Head,
        gone: list[int],
        length: int,
        *,
        keep_alive: bool,
        upgrade: bytes,
    ) -> None:
        self.status, self.line, self.head, self.gone = status, line, head, gone
        self.length, self.keep_alive, self.upgrade = length, keep_alive, upgrade
        self._fields: Fields | None = None
        self._watched: list[int] = []

    def __iter__(self) -> Iterator[tuple[bytes, bytes]]:
        """Made when somebody asks."""
        if self._fields is None:
            head, gone = self.head, self.gone
            self._fields = [
                (head.written(index), head.value(index))
                for index in range(len(head.names))
                if index not in gone
            ]
        return iter(self._fields)

    def watched(self, looks: frozenset[bytes]) -> list[bytes]:
        """The lines whose names are in `looks`, as they came; `leaving` takes what stands in their places."""
        head, gone = self.head, self.gone
        watched = self._watched = [
            index
            for index, name in enumerate(head.names)
            if name.lower in looks and index not in gone
        ]
        return [head.lines[index] for index in watched]

    def leaving(self, places: tuple[bytes | None, ...] = ()) -> bytes:
        """The lines that leave, as they came where nothing (None) stands in the place of a watched one."""
        instead = dict.fromkeys(self.gone, b"")
        for index, place in zip(self._watched, places, strict=False):
            if place is not None:
                instead[index] = place
        return self.head.leaving(instead)

    def unchunk(self) -> None:
        """For an HTTP/1.0 client, which knows no Transfer-Encoding (RFC 9112 section 6.1): the body ends with the connection."""
        self.length = UNTIL_CLOSE
        coded = {
            index
            for index in self.head.special
            if self.head.names[index].lower == b"transfer-encoding"
        }
        self.gone = sorted({*self.gone, *coded})


class _Starts(dict[bytes, tuple[int, bytes, bool]]):
    """Status lines by their bytes: the status, what follows the version, and whether that is 1.1."""

    def __missing__(self, data: bytes) -> tuple[int, bytes, bool]:
        found = _STATUS.fullmatch(data)
        if found is None:
            raise UpstreamFailed(502, "invalid_header", "status line")
        start = (int(found[3]), found[2], found[1] == b"1")
        if len(self) < KEPT_STARTS and len(data) <= KEPT_BYTES:
            self[data] = start
        return start


def _passes(_lower: bytes) -> int:
    return PASSED


class ResponseReader:
    """Reads the heads of one upstream's responses."""

    def __init__(self, limits: Limits) -> None:
        self._bytes, self._most = limits.header_bytes, limits.headers
        self._starts = _Starts()
        self._names = Names(_KINDS, _passes)

    def read(self, data: bytes, method: str) -> Response:
        """Judge a whole head, with the empty line at its end; `method` is the request's.

        Raises:
            UpstreamFailed: 502 for bytes that are no head, or framing that two readers could take differently.
        """
        begin = data.find(b"\r\n")
        status, line, http11 = self._starts[data[:begin]]
        if len(data) > self._bytes + 4:
            raise UpstreamFailed(502, "header_too_large")
        try:
            head = Head(data, begin + 2, len(data) - 2, self._names, self._most)
        except TooLarge:
            raise UpstreamFailed(502, "header_too_large") from None
        except Malformed as fault:
            raise UpstreamFailed(502, "invalid_header", str(fault)) from None
        length = coding = None
        upgrade = b""
        nominated: set[bytes] | None = None
        gone: list[int] = []
        for index in head.special:
            kind, value = head.names[index].kind, head.value(index)
            if kind == LENGTH:
                if length is not None or DIGITS.fullmatch(value) is None:
                    raise UpstreamFailed(502, "invalid_framing", "Content-Length")
                length = int(value)
                if status >= 200 and (status != 204 or length == 0):
                    continue
            elif kind == CODING:
                if coding is not None or value.lower() != b"chunked" or not http11:
                    raise UpstreamFailed(502, "invalid_framing", "Transfer-Encoding")
                coding = value
                if status >= 200 and status != 204:  # RFC 9112 section 6.1: no framing in a 1xx
                    continue
            elif kind == CONNECTION:
                tokens = connection_tokens(value)
                nominated = nominated | tokens if nominated else tokens
            elif kind == UPGRADE:
                upgrade = value.lower()
            gone.append(index)
        if length is not None and coding is not None:
            raise UpstreamFailed(502, "invalid_framing", "Content-Length with Transfer-Encoding")
        keep_alive = http11
        if nominated is None:
            upgrade = b""
        else:
            keep_alive = http11 and b"close" not in nominated
            if b"upgrade" not in nominated:
                upgrade = b""
            nominated -= NEVER_NOMINATED
            if nominated:
                theirs = {index for index, name in enumerate(head.names) if name.lower in nominated}
                gone = sorted(theirs.union(gone))
        if method == "HEAD" or status < 200 or status in (204, 304):
            body = 0
        elif coding is not None:
            body = CHUNKED
        elif length is not None:
            body = length
        else:
            body = UNTIL_CLOSE
            keep_alive = False
        return Response(status, line, head, gone, body, keep_alive=keep_alive, upgrade=upgrade)


def made(status: int, line: bytes, fields: Fields, length: int) -> Response:
    """A response of our own."""
    data = b"".join(b"%b: %b\r\n" % field for field in fields)
    head = Head(data, 0, len(data), Names({}, _passes), len(fields))
    return Response(status, line, head, [], length, keep_alive=True, upgrade=b"")
