"""The picture of what was measured, drawn from the table of rates in the document's own text.

Pure: figures in, SVG out. `python -m bench --write` draws it, and `python -m tests.documents
--write` draws it anew from the document alone.
"""

import re
from collections.abc import Mapping

from docs.drawing import Drawing

from .peers import PLAIN, SUBJECT
from .report import BEGIN, END

PICTURE = "pictures/cpu.svg"
"""Path beside the document."""
_CELL = re.compile(r"[\d,.]+, (?P<number>[\d,.]+) (?P<unit>us|ms)")
_DETAIL = re.compile(r": | there and back| \(\d")
"""Where the part of a case's name begins for which a heading has no room."""
_COLUMNS, _WIDTH, _GAP, _TOP = 2, 280, 20, 20
_NAMES, _BAR, _STEP, _HEAD = 96, 116, 20, 26
"""Widths of the names and of the longest bar; heights of a bar with its gap, and of a heading."""
_COLOURS = {SUBJECT: "good", PLAIN: "good"}


def figures(document: str) -> dict[str, dict[str, float | None]]:
    """Case: contender: microseconds of CPU for one response, None where it was not measured.

    Args:
        document: text with the table of `report.load_table` in its measured part.

    Raises ValueError when it has none, or has a cell of another form.
    """
    part = document.partition(BEGIN)[2].partition(END)[0].strip()
    lines = [line for line in part.partition("\n\n")[0].splitlines() if line.startswith("|")]
    if len(lines) < 3:
        raise ValueError(f"the document has no table after {BEGIN}")
    (_, *names), _, *rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in lines
    ]
    return {
        case: {name: _microseconds(cell) for name, cell in zip(names, cells, strict=True)}
        for case, *cells in rows
    }


def _microseconds(cell: str) -> float | None:
    if cell == "-":
        return None
    found = _CELL.match(cell)
    if not found:
        raise ValueError(f"{cell!r} is no rate with its CPU time, such as '63,566, 15.3 us'")
    return float(found["number"].replace(",", "")) * (1000 if found["unit"] == "ms" else 1)


def drawn(found: Mapping[str, Mapping[str, float | None]]) -> str:
    """Bars of CPU time, shorter is better: one group for each case, each on a scale of its own."""
    lines = -(-len(found) // _COLUMNS)
    most = max(len(row) for row in found.values())
    high = _HEAD + most * _STEP + 18
    about = "; ".join(
        f"{case}: " + ", ".join(f"{name} {_shown(each)}" for name, each in row.items())
        for case, row in found.items()
    )
    picture = Drawing(
        _COLUMNS * (_WIDTH + _GAP),
        _TOP + lines * high,
        "CPU time of one response; shorter is better",
        f"{about}.",
    )
    for place, (case, row) in enumerate(found.items()):
        x = _GAP / 2 + place % _COLUMNS * (_WIDTH + _GAP)
        y = _TOP + place // _COLUMNS * high
        picture.text(x, y + 10, _DETAIL.split(case)[0], bold=True)
        longest = max((each for each in row.values() if each is not None), default=1.0)
        for number, (name, each) in enumerate(row.items()):
            top = y + _HEAD + number * _STEP
            picture.text(x + _NAMES - 8, top + 12, name, to="end")
            width = _BAR * (each or 0) / longest
            if each is not None:
                picture.box(x + _NAMES, top, width, _STEP - 5, _COLOURS.get(name, "open"))
            picture.text(x + _NAMES + width + 5, top + 12, _shown(each), ink="faint")
    return picture.svg()


def _shown(each: float | None) -> str:
    if each is None:
        return "not measured"
    return f"{each:,.1f} us" if each < 10_000 else f"{each / 1000:,.1f} ms"
