"""What the pages of the service hold, from pages that were read just now or from what the sidecar saw pass.

Lives here: `from_loads` and `from_data`, which give an `Inventory`. Must not know how pages are fetched.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple
from urllib.parse import urlsplit

from sidecar.policy.pages import MAX_TEXT, Page, read_page
from sidecar.rollout.suggestion_nouns import OWN, Inventory, Snippet


class Load(NamedTuple):
    """One page as it came: its address, its bytes without content coding, and the charset of its Content-Type."""

    url: str
    html: bytes
    charset: str


def from_loads(loads: Iterable[Load]) -> Inventory:
    """What these pages hold. Code that stood in each of at least two loads of its page counts by the cause's own numbers."""
    pages: dict[str, list[Page]] = {}
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
            known = None if number == len(read) > 1 else 1
            whole = len(one.text) < MAX_TEXT
            snippets.append(
                Snippet(one.kind, one.text, one.hash, path, one.line, known, 0, 0, whole)
            )
    return Inventory(tuple(snippets), urls)


def _named(page: Page, path: str, url: str) -> dict[tuple[str, str], str]:
    """The page's addresses; those of its own origin without it, as pages are read at more than one."""
    parts = urlsplit(url)
    own = f"{parts.scheme}://{parts.netloc}"
    found = {}
    for directive, one in page.urls:
        if one == own or one.startswith(f"{own}/"):
            one = OWN + one[len(own) :]  # noqa: PLW2901 - the same address, written otherwise
        found[directive, one] = path
    return found
