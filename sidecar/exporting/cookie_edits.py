"""Cookie attributes as regular expressions without look-ahead, to rewrite Set-Cookie lines.

An attribute is removed wherever it is, and added at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sidecar.exporting import patterns
from sidecar.exporting.program import ExportedStep
from sidecar.exporting.terms import Condition, over_https
from sidecar.policy.headers.cookies import Demands


class Change(NamedTuple):
    """What a rule makes of one attribute: `text` is written, "" = the attribute is removed."""

    name: str
    """In lower case."""
    text: str
    https: bool = False
    """Only over https: Secure, and what needs it."""
    spares_readable: bool = False
    """Not of cookies that scripts must read."""


def changes(demands: Demands) -> Iterator[Change]:
    """The attributes that a rule writes or removes."""
    if demands.secure is False:
        yield Change("secure", "")
    if demands.secure or demands.partitioned or demands.same_site == "None":
        yield Change("secure", "Secure", https=True)
    if demands.http_only is not None:
        spares = demands.http_only and not demands.hide_csrf
        text = "HttpOnly" if demands.http_only else ""
        yield Change("httponly", text, spares_readable=spares)
    if demands.same_site:
        text = f"SameSite={demands.same_site}"
        yield Change("samesite", text, https=demands.same_site == "None")
    if demands.path:
        yield Change("path", f"Path={demands.path}")
    if demands.host_only:
        yield Change("domain", "")
    if demands.partitioned is not None:
        text = "Partitioned" if demands.partitioned else ""
        yield Change("partitioned", text, https=demands.partitioned)


class CookieEdit(NamedTuple):
    """A search in a line, and what replaces it: `parts` are the groups 1 and 2, and texts."""

    search: str
    parts: tuple[int | str, ...]

    def replacement(self, mark: str, escaped: Callable[[str], str]) -> str:
        """The replacement as one text, with groups as `mark` and number."""
        return "".join(
            f"{mark}{part}" if isinstance(part, int) else escaped(part) for part in self.parts
        )


def edits(step: ExportedStep) -> Iterator[tuple[Condition, list[CookieEdit]]]:
    """Conditions and their edits."""
    name = "[^=;]*".join(patterns.literal(part) for part in re.split(r"[*]+", step.cookie))
    line = f"[ \\t]*{name}[ \\t]*="
    found: dict[bool, list[CookieEdit]] = {False: [], True: []}
    for change in changes(step.demands):
        found[change.https] += _edits(line, change)
    for https, group in found.items():
        when = over_https(step.when) if https else step.when
        if group and when:
            yield when, group


def _edits(line: str, change: Change) -> list[CookieEdit]:
    """The edits of a line that begins so. A semicolon hides the names that are spared meanwhile."""
    attribute = f"[ \\t]*(?i:{change.name})[ \\t]*(?:=[^;]*)?"
    made = [CookieEdit(f"^({line}[^;]*(?:;[^;]*)*?);{attribute}(;.*)?$", (1, 2))]
    if change.text:
        made.append(CookieEdit(f"^({line}.*)$", (1, f"; {change.text}")))
    if change.spares_readable:
        hidden = CookieEdit(f"^([ \\t]*{patterns.READABLE}.*)$", (";", 1))
        made = [hidden, *made, CookieEdit("^;(.*)$", (1,))]
    return made
