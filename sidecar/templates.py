"""Texts from templates, which are files beside the modules that fill them; safe Markdown."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from sidecar.policy.data import read_text
from sidecar.policy.words import counted

if TYPE_CHECKING:
    import jinja2

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>|~$"})


@cache
def templates(package: str, folder: str = "", *, html: bool = False) -> jinja2.Environment:
    """The templates in a package, or in a folder of it; `html`: what is filled in is escaped."""
    import jinja2  # with the first template: few processes ever fill one

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: read_text(package, folder + name)),
        autoescape=html,  # noqa: S701 - the others are texts without markup
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )


def filled(package: str, name: str, /, **facts: Any) -> str:
    """A template of plain text, filled in."""
    return templates(package).get_template(name).render(**facts)


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
