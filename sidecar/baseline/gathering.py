"""Responses from elsewhere than live traffic: addresses that are asked, and HTTP archives (HAR 1.2).

Lives here: asking and reading. Must not know what becomes of the responses. A hostile archive is read as far
as it makes sense.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sidecar.policy.rules.conditions import Facts, RawFields
from sidecar.policy.values import TOKEN

TIMEOUT = 10.0
"""Seconds for each response's head."""
MAX_ARCHIVE = 256 << 20
"""Bytes of an archive that are read."""

_AGENT = "header-sidecar capture"


class NoResponse(Exception):  # noqa: N818 - what the operator must know, not a fault of ours
    """An address that gave no response, or an archive that holds none; the text says which and why."""


def ask(url: str, trust: ssl.SSLContext | None = None) -> Facts:
    """GET one address without following redirects; the body is not read.

    Raises:
        NoResponse: it is no address, or nothing answered.
    """
    parts = _split(url if "://" in url else f"http://{url}")
    if parts is None or parts.scheme not in ("http", "https"):
        raise NoResponse(f"unknown address {url!r}; write http://HOST/PATH")
    path = parts.path or "/"
    target = f"{path}?{parts.query}" if parts.query else path
    place = f"{parts.scheme}://{_host(parts)}{path}"
    assert parts.hostname is not None
    if parts.scheme == "https":
        connection: http.client.HTTPConnection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=TIMEOUT, context=trust
        )
    else:
        connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=TIMEOUT)
    try:
        connection.request("GET", target, headers={"User-Agent": _AGENT, "Accept": "*/*"})
        response = connection.getresponse()
        fields = [(_bytes(name), _bytes(value)) for name, value in response.headers.raw_items()]
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise NoResponse(f"{place}: no response: {error or type(error).__name__}") from error
    finally:
        connection.close()
    return Facts("GET", _host(parts), path, parts.scheme, [], response.status, fields)


def from_har(data: bytes, name: str = "archive") -> tuple[Facts, ...]:
    """The responses of an HTTP archive, in order; entries without a response are left out.

    Raises:
        NoResponse: it is no archive, or holds no response.
    """
    try:
        entries = json.loads(data)["log"]["entries"]
        found = tuple(_entries(entries))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoResponse(
            f"{name} is no HTTP archive; save one as HAR from the browser's network panel"
        ) from error
    if not found:
        raise NoResponse(f"{name} holds no response")
    return found


def _entries(entries: Iterable[Any]) -> Iterator[Facts]:
    for entry in entries:
        try:
            request, response = entry["request"], entry["response"]
            parts, status, method = (
                _split(str(request["url"])),
                int(response["status"]),
                str(request["method"]),
            )
            if parts is None or not 200 <= status <= 599 or not TOKEN.fullmatch(method):
                continue
            yield Facts(
                method,
                _host(parts),
                parts.path or "/",
                parts.scheme,
                _lines(request["headers"]),
                status,
                _lines(response["headers"]),
            )
        except (KeyError, TypeError, ValueError):
            continue


def _lines(listed: Any) -> RawFields:
    """Header lines; several of one name may be written as one, broken by line feeds."""
    pairs = ((str(line["name"]), str(line["value"])) for line in listed)
    return [
        (_bytes(name), _bytes(part))
        for name, value in pairs
        if TOKEN.fullmatch(name)
        for part in value.split("\n")
    ]


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        known = (
            parts.scheme in ("http", "https")
            and bool(parts.hostname)
            and (parts.port is None or parts.port > 0)
        )
    except ValueError:
        return None
    return parts if known else None


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2].lower()


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
