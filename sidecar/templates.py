"""Texts from templates, which are files beside the modules that fill them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from sidecar.policy.data import read_text

if TYPE_CHECKING:
    import jinja2


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
