"""Words for people: a number with its noun, and text that may be printed."""

from __future__ import annotations


def number(count: float) -> str:
    """A count for people, as 1,234,567; a fleet's estimates with one digit after the point."""
    return f"{round(count, 1):,.15g}"


def counted(count: float, noun: str, plural: str = "") -> str:
    """`1 report`, `2 reports`; `plural` for a noun whose plural is not made with an s."""
    return f"{number(count)} {noun if count == 1 else plural or f'{noun}s'}"


def visible(text: str) -> str:
    """The text with a question mark for all but visible ASCII and spaces."""
    return "".join(char if " " <= char <= "~" else "?" for char in text)
