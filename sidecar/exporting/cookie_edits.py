"""Cookie attributes as regular expressions without look-ahead, to rewrite Set-Cookie lines.

An attribute is removed wherever it is, and added at the end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from sidecar.exporting import patterns
from sidecar.exporting.program import Step
from sidecar.exporting.terms import Condition, over_https


class Edit(NamedTuple):
    """A search in a line, and what replaces it: `parts` are the groups 1 and 2, and texts."""

    search: str
    parts: tuple[int | str, ...]

    def replacement(self, mark: str, escaped: Callable[[str], str]) -> str:
        """The replacement as one text, with groups as `mark` and number."""
        return "".join(
            f"{mark}{part}" if isinstance(part, int) else escaped(part) for part in self.parts
        )


def edits(step: Step) -> Iterator[tuple[Condition, list[Edit]]]:
    """Conditions and their edits. Secure, and what needs it, is written over https only."""
    demands, when, line = step.demands, step.when, _line(step.cookie)
    https = over_https(when)
    always: list[Edit] = []
    secure: list[Edit] = []
    if demands.secure is False:
        always += [_without(line, "secure")]
    if demands.secure or demands.partitioned or demands.same_site == "None":
        secure += _with(line, "Secure")
    if demands.http_only is False:
        always += [_without(line, "httponly")]
    elif demands.http_only:
        always += _hidden(line, exact=demands.hide_csrf)
    if demands.same_site:
        chosen = secure if demands.same_site == "None" else always
        chosen += _with(line, f"SameSite={demands.same_site}")
    if demands.path:
        always += _with(line, f"Path={demands.path}")
    if demands.host_only:
        always += [_without(line, "domain")]
    if demands.partitioned:
        secure += _with(line, "Partitioned")
    elif demands.partitioned is False:
        always += [_without(line, "partitioned")]
    if always:
        yield when, always
    if secure and https:
        yield https, secure


def _line(pattern: str) -> str:
    """The beginning of a line whose cookie's name matches."""
    name = "[^=;]*".join(patterns.literal(part) for part in re.split(r"[*]+", pattern))
    return f"[ \\t]*{name}[ \\t]*="


def _without(line: str, attribute: str) -> Edit:
    search = f"^({line}[^;]*(?:;[^;]*)*?);[ \\t]*(?i:{attribute})[ \\t]*(?:=[^;]*)?(;.*)?$"
    return Edit(search, (1, 2))


def _with(line: str, attribute: str) -> list[Edit]:
    name = attribute.partition("=")[0].lower()
    return [_without(line, name), Edit(f"^({line}.*)$", (1, f"; {attribute}"))]


def _hidden(line: str, *, exact: bool) -> list[Edit]:
    """HttpOnly, but for cookies that scripts must read: a semicolon hides their name meanwhile."""
    if exact:
        return _with(line, "HttpOnly")
    return [
        Edit(f"^([ \\t]*{patterns.READABLE}.*)$", (";", 1)),
        *_with(line, "HttpOnly"),
        Edit("^;(.*)$", (1,)),
    ]
