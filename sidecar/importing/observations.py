"""One request with the response of the old proxy or application, and that of the bare service."""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias
from urllib.parse import unquote

from sidecar.observed import ObservedResponse
from sidecar.policy import headers
from sidecar.policy.rules.classes import of_media_type

Lines: TypeAlias = tuple[str, ...]
Edit: TypeAlias = tuple[Literal["set", "append", "remove"], Lines]
LEAVE: Edit = ("append", ())
"""Nothing is done: the service's own lines are sent."""

# Framing, content and caching; cookies have rules of their own.
_ASIDE = frozenset(
    """
    content-type content-disposition service-worker-allowed set-cookie www-authenticate vary expires
    """.split()
)
_CLASSES = {"html": "page", "api": "data"}
_VARYING: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("a nonce", re.compile(r"'nonce-[^']*'", re.IGNORECASE)),
    ("a date", re.compile(r"\b(Mon|Tue|Wed|Thu|Fri|Sat|Sun)[a-z]*,? \d{1,2}[ -][A-Z][a-z]{2}")),
)
"""What no rule may contain, since the next response has another."""
_ID = re.compile(
    r"\b([0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}|(?=[a-f]*\d)(?=\d*[a-f])[0-9a-f]{16,})\b",
    re.IGNORECASE,
)
"""What may be new in every response, or a file's name: a second response shows which."""


@dataclass(frozen=True, slots=True)
class Observation:
    """A response, a second one to the same request, and the service's own; None = not asked."""

    response: ObservedResponse
    again: ObservedResponse | None = None
    bare: ObservedResponse | None = None
    probe: bool = False
    """A path that does not exist, to see an error response: it stands for all paths."""

    @property
    def path(self) -> str:
        """The path without query, percent-decoded."""
        return unquote(self.response.place.path) or "/"

    @property
    def cell(self) -> tuple[str, str, str]:
        """What a condition may depend on: media type, status class, scheme."""
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
        """What of this header is new in every response, in a word; "" = nothing visible."""
        lines = self.response.values(key)
        found = [what for what, sign in _VARYING if any(sign.search(line) for line in lines)]
        if found:
            return found[0]
        if self.again is not None and self.again.status == self.response.status:
            return "its value" if self.again.values(key) != lines else ""
        return "an id" if any(_ID.search(line) for line in lines) else ""

    def edits(self, key: str) -> tuple[Edit, ...]:
        """The edits of which each gives the lines that were observed, the mildest first.

        Without the bare service, an absent header counts as absent there too.
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
    """Whether a header (name in lower case) names software: it is removed or left, never set."""
    row = headers.get(key)
    return key in headers.DISCLOSURE or (row is not None and row.group == "disclosure")


def looked_at(observations: Iterable[Observation]) -> tuple[str, ...]:
    """The headers that may become rules, as names in lower case, the first seen first."""
    responses = (both for one in observations for both in (one.response, one.bare) if both)
    fields = (name for response in responses for name, _ in response.fields)
    names = dict.fromkeys(name.decode("latin-1").lower() for name in fields)
    known = (name for name in names if headers.get(name) is not None or discloses(name))
    return tuple(name for name in known if name not in _ASIDE)
