"""Regular expressions that PCRE and RE2 read alike, for a policy's * and **."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeAlias

from sidecar.exporting.program import ExportedRoute
from sidecar.policy.model import Match
from sidecar.policy.rules.classes import DOCS, LOGOUT
from sidecar.policy.rules.matching import decoded, host_name

_SPECIAL = re.compile(r"[\\.+*?()\[\]{}^$|]")

DOCS_PATH, LOGOUT_PATH = f"^{DOCS.pattern}$", f"^{LOGOUT.pattern}$"
"""Paths of API documentation and logouts, in any case."""

READABLE = r"(?i:__host-http-|__host-|__http-|__secure-)?(?i:csrf|xsrf|x-csrf|x-xsrf|_xsrf)"
"""How the names of cookies begin that scripts must be able to read."""


def literal(text: str) -> str:
    """The text itself."""
    return _SPECIAL.sub(r"\\\g<0>", text)


Quote: TypeAlias = Callable[[str], str]
"""How a text is written that stands for itself."""


def glob(pattern: str, quote: Quote = literal) -> str:
    """A text in which * stands for any run, from end to end."""
    return f"^{'.*'.join(quote(part) for part in re.split(r'[*]+', pattern))}$"


def host(pattern: str, quote: Quote = literal) -> str:
    """A host name, without ends; * takes at least one character."""
    return ".+".join(quote(part) for part in host_name(pattern).split("*"))


def path(pattern: str, slash: str = "/", quote: Quote = literal) -> str:
    """A path, without ends: * within one segment, ** any rest; `slash` is what a slash may be."""
    return ".*".join(
        "[^/]*".join(quote(decoded(part)).replace("/", slash) for part in chunk.split("*"))
        for chunk in re.split(r"\*\*+", pattern)
    )


def any_of(sources: Iterable[str]) -> str:
    """One of these."""
    found = tuple(sources)
    return found[0] if len(found) == 1 else f"(?:{'|'.join(found)})"


def order(found: Sequence[ExportedRoute]) -> Iterator[tuple[ExportedRoute, bool, ExportedRoute]]:
    """Which match is tested, in order; whether with one more slash at the end; the route found.

    If none matches, it is the default route, the last. A path that no route matches is looked up
    again without its slash at the end, for routes that are stricter than the default.
    """
    *named, default = found
    for one in named:
        yield one, False, one
    bare = [one for one in named if not all(path.endswith("**") for path in one.match.path or ())]
    while bare and not bare[-1].stricter:
        bare.pop()
    for one in bare:
        yield one, True, one if one.stricter else default


def routes(found: Sequence[ExportedRoute], slash: str = "/") -> Iterator[tuple[str, ExportedRoute]]:
    """The expressions of this order, and the route of each.

    They are over the text `METHOD host path`: the host without its port, the path decoded and
    without the query.
    """
    for asked, bare, one in order(found):
        match = asked.match
        methods = any_of(match.method) if match.method else "[^ ]*"
        hosts = rf"(?i:{any_of(map(host, match.host))})\.*" if match.host else "[^ ]*"
        paths = any_of(path(each, slash) for each in match.path) if match.path else ".*"
        yield f"^{methods} {hosts} {paths}{'/' if bare else ''}$", one


def host_of(match: Match) -> str:
    """The host of a route, over the host without its port; "" where it names none."""
    return rf"(?i)^{any_of(map(host, match.host))}\.*$" if match.host else ""


def path_of(match: Match, *, bare: bool) -> str:
    """The path of a route, `bare` = with one more slash at its end; "" where it names none."""
    if not match.path:
        return ""
    return f"^{any_of(map(path, match.path))}{'/' if bare else ''}$"


def media(patterns: Iterable[str]) -> str:
    """A Content-Type's media type, with or without parameters; to be used for any case."""
    sources = ("[^;]*".join(literal(part) for part in re.split(r"[*]+", one)) for one in patterns)
    return rf"^[ \t]*{any_of(sources)}[ \t]*(?:;|$)"


ATTACHMENT = r"^[ \t]*attachment[ \t]*(?:;|$)"
"""A Content-Disposition of attachment; to be used for any case."""
