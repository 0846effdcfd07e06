"""The bytes of heads and chunks that leave. RFC 9112."""

from __future__ import annotations

from typing import Final, TypeAlias

Fields: TypeAlias = list[tuple[bytes, bytes]]

LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def message(lines: list[bytes], added: bytes, body: bytes = b"") -> bytes:
    """A head, with what is at hand of the body. `lines`, which are used up, and `added` hold whole
    lines with their ends, the start line first.
    """
    lines.append(added)
    lines.append(b"\r\n")
    lines.append(body)
    return b"".join(lines)


def chunk(piece: bytes) -> bytes:
    """One chunk of a body (RFC 9112 section 7.1); of b"" none, as that would end it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""
