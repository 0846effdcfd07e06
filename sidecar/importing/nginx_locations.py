"""nginx's locations: which one counts for a path.

As nginx searches (ngx_http_core_module, `location`): an exact one ends the search; else the longest
prefix, unless it is not marked ^~ and a regular expression matches; inner ones first.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sidecar.importing.draft import Effect, Notes
from sidecar.importing.nginx_headers import Level, effects, tell_dropped
from sidecar.importing.paths import Pattern
from sidecar.importing.regexes import path_patterns
from sidecar.importing.syntax import Block, Directive


@dataclass(frozen=True, slots=True)
class Location:
    """One location. `kind` is =, ^~, ~, @ or "" (prefix); `patterns` = None: no glob says it."""

    kind: str
    patterns: tuple[Pattern, ...] | None
    folds: bool
    effects: tuple[Effect, ...]
    inner: tuple[Location, ...]
    item: Directive


def locations_of(block: Block, level: Level, notes: Notes) -> tuple[Location, ...]:
    """The tree of the locations in a block; `level` is what counts in the block itself."""
    found = []
    for item in block:
        if item.name != "location" or item.block is None or not item.args:
            continue
        tell_dropped(level, item, notes)
        below = level.below(item.block)
        kind, folds, patterns = _matched(item)
        inner = locations_of(item.block, below, notes)
        found.append(Location(kind, patterns, folds, effects(below, notes), inner, item))
    return tuple(found)


def flat(tree: tuple[Location, ...]) -> Iterator[Location]:
    """Every location, outer ones first."""
    for location in tree:
        yield location
        yield from flat(location.inner)


def _matched(item: Directive) -> tuple[str, bool, tuple[Pattern, ...] | None]:
    kind, text = item.args if len(item.args) == 2 else ("", item.args[0])
    for mark in ("^~", "~*", "~", "="):  # nginx takes `location =/x` too
        if not kind and text.startswith(mark):
            kind, text = mark, text[len(mark) :]
    lines = (str(item.where),)
    if kind in ("~", "~*"):
        return "~", kind == "~*", path_patterns(text, lines)
    if text.startswith("@"):
        return "@", False, ()
    if "*" in text or not text.startswith("/"):
        return kind, False, None
    return kind, False, (Pattern(text, None if kind == "=" else "", lines),)


def find(tree: tuple[Location, ...], path: Pattern) -> tuple[Location | None, bool]:
    """The location of a path (or a region that matches alike), and whether the search ends."""

    def rank(one: Location) -> tuple[bool, int]:
        return one.kind == "=", max(len(pattern.head) for pattern in one.patterns or ())

    fixed = [one for one in tree if one.kind not in ("~", "@") and _covers(one, path)]
    prefix: Location | None = None
    best = max(fixed, key=rank, default=None)
    if best is not None and best.kind == "=":
        return best, True
    if best is not None:
        inner, ended = find(best.inner, path)
        if ended:
            return inner, True
        prefix = inner or best
        if best.kind == "^~":
            return prefix, False
    for one in tree:
        if one.kind == "~" and _covers(one, path):
            inner, _ = find(one.inner, path)
            return inner or one, True
    return prefix, False


def _covers(location: Location, path: Pattern) -> bool:
    return any(pattern.covers(path) for pattern in location.patterns or ())
