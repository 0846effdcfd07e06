"""Where a route applies: host, method and path patterns compiled to one test.

Lives here: the path grammar (* within one segment, ** any rest), and patterns whose cost does not
explode on hostile texts. Must not know rules or modes.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from sidecar.policy.model import Match

# RFC 3986 section 6.2.2.2: an encoded unreserved character is the same path, so %61dmin must not slip past /admin.
_ENCODED_UNRESERVED = re.compile(r"%(2[dDeE]|3[0-9]|[46][1-9a-fA-F]|[57][0-9aA]|5[fF]|7[eE])")


def matcher(match: Match) -> Callable[[str, str, str], bool]:
    """One test `(host, method, path) -> bool` of all the parts that the match names."""
    if not (match.host or match.method or match.path):
        return lambda host, method, path: True
    hosts = _any(tuple(_host(pattern) for pattern in match.host or ()))
    methods = frozenset(match.method or ())
    paths = _any(tuple(_path(pattern) for pattern in match.path or ()))

    def matches(host: str, method: str, path: str) -> bool:
        if methods and method not in methods:
            return False
        if paths is not None and not paths.fullmatch(same_path(path)):
            return False
        return hosts is None or hosts.fullmatch(host_name(host)) is not None

    return matches


def same_path(path: str) -> str:
    """The path with encoded unreserved characters decoded; nothing else is touched."""
    return (
        _ENCODED_UNRESERVED.sub(lambda found: chr(int(found[1], 16)), path) if "%" in path else path
    )


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
    first, *rest = (chunk.split("*") for chunk in re.split(r"\*\*+", same_path(pattern)))
    if not rest:
        return wild(first, "[^/]*")
    *middle, last = rest
    found = "".join(f"(?>.*?{wild(chunk, '[^/]*', ends=False)})" for chunk in middle)
    return wild(first, "[^/]*", ends=False) + found + ".*" + wild(last, "[^/]*")


def wild(parts: list[str], gap: str, *, ends: bool = True) -> str:
    """A regular expression for literal parts with gaps between them.

    The first possible place of a part is the best one for all that follow, so atomic groups take it and
    never come back; only the last part is looked for from the end, where `ends` says that it stands there.
    """
    first, *rest = (re.escape(part) for part in parts)
    last = f"{gap}{rest.pop()}" if rest and ends else ""
    return first + "".join(f"(?>{gap}?{part})" for part in rest) + last
