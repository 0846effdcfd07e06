"""The trace that a request belongs to. Source: W3C Trace Context, Recommendation of 2021-11-23.

The proxy passes the header on untouched.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def trace_id(head: Iterable[tuple[bytes, bytes]]) -> str:
    """The trace id, 32 hexadecimal digits; "" where no header is valid (section 3.2), or two are
    sent.

    Versions after 00 may have more parts after the known ones (section 4).
    """
    found = ""
    seen = False
    for name, value in head:
        if len(name) == 11 and name.lower() == b"traceparent":
            match = _TRACEPARENT.fullmatch(value)
            if seen or match is None or (match[1] == b"00" and match[3]):
                return ""
            found, seen = match[2].decode("ascii"), True
    return found
