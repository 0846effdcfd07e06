"""What a page has that a Content Security Policy governs: inline code with its hash, and loads.

The parser is that of the HTML standard, so that a script here is what browsers take for one.

Sources: HTML (parsing; scripts, styles, event handlers), CSP Level 3 sections 6.7.3 (inline code
and its hash) and 6.8 (which directive rules on a load).
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import re
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Literal, TypeAlias
from urllib.parse import unquote, urljoin

from sidecar.policy.browsers.page_loads import (
    ALLOW,
    BLANK,
    CORS,
    ELEMENTS,
    LOADING,
    SRCDOC,
    attribute,
    css_loads,
    is_code,
    is_css,
    loads,
    refresh,
)
from sidecar.policy.browsers.reports import address as shown
from sidecar.policy.browsers.signs import PLAIN, asked_by, leads_to_plain, scan

if TYPE_CHECKING:  # loaded by the first page that is read: most processes read none
    from turbohtml import Document, Element, Node

InlineKind: TypeAlias = Literal["script", "handler", "style", "style-attribute", "javascript-url"]

INLINE_DIRECTIVES: Mapping[str, str] = {
    "script": "script-src-elem",
    "handler": "script-src-attr",
    "style": "style-src-elem",
    "style-attribute": "style-src-attr",
    "javascript-url": "script-src-elem",
}
"""The directive that governs a kind of inline code (`InlineKind`), as reports name it."""
MAX_TEXT = 65_536
"""Characters of one piece that are kept; its hash is of the whole."""
MAX_PIECES = 2_000
"""Pieces, and addresses, that are read of one page."""
_CHUNK = 16_384
"""Bytes parsed at once, between which other threads may run. A usual page of 1 MiB takes 0.14 s,
the worst known 0.5 s.
"""
_STEP = 200
"""Elements that are read in one step."""
_MAX_ADDRESS = 2_048
"""Characters of an address or a page's base; longer ones are left out, as resolving costs time."""
_MAX_ELEMENTS = 1 << 20
"""Elements of a page: one that could have more is not read."""
_DEEPEST = 512
"""Formatting elements that the parser opens again at once, at most."""
_SNIFFED = 65_536
_LONG = 65_536
"""Characters of code; signs in a longer piece are looked for in several steps."""
_FRAMES = 3
_MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF16_LE: "utf-16le",
    codecs.BOM_UTF16_BE: "utf-16be",
}


@dataclass(frozen=True, slots=True)
class Inline:
    """One piece of inline code, style or `javascript:` address."""

    kind: InlineKind
    text: str
    """What the browser would run or apply, up to `MAX_TEXT` characters."""
    hash: str
    """The source expression that allows it: 'sha256-...', quotes included.

    For all but elements it needs 'unsafe-hashes' beside it.
    """
    line: int
    """Line of its element, from 1; 0 = not known; in a frame's srcdoc, the frame's line."""


@dataclass(frozen=True, slots=True)
class PageElements:
    """What one page holds, in the order of the page, without repeats."""

    inline: tuple[Inline, ...]
    urls: tuple[tuple[str, str], ...]
    """Directive and address without query; relative where the page's address is not given."""
    complete: bool
    """False when the page holds more than is read of one."""
    drawn: bool = False
    """It is an SVG image, opened as a page."""
    signs: tuple[str, ...] = ()
    """Of what browsers never report, in its own scripts."""
    script: bool = False
    """It is no page but a script's file; nothing but its signs is known."""


def read_page(html: bytes, charset: str = "", address: str = "") -> PageElements:
    """Read a page; never raises. `charset`: of its Content-Type ("" = none); `address`: its URL.

    A script that is never closed is left out, as browsers do not run it: so a page may be cut
    anywhere. `noscript` and `template` are read like the rest.
    """
    steps = read_steps(html, charset, address)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            page: PageElements = end.value
            return page


def page_from(data: Mapping[str, Any]) -> PageElements:
    """A page from what `dataclasses.asdict` said of it, after JSON."""
    inline = tuple(Inline(**piece) for piece in data["inline"])
    urls = tuple((directive, url) for directive, url in data["urls"])
    return PageElements(
        inline, urls, data["complete"], data["drawn"], tuple(data["signs"]), data["script"]
    )


def read_steps(
    html: bytes, charset: str = "", address: str = ""
) -> Generator[None, None, PageElements]:
    """`read_page` in steps of a few milliseconds, so that the caller can do other work between."""
    reader = _Reader(address)
    yield from reader.parse(html, _encoding(html, charset), 0)
    yield from reader.look_for_signs()
    return PageElements(
        tuple(reader.inline.values()),
        tuple(reader.urls),
        reader.complete,
        signs=tuple(sorted(reader.signs)),
    )


def hash_source(text: str) -> str:
    """The source expression of inline code (CSP3 section 6.7.3.3): SHA-256 of its text in UTF-8."""
    digest = hashlib.sha256(text.encode("utf-8", "replace")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"


def sample_of(text: str) -> str:
    """How a report quotes code: its first 40 characters (CSP3 section 5.3), stripped (Chromium)."""
    return "".join(char if char.isprintable() else " " for char in text.strip()[:40]).rstrip()


def _parse(html: bytes, encoding: str) -> Generator[None, None, Document]:
    from turbohtml import IncrementalParser

    parser = IncrementalParser(encoding=encoding, source_locations=True)
    for start in range(0, len(html), _CHUNK):
        parser.feed(html[start : start + _CHUNK])
        yield
    return parser.close()


_FORMATTING = rb"(?i:b|big|code|em|font|i|s|small|strike|strong|tt|u)"
_CLOSED = re.compile(
    rb"<(%b)(?:\s+[\w-]+=(?:\"[^\"<>]*\"|'[^'<>]*'))*+\s*+>[^<\x1b]*+</\1\s*+>" % _FORMATTING
)
_BLOCKS = (b"\n", b"<d", b"<l", b"<p", b"<t")
_OPENED = re.compile(rb"<%b(?=[\s/>])[^>]*" % _FORMATTING)


def _has_too_many_elements(html: bytes) -> Generator[None, None, bool]:
    """Whether a page may have more than `_MAX_ELEMENTS`.

    A formatting element that is left open is opened again in each block that follows, so that a few
    bytes become as many elements as were ever left open (HTML, reconstruct the active formatting
    elements). At most three equal ones count.
    """
    opened: set[bytes] = set()
    start = 0
    while start < len(html):
        end = start + _SNIFFED
        if end < len(html):  # cut where no formatting element is open, if there is such a place
            cut = max(html.rfind(mark, start + 1, end) for mark in _BLOCKS)
            end = cut if cut > 0 else max(html.rfind(b"<", start + 1, end), 0) or end
        piece, start = html[start:end], end
        for _ in range(3):  # remove closed elements with text only, then those around them
            piece = _CLOSED.sub(b"", piece)
        opened.update(_OPENED.findall(piece))
        yield
    return min(3 * len(opened), _DEEPEST) * html.count(b"<") > _MAX_ELEMENTS


def _encoding(html: bytes, charset: str) -> str:
    """A byte order mark, else the header, else what the page says or looks like (HTML standard)."""
    for mark, name in _MARKS.items():
        if html.startswith(mark):
            return name
    from turbohtml import IncrementalParser
    from turbohtml.detect import detect

    for name in (charset, detect(html[:_SNIFFED]).encoding or ""):
        try:
            IncrementalParser(encoding=name).feed(b" ")
        except LookupError:
            continue
        return name
    return "windows-1252"


_Steps: TypeAlias = Generator[None, None, None]


class _Reader:
    """The pieces and addresses as they are found."""

    def __init__(self, address: str) -> None:
        self.inline: dict[tuple[str, str], Inline] = {}
        self.urls: dict[tuple[str, str], None] = {}
        self.complete = True
        self.signs: set[str] = set()
        self._code: list[str] = []
        self._base = address
        self._host = address.partition("://")[2].partition("/")[0]
        self._based = False

    def parse(self, html: bytes, encoding: str, frame: int, line: int = 0) -> _Steps:
        """Parse and read a document, unless it would become too large."""
        plain = html.replace(b"\0", b"") if encoding.startswith("utf-16") else html
        if (yield from _has_too_many_elements(plain)):
            self.complete = False
            return
        document = yield from _parse(html, encoding)
        yield from self.read(document, frame, line)

    def read(self, root: Node, frame: int, line: int) -> _Steps:
        """Read a document, and those in the srcdoc of its frames."""
        for number, element in enumerate(_elements(root)):
            if not number % _STEP:
                yield
            where = line or element.source_line or 0
            self._attributes(element, where)
            self.signs.update(asked_by(element.tag))
            if element.tag == "script":
                self._script(element, where)
            elif element.tag == "style" and is_css(element):
                self._style("style", _content(element), where)
            elif element.tag in LOADING:
                shared = element.attr("crossorigin") is not None
                for directive, url in islice(loads(element), MAX_PIECES):
                    self._url(directive, url)
                    if shared:
                        self._url(CORS, url)
            elif leads_to_plain(refresh(element), self._host):
                self.signs.add(PLAIN)
            if element.tag == "iframe":
                self._given(element)
                if _address(attribute(element, "src")).lower() in ("", "about:blank"):
                    self._url(BLANK, "about:blank")
                inner = attribute(element, "srcdoc").encode("utf-8", "replace")
                if inner and frame < _FRAMES:
                    if _ACTS.search(inner):
                        self._url(SRCDOC, "about:srcdoc")
                    yield from self.parse(inner, "utf-8", frame + 1, where)

    def _attributes(self, element: Element, line: int) -> None:
        attributes = element.attrs
        if len(attributes) > MAX_PIECES:
            self.complete = False
        for name, value in islice(attributes.items(), MAX_PIECES):
            text = value if isinstance(value, str) else " ".join(value or ())
            if name.startswith("on") and name.isalpha():
                self._piece("handler", text, line)
            elif name == "style":
                self._style("style-attribute", text, line)
            elif name == "background" and element.tag in _PAINTED:
                self._url("img-src", text)
            elif name in ELEMENTS["navigates"].get(element.tag, ()):
                url = _address(text)
                if leads_to_plain(url, self._host):
                    self.signs.add(PLAIN)
                if url[:11].lower() == "javascript:":
                    self._piece("javascript-url", f"javascript:{unquote(url[11:])}", line)

    def _given(self, element: Element) -> None:
        """The features that a frame is given, by `allow` (Permissions Policy section 5.4)."""
        said = attribute(element, "allow").lower().split(";")
        names = {words[0] for part in said if (words := part.split())}
        if element.attr("allowfullscreen") is not None:
            names.add("fullscreen")
        for name in islice(sorted(names), MAX_PIECES):
            self._url(f"{ALLOW}{name}", attribute(element, "src"))
        sandbox = element.attr("sandbox")
        if sandbox is not None and "allow-same-origin" not in str(sandbox).lower():
            for name in islice(sorted(names | {"sandbox"}), MAX_PIECES):
                self._url(f"{ALLOW}{name}", "about:sandbox")

    def _script(self, element: Element, line: int) -> None:
        if not is_code(element):
            return
        names = ("href", "xlink:href") if element.namespace.value == "svg" else ("src",)
        source = next((found for name in names if (found := element.attr(name)) is not None), None)
        if source is not None:
            self._url("script-src-elem", source)
            if element.attr("crossorigin") is not None or element.attr("type") == "module":
                self._url(CORS, source)
        elif (place := element.source_location) is not None and place.end_tag is not None:
            self._piece("script", _content(element), line)

    def _style(self, kind: InlineKind, text: str, line: int) -> None:
        self._piece(kind, text, line)
        for directive, url in islice(css_loads(text), MAX_PIECES):
            self._url(directive, url)

    def _piece(self, kind: InlineKind, text: str, line: int) -> None:
        if not text:
            return
        source = hash_source(text)
        if (kind, source) in self.inline:
            return
        if len(self.inline) >= MAX_PIECES:
            self.complete = False
            return
        self.inline[kind, source] = Inline(kind, text[:MAX_TEXT], source, line)
        if kind in _RUNS:
            self._code.append(text)

    def look_for_signs(self) -> _Steps:
        """Look through the code that was read; a short piece takes one step."""
        for text in self._code:
            for sign in scan(text, self._host, worker=False):
                self.signs.add(sign)
                if len(text) > _LONG:
                    yield
            yield
        self.signs.discard("")

    def _url(self, directive: str, url: str) -> None:
        url = _address(url)
        if not url or url.startswith("#") or url.lower().startswith("javascript:"):
            return
        may_be_long = directive != "base-uri" and url.lower().startswith("data:")
        if len(url) > _MAX_ADDRESS and not may_be_long:
            self.complete = False
            return
        try:
            whole = urljoin(self._base, url)
        except ValueError:  # a malformed host
            return
        if directive == "base-uri":
            if self._based:
                return
            self._base, self._based = whole, True
            if leads_to_plain(whole, self._host):
                self.signs.add(PLAIN)
        found = (directive, shown(whole))
        if len(self.urls) >= MAX_PIECES and found not in self.urls:
            self.complete = False
            return
        self.urls[found] = None


def _elements(root: Node) -> Iterator[Element]:
    """All elements, also those of templates and declarative shadow roots."""
    roots = [root]
    while roots:
        for element in roots.pop().iter_elements():
            yield element
            if (shadow := element.shadow_root) is not None:
                roots.append(shadow)


def _content(element: Element) -> str:
    """The text of an element without that of its child elements (DOM, child text content)."""
    from turbohtml import Text

    return "".join(child.data for child in element.children if isinstance(child, Text))


def _address(text: str) -> str:
    """An address as browsers read it: without spaces around, tabs and line ends (URL standard)."""
    return _BREAKS.sub("", text.strip(_AROUND))


_ACTS = re.compile(rb"(?i)<script|\son[a-z]{3,30}\s*=|javascript:")
"""What has a document run code."""
_RUNS = frozenset({"script", "handler", "javascript-url"})
_AROUND = "".join(map(chr, range(0x21)))
_BREAKS = re.compile(r"[\t\n\r]")
_PAINTED = frozenset({"body", "table", "thead", "tbody", "tfoot", "tr", "td", "th"})
