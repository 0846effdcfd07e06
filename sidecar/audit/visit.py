"""What was seen of one page: its responses over https and http, the probes, what its HTML holds.

Also visits from records (HTTP archives, `curl -si` output), and how values are shown. Of HTML only
tokens are read, in linear time: hostile text can make a tree far larger than itself.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice

from sidecar.observed import NoResponse, ObservedResponse, records, split, without_query

JUDGED = frozenset({401, 403})
"""Statuses beyond 2xx and 3xx whose responses the Observatory judges."""
HTML_TYPES = frozenset({"text/html", "application/xhtml+xml"})

PORTS: Mapping[str, int] = {"http": 80, "https": 443}
MAX_HOPS = 10
"""Redirects that are followed."""
MAX_SHOWN = 300
"""Characters of an observed value that are shown."""
MAX_PAGES = 200
"""Pages of one record that are judged."""

_NOT_PROBED = (
    "read from a record: no CORS preflight was sent, and plain HTTP is judged only as far as it was"
    " recorded"
)

# ?0 and ?1 are the booleans of structured fields; anything else after a question mark is a query.
_SECRETS = re.compile(r"(?i)(nonce-)[^'\s;,]+|(\?)(?![01](?:[\s;,.]|$))[^\s;,\"]*[^\s;,\":]")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_BODY = 2 << 20
"""Bytes of a page that are read, as sent and after decoding."""


@dataclass(frozen=True, slots=True)
class Visit:
    """All that is known of one page. A chain is the redirects in order, then the last response."""

    url: str
    """The address that was asked for, or that the record was made from."""
    https: tuple[ObservedResponse, ...] = ()
    """The chain from the https address; () = no response."""
    http: tuple[ObservedResponse, ...] = ()
    """The chain from the page over http."""
    others: tuple[ObservedResponse, ...] = ()
    """Further responses of the same host whose cookies count, such as that for robots.txt."""
    probe: ObservedResponse | None = None
    """The response to a CORS preflight from `origin`."""
    origin: str = ""
    preloaded: frozenset[str] = frozenset()
    """Hosts said to be in the browsers' HSTS preload lists."""
    notes: tuple[str, ...] = ()
    """What could not be looked at, and what follows from it."""

    @property
    def session(self) -> tuple[ObservedResponse, ...]:
        """The chain that is judged: over https where there is one."""
        return self.https or self.http

    @property
    def page(self) -> ObservedResponse | None:
        """The response that is judged; None = there was none."""
        return self.session[-1] if self.session else None

    @property
    def host(self) -> str:
        """The host of the page, in lower case."""
        return (self.page.place.hostname if self.page else split(self.url).hostname) or ""

    def is_preloaded(self, host: str) -> bool:
        """Whether browsers use https only for this host; a listed host includes subdomains."""
        return any(host == listed or host.endswith(f".{listed}") for listed in self.preloaded)


def is_judged(status: int) -> bool:
    """Whether the Observatory judges a response of this status."""
    return 200 <= status < 400 or status in JUDGED


def shown(value: str) -> str:
    """A header value, or a text that quotes one: visible ASCII, cut, without nonces and queries."""
    bare = _SECRETS.sub(lambda found: f"{found[1] or found[2]}...", value[: 2 * MAX_SHOWN])
    text = bare.encode("ascii", "backslashreplace").decode()
    text = _CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)
    return text if len(text) <= MAX_SHOWN else f"{text[:MAX_SHOWN]}..."


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


@dataclass(frozen=True, slots=True)
class ScriptElement:
    """A script element: where it loads from ("" = inline), and whether its digest is demanded."""

    src: str
    has_integrity: bool


@dataclass(frozen=True, slots=True)
class PageMarkup:
    """What of a page's HTML is judged."""

    scripts: tuple[ScriptElement, ...] = ()
    policies: tuple[str, ...] = ()
    """Contents of `<meta http-equiv=content-security-policy>`."""
    referrer: str | None = None
    """Content of the last `<meta name=referrer>`."""


def decoded(response: ObservedResponse) -> bytes | None:
    """The body without its content coding; b"" for codings not asked for, None if broken."""
    body = response.body[:MAX_BODY]
    coding = response.first("content-encoding").lower()
    if coding in ("", "identity"):
        return body
    if coding not in ("gzip", "x-gzip"):
        return b""
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, MAX_BODY) if body else b""
    except zlib.error:
        return None


def read_page(body: bytes) -> PageMarkup:
    """Scripts and policies of a page; total, and linear in the length."""
    from turbohtml import TokenType, tokenize  # with the first page

    scripts: list[ScriptElement] = []
    policies: list[str] = []
    referrer: str | None = None
    for token in tokenize(body[:MAX_BODY].decode("utf-8", "replace")):
        if token.type is not TokenType.START_TAG or token.tag not in ("script", "meta"):
            continue
        attributes = {name: value or "" for name, value in token.attrs or ()}
        if token.tag == "script":
            source = attributes.get("src", "").strip()
            scripts.append(ScriptElement(source, bool(attributes.get("integrity", "").strip())))
        elif "content" in attributes:
            if attributes.get("http-equiv", "").strip().lower() == "content-security-policy":
                policies.append(attributes["content"])
            elif attributes.get("name", "").strip().lower() == "referrer":
                referrer = attributes["content"]
    return PageMarkup(tuple(scripts), tuple(policies), referrer)
