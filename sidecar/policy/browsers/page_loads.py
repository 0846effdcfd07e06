"""What the elements of a page load, by the directive that governs it.

Addresses are as written in the page.

Source: CSP Level 3 section 6.8 (the effective directive of a request), Fetch (destinations).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from sidecar.policy.browsers.signs import refreshes
from sidecar.policy.data import read_table
from sidecar.policy.rules.fetch import SCRIPT_TYPES

if TYPE_CHECKING:
    from turbohtml import Element

ELEMENTS = read_table("sidecar.policy.browsers", "elements.json")
"""By tag: the directive that governs what an element loads, the attribute that names it, and in
what form (`loads`); attributes whose address a page navigates to, so that a javascript: address
there runs (`navigates`); the directives of a link by its relation, and by `as` for a preload.
"""


ALLOW = "allow="
"""Before a feature's name, instead of a directive: the address is of a frame that is given it."""
SRCDOC = f"{ALLOW}srcdoc"
"""The same for a frame whose document is in the page itself and has scripts of its own."""
SANDBOXED = f"{ALLOW}sandbox"
"""The same for a frame whose document is of no origin. What it is given has that address too."""
BLANK = f"{ALLOW}blank"
"""The same for a frame that is empty, until a script writes or works in it."""
CORS = f"{ALLOW}cors"
"""The same for what is asked for by CORS: what is sent along with that, the element says."""


def attribute(element: Element, name: str) -> str:
    """An attribute's value; "" = none."""
    return element.attr(name) or ""


_CSS = re.compile(
    r"""(@font-face)|(})|(@import)\s*+(?:"([^"]*)"|'([^']*)'|url\(\s*+["']?([^"')]*))"""
    r"""|url\(\s*+(?:"([^"]*)"|'([^']*)'|([^"'()\s]*))""",
    re.IGNORECASE,
)
_SHEET = 1 << 18
"""Characters of a style sheet that are looked at."""


def css_loads(text: str) -> Iterator[tuple[str, str]]:
    """What a style sheet loads: fonts, further sheets, and images for the rest."""
    font = False
    for found in _CSS.finditer(text, 0, _SHEET):
        if found[1] or found[2]:
            font = bool(found[1])
            continue
        url = next((group for group in found.groups()[3:] if group), "")
        yield "style-src-elem" if found[3] else "font-src" if font else "img-src", url


_SRCSET = re.compile(r"([^\s,](?:\S*[^\s,])?)(?:,+|[^,]*)")
_PINGS = 100


def loads(element: Element) -> Iterator[tuple[str, str]]:
    """What an element of `LOADING` loads: directive and address, "" = none."""
    tag = element.tag
    if tag == "link":
        yield from _links(element)
    elif tag == "input" and attribute(element, "type").lower() == "image":
        yield "img-src", attribute(element, "src")
    elif tag in _DRAWN:
        yield "img-src", attribute(element, "href") or attribute(element, "xlink:href")
    for directive, name, form in ELEMENTS["loads"].get(tag, ()):
        text = attribute(element, name)
        if form == "one":
            yield directive, text
        elif form == "images":
            yield from ((directive, found[1]) for found in _SRCSET.finditer(text))
        else:
            yield from ((directive, url) for url in text.split(None, _PINGS)[:_PINGS])


_DRAWN = frozenset({"feImage", "image", "use"})
LOADING = _DRAWN | {"link", *ELEMENTS["loads"]}
"""Tags of elements that load something, besides scripts and styles."""


def is_code(element: Element) -> bool:
    """Whether a policy governs a script element: code, import map, speculation rules; not data."""
    kind = element.attr("type")
    if kind is None:
        language = attribute(element, "language")
        kind = f"text/{language}" if language else ""
    kind = kind.strip(" \t\n\f\r").lower()
    if kind in ("", "module", "importmap", "speculationrules"):
        return True
    return kind.encode("utf-8", "replace") in SCRIPT_TYPES


def is_css(element: Element) -> bool:
    """Whether a style element holds CSS."""
    return attribute(element, "type").strip().lower() in ("", "text/css")


def refresh(element: Element) -> str:
    """Where a `meta` element leads the page by itself; "" = nowhere, or not to `http:`."""
    if element.tag != "meta" or attribute(element, "http-equiv").lower() != "refresh":
        return ""
    return refreshes(attribute(element, "content"))


def _links(element: Element) -> Iterator[tuple[str, str]]:
    """What a link element loads by its relation (and `as`, for a preload)."""
    preload = ELEMENTS["preload_destinations"].get(attribute(element, "as").lower(), "")
    for word in dict.fromkeys(attribute(element, "rel").lower().split()):
        directive = preload if word == "preload" else ELEMENTS["link_relations"].get(word, "")
        if directive:
            yield directive, attribute(element, "href")
        if directive == "img-src":
            images = _SRCSET.finditer(attribute(element, "imagesrcset"))
            yield from ((directive, found[1]) for found in images)
