"""Answers from elsewhere than live traffic: addresses that are asked, and HTTP archives (HAR 1.2).

Lives here: asking and reading. Must not know what becomes of the answers. A hostile archive is read as far
as it makes sense.
"""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import SplitResult, urlsplit

from sidecar.policy.conditions import Facts, RawFields
from sidecar.policy.model import TOKEN

TIMEOUT = 10.0
"""Seconds for each answer's head."""
MAX_ARCHIVE = 256 << 20
"""Bytes of an archive that are read."""

_AGENT = "header-sidecar capture"


class Unanswered(Exception):  # noqa: N818 - what the operator must know, not a fault of ours
    """An address that gave no answer, or an archive that holds none; the text says which and why."""


def ask(url: str, trust: ssl.SSLContext | None = None) -> Facts:
    """GET one address without following redirects; the body is not read.

    Raises:
        Unanswered: it is no address, or nothing answered.
    """
    parts = _split(url if "://" in url else f"http://{url}")
    if parts is None or parts.scheme not in ("http", "https"):
        raise Unanswered(f"unknown address {url!r}; write http://HOST/PATH")
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
        answer = connection.getresponse()
        fields = [(_octets(name), _octets(value)) for name, value in answer.headers.raw_items()]
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Unanswered(f"{place}: no answer: {error or type(error).__name__}") from error
    finally:
        connection.close()
    return Facts("GET", _host(parts), path, parts.scheme, [], answer.status, fields)


def from_har(data: bytes, name: str = "archive") -> tuple[Facts, ...]:
    """The answers of an HTTP archive, in order; entries without an answer are left out.

    Raises:
        Unanswered: it is no archive, or holds no answer.
    """
    try:
        entries = json.loads(data)["log"]["entries"]
        found = tuple(_entries(entries))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Unanswered(
            f"{name} is no HTTP archive; save one as HAR from the browser's network panel"
        ) from error
    if not found:
        raise Unanswered(f"{name} holds no answer")
    return found


def _entries(entries: Iterable[Any]) -> Iterator[Facts]:
    for entry in entries:
        try:
            request, answer = entry["request"], entry["response"]
            parts, status, method = (
                _split(str(request["url"])),
                int(answer["status"]),
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
                _lines(answer["headers"]),
            )
        except (KeyError, TypeError, ValueError):
            continue


def _lines(listed: Any) -> RawFields:
    """Header lines; several of one name may be written as one, broken by line feeds."""
    pairs = ((str(line["name"]), str(line["value"])) for line in listed)
    return [
        (_octets(name), _octets(part))
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


def _octets(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")
