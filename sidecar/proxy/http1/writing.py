"""The bytes of heads and chunks that leave. RFC 9112.

Lives here: pure functions. Must not know what may leave.
"""

from __future__ import annotations

from typing import Final, TypeAlias

Fields: TypeAlias = list[tuple[bytes, bytes]]

LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def request_head(method: str, target: bytes, lines: list[bytes], added: bytes) -> bytes:
    """The head that goes upstream; `lines` and `added` hold whole lines with their ends."""
    begun = (method.encode("ascii"), b" ", target, b" HTTP/1.1\r\n")
    return b"".join([*begun, *lines, added, b"\r\n"])


def response_head(line: bytes, lines: list[bytes], added: bytes, body: bytes = b"") -> bytes:
    """The head that goes to the client, always as HTTP/1.1 (RFC 9110 section 2.5), with what is
    at hand of the body; `lines` and `added` as above.
    """
    return b"".join([b"HTTP/1.1", line, b"\r\n", *lines, added, b"\r\n", body])


def chunk(piece: bytes) -> bytes:
    """One chunk of a body (RFC 9112 section 7.1); of b"" none, as that would end it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
