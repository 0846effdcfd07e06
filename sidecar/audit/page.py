"""A page's HTML: its scripts, and the policies in its meta elements.

Only tokens are read, in linear time: hostile text can make a tree far larger than itself.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from sidecar.observed import ObservedResponse

MAX_BODY = 2 << 20
"""Bytes of a page that are read, as sent and after decoding."""


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
