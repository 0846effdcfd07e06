"""The first line of a request: its method, its target, its version. RFC 9112 section 3."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.grammar import ABSOLUTE, IN_TARGET, METHODS, valid_host
from sidecar.proxy.http1.scan import visible

if TYPE_CHECKING:
    from mypy_extensions import i64

    from sidecar.proxy.http1.heads import Head

_VERSIONS = {b"HTTP/1.%d" % minor: not minor for minor in range(10)}
"""Whether it is 1.0; those behind 1.1 are read as that (RFC 9110 section 2.5)."""
_METHOD: Final = re.compile(rb"[A-Z][A-Z0-9_-]*|[a-z]+|[A-Z][a-z]+")
"""As methods are written, `get` and `Get` included, which are others (RFC 9110 section 9.1)."""
_LATER: Final = re.compile(rb"HTTP/[2-9](?:\.[0-9])?")
"""Versions of another major number, as HTTP/2 is written too (RFC 9110 section 15.6.6)."""
_GET: Final = b"GET"
_UNUSUAL: Final = (b"", b"", b"", 0)
_IN_TARGET: Final = bytes(
    (2 if byte == 0x3F else 1) if byte in IN_TARGET else 0 for byte in range(256)
)
"""2 for the question mark."""


# Twice, as the lines behind it (`heads`).


def usual_by_bytes(data: bytes) -> tuple[bytes, bytes, bytes, int]:
    """Method, target, its path, and where the header lines begin, for a request line as most are:
    `METHOD /path?query HTTP/1.1`. Nothing and 0 for any other.
    """
    in_target = _IN_TARGET
    size: i64 = len(data)
    at: i64 = 0
    while at < size and data[at] > 32:
        at += 1
    begin = at + 1
    if begin >= size or data[at] != 32 or data[begin] != 47:
        return _UNUSUAL
    query: i64 = 0
    at = visible(data, begin, size)
    while at < size:
        byte: i64 = in_target[data[at]]
        if byte == 0:
            break
        if byte == 2 and not query:
            query = at
        at = visible(data, at + 1, size)
    if data[at : at + 11] != b" HTTP/1.1\r\n":
        return _UNUSUAL
    target = data[begin:at]
    method = _GET if begin == 4 and data.startswith(_GET) else data[: begin - 1]
    return method, target, data[begin:query] if query else target, at + 11


def usual_by_parts(data: bytes) -> tuple[bytes, bytes, bytes, int]:
    """The same in a few calls."""
    begin = data.find(b"\r\n") + 2
    parts = data[:begin].split(b" ")
    if len(parts) != 3 or parts[2] != b"HTTP/1.1\r\n":
        return _UNUSUAL
    target = parts[1]
    if not target.startswith(b"/") or target.translate(None, IN_TARGET):
        return _UNUSUAL
    return parts[0], target, target.partition(b"?")[0], begin


def read_line(line: bytes, limit: int) -> tuple[str, bytes, bytes, bytes | None, bool]:
    """Judge any request line: method, target as sent and for the upstream, the authority of an
    absolute-form, and whether the version is 1.0 (RFC 9112 sections 2.3 and 3).

    Raises: Refused: with method and path as far as they could be read.
    """
    written, _, rest = line.partition(b" ")
    sent, space, version = rest.partition(b" ")
    if not sent and space:
        sent, space, version = rest.lstrip(b" ").partition(b" ")
    method = METHODS.get(written)
    if method is None:  # 501 for one that others may know, 400 for what is rather a body's rest
        known = version in _VERSIONS and _METHOD.fullmatch(written)
        raise Refused(501 if known else 400, "method")
    try:
        http10 = _VERSIONS.get(version)
        if http10 is None:
            raise _wrong_version(sent, space, version)
        target, named = read_target(method, sent, limit)
    except Refused as refusal:
        raise about(refusal, method, sent, None) from None
    return method, sent, target, named, http10


def _wrong_version(sent: bytes, space: bytes, version: bytes) -> Refused:
    if not space and not sent.startswith(b"/"):  # which would be HTTP/0.9
        return Refused(400, "target")
    return Refused(505 if _LATER.fullmatch(version) else 400, "version")


def read_target(method: str, sent: bytes, limit: int) -> tuple[bytes, bytes | None]:
    """The target for the upstream, and the authority that an absolute-form names (RFC 9112 section
    3.2).

    Raises: Refused: 501 for a method that asks for no target of ours; 414 when too long; 400 for a
        form that the method does not allow, or bytes that are no target.
    """
    if method in ("CONNECT", "TRACE"):
        raise Refused(501, "method")
    if len(sent) > limit:
        raise Refused(414, "target_too_long")
    if sent.startswith(b"/") and not sent.translate(None, IN_TARGET):
        return sent, None
    if sent == b"*" and method == "OPTIONS":
        return b"*", None
    absolute = ABSOLUTE.fullmatch(sent)
    if absolute is None or not valid_host(absolute[1]):
        raise Refused(400, "target")
    rest = absolute[2]
    if not rest and method == "OPTIONS":  # RFC 9112 section 3.2.4
        rest = b"*"
    elif not rest.startswith(b"/"):
        rest = b"/" + rest
    return rest, absolute[1]


def about(refusal: Refused, method: str, sent: bytes, head: Head | None) -> Refused:
    """The refusal with what the policy may be asked about it.

    A head that was refused may hold anything: no query, no fragment, no user and password may pass
    for a path.
    """
    refusal.method, refusal.head = method, head
    if sent.startswith(b"/"):
        refusal.path = sent.partition(b"?")[0].partition(b"#")[0].decode("latin-1")
    return refusal
