"""What may stand in a message: names, methods, targets, hosts, and which header lines belong to one
hop; and the bytes of heads and chunks that leave.

RFC 9110 and 9112.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final, TypeAlias

from sidecar.policy import terms

Fields: TypeAlias = list[tuple[bytes, bytes]]

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
"""Body lengths that are not a number of bytes."""

METHODS: Final = {name.encode("ascii"): name for name in terms.METHODS}
"""Methods that are passed on, by their bytes."""

BODILESS: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
"""Methods whose bodies mean nothing, so services forget to read them (RFC 9110 section 9.3)."""
IDEMPOTENT: Final = BODILESS | {"PUT"}
"""RFC 9110 section 9.2.2; TRACE is refused."""

# RFC 9110 section 7.6.1, and the names that some senders treat alike; HTTP2-Settings belongs to
# h2c. What a client and a proxy tell each other for authentication is no service's business
# (section 11.7).
HOP_BY_HOP: Final = frozenset(
    b"keep-alive proxy-connection te trailer http2-settings proxy-authorization"
    b" proxy-authenticate proxy-authentication-info".split()
)
# A sender that nominates these in Connection would change framing or routing (RFC 9110 section
# 7.6.1).
NEVER_NOMINATED: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"close", b"keep-alive", b"upgrade"}
)

TOKEN: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
IN_TARGET: Final = bytes({*range(0x21, 0x7F)} - {0x23})
"""Visible ASCII without `#`."""
ABSOLUTE: Final = re.compile(rb"(?i:https?)://([^/?#]*)((?:[/?][!\"$-~]*)?)")
# RFC 3986 section 3.2.2 narrowed to names that occur; RFC 9112 section 3.2 asks for 400 on all
# others.
_HOST: Final = re.compile(terms.HOST.encode("ascii"))

_STRAY: Final = bytes({*range(32), 127} - {9, 10, 13})
"""Control bytes that stand nowhere in a head; CR and LF stand only together, between lines."""


LAST_CHUNK: Final = b"0\r\n\r\n"
CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


class Malformed(Exception):  # noqa: N818  (what is said of bytes, not of us)
    """Bytes that are no HTTP/1.1 message, or could be read in two ways; the text says where, and
    quotes none of them.
    """


class TooLarge(Malformed):
    """Header or trailer lines beyond the limits."""


class Excessive(Malformed):
    """A chunk that is longer than a whole body may be."""


def sound(lines: bytes) -> bool:
    """Whether lines hold no stray control byte, CR and LF only together (RFC 9112 section 2.2)."""
    ends = lines.count(b"\r\n")
    return (
        lines.count(b"\r") == ends
        and lines.count(b"\n") == ends
        and len(lines.translate(None, _STRAY)) == len(lines)
    )


def is_wrong_already(lines: bytes) -> bool:
    """Whether the beginning of a head is wrong whatever follows; a last CR may still get its LF."""
    return not sound(lines[:-1] if lines.endswith(b"\r") else lines)


def decimal(value: bytes) -> int:
    """The number that up to 18 digits say; -1 for anything else (RFC 9110 section 8.6)."""
    if not 0 < len(value) <= 18:
        return -1
    number = 0
    for digit in value:
        if not 48 <= digit <= 57:
            return -1
        number = number * 10 + digit - 48
    return number


def connection_tokens(value: bytes) -> frozenset[bytes]:
    """The names in one Connection line, lower case."""
    usual = _USUAL.get(value)
    return _tokens(value) if usual is None else usual


def _tokens(value: bytes) -> frozenset[bytes]:
    return frozenset(token.strip(b" \t") for token in value.lower().split(b","))


_USUAL: Final = {value: _tokens(value) for value in (b"keep-alive", b"Keep-Alive", b"close")}


def valid_host(value: bytes) -> bool:
    """Whether it names a host, with or without a port (RFC 9110 section 7.2)."""
    found = _HOST.fullmatch(value)
    if found is None or (found[1] and int(found[1]) > 65535):
        return False
    if value.startswith(b"["):
        try:
            IPv6Address(value[1 : value.index(b"]")].decode("ascii"))
        except ValueError:
            return False
    return True


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
