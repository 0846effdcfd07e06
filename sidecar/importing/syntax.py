"""What the readers of server configurations share: directives with their place, and includes."""

from __future__ import annotations

import fnmatch
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TypeAlias

from sidecar.importing.draft import GIVE, HeaderEffect, Notes, SourceLine, When
from sidecar.policy.terms import Action, PolicyError, Problem

MAX_NESTING = 24
MAX_DIRECTIVES = 50_000


@dataclass(frozen=True, slots=True)
class ConfigDirective:
    """One statement: its words, its line, and the statements in its block (None = no block)."""

    name: str
    args: tuple[str, ...]
    where: SourceLine
    block: tuple[ConfigDirective, ...] | None = None

    def effect(self, action: Action, header: str, value: str = "", when: When = ()) -> HeaderEffect:
        """What it does to a header."""
        return HeaderEffect(action, header, value, when, self.where)

    def __str__(self) -> str:
        return " ".join((self.name, *self.args))

    def inside(self, *names: str) -> Iterator[ConfigDirective]:
        """The statements of its block with one of these names."""
        return (item for item in self.block or () if item.name in names)


Block: TypeAlias = tuple[ConfigDirective, ...]
Sources: TypeAlias = Mapping[str, str]
"""Texts by file name."""


def refuse(where: SourceLine, message: str, fix: str = "") -> PolicyError:
    """The error for a text that cannot be read further."""
    return PolicyError((Problem(message, fix, file=where.file, line=where.line),))


class Builder:
    """Blocks as they are opened and closed; without recursion, because of hostile nesting."""

    def __init__(self) -> None:
        self._open: list[tuple[str, tuple[str, ...], SourceLine, list[ConfigDirective]]] = []
        self._here: list[ConfigDirective] = []

    def add(self, words: list[str], where: SourceLine) -> None:
        """A statement without block."""
        self._here.append(ConfigDirective(words[0], tuple(words[1:]), where))

    def open(self, words: list[str], where: SourceLine) -> None:
        """A statement whose block starts here."""
        if len(self._open) >= MAX_NESTING:
            message = f"blocks are nested more than {MAX_NESTING} deep"
            raise refuse(where, message, "nest fewer blocks")
        self._open.append((words[0], tuple(words[1:]), where, self._here))
        self._here = []

    def close(self, where: SourceLine, name: str | None = None) -> None:
        """The end of the innermost block; `name` must be its name if given."""
        if not self._open:
            raise refuse(where, "a block ends here that was never opened", "remove the end")
        opened, args, start, outer = self._open.pop()
        if name is not None and name != opened:
            message = f"</{name}> ends <{opened}> of line {start.line}"
            raise refuse(where, message, f"write </{opened}>")
        outer.append(ConfigDirective(opened, args, start, tuple(self._here)))
        self._here = outer

    def done(self) -> Block:
        """All statements outside blocks."""
        if self._open:
            name, _, where, _ = self._open[-1]
            raise refuse(where, f"the block of {name!r} is never closed", "close it")
        return tuple(self._here)


def everything(block: Block) -> Iterator[ConfigDirective]:
    """Every statement, in blocks too, in no fixed order."""
    todo = list(block)
    while todo:
        item = todo.pop()
        yield item
        todo.extend(item.block or ())


def assembled(
    blocks: Mapping[str, Block],
    names: Sequence[str],
    replace: Callable[[ConfigDirective], Block | None],
) -> Block:
    """All directives of several texts; included ones replace the statements of these names.

    `replace` gives what replaces a statement; None = itself.

    Raises:
        PolicyError: they go in circles, or are too many.
    """
    used = {
        name
        for block in blocks.values()
        for item in everything(block)
        if item.name in names and item.args
        for name in _meant(item.args[0], blocks)
    }
    roots = [name for name in blocks if name not in used] or list(blocks)
    count = 0

    def walk(block: Block, depth: int) -> Iterator[ConfigDirective]:
        nonlocal count
        for item in block:
            count += 1
            if count > MAX_DIRECTIVES or depth > MAX_NESTING:
                message = "included files or snippets go in circles, or are too many"
                raise refuse(item.where, message, "give less at a time")
            other = replace(item)
            if other is not None:
                yield from walk(other, depth + 1)
            elif item.block is not None:
                inner = tuple(walk(item.block, depth + 1))
                yield ConfigDirective(item.name, item.args, item.where, inner)
            else:
                yield item

    return tuple(walk(tuple(item for name in roots for item in blocks[name]), 0))


def included(item: ConfigDirective, blocks: Mapping[str, Block], notes: Notes | None) -> Block:
    """What an include statement includes; `notes` takes a message where no text is meant."""
    names = _meant(item.args[0], blocks)
    if not names and notes is not None:
        message = f"{item.args[0]} is not among the given files; its headers are not carried"
        notes.lost(item.where, message, GIVE)
    return tuple(inner for name in names for inner in blocks[name])


def _meant(pattern: str, names: Iterable[str]) -> list[str]:
    """The given files that an include statement means: the ends of both paths are the same."""
    wanted = PurePosixPath(pattern).parts
    found = []
    for name in names:
        parts = PurePosixPath(name).parts
        depth = min(len(wanted), len(parts))
        if depth and all(map(fnmatch.fnmatchcase, parts[-depth:], wanted[-depth:])):
            found.append(name)
    return sorted(found)
