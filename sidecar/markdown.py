"""Markdown: text that is safe in it, and pages from templates."""

from __future__ import annotations

import re
from typing import Any

from sidecar.policy.words import counted
from sidecar.templates import templates

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>|~$"})


def as_code(text: str) -> str:
    """Text as code in a cell; a vertical bar would end the cell, and a backtick the code."""
    return f"`{text.replace('|', chr(92) + '|').replace('`', chr(39))}`"


def escaped(text: str) -> str:
    """Text in which nothing is markup."""
    return text.translate(_SPECIAL)


def cell(text: str) -> str:
    """Text in a cell that may hold markup, but ends neither the cell nor the row."""
    return text.replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")


def page(package: str, name: str, **facts: Any) -> str:
    """A template of a package, filled in; it ends with a line feed.

    The template has the filters `cell`, `code`, `counted` and `escaped`; of several empty lines one
    is kept.
    """
    made = templates(package)
    made.filters |= {"cell": cell, "code": as_code, "counted": counted, "escaped": escaped}
    text = made.get_template(name).render(**facts)
    return re.sub(r"\n{3,}", "\n\n", text).strip() + "\n"
