"""Where a route applies: host, method and path patterns compiled to one test, and the ways in which
services turn the bytes of a request path into the path that they route on.

Paths are bytes, one character for each (latin-1), so any can be read.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from urllib.parse import quote_from_bytes, unquote_to_bytes

from sidecar.policy.model import Match
from sidecar.policy.terms import Slashes

STAR, REST = "\u0100", "\u0101"
"""`*` and `**` among decoded characters, which are of one byte each."""
_REPEATED = re.compile(r"//+")
_DOTS = re.compile(r"/\.\.?(?:/|\Z)")
_ENCODED_SLASH = re.compile(r"%2[fF]")


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
    first, *rest = (chunk.split(STAR) for chunk in symbols(pattern).split(REST))
    if not rest:
        return wild(first, "[^/]*")
    *middle, last = rest
    found = "".join(f"(?>.*?{wild(chunk, '[^/]*', ends=False)})" for chunk in middle)
    return wild(first, "[^/]*", ends=False) + found + ".*" + wild(last, "[^/]*")


def symbols(pattern: str) -> str:
    """A path pattern decoded, with a character beyond all bytes for each `*` and `**`."""
    return "".join(
        decoded(part) if not part.startswith("*") else STAR if part == "*" else REST
        for part in re.split(r"(\*+)", pattern)
    )


def wild(parts: list[str], gap: str, *, ends: bool = True) -> str:
    """A regular expression for literal parts with gaps between them.

    The first possible place of a part is the best one for all that follow, so atomic groups take it
    and never backtrack; with `ends`, the last part is matched at the end.
    """
    first, *rest = (re.escape(part) for part in parts)
    last = f"{gap}{rest.pop()}" if rest and ends else ""
    return first + "".join(f"(?>{gap}?{part})" for part in rest) + last


def decoded(text: str) -> str:
    """The text percent-decoded once, as WSGI and ASGI servers do; one character for each byte."""
    if text.isascii() and "%" not in text:
        return text
    return unquote_to_bytes(text).decode("latin-1")


class _Node:
    """Patterns up to a segment: how they go on, and which routes' patterns end or need no more."""

    __slots__ = ("ends", "literal", "rest", "wild")

    def __init__(self) -> None:
        self.literal: dict[str, _Node] = {}
        self.wild: _Node | None = None
        self.ends: list[int] = []
        self.rest: list[int] = []

    def add(self, pattern: str, position: int) -> None:
        """Take in one path pattern of the route at this position."""
        node = self
        for segment in symbols(pattern).split("/"):
            if REST in segment:
                node.rest.append(position)
                return
            if STAR in segment:
                node.wild = node.wild or _Node()
                node = node.wild
            else:
                node = node.literal.setdefault(segment, _Node())
        node.ends.append(position)

    def find(self, segments: list[str], found: list[int]) -> None:
        """Add the positions of all patterns that may take a path of these segments."""
        nodes = [self]
        for segment in segments:
            following: list[_Node] = []
            for node in nodes:
                found += node.rest
                literal = node.literal.get(segment)
                if literal is not None:
                    following.append(literal)
                if node.wild is not None:
                    following.append(node.wild)
            if not following:
                return
            nodes = following
        for node in nodes:
            found += node.ends


class Index:
    """Which routes may match a request, by host and path segments: cost does not grow with routes.

    It names candidates by their positions, in the order of the file; the matcher decides. Patterns
    whose segments are literal, `*` or `**` are found by a tree; those that share all of it, as
    `/a*` and `/b*` do, are candidates together.
    """

    __slots__ = ("_anywhere", "_hosts")

    def __init__(self, matches: Iterable[Match]) -> None:
        self._anywhere = _Node()
        self._hosts: dict[str, _Node] = {}
        for position, match in enumerate(matches):
            hosts = [host_name(host) for host in match.host or ("*",)]
            trees = [self._anywhere]
            if not any("*" in host for host in hosts):
                trees = [self._hosts.setdefault(host, _Node()) for host in hosts]
            for tree in trees:
                for pattern in match.path or ("**",):
                    tree.add(pattern, position)

    def candidates(self, host: str, path: str) -> list[int]:
        """Positions of the matches that may hold, ascending; `path` is one reading."""
        found: list[int] = []
        segments = path.split("/")
        self._anywhere.find(segments, found)
        if self._hosts:
            tree = self._hosts.get(host_name(host))
            if tree is not None:
                tree.find(segments, found)
        return found if len(found) < 2 else sorted(set(found))


def readings(path: str, slashes: Slashes = "stricter") -> tuple[str, ...]:
    """How services may read a path, the likeliest first.

    All decode it once (PEP 3333 PATH_INFO, the `path` of ASGI's HTTP scope). Then they differ:
    Werkzeug drops repeated slashes at the start, file servers resolve dot segments (RFC 3986
    section 5.2.4) after decoding, Starlette ignores a line feed at the end, and aiohttp keeps an
    encoded slash apart from a slash.

    Args:
        path: of the request target as sent, without query.
        slashes: whether repeated slashes count as one.
    """
    # What makes more than one reading possible: an encoding, an empty or dot segment.
    usual = "%" not in path and "//" not in path and "/." not in path
    if usual and path.isascii() and path.isprintable():
        return (path,)
    whole = decoded(path)
    found = [whole]
    if _ENCODED_SLASH.search(path):
        found.append(decoded(_ENCODED_SLASH.sub("%252F", path)))
    if slashes != "keep":
        merged = [_REPEATED.sub("/", one) for one in found]
        found = merged if slashes == "merge" else [merged[0], found[0], *merged[1:], *found[1:]]
    found += [_without_dots(one) for one in found if _DOTS.search(one)]
    found += [one[:-1] for one in found if one.endswith("\n")]
    return tuple(dict.fromkeys(found))


def _without_dots(path: str) -> str:
    kept: list[str] = []
    first, *rest = path.split("/")
    for at, segment in enumerate(rest):
        if segment in (".", ".."):
            if segment == ".." and kept:
                kept.pop()
            if at == len(rest) - 1:
                kept.append("")
        else:
            kept.append(segment)
    return "/".join((first, *kept))


def shown(reading: str) -> str:
    """A reading for people: `%` and all but visible ASCII are percent-encoded."""
    return quote_from_bytes(reading.encode("latin-1"), safe="/!\"#$&'()*+,:;<=>?@[\\]^`{|}")
