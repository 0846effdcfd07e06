"""Recorded responses (HTTP archives, `curl -si` output) -> visits."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from sidecar.audit.visit import HTML_TYPES, MAX_HOPS, Visit
from sidecar.observed import NoResponse, ObservedResponse, records, split, without_query

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
    hosts: dict[str, list[ObservedResponse]] = {}
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
    return tuple(islice(visits, MAX_PAGES))


def _documents(responses: list[ObservedResponse]) -> list[ObservedResponse]:
    """A host's documents, one for each address without query; only https ones if there are any."""
    found = [one for one in responses if one.media_type in HTML_TYPES and not one.target]
    secure = [one for one in found if one.place.scheme == "https"]
    first: dict[str, ObservedResponse] = {}
    for response in secure or found:
        first.setdefault(without_query(response.url), response)
    return [*first.values()]


def _recorded(
    page: ObservedResponse,
    host: list[ObservedResponse],
    responses: list[ObservedResponse],
    preloaded: frozenset[str],
) -> Visit:
    """One page, the redirects that led to it, the host's plain-HTTP chain and other cookies."""
    by_url = {response.url: response for response in reversed(responses)}
    plain = [response for response in host if response.place.scheme == "http"]
    http = tuple(_follow(plain[0], by_url)) if plain else ()
    https = (page,) if page.place.scheme == "https" else ()
    if not https and page not in http:
        http = (page,)
    others = tuple(response for response in host if response is not page)
    return Visit(page.url, https, http, others, preloaded=preloaded, notes=(_NOT_PROBED,))


def _follow(
    response: ObservedResponse, by_url: dict[str, ObservedResponse]
) -> Iterator[ObservedResponse]:
    for _ in range(MAX_HOPS + 1):
        yield response
        following = by_url.get(response.target)
        if following is None:
            return
        response = following


def from_raw(
    data: bytes, url: str, name: str = "the text", preloaded: frozenset[str] = frozenset()
) -> tuple[Visit, ...]:
    """The pages in raw responses as `curl -si` or `curl -siL` prints them; `url` was asked for.

    Raises:
        NoResponse: there is no status line.
    """
    chains: list[list[ObservedResponse]] = [[]]
    for response in records.from_raw(data, url, name):
        if chains[-1] and not chains[-1][-1].target:
            chains.append([])
        chains[-1].append(response)
    visits = []
    for chain in chains[:MAX_PAGES]:
        https = tuple(response for response in chain if response.place.scheme == "https")
        plain = tuple(chain) if split(url).scheme == "http" else ()
        visits.append(Visit(url, https, plain, preloaded=preloaded, notes=(_NOT_PROBED,)))
    return tuple(visits)
