"""The data of a suggestion: what pages hold, when evidence is enough, proposals.

What pages hold comes from what the sidecar read, and from pages read just now.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias
from urllib.parse import urlsplit

from sidecar.audit.visit import decoded
from sidecar.observed import ObservedResponse
from sidecar.policy.browsers.pages import MAX_TEXT, PageElements, read_page
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.policy.data import read_table
from sidecar.policy.words import counted
from sidecar.rollout.model import Cause, span
from sidecar.rollout.served_pages import bare

Outcome: TypeAlias = Literal["add", "allowed", "waiting", "refused", "advice"]
"""`add`: an edit; `allowed`: the file allows it already; `waiting`: below the minimums; `refused`:
an edit would undo the policy; `advice`: the right fix is no edit of the policy.
"""

OWN = "'self'"
"""Stands for the page's own origin at the start of an address."""

VARIES = 0
"""Clients that are known to have got the same code, where it is known to vary."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """Inline code that the service sent; `clients` None: the cause's own numbers count."""

    kind: str
    text: str
    hash: str
    """As a source expression: 'sha256-...', quotes included."""
    page: str
    """Path of a page that held it."""
    line: int
    clients: int | None = None
    first: float = 0.0
    last: float = 0.0
    """Epoch seconds."""
    whole: bool = True
    """False where the text is only the start of what was hashed."""


@dataclass(frozen=True, slots=True)
class PageContents:
    """What the service's pages hold: inline code, and addresses by directive, without query."""

    snippets: Sequence[Snippet] = ()
    urls: Mapping[tuple[str, str], str] = field(default_factory=dict)
    """(directive, `bare` address, with `OWN` for its own origin) -> path of a page with it."""

    def __or__(self, other: PageContents) -> PageContents:
        return PageContents((*self.snippets, *other.snippets), {**self.urls, **other.urls})


@dataclass(frozen=True, slots=True)
class Terms:
    """How much evidence counts; `time` in seconds. `accepted`: ids of causes that always count."""

    clients: int = 3
    time: float = 3_600.0
    accepted: frozenset[str] = frozenset()

    def met(self, cause: Cause, clients: int, first: float, last: float) -> bool:
        """Whether so many clients over this time are enough."""
        return cause.id in self.accepted or self.enough(clients, first, last)

    def enough(self, clients: int, first: float, last: float) -> bool:
        """The same of anything that clients met."""
        return clients >= self.clients and last - first >= self.time

    def needs(self, clients: int, first: float, last: float) -> str:
        """What is missing."""
        return (
            f"seen by {_clients(clients)} over {span(last - first)}; {_clients(self.clients)} over"
            f" {span(self.time)} are needed"
        )


@dataclass(frozen=True, slots=True)
class Proposal:
    """What to do about one cause: `text` and `fix` say it; `witness` says who met it."""

    rule: str
    route: str
    cause: str
    outcome: Outcome
    directive: str
    blocked: str
    text: str
    witness: str
    fix: str = ""
    warnings: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    """Source expressions that are added; for other headers than CSP, the new value."""
    snippets: tuple[Snippet, ...] = ()
    """Code to read before the edit is taken."""

    @property
    def needs_person(self) -> bool:
        """Whether something is left to do besides the edit."""
        return self.outcome not in ("add", "allowed") or REQUEST_NONCE in self.sources


def too_little(cause: Cause, terms: Terms) -> Proposal | None:
    """The proposal to wait, where the evidence is below the minimums."""
    if terms.met(cause, cause.clients, cause.first, cause.last):
        return None
    needs = terms.needs(cause.clients, cause.first, cause.last)
    return proposal(cause, "too-little", needs=needs)


def witness(cause: Cause) -> str:
    """Who met a cause: reports, clients, pages, since when (UTC)."""
    pages = ", ".join(cause.pages[:3]) + (" and others" if len(cause.pages) > 3 else "")
    since = datetime.fromtimestamp(cause.first, UTC).strftime("%Y-%m-%d %H:%MZ")
    met = f"{counted(cause.count, 'report')} of {_clients(cause.clients)}"
    return f"{met} on {pages or 'no named page'} since {since}"


def _clients(number: int) -> str:
    return f"{number} or more clients" if number >= 16 else counted(number, "client")


_ROWS = read_table("sidecar.suggest", "proposals.json")


def proposal(
    cause: Cause,
    code: str,
    *,
    found: str = "",
    sources: Sequence[str] = (),
    warnings: Sequence[str] = (),
    snippets: Sequence[Snippet] = (),
    **words: str,
) -> Proposal:
    """The proposal of a row of `proposals.json`, for this cause; `words` fill its texts, `found`
    says where the pages hold it.
    """
    row = _ROWS[code]
    text, fix = (row.get(key, "").format(cause=cause, **words) for key in ("text", "fix"))
    seen = f"{witness(cause)}; {found}" if found else witness(cause)
    blocked = f"inline: {cause.sample}" if cause.sample else cause.blocked
    said = (row["outcome"], cause.directive, blocked, text, seen, fix)
    parts = (tuple(warnings), tuple(sources), tuple(snippets))
    return Proposal(cause.rule, cause.route, cause.id, *said, *parts)


def from_loads(loads: Iterable[ObservedResponse]) -> PageContents:
    """What these pages hold. Code that only some loads of its page have varies.

    Code that all of at least two loads have counts by the cause's own numbers.
    """
    pages: dict[str, list[PageElements]] = {}
    urls: dict[tuple[str, str], str] = {}
    for load in loads:
        path = urlsplit(load.url).path or "/"
        page = read_page(decoded(load) or b"", load.charset, load.url)
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
        texts = Counter(map(_place, held["inline"]))
        for one in held["inline"]:
            kind, page, line = _place(one)
            varies = texts[_place(one)] > 1 and one["loads"] == 1
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
