"""Recorded responses -> visits: the pages and redirects in HTTP archives, and in responses as `curl
-si` prints them.

Must not know files, formats, scores or verdicts.
"""

from __future__ import annotations

from collections.abc import Iterator

from sidecar.audit.visit import HTML_TYPES, MAX_HOPS, Visit
from sidecar.observed import NoResponse, Response, records, split, without_query

MAX_PAGES = 200
"""Pages of one record that are judged."""

_NOT_PROBED = (
    "read from a record: no CORS preflight was sent, and plain HTTP is judged only as far as it was"
    " recorded"
)


def from_har(
    data: bytes, name: str = "the archive", preloaded: frozenset[str] = frozenset()
) -> tuple[Visit, ...]:
    """The pages of an HTTP archive, grouped by host in the order of the first request.

    Hosts that served no document (images, scripts and the like for other hosts' pages) are left
    out, unless no host served any.

    Raises:
        NoResponse: it is no HTTP archive, or has no responses to GET.
    """
    responses = [response for response in records.from_har(data, name) if response.method == "GET"]
    if not responses:
        raise NoResponse("the archive holds no response to GET")
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


def _documents(responses: list[Response]) -> list[Response]:
    """The documents among a host's responses, one for each address without query; those over
    https where there are any.
    """
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
    """The visit of one page: the chain that led to it, the host's plain-HTTP chain, and the
    host's other cookies.
    """
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


def from_raw(
    data: bytes, url: str, name: str = "the text", preloaded: frozenset[str] = frozenset()
) -> tuple[Visit, ...]:
    """The pages in a text of one or more raw responses, each redirect followed by what it led to.

    Args:
        data: heads and bodies as `curl -si` or `curl -siL` prints them.
        url: the address that was asked for.
        name: how errors call it.
        preloaded: hosts in the browsers' preload lists.

    Raises:
        NoResponse: there is no status line.
    """
    chains: list[list[Response]] = [[]]
    for response in records.from_raw(data, url, name):
        if chains[-1] and not chains[-1][-1].target:
            chains.append([])
        chains[-1].append(response)
    return tuple(_chained(tuple(chain), url, preloaded) for chain in chains[:MAX_PAGES])


def _chained(chain: tuple[Response, ...], url: str, preloaded: frozenset[str]) -> Visit:
    starts_plain = split(url).scheme == "http"
    https = tuple(response for response in chain if response.place.scheme == "https")
    return Visit(
        url, https, chain if starts_plain else (), preloaded=preloaded, notes=(_NOT_PROBED,)
    )
