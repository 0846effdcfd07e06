"""One small HTTP client for a few addresses: no redirects, proxies or cookies."""

from __future__ import annotations

import http.client
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from sidecar.observed import (
    Fields,
    NoResponse,
    ObservedResponse,
    complete,
    failure,
    split,
    target_of,
    without_query,
)

if TYPE_CHECKING:
    import ssl

TIMEOUT = 10.0
"""Seconds for each step: to connect, to the head, to the next bytes of the body."""
_FOLD = re.compile(r"[ \t]*\r?\n[ \t]+")


def ask(
    url: str,
    method: str = "GET",
    *,
    headers: Mapping[str, str] = MappingProxyType({}),
    body: bytes | None = None,
    most: int = 0,
    timeout: float = TIMEOUT,
    trust: ssl.SSLContext | None = None,
) -> ObservedResponse:
    """Send one request and read the response, whatever its status.

    Args:
        url: http or https; without a scheme it is http.
        method: of the request.
        headers: of the request, besides Host.
        body: what is sent.
        most: bytes of the body that are read; 0 = none.
        timeout: seconds for each step.
        trust: whose certificates are trusted; None = the system's.

    Raises:
        NoResponse: it is no address, or nothing that is HTTP came back.
    """
    full = complete(url, "http")
    parts = split(full)
    host = parts.hostname or ""
    sent = {"User-Agent": "header-sidecar", "Accept": "*/*", **headers}
    connection = http.client.HTTPConnection(host, parts.port, timeout=timeout)
    if parts.scheme == "https":
        from sidecar.trust import authorities

        made = trust or authorities()
        connection = http.client.HTTPSConnection(host, parts.port, timeout=timeout, context=made)
    try:
        connection.request(method, target_of(parts), body, sent)
        raw = connection.getresponse()
        fields = _fields(raw.headers)
        data = raw.read(most) if most else b""
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoResponse(f"{without_query(full)}: no response: {failure(error)}") from error
    finally:
        connection.close()
    request = tuple((name.encode(), value.encode("latin-1")) for name, value in sent.items())
    return ObservedResponse(full, raw.status, fields, data, method=method, request=request)


def _fields(head: http.client.HTTPMessage) -> Fields:
    if head.defects or head.get_payload():
        raise ValueError("a header line is not HTTP")  # the library would lose all after it
    return tuple((_bytes(name), _bytes(value)) for name, value in head.raw_items())


def _bytes(text: str) -> bytes:
    """The bytes of a name or value; a folded one on one line (RFC 9112 section 5.2)."""
    return _FOLD.sub(" ", text).encode("latin-1", "replace")
