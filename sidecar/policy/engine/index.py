"""Which routes may match a request, by host and path segments: cost does not grow with routes.

It names candidates, in the order of the file; the matcher decides whether one matches. Patterns
whose segments are literal, `*` or `**` are found by a tree; those that share all of it, as `/a*`
and `/b*` do, are candidates together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidecar.policy.model import Match
from sidecar.policy.rules.matching import decoded, host_name

_STAR, _REST = "\u0100", "\u0101"
"""`*` and `**` among decoded characters, which are of one byte each."""


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
        for segment in _symbols(pattern).split("/"):
            if _REST in segment:
                node.rest.append(position)
                return
            if _STAR in segment:
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
    """Matches by their positions."""

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


def _symbols(pattern: str) -> str:
    return "".join(
        decoded(part) if not part.startswith("*") else _STAR if part == "*" else _REST
        for part in re.split(r"(\*+)", pattern)
    )
