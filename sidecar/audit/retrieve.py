"""Fetches what is judged: the page over https and http, robots.txt and a CORS preflight.

All I/O of the audit is here.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import aiohttp

from sidecar.audit.visit import HTML_TYPES, MAX_BODY, MAX_HOPS, PORTS, Visit
from sidecar.observed import ObservedResponse, failure, join, split, without_query
from sidecar.trust import authorities

ORIGIN = "https://foreign-origin.example"
"""The origin that the CORS preflight claims to come from; nobody can own it (RFC 2606)."""
MAX_FIELD = 65_536
MAX_FIELDS = 500
AT_ONCE = 8
"""Pages that are fetched side by side."""

_HEADERS = {
    "User-Agent": "header-sidecar audit",
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "Accept-Encoding": "identity",
}


@dataclass(frozen=True, slots=True)
class Options:
    """How to fetch."""

    timeout: float = 10.0
    """Seconds for each response, from the lookup of the name to the end of the body."""
    trust: ssl.SSLContext | None = None
    """What certificates are checked by, if at all; None = the system's authorities."""
    http_port: int | None = None
    https_port: int | None = None
    """Ports of the site; None = 80 and 443, where the page is on its scheme's own port."""
    preloaded: frozenset[str] = frozenset()


async def visits(
    urls: Iterable[str], options: Options, done: Callable[[], object]
) -> tuple[Visit, ...]:
    """Visit every address, some at a time, in the order given; `done` is called after each."""
    trust = options.trust or authorities()
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(url: str) -> Visit:
        async with gate:
            seen = await visit(url, options, trust)
        done()
        return seen

    return tuple(await asyncio.gather(*map(one, urls)))


async def visit(url: str, options: Options, trust: ssl.SSLContext) -> Visit:
    """Fetch a page and what is judged with it; what cannot be fetched is left empty and noted."""
    notes: list[str] = []
    chains: dict[str, tuple[ObservedResponse, ...]] = {"https": (), "http": ()}
    others: tuple[ObservedResponse, ...] = ()
    probe = None
    for scheme in ("https", "http"):
        address = in_scheme(url, scheme, options)
        if address is None:
            notes.append(f"the {scheme} port of the site is unknown; name it with --{scheme}-port")
            continue
        async with _session(options) as session:
            reader = _Reader(session, trust, notes)
            chains[scheme] = await reader.chain(address)
            if chains[scheme] and (scheme == "https" or not chains["https"]):
                page = chains[scheme][-1]
                others = await reader.chain(join(page.url, "/robots.txt"))
                probe = await reader.response(
                    page.url, "OPTIONS", {"Origin": ORIGIN, "Access-Control-Request-Method": "GET"}
                )
    if trust.verify_mode is ssl.CERT_NONE:
        notes.append("certificates were not checked")
    seen = (chains["https"], chains["http"], others, probe)
    return Visit(url, *seen, ORIGIN, options.preloaded, tuple(dict.fromkeys(notes)))


def in_scheme(url: str, scheme: str, options: Options) -> str | None:
    """The same address in this scheme; None = its port is not known."""
    parts = split(url)
    if parts.scheme == scheme:
        return url
    named = options.http_port if scheme == "http" else options.https_port
    if named is None and parts.port not in (None, PORTS.get(parts.scheme)):
        return None
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return parts._replace(scheme=scheme, netloc=f"{host}:{named}" if named else f"{host}").geturl()


def _session(options: Options) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        cookie_jar=aiohttp.CookieJar(unsafe=True),  # hosts given as an IP address have cookies too
        timeout=aiohttp.ClientTimeout(total=options.timeout),
        connector=aiohttp.TCPConnector(force_close=True),
        headers=_HEADERS,
        auto_decompress=False,
        max_line_size=MAX_FIELD,
        max_field_size=MAX_FIELD,
        max_headers=MAX_FIELDS,
    )


class _Reader:
    """Asks within one session; from the first bad certificate on, no certificate is checked."""

    def __init__(
        self, session: aiohttp.ClientSession, trust: ssl.SSLContext, notes: list[str]
    ) -> None:
        self._session, self._notes = session, notes
        self._trust: ssl.SSLContext | bool = trust
        self._verified = True

    async def chain(self, url: str) -> tuple[ObservedResponse, ...]:
        """The responses from an address through all redirects, up to a failure or `MAX_HOPS`."""
        responses: list[ObservedResponse] = []
        while url and len(responses) <= MAX_HOPS and split(url).scheme in PORTS:
            response = await self.response(url)
            if response is None:
                break
            responses.append(response)
            url = response.target
        return tuple(responses)

    async def response(
        self, url: str, method: str = "GET", headers: dict[str, str] | None = None
    ) -> ObservedResponse | None:
        """One response, whatever its certificate; None = none came, and why is noted."""
        try:
            try:
                return await self._ask(url, method, headers)
            except aiohttp.ClientConnectorCertificateError as error:
                cause = error.certificate_error
                why = getattr(cause, "verify_message", cause)
                self._notes.append(f"{without_query(url)}: bad certificate: {why}")
                self._trust, self._verified = False, False
                return await self._ask(url, method, headers)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            self._notes.append(f"{without_query(url)}: no response: {failure(error)}")
            return None

    async def _ask(self, url: str, method: str, headers: dict[str, str] | None) -> ObservedResponse:
        async with self._session.request(
            method, url, headers=headers, allow_redirects=False, ssl=self._trust
        ) as raw:
            fields = tuple((bytes(name), bytes(value)) for name, value in raw.raw_headers)
            response = ObservedResponse(url, raw.status, fields, b"", self._verified)
            if response.target or (response.media_type and response.media_type not in HTML_TYPES):
                return response
            return replace(response, body=await _body(raw.content))


async def _body(content: aiohttp.StreamReader) -> bytes:
    """The body up to the cap; of one that breaks off, what came."""
    body = bytearray()
    try:
        while len(body) < MAX_BODY and (piece := await content.read(MAX_BODY - len(body))):
            body += piece
    except (aiohttp.ClientError, TimeoutError):
        pass
    return bytes(body)
