"""What the elements of a page load, by the directive that governs it.

Addresses are as written in the page.

Source: CSP Level 3 section 6.8 (the effective directive of a request), Fetch (destinations).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from sidecar.policy.data import read_table

if TYPE_CHECKING:
    from turbohtml import Element

ELEMENTS = read_table("sidecar.policy.browsers", "elements.json")
"""By tag: the directive that governs what an element loads and the attribute that names it
(`loads`), and attributes whose address a page navigates to, so that a javascript: address there
runs (`navigates`); the directives of a link by its relation, and by `as` for a preload.
"""


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


def _images(*names: str) -> Callable[[Element], Iterable[tuple[str, str]]]:
    """Images of the attributes `names`, and of `srcset`."""

    def load(element: Element) -> Iterator[tuple[str, str]]:
        for name in names:
            yield "img-src", attribute(element, name)
        listed = attribute(element, "srcset") or attribute(element, "imagesrcset")
        for found in _SRCSET.finditer(listed):
            yield "img-src", found[1]

    return load


def _from(directive: str, name: str) -> Callable[[Element], Iterable[tuple[str, str]]]:
    return lambda element: ((directive, attribute(element, name)),)


def _links(element: Element) -> Iterator[tuple[str, str]]:
    """What a link element loads by its relation (and `as`, for a preload)."""
    preload = ELEMENTS["preload_destinations"].get(attribute(element, "as").lower(), "")
    for word in set(attribute(element, "rel").lower().split()):
        directive = preload if word == "preload" else ELEMENTS["link_relations"].get(word, "")
        if directive:
            yield directive, attribute(element, "href")
            if directive == "img-src":
                yield from _images()(element)


_PINGS = 100


def _anchor(element: Element) -> Iterator[tuple[str, str]]:
    for url in attribute(element, "ping").split(None, _PINGS)[:_PINGS]:
        yield "connect-src", url


def _submit(element: Element) -> Iterator[tuple[str, str]]:
    yield "form-action", attribute(element, "formaction")
    if element.tag == "input" and attribute(element, "type").lower() == "image":
        yield "img-src", attribute(element, "src")


def _video(element: Element) -> Iterator[tuple[str, str]]:
    yield "img-src", attribute(element, "poster")
    yield "media-src", attribute(element, "src")


def _source(element: Element) -> Iterator[tuple[str, str]]:
    yield "media-src", attribute(element, "src")
    yield from _images()(element)


def _drawn(element: Element) -> Iterator[tuple[str, str]]:
    yield "img-src", attribute(element, "href") or attribute(element, "xlink:href")


LOADS: Mapping[str, Callable[[Element], Iterable[tuple[str, str]]]] = {
    **{tag: _from(*load) for tag, load in ELEMENTS["loads"].items()},
    "a": _anchor,
    "area": _anchor,
    "button": _submit,
    "feImage": _drawn,
    "image": _drawn,
    "img": _images("src"),
    "input": _submit,
    "link": _links,
    "source": _source,
    "use": _drawn,
    "video": _video,
}
"""What elements load, by tag, besides scripts and styles."""
