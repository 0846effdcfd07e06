"""What the service's pages hold: from what the sidecar read, and from pages read just now."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from sidecar.policy.browsers.pages import MAX_TEXT, PageElements, read_page
from sidecar.rollout.served_pages import bare
from sidecar.suggest.model import OWN, VARIES, PageContents, Snippet, Terms


class Load(NamedTuple):
    """A page: its address, its bytes without content coding, the charset of its Content-Type."""

    url: str
    html: bytes
    charset: str


def from_loads(loads: Iterable[Load]) -> PageContents:
    """What these pages hold. Code that only some loads of its page have varies.

    Code that all of at least two loads have counts by the cause's own numbers.
    """
    pages: dict[str, list[PageElements]] = {}
    urls: dict[tuple[str, str], str] = {}
    for load in loads:
        path = urlsplit(load.url).path or "/"
        page = read_page(load.html, load.charset, load.url)
        pages.setdefault(path, []).append(page)
        urls.update(_named(page, path, load.url))
    snippets = []
    for path, read in pages.items():
        held = {(one.kind, one.hash): one for page in read for one in page.inline}
        for one in held.values():
            number = sum(one.hash in {other.hash for other in page.inline} for page in read)
            known = VARIES if number < len(read) else 1 if number == 1 else None
            whole = len(one.text) < MAX_TEXT
            snippets.append(
                Snippet(one.kind, one.text, one.hash, path, one.line, known, 0, 0, whole)
            )
    return PageContents(tuple(snippets), urls)


def from_routes(routes: Mapping[str, Mapping[str, Any]], terms: Terms) -> PageContents:
    """What the sidecar read, by route, as the admin API sends it.

    An address counts when enough clients got it: what one client got may be its own injection, sent
    back by a search page. Where one place had several texts, those that were sent once vary.
    """
    snippets, urls = [], {}
    for held in routes.values():
        texts = Counter(_place(one) for one in held["inline"])
        for one in held["inline"]:
            varies = texts[_place(one)] > 1 and one["loads"] == 1
            kind, page, line = _place(one)
            whole = len(one["text"]) < MAX_TEXT
            clients = VARIES if varies else one["clients"]
            seen = one["first"], one["last"]
            snippets.append(
                Snippet(kind, one["text"], one["hash"], page, line, clients, *seen, whole)
            )
        for one in held["urls"]:
            if not terms.enough(one["clients"], one["first"], one["last"]):
                continue
            url = one["url"]
            own = OWN if url.startswith("/") and not url.startswith("//") else ""
            urls[one["directive"], own + bare(url)] = next(iter(one["pages"]), "/")
    return PageContents(tuple(snippets), urls)


def _place(one: Mapping[str, Any]) -> tuple[str, str, int]:
    return one["kind"], next(iter(one["pages"]), "/"), one["line"]


def _named(page: PageElements, path: str, url: str) -> dict[tuple[str, str], str]:
    """The page's addresses; its own origin becomes `OWN`, as pages are read at several origins."""
    parts = urlsplit(url)
    own = f"{parts.scheme}://{parts.netloc}"
    found = {}
    for directive, one in page.urls:
        if one == own or one.startswith(f"{own}/"):
            one = OWN + one[len(own) :]  # noqa: PLW2901 - the same address, written otherwise
        found[directive, bare(one)] = path
    return found
