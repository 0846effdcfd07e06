"""Which refusal a request gets whose framing is not what is served. RFC 9112 section 6."""

from __future__ import annotations

import re

from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.grammar import TOKEN
from sidecar.proxy.http1.heads import Head

_CODINGS = re.compile(rb"(?i:(?:(?!chunked[\t ,])%b[\t ]*,[\t ]*)+chunked)" % TOKEN.pattern)
"""Transfer codings that end with `chunked`, which stands once (RFC 9112 section 6.1)."""


def no_length(value: bytes, *, twice: bool) -> Refused:
    """The refusal of a Content-Length: a number that fits 64 bits is one, though no body is that
    long.
    """
    number = value.isdigit() and len(value) <= 20 and int(value) < 1 << 64
    return Refused(413, "body_too_large") if number and not twice else Refused(400, "framing")


def no_coding(value: bytes, head: Head, *, http10: bool) -> Refused:
    """The refusal of a Transfer-Encoding: 501 for codings that we do not know ahead of `chunked`
    (RFC 9112 section 6.1), 400 for what may be read in two ways.
    """
    framed = len(head.values(b"transfer-encoding")) + len(head.values(b"content-length"))
    unknown = framed == 1 and not http10 and _CODINGS.fullmatch(value) is not None
    return Refused(501 if unknown else 400, "framing")
