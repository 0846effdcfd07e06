"""The nouns of the zoo: a site, what its origins send, what a visitor does there."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol

Scheme = Literal["https", "http", "loopback"]
"""How browsers reach the site: https, http on a name (no Fetch Metadata, no Reporting API), http
on 127.0.0.1.
"""
Witness = Literal["harmless", "proxy", "browsers", "nobody"]
"""Who can tell whether the rule breaks the site; "harmless" = no rule of this kind breaks any
site.
"""


@dataclass(frozen=True)
class Page:
    """One response of an origin; with status 101, a WebSocket over which `body` goes. `%SITE%`,
    `%CDN%`, `%API%`, `%OTHER%`, `%SUB%` and `%PLAIN%` (the site by plain http, on another port)
    become URLs without a final slash.
    """

    body: str | bytes = ""
    type: str | None = "text/html; charset=utf-8"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Asked:
    """One request, as an origin sees it. Header names are lower-case."""

    method: str
    path: str
    headers: Mapping[str, str]
    cookies: Mapping[str, str]
    form: Mapping[str, str]


Made = Page | Callable[[Asked], Page]


class Visitor(Protocol):
    """What a visit script may do. Addresses are paths of the site, or begin with a placeholder."""

    def go(self, address: str) -> None:
        """Load a page and wait until it is loaded or refused."""

    def run(self, script: str) -> object:
        """The value of a JavaScript expression, as if a person had caused it."""

    def until(self, script: str) -> bool:
        """Whether the expression becomes true within the visitor's patience."""

    def arrives(self, place: str) -> bool:
        """Whether a request for this place (as in `Site.places`) arrives within the visitor's
        patience.
        """

    def allow(self, permission: str) -> None:
        """Grant a permission to every page."""


@dataclass(frozen=True)
class Site:
    """One site with one rule.

    `rule` is the inside of a YAML flow mapping, as users write it. `places` are the responses by
    path; `cdn:/x`, `api:/x`, `other:/x` and `sub:/x` stand at other hosts (`sub:` is a subdomain of
    the site, plain http). `breaks` and `witness` are what we expect; whether a rule breaks its site
    is found, not taken from here.
    """

    name: str
    family: str
    rule: str
    places: Mapping[str, Made]
    visit: Callable[[Visitor], bool]
    breaks: bool
    witness: Witness
    scheme: Scheme = "https"

    @property
    def host(self) -> str:
        """The name that the service knows the site by."""
        return f"{self.name}.test"

    @property
    def bundled(self) -> bool:
        """Whether browsers tell of it by the Reporting API alone: in bundles, up to a minute
        late.
        """
        return self.witness in ("browsers", "nobody") and self.family == "Isolation"


@dataclass(frozen=True)
class Family:
    """Sites of one header family, gathered as a table."""

    name: str
    sites: list[Site] = field(default_factory=list)

    def add(
        self,
        name: str,
        rule: str,
        places: Mapping[str, Made],
        visit: Callable[[Visitor], bool] | str,
        *,
        breaks: bool,
        witness: Witness,
        schemes: tuple[Scheme, ...] = ("https",),
    ) -> None:
        """One row for each scheme. A `visit` that is text stands for: load `/` and wait for this
        expression.
        """
        script = shows(visit) if isinstance(visit, str) else visit
        site = Site(name, self.name, rule, places, script, breaks, witness)
        for number, scheme in enumerate(schemes):
            self.sites.append(
                replace(site, scheme=scheme, name=f"{name}-{scheme}" if number else name)
            )


def shows(script: str, address: str = "/") -> Callable[[Visitor], bool]:
    """A visit of one page, which works when the expression becomes true."""

    def visit(visitor: Visitor) -> bool:
        visitor.go(address)
        return visitor.until(script)

    return visit


def html(body: str, head: str = "", *headers: tuple[str, str]) -> Page:
    """A page in standards mode."""
    return Page(
        "<!doctype html><html"
        f" lang=en><head><title>start</title>{head}</head><body>{body}</body></html>",
        headers=headers,
    )


def script(text: str, *headers: tuple[str, str]) -> Page:
    """A JavaScript file."""
    return Page(text, "text/javascript", headers=headers)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


PNG = b"\x89PNG\r\n\x1a\n" + b"".join(
    (
        _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 2, 0, 0, 0)),
        _chunk(b"IDAT", zlib.compress(b"\0\xff\0\0")),
        _chunk(b"IEND", b""),
    )
)
"""One red pixel."""
PICTURE = Page(PNG, "image/png")
WORKS = "document.title === 'works'"
SEEN = "document.images[0].naturalWidth > 0"
EMBEDS = html(
    "<iframe src='%SITE%/' width=300 height=200></iframe>",
    "<script>addEventListener('message', (event) => { document.title = event.data; });</script>",
)
"""A page of any origin that frames the site's start page and takes its title from what the
framed page posts.
"""
FRAMED = html("<p>framed</p>", "<script src=/framed.js></script>")
FRAMED_SCRIPT = script("parent.postMessage('works', '*'); document.title = 'works';")
"""A start page, and its script, that tells the page around it that it runs."""
