"""One request as the old proxy or application responded to it, beside what the bare service says to
the same.

Lives here: which headers are looked at, which values change with every response, and which edits
would turn the service's lines into those observed. Must not know paths, conditions or rules.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import unquote

from sidecar.observed import Response
from sidecar.policy import headers
from sidecar.policy.rules.classes import of_media_type

Lines: TypeAlias = tuple[str, ...]
Edit: TypeAlias = tuple[Literal["set", "append", "remove"], Lines]
LEAVE: Edit = ("append", ())
"""Nothing is done: the service's own lines stand."""

# Framing, content and caches' own business; cookies have rules of their own.
_ASIDE = frozenset(
    (
        "content-type",
        "content-disposition",
        "service-worker-allowed",
        "set-cookie",
        "www-authenticate",
        "vary",
        "expires",
    )
)
_CLASSES = {"html": "page", "api": "data"}
_VARYING: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a nonce", re.compile(r"'nonce-[^']*'", re.IGNORECASE)),
    ("a date", re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? \d{1,2}[ -][A-Z][a-z]{2}")),
)
"""What no rule may hold, for the next response has another."""
_ID = re.compile(
    r"\b([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{16,})\b",
    re.IGNORECASE,
)
"""What looks new in every response, and may be the name of a file: a second response shows it."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A response, a second one to the same request, and what the service itself says to it; None
    = not asked.
    """

    response: Response
    again: Response | None = None
    bare: Response | None = None
    probe: bool = False
    """Nobody's path, asked for to see an error response: it stands for all paths."""

    @property
    def path(self) -> str:
        """The path without query, percent-decoded."""
        return unquote(self.response.place.path) or "/"

    @property
    def cell(self) -> tuple[str, str, str]:
        """What a condition may tell it by: media type, status class, scheme."""
        seen = self.response
        return seen.media_type, f"{seen.status // 100}xx", seen.place.scheme

    @property
    def kind(self) -> str:
        """What it is, for people: a page, data, a static file, an error."""
        if self.response.status >= 400:
            return "error"
        if self.response.status >= 300:
            return "redirect"
        found = of_media_type(self.response.first("content-type").encode("latin-1"))
        return _CLASSES.get(found or "other", found or "other")

    def varies(self, key: str) -> str:
        """What of this header is new in every response, in a word; "" = nothing that can be
        seen.
        """
        lines = self.response.values(key)
        found = [what for what, sign in _VARYING if any(sign.search(line) for line in lines)]
        if found:
            return found[0]
        if self.again is not None and self.again.status == self.response.status:
            return "its value" if self.again.values(key) != lines else ""
        return "an id" if any(_ID.search(line) for line in lines) else ""

    def edits(self, key: str) -> tuple[Edit, ...]:
        """The edits of which each gives the lines that were observed, the mildest first.

        Without the bare service, a header that is absent is taken to be absent there too.
        """
        lines = self.response.values(key)
        if self.varies(key) or (discloses(key) and self.bare is None):
            return (LEAVE,)
        if self.bare is None:
            return (("set", lines),) if lines else (LEAVE,)
        own = self.bare.values(key)
        if discloses(key):
            return (LEAVE,) if own == lines else (("remove", ()),)
        found: list[Edit] = [LEAVE] if own == lines else []
        if own and lines[: len(own)] == own and lines != own:
            found.append(("append", lines[len(own) :]))
        found.append(("set", lines) if lines else ("remove", ()))
        return tuple(found)


def discloses(key: str) -> bool:
    """Whether a header (name in lower case) names software: such a one is removed or left, never
    set.
    """
    row = headers.get(key)
    return key in headers.DISCLOSURE or (row is not None and row.group == "disclosure")


def looked_at(sightings: Iterable[Sighting]) -> tuple[str, ...]:
    """The headers that rules may come of, as names in lower case, in the order of the first that
    was seen.
    """
    names = (
        name.decode("latin-1").lower()
        for one in sightings
        for response in (one.response, one.bare)
        if response is not None
        for name, _ in response.fields
    )
    return tuple(
        name
        for name in dict.fromkeys(names)
        if name not in _ASIDE and (headers.get(name) is not None or discloses(name))
    )
