"""Lua's texts and patterns, which have no alternatives."""

from __future__ import annotations

import re
from collections.abc import Iterable

from sidecar.exporting import patterns

_SPECIAL = re.compile(r"[\^$()%.\[\]*+\-?]")


def text(value: str) -> str:
    """A string of Lua."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    return f'"{escaped}"'


def literal(value: str) -> str:
    """The text itself, in a pattern."""
    return _SPECIAL.sub(r"%\g<0>", value)


def glob(value: str) -> str:
    """A text in which * stands for any run, from end to end."""
    return patterns.glob(value, literal)


def host(pattern: str) -> str:
    """A host name."""
    return f"^{patterns.host(pattern, literal)}$"


def path(pattern: str, slash: str) -> str:
    """A path: * within one segment, ** any rest; `slash` is what a slash may be."""
    return f"^{patterns.path(pattern, slash, literal)}$"


def table(texts: Iterable[str]) -> str:
    """A list of texts."""
    return f"{{{', '.join(map(text, texts))}}}"


def media(types: Iterable[str]) -> str:
    """Whether the response's media type is one of these."""
    return f'any(word(headers, "content-type"), {table(glob(one) for one in types)})'
