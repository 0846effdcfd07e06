"""HTTP facts in events and spans, by OpenTelemetry's names, and the trace of a request.

Source: OpenTelemetry's semantic conventions; W3C Trace Context, Recommendation of 2021-11-23.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlsplit

from sidecar.policy.rules.conditions import Facts

_TRACEPARENT = re.compile(
    rb"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}(-.*)?"
)


def http_facts(facts: Facts, *, path: int = 512, host: int = 256) -> dict[str, Any]:
    """A request and its response; at most `path` and `host` characters of each."""
    return {
        "http.request.method": facts.method,
        "http.response.status_code": facts.status,
        "url.scheme": facts.scheme,
        "url.path": facts.path[:path],
        "server.address": facts.host[:host],
    }


def server_facts(url: str) -> dict[str, Any]:
    """The server of a URL: name or address and port; of unix:/path the path alone."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return {"server.address": parts.path}
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def trace_id(head: Iterable[tuple[bytes, bytes]]) -> str:
    """The trace id, 32 hexadecimal digits; "" where no header is valid (section 3.2), or two are
    sent.

    Versions after 00 may have more parts after the known ones (section 4). The proxy passes the
    header on untouched.
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
