"""Markdown tables, and text that is safe in them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>|~$"})


def as_code(text: str) -> str:
    """Text as code in a cell; a vertical bar would end the cell, and a backtick the code."""
    return f"`{text.replace('|', chr(92) + '|').replace('`', chr(39))}`"


def escaped(text: str) -> str:
    """Text in which nothing is markup."""
    return text.translate(_SPECIAL)


def as_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def cell(text: str) -> str:
    """Text in a cell that may hold markup, but ends neither the cell nor the row."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
