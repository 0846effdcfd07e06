"""Max-Forwards: how many proxies a request may still pass. RFC 9110 section 7.6.2."""

from __future__ import annotations

import re

from sidecar.proxy.http1.requests import Request

_FORWARDS = re.compile(rb"(?im)^(max-forwards:[\t ]*)([0-9]{1,18})(?=[\t ]*\r$)")


def forwards_left(request: Request) -> int | None:
    """The value of Max-Forwards, which counts on OPTIONS alone, the least of several; None when
    there is none (RFC 9110 section 7.6.2).
    """
    found = [int(number) for _, number in _FORWARDS.findall(b"".join(request.lines))]
    return min(found, default=None)


def one_forward_less(request: Request) -> None:
    """Count Max-Forwards down."""
    less = _FORWARDS.sub(
        lambda found: b"%b%d" % (found[1], int(found[2]) - 1), b"".join(request.lines)
    )
    request.lines = [less]
