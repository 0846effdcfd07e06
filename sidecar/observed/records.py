"""Recorded responses: HTTP archives (HAR 1.2), and responses as `curl -si` prints them."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable
from typing import Any

from sidecar.observed import SCHEMES, Fields, NoResponse, ObservedResponse, split
from sidecar.policy.values import TOKEN

MAX_RECORD = 256 << 20
"""Bytes of a record that are read."""

_STATUS = re.compile(rb"^HTTP/[0-9](?:\.[0-9])? +([1-5][0-9][0-9])[^\r\n]*\r?\n", re.MULTILINE)
_GZIP = b"\x1f\x8b"


def from_har(data: bytes, name: str = "the archive") -> tuple[ObservedResponse, ...]:
    """The responses of an HTTP archive, in order; entries without a response are left out.

    Raises:
        NoResponse: it is no archive, or has no responses.
    """
    try:
        entries = json.loads(data)["log"]["entries"]
        found = tuple(response for entry in entries if (response := _entry(entry)) is not None)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise NoResponse(
            f"{name} is no HTTP archive; save one as HAR from the browser's network panel"
        ) from error
    if not found:
        raise NoResponse(f"{name} holds no response")
    return found


def _entry(entry: Any) -> ObservedResponse | None:
    """The response of one entry; None where none came, or none by HTTP."""
    try:
        request, raw = entry["request"], entry["response"]
        url, method, status = str(request["url"]), str(request["method"]), int(raw["status"])
        parts = split(url)
        is_http = parts.scheme in SCHEMES and parts.hostname and parts.port != 0
        if not 200 <= status <= 599 or not TOKEN.fullmatch(method) or not is_http:
            return None
        content = raw.get("content") or {}
        text = str(content.get("text") or "")
        coded = content.get("encoding") == "base64"
        body = base64.b64decode(text) if coded else text.encode("utf-8", "replace")
        fields = _as_decoded(_lines(raw["headers"]), body)
        sent = tuple(_lines(request.get("headers") or ()))
        return ObservedResponse(url, status, fields, body, method=method, request=sent)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError):
        return None


def _lines(listed: Any) -> list[tuple[bytes, bytes]]:
    """Header lines; Firefox and Chrome write several of one name as one, broken by line feeds."""
    pairs = ((str(line["name"]), str(line["value"])) for line in listed)
    return [
        (name.encode(), _bytes(part))
        for name, value in pairs
        if TOKEN.fullmatch(name)
        for part in value.split("\n")
    ]


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _as_decoded(fields: Iterable[tuple[bytes, bytes]], body: bytes) -> Fields:
    """Drop headers about codings: records hold decoded bodies."""
    coded = body.startswith(_GZIP)
    return tuple(one for one in fields if coded or one[0].lower() != b"content-encoding")


def from_raw(data: bytes, url: str, name: str = "the text") -> tuple[ObservedResponse, ...]:
    """The responses in the output of `curl -si` or `curl -siL` for `url`; `name` is for errors.

    Raises:
        NoResponse: there is no status line.
    """
    heads = [head for head in _STATUS.finditer(data[:MAX_RECORD]) if int(head[1]) >= 200]
    if not heads or data[: heads[0].start()].strip().partition(b" ")[0][:5] not in (b"", b"HTTP/"):
        raise NoResponse(f"{name} has no status line; record responses with `curl -si URL`")
    found: list[ObservedResponse] = []
    for head, end in zip(heads, [*(head.start() for head in heads[1:]), len(data)], strict=True):
        address = (found[-1].target if found else "") or url
        fields, body = _parts(data[head.end() : end])
        found.append(ObservedResponse(address, int(head[1]), _as_decoded(fields, body), body))
    return tuple(found)


def _parts(text: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Header lines and body after a status line; lines that are no fields are left out."""
    head, _, body = text.partition(b"\r\n\r\n" if b"\r\n" in text[:8192] else b"\n\n")
    if text[:1] in (b"\r", b"\n"):
        head, body = b"", text.lstrip(b"\r\n")
    fields: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\n"):
        name, colon, value = line.rstrip(b"\r").partition(b":")
        if line[:1] in (b" ", b"\t") and fields:  # obs-fold (RFC 9112 section 5.2)
            fields[-1] = (fields[-1][0], fields[-1][1] + b" " + line.strip())
        elif colon and name.strip():
            fields.append((name.strip(), value.strip(b" \t")))
    return fields, body.removesuffix(b"\n").removesuffix(b"\r")
