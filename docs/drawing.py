"""What the drawn pictures of the documents share: font, colours for light and dark, and elements.

An SVG without scripts. It brings its own background, so it stays readable on a page of either kind.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from html import escape

SIZE = 14
"""Height of the text, in units of the picture."""
LINE = 19
"""From one line of text to the next."""
LIGHT = {
    "paper": "#ffffff",
    "ink": "#222222",
    "faint": "#5a5a5a",
    "panel": "#f3f1ea",
    "good": "#2f7d4f",
    "open": "#c9c3b4",
    "bad": "#b5432f",
}
DARK = {
    "paper": "#1e2129",
    "ink": "#e4e4e4",
    "faint": "#b3b3b3",
    "panel": "#2b2f3a",
    "good": "#4fa673",
    "open": "#6a655e",
    "bad": "#dd6a52",
}
"""Name of a colour: its value. `good`, `open` and `bad` stand for pass, inconclusive and fail."""


class Drawing:
    """One picture, `width` by `height` units; `title` names it, `about` says what it shows."""

    def __init__(self, width: int, height: int, title: str, about: str) -> None:
        self._head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}"'
            f' viewBox="0 0 {width} {height}" role="img" aria-labelledby="title about"'
            f' font-family="system-ui, sans-serif" font-size="{SIZE}">'
        )
        self._parts = [
            f'<title id="title">{escape(title)}</title>',
            f'<desc id="about">{escape(about)}</desc>',
            f"<style>{_colours(LIGHT)}",
            f"@media (prefers-color-scheme: dark) {{ {_colours(DARK)} }}</style>",
            f'<rect class="paper" width="{width}" height="{height}" rx="6"/>',
        ]

    def text(
        self, x: float, y: float, *lines: str, to: str = "start", bold: bool = False, ink: str = ""
    ) -> None:
        """Lines of text, the first with its baseline at `y`; `to` is start, middle or end."""
        more = f' text-anchor="{to}"' if to != "start" else ""
        more += ' font-weight="600"' if bold else ""
        for number, line in enumerate(lines):
            self._parts.append(
                f'<text class="{ink or "ink"}" x="{x:g}" y="{y + number * LINE:g}"{more}>'
                f"{escape(line, quote=False)}</text>"
            )

    def box(
        self, x: float, y: float, width: float, height: float, colour: str, *, frame: str = ""
    ) -> None:
        """A filled rectangle; `frame` is the colour of its edge."""
        more = f' style="stroke: var(--{frame})" stroke-width="2"' if frame else ""
        self._parts.append(
            f'<rect class="{colour}" x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}"'
            f"{more}/>"
        )

    def arrow(self, *points: tuple[float, float], colour: str = "ink") -> None:
        """A line through the points, with a head at its end."""
        way = " ".join(f"{x:g},{y:g}" for x, y in points)
        (x, y), (end, low) = points[-2:]
        across, down = (end > x) - (end < x), (low > y) - (low < y)
        self._parts.append(
            f'<polyline points="{way}" fill="none" style="stroke: var(--{colour})"'
            ' stroke-width="1.5"/>'
        )
        head = ((0, 0), (-8 * across - 4 * down, -8 * down - 4 * across))
        head += ((-8 * across + 4 * down, -8 * down + 4 * across),)
        corners = " ".join(f"{end + right:g},{low + below:g}" for right, below in head)
        self._parts.append(f'<polygon class="{colour}" points="{corners}"/>')

    @contextmanager
    def group(self, title: str) -> Iterator[None]:
        """What is drawn inside has a title of its own, which browsers show under the pointer."""
        self._parts.append(f"<g><title>{escape(title)}</title>")
        yield
        self._parts.append("</g>")

    def svg(self) -> str:
        """The whole picture."""
        return "\n".join([self._head, *self._parts, "</svg>"]) + "\n"


def _colours(values: dict[str, str]) -> str:
    """Each colour as a variable, for edges, and as the class of what is filled with it."""
    variables = "; ".join(f"--{name}: {value}" for name, value in values.items())
    classes = " ".join(f".{name} {{ fill: {value} }}" for name, value in values.items())
    return f"svg {{ {variables} }} {classes}"
