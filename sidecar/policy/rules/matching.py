"""Where a route applies: host, method and path patterns compiled to one test."""

from __future__ import annotations

import re
from collections.abc import Callable

from sidecar.policy.model import Match
from sidecar.policy.rules.paths import decoded


def matcher(match: Match) -> Callable[[str, str, str], bool]:
    """One test `(host, method, path) -> bool` of all parts of the match; `path` is one reading."""
    if not (match.host or match.method or match.path):
        return lambda host, method, path: True
    hosts = _any(tuple(_host(pattern) for pattern in match.host or ()))
    methods = frozenset(match.method or ())
    paths = _any(tuple(_path(pattern) for pattern in match.path or ()))

    def matches(host: str, method: str, path: str) -> bool:
        if methods and method not in methods:
            return False
        if paths is not None and not paths.fullmatch(path):
            return False
        return hosts is None or hosts.fullmatch(host_name(host)) is not None

    return matches


def host_name(host: str) -> str:
    """The host in lower case, without port and final dot."""
    name = host.lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].rstrip(".")


def _any(sources: tuple[str, ...]) -> re.Pattern[str] | None:
    return re.compile("|".join(sources), re.DOTALL) if sources else None


def _host(pattern: str) -> str:
    return wild(host_name(pattern).split("*"), ".+")


def _path(pattern: str) -> str:
    first, *rest = (
        [decoded(part) for part in chunk.split("*")] for chunk in re.split(r"\*\*+", pattern)
    )
    if not rest:
        return wild(first, "[^/]*")
    *middle, last = rest
    found = "".join(f"(?>.*?{wild(chunk, '[^/]*', ends=False)})" for chunk in middle)
    return wild(first, "[^/]*", ends=False) + found + ".*" + wild(last, "[^/]*")


def wild(parts: list[str], gap: str, *, ends: bool = True) -> str:
    """A regular expression for literal parts with gaps between them.

    The first possible place of a part is the best one for all that follow, so atomic groups take it
    and never backtrack; with `ends`, the last part is matched at the end.
    """
    first, *rest = (re.escape(part) for part in parts)
    last = f"{gap}{rest.pop()}" if rest and ends else ""
    return first + "".join(f"(?>{gap}?{part})" for part in rest) + last
