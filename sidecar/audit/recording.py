"""Recorded responses -> visits: HTTP archives (HAR 1.2), and raw responses as `curl -si` prints them.

Lives here: reading the two formats, and finding the pages and redirects in them. Must not know files,
scores or verdicts. Hostile records are read as far as they make sense.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from sidecar.audit.visit import HTML_TYPES, MAX_HOPS, Fields, Response, Visit, split, without_query

MAX_RECORD = 256 << 20
"""Bytes of a record that are read."""
MAX_PAGES = 200
"""Pages of one record that are judged."""

_NOT_PROBED = "read from a record: no CORS preflight was sent, and plain HTTP is judged only as far as it was recorded"
_STATUS = re.compile(rb"^HTTP/[0-9](?:\.[0-9])? +([1-5][0-9][0-9])[^\r\n]*\r?\n", re.MULTILINE)
_GZIP = b"\x1f\x8b"


class RecordError(ValueError):
    """A record that holds no responses."""


def from_har(data: bytes, preloaded: frozenset[str] = frozenset()) -> tuple[Visit, ...]:
    """The pages of an HTTP archive, grouped by host in the order of the first request.

    Hosts that served no document (images, scripts and the like for other hosts' pages) are left out,
    unless no host served any.

    Raises:
        RecordError: it is no HTTP archive, or has no responses.
    """
    try:
        entries = json.loads(data)["log"]["entries"]
        responses = [response for entry in entries if (response := _entry(entry)) is not None]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise RecordError(
            "this is no HTTP archive; save one as HAR from the browser's network panel"
        ) from error
    if not responses:
        raise RecordError("the archive has no responses")
    hosts: dict[str, list[Response]] = {}
    for response in responses:
        hosts.setdefault(response.place.hostname or "", []).append(response)
    pages = {host: _documents(held) for host, held in hosts.items()}
    if not any(pages.values()):
        pages = {host: held[:1] for host, held in hosts.items()}
    visits = (
        _recorded(page, hosts[host], responses, preloaded)
        for host, found in pages.items()
        for page in found
    )
    return tuple(visit for visit, _ in zip(visits, range(MAX_PAGES), strict=False))


def _entry(entry: Any) -> Response | None:
    """The response of one entry; None where none came, or to a request that is no GET."""
    try:
        request, raw = entry["request"], entry["response"]
        status = int(raw["status"])
        if request["method"] != "GET" or not 200 <= status <= 599:
            return None
        lines = [(str(line["name"]), str(line["value"])) for line in raw["headers"]]
        # Firefox and Chrome write several Set-Cookie lines as one, broken by line feeds.
        fields = [
            (_bytes(name), _bytes(part))
            for name, value in lines
            if name[:1] != ":"
            for part in value.split("\n")
        ]
        content = raw.get("content") or {}
        text = str(content.get("text") or "")
        body = (
            base64.b64decode(text)
            if content.get("encoding") == "base64"
            else text.encode("utf-8", "replace")
        )
        return Response(str(request["url"]), status, *_as_decoded(fields, body))
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error):
        return None


def _bytes(text: str) -> bytes:
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace")


def _as_decoded(fields: Iterable[tuple[bytes, bytes]], body: bytes) -> tuple[Fields, bytes]:
    """Records hold bodies decoded beside the header that says how they were coded: that header goes."""
    kept = tuple(
        field
        for field in fields
        if body.startswith(_GZIP) or field[0].lower() != b"content-encoding"
    )
    return kept, body


def _documents(responses: list[Response]) -> list[Response]:
    """The documents among a host's responses, one for each address without query; those over https where there are any."""
    found = [
        response
        for response in responses
        if response.media_type in HTML_TYPES and not response.target
    ]
    secure = [response for response in found if response.place.scheme == "https"]
    return [
        *{without_query(response.url): response for response in reversed(secure or found)}.values()
    ][::-1]


def _recorded(
    page: Response, host: list[Response], responses: list[Response], preloaded: frozenset[str]
) -> Visit:
    """The visit of one page: the chain that led to it, the host's plain-HTTP chain, and the host's other cookies."""
    by_url = {response.url: response for response in reversed(responses)}
    plain = [response for response in host if response.place.scheme == "http"]
    http = tuple(_follow(plain[0], by_url)) if plain else ()
    https = (page,) if page.place.scheme == "https" else ()
    if not https and page not in http:
        http = (page,)
    others = tuple(response for response in host if response is not page)
    return Visit(page.url, https, http, others, preloaded=preloaded, notes=(_NOT_PROBED,))


def _follow(response: Response, by_url: dict[str, Response]) -> Iterator[Response]:
    for _ in range(MAX_HOPS + 1):
        yield response
        following = by_url.get(response.target)
        if following is None:
            return
        response = following


def from_raw(data: bytes, url: str, preloaded: frozenset[str] = frozenset()) -> tuple[Visit, ...]:
    """The pages in a text of one or more raw responses, each redirect followed by what it led to.

    Args:
        data: heads and bodies as `curl -si` or `curl -siL` prints them.
        url: the address that was asked for.
        preloaded: hosts in the browsers' preload lists.

    Raises:
        RecordError: there is no status line.
    """
    heads = [head for head in _STATUS.finditer(data[:MAX_RECORD]) if int(head[1]) >= 200]
    if not heads or data[: heads[0].start()].strip().partition(b" ")[0][:5] not in (b"", b"HTTP/"):
        raise RecordError("there is no status line; record answers with `curl -si URL`")
    chains: list[list[Response]] = [[]]
    for head, end in zip(heads, [*(head.start() for head in heads[1:]), len(data)], strict=True):
        chain = chains[-1]
        if chain and not chain[-1].target:
            chains.append(chain := [])
        address = chain[-1].target if chain else url
        fields, body = _parts(data[head.end() : end])
        chain.append(Response(address, int(head[1]), *_as_decoded(fields, body)))
    return tuple(_chained(tuple(chain), url, preloaded) for chain in chains[:MAX_PAGES])


def _chained(chain: tuple[Response, ...], url: str, preloaded: frozenset[str]) -> Visit:
    starts_plain = split(url).scheme == "http"
    https = tuple(response for response in chain if response.place.scheme == "https")
    return Visit(
        url, https, chain if starts_plain else (), preloaded=preloaded, notes=(_NOT_PROBED,)
    )


def _parts(text: bytes) -> tuple[list[tuple[bytes, bytes]], bytes]:
    """Header lines and body of what stands behind a status line; lines that are no fields are left out."""
    head, _, body = text.partition(b"\r\n\r\n" if b"\r\n" in text[:8192] else b"\n\n")
    if text[:1] in (b"\r", b"\n"):
        head, body = b"", text.lstrip(b"\r\n")
    fields: list[tuple[bytes, bytes]] = []
    for line in head.split(b"\n"):
        name, colon, value = line.rstrip(b"\r").partition(b":")
        if line[:1] in (b" ", b"\t") and fields:
            fields[-1] = (
                fields[-1][0],
                fields[-1][1] + b" " + line.strip(),
            )  # obs-fold (RFC 9112 section 5.2)
        elif colon and name.strip():
            fields.append((name.strip(), value.strip(b" \t")))
    return fields, body.removesuffix(b"\n").removesuffix(b"\r")
