"""Sets of request paths that globs express exactly, and overlapping ones as a first-match list."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote

T = TypeVar("T")

MAX_REGIONS = 700


@dataclass(frozen=True, slots=True)
class Pattern:
    """All paths that start with `head` and end with `tail` without overlap; tail None: `head`."""

    head: str
    tail: str | None = None
    lines: tuple[str, ...] = field(default=(), compare=False)
    """The source lines that name it."""

    def covers(self, other: Pattern) -> bool:
        """True when every path of the other is one of this."""
        if self.tail is None:
            return self == other
        if other.tail is None:
            return (
                len(other.head) >= len(self.head) + len(self.tail)
                and other.head.startswith(self.head)
                and other.head.endswith(self.tail)
            )
        return other.head.startswith(self.head) and other.tail.endswith(self.tail)

    def __str__(self) -> str:
        """As a policy's path. Servers match decoded paths, the policy matches them as sent."""
        parts = (self.head, self.tail or "")
        head, tail = (quote(part, safe="/!$&'()+,;=:@~", errors="replace") for part in parts)
        return head if self.tail is None else f"{head}**{tail}"


ALL = Pattern("/", "")


def below(folder: str, lines: tuple[str, ...] = ()) -> tuple[Pattern, ...]:
    """A path and all paths below it, as whole segments: /a is /a and /a/..., but not /ab."""
    if folder.endswith("/"):
        return (Pattern(folder, "", lines),)
    return (Pattern(folder, None, lines), Pattern(f"{folder}/", "", lines))


def meet(one: Pattern, two: Pattern) -> tuple[Pattern, ...]:
    """The paths of both, as patterns; () = none."""
    lines = tuple(dict.fromkeys((*one.lines, *two.lines)))
    if one.tail is None or two.tail is None:
        exact, other = (one, two) if one.tail is None else (two, one)
        return (Pattern(exact.head, None, lines),) if other.covers(exact) else ()
    short, head = sorted((one.head, two.head), key=len)
    ending, tail = sorted((one.tail, two.tail), key=len)
    if not head.startswith(short) or not tail.endswith(ending):
        return ()
    # A path shorter than head + tail may still be in both, where the longer head and the longer
    # tail share letters.
    sizes = range(1, min(len(head), len(tail)) + 1)
    shared = (head + tail[size:] for size in sizes if head.endswith(tail[:size]))
    single = (Pattern(path, None, lines) for path in shared)
    both = (found for found in single if one.covers(found) and two.covers(found))
    return (Pattern(head, tail, lines), *both)


def regions(
    patterns: Iterable[Pattern], what: Callable[[Pattern], T]
) -> list[tuple[tuple[Pattern, ...], T]] | None:
    """Cut all paths into regions in which the same thing holds, as a list whose first match counts.

    Args:
        patterns: every pattern on which the response depends; they may overlap.
        what: the thing that holds for a pattern's paths, but for those of narrower patterns.

    Returns: Groups of patterns with their thing, narrow ones first; the last covers all. None when
        there are too many.
    """
    closed = _closure(patterns)
    if closed is None:
        return None
    kept: list[tuple[Pattern, T]] = []
    for pattern in sorted(closed, key=_width, reverse=True):
        found = what(pattern)
        wider = next((thing for other, thing in reversed(kept) if other.covers(pattern)), None)
        if not kept or wider != found:
            kept.append((pattern, found))
    return _grouped(list(reversed(kept)))


def _width(pattern: Pattern) -> tuple[int, int]:
    """Sorts narrower patterns before wider ones, and endings before beginnings."""
    kind = 0 if pattern.tail is None else 1 if pattern.tail else 2
    return kind, -len(pattern.head) - len(pattern.tail or "")


def _closure(patterns: Iterable[Pattern]) -> list[Pattern] | None:
    """The patterns, all paths, and whatever any of them have in common."""
    closed = list(dict.fromkeys((ALL, *patterns)))
    known = set(closed)
    for position, one in enumerate(closed):  # grows while it is walked
        for two in closed[:position]:
            for found in meet(one, two):
                if found not in known:
                    known.add(found)
                    closed.append(found)
        if len(closed) > MAX_REGIONS:
            return None
    return closed


def _grouped(kept: list[tuple[Pattern, T]]) -> list[tuple[tuple[Pattern, ...], T]]:
    """Patterns of the same thing together: they move up or down past what they do not overlap."""
    groups: list[tuple[list[Pattern], T]] = []
    for pattern, found in kept:
        for position in range(len(groups) - 1, -1, -1):
            patterns, thing = groups[position]
            later = [other for others, _ in groups[position + 1 :] for other in others]
            if thing != found or pattern == ALL:
                continue
            if not _overlap([pattern], later):
                patterns.append(pattern)
                break
            if not _overlap(patterns, later):
                groups.append(([*groups.pop(position)[0], pattern], found))
                break
        else:
            groups.append(([pattern], found))
    return [(tuple(group), found) for group, found in groups]


def _overlap(some: list[Pattern], others: list[Pattern]) -> bool:
    return any(meet(one, two) for one in some for two in others)
