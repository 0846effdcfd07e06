"""A page's HTML: its scripts, and the policies in its meta elements.

One pass over start tags, as the HTML standard tokenises. The standard library's parser takes
quadratic time on hostile text; this pass is linear.
"""

from __future__ import annotations

import html
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.observed import Response

MAX_BODY = 2 << 20
"""Bytes of a page that are read, as sent and after decoding."""

_TAG = re.compile(r"<(?:(?P<comment>!--)|(?P<other>[!?/])|(?P<name>[a-zA-Z][^\s/>]*))")
# An attribute's name may begin with "=" (HTML section 13.2.5.32), hence the first class.
_ATTRIBUTE = re.compile(
    r"""[\s/]*(?:(?P<end>>)|(?P<name>[^\s/>][^\s/>=]*)(?:\s*=\s*(?:"(?P<double>[^"]*)"|'(?P<single>[^']*)'|(?P<bare>[^\s"'>][^\s>]*)))?)"""
)
_RAW_TEXT = frozenset(
    {"iframe", "noembed", "noframes", "script", "style", "textarea", "title", "xmp"}
)
"""Elements whose content is text up to their end tag."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script element: where it loads from ("" = inline), and whether its digest is demanded."""

    src: str
    has_integrity: bool


@dataclass(frozen=True, slots=True)
class Page:
    """What of a page's HTML is judged."""

    scripts: tuple[Script, ...] = ()
    policies: tuple[str, ...] = ()
    """Contents of `<meta http-equiv=content-security-policy>`."""
    referrer: str | None = None
    """Content of the last `<meta name=referrer>`."""


def decoded(response: Response) -> bytes | None:
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


def read_page(body: bytes) -> Page:
    """Scripts and policies of a page; total, and linear in the length."""
    scripts: list[Script] = []
    policies: list[str] = []
    referrer: str | None = None
    for name, attributes in _start_tags(body[:MAX_BODY].decode("utf-8", "replace")):
        if name == "script":
            scripts.append(
                Script(
                    attributes.get("src", "").strip(), bool(attributes.get("integrity", "").strip())
                )
            )
        elif name == "meta" and "content" in attributes:
            if attributes.get("http-equiv", "").strip().lower() == "content-security-policy":
                policies.append(attributes["content"])
            elif attributes.get("name", "").strip().lower() == "referrer":
                referrer = attributes["content"]
    return Page(tuple(scripts), tuple(policies), referrer)


def _start_tags(text: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each start tag's name in lower case and its attributes, the first of equal ones."""
    at = 0
    while found := _TAG.search(text, at):
        at = found.end()
        if not found["name"]:
            close = "-->" if found["comment"] else ">"
            end = text.find(close, at - 2 if found["comment"] else at)
            if end < 0:
                return
            at = end + len(close)
            continue
        name, attributes = found["name"].lower(), dict[str, str]()
        while (one := _ATTRIBUTE.match(text, at)) and not one["end"]:
            value = next(
                (value for value in one.group("double", "single", "bare") if value is not None), ""
            )
            attributes.setdefault(one["name"].lower(), html.unescape(value))
            at = one.end()
        if one is None:
            return  # the text ended inside the tag, which browsers drop
        at = one.end()
        yield name, attributes
        if name in _RAW_TEXT:
            # A short pattern for each name: compiled once, kept by the module's own cache.
            end_tag = re.compile(f"</{name}", re.IGNORECASE).search(text, at)
            if end_tag is None:
                return
            at = end_tag.start()
