"""The bytes of heads and chunks that leave. RFC 9112.

Lives here: pure functions. Must not know what may leave.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Fields: TypeAlias = list[tuple[bytes, bytes]]

LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def request_head(method: str, target: bytes, lines: bytes, added: bytes) -> bytes:
    """The head that goes upstream; `lines` and `added` hold whole lines with their ends."""
    return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (method.encode("ascii"), target, lines, added)


def response_head(line: bytes, lines: bytes, added: bytes) -> bytes:
    """The head that goes to the client, always as HTTP/1.1 (RFC 9110 section 2.5); `lines` and
    `added` as above.
    """
    return b"HTTP/1.1%b\r\n%b%b\r\n" % (line, lines, added)


def chunk(piece: bytes) -> bytes:
    """One chunk of a body (RFC 9112 section 7.1); of b"" none, as that would end it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
