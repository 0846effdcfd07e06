"""The head of an upstream's response: read strictly, line by line, with a memory of lines. RFC 9110 and 9112.

Lives here: `Response`, and `ResponseReader`, which makes one of bytes or says what is wrong with them. A
service repeats most of its lines, and each is judged once. Must not know connections or bodies.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from sidecar.proxy.faults import UpstreamFailed
from sidecar.proxy.http1.grammar import (
    CHUNKED,
    DIGITS,
    HOP_BY_HOP,
    NEVER_NOMINATED,
    UNTIL_CLOSE,
    connection_tokens,
)
from sidecar.proxy.http1.writing import Fields
from sidecar.settings import Limits

KEPT_LINES = 2048
KEPT_BYTES = 256
"""Longer lines are read each time; when all places are taken, the memory starts anew."""

# RFC 9112 sections 4 and 5: one space, no fold, no space before the colon, no control byte but HTAB; CR and LF
# stand nowhere but between lines.
_STATUS = re.compile(rb"HTTP/1\.([01])( ([1-5][0-9][0-9])(?: [\t -~\x80-\xff]*)?)")
_FIELD = re.compile(
    rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[\t ]*((?:[!-~\x80-\xff]+(?:[\t ]+[!-~\x80-\xff]+)*)?)[\t ]*"
)

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


class Line:
    """What a line means here, its name and value, and the names that it nominates if it is a Connection line."""

    __slots__ = ("field", "kind", "names")

    def __init__(self, kind: int, field: tuple[bytes, bytes], names: frozenset[bytes]) -> None:
        self.kind = kind
        self.field: Any = (
            field  # as mypyc sees it one object, not two values that are made a tuple each time
        )
        self.names = names


class Response(NamedTuple):
    """An upstream's response as it may be passed on."""

    status: int
    line: bytes
    """The status line after the version: b" 200 OK"."""
    fields: Fields
    """End-to-end lines and framing, in order."""
    length: int
    """Body bytes that follow, CHUNKED or UNTIL_CLOSE."""
    keep_alive: bool
    upgrade: bytes
    """The Upgrade line's value, lower case, when Connection nominates it."""


class _Lines(dict[bytes, Line]):
    """Header lines by their bytes. Cookies are secrets, and never kept."""

    def __missing__(self, data: bytes) -> Line:
        found = _FIELD.fullmatch(data)
        if found is None:
            raise UpstreamFailed(502, "invalid_header", "header line")
        name, value = found[1], found[2]
        lower = name.lower()
        kind = _KINDS.get(lower, PASSED)
        line = Line(
            kind, (name, value), frozenset(connection_tokens(value) if kind == CONNECTION else ())
        )
        if len(data) <= KEPT_BYTES and lower != b"set-cookie":
            if len(self) >= KEPT_LINES:
                self.clear()
            self[data] = line
        return line


class _Starts(dict[bytes, tuple[int, bytes, bool]]):
    """Status lines by their bytes: the status, what follows the version, and whether that is 1.1."""

    def __missing__(self, data: bytes) -> tuple[int, bytes, bool]:
        found = _STATUS.fullmatch(data)
        if found is None:
            raise UpstreamFailed(502, "invalid_header", "status line")
        start = (int(found[3]), found[2], found[1] == b"1")
        if len(self) < KEPT_LINES and len(data) <= KEPT_BYTES:
            self[data] = start
        return start


class ResponseReader:
    """Reads the heads of one upstream's responses."""

    def __init__(self, limits: Limits) -> None:
        self._bytes, self._most = limits.header_bytes, limits.headers
        self._starts = _Starts()
        self._lines = _Lines()

    def read(self, head: bytes, method: str) -> Response:
        """Judge a head without the empty line at its end; `method` is the request's.

        Raises:
            UpstreamFailed: 502 for bytes that are no head, or framing that two readers could take differently.
        """
        split = head.split(b"\r\n")
        status, start, http11 = self._starts[split[0]]
        if len(head) > self._bytes or len(split) > self._most + 1:
            raise UpstreamFailed(502, "header_too_large")
        lines = self._lines
        fields: Fields = []
        length = coding = None
        upgrade = b""
        nominated: frozenset[bytes] = frozenset()
        for data in split[1:]:
            line = lines[data]
            kind, field = line.kind, line.field
            if not kind:
                fields.append(field)
            elif kind == CONNECTION:
                nominated = nominated | line.names if nominated else line.names
            elif kind == LENGTH:
                if length is not None or not DIGITS.fullmatch(field[1]):
                    raise UpstreamFailed(502, "invalid_framing", "Content-Length")
                length = int(field[1])
                if status != 204 or length == 0:
                    fields.append(field)
            elif kind == CODING:
                if coding is not None or field[1].lower() != b"chunked" or not http11:
                    raise UpstreamFailed(502, "invalid_framing", "Transfer-Encoding")
                coding = b"chunked"
                if status != 204:
                    fields.append(field)
            elif kind == UPGRADE:
                upgrade = field[1].lower()
        if length is not None and coding is not None:
            raise UpstreamFailed(502, "invalid_framing", "Content-Length with Transfer-Encoding")
        keep_alive = http11
        if nominated:
            keep_alive = http11 and b"close" not in nominated
            dropped = nominated - NEVER_NOMINATED
            if dropped:
                fields = [line for line in fields if line[0].lower() not in dropped]
        if upgrade and b"upgrade" not in nominated:
            upgrade = b""
        if method == "HEAD" or status < 200 or status in (204, 304):
            body = 0
        elif coding is not None:
            body = CHUNKED
        elif length is not None:
            body = length
        else:
            body = UNTIL_CLOSE
            keep_alive = False
        # A NamedTuple's own constructor is a Python function around this call: here and where else each request makes one.
        return tuple.__new__(Response, (status, start, fields, body, keep_alive, upgrade))
