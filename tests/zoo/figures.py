"""What came of the zoo as figures (SVG): every site, and who could tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from docs.drawing import Drawing
from tests.zoo.table import OUTCOMES, Row, truth, wrong

_COLOURS = {"pass": "good", "inconclusive": "open", "fail": "bad", "": "paper"}
_HEADS = {"harmless": "rules harmless to their site", "breaks": "rules that break their site"}
_LEFT, _SIDE, _STRIP, _GAP, _LINE, _TOP = 220, 15, 5, 3, 36, 78
_ACROSS = 16
"""Sites side by side in one line of a family."""
_BLOCK = _ACROSS * (_SIDE + _GAP) + 24


def sites(rows: Sequence[Row]) -> str:
    """A square for each site by what the gate said after the trial, a strip above it for
    report-only.

    One line for each family, harmless rules to the left, breaking rules to the right.
    """
    lines = list(_lines(rows))
    breaking = sum(row.breaks for row in rows)
    title = (
        f"What the gate said of {len(rows)} rules: {breaking} break their site,"
        f" {len(rows) - breaking} are harmless"
    )
    about = (
        "One square for each site: green passed, grey stayed inconclusive, red failed after a"
        " trial. The strip above it says the same after report-only."
    )
    picture = Drawing(_LEFT + 2 * _BLOCK, _TOP + _LINE * len(lines) + 8, title, about)
    _legend(picture, _LEFT)
    picture.text(_LEFT + 286, 24, "strip: after report-only; square: after a trial", ink="faint")
    for column, kind in enumerate(_HEADS):
        count = sum(truth(row) == kind for row in rows)
        picture.text(_LEFT + column * _BLOCK, 60, f"{count} {_HEADS[kind]}", bold=True)
    for number, (family, columns) in enumerate(lines):
        y = _TOP + number * _LINE
        if family:
            picture.text(_LEFT - 12, y + 17, family, to="end")
        for column, found in enumerate(columns):
            for place, row in enumerate(found):
                _square(picture, row, _LEFT + column * _BLOCK + place * (_SIDE + _GAP), y)
    return picture.svg()


def _legend(picture: Drawing, x: int) -> None:
    for outcome, right in zip(OUTCOMES, (0, 72, 194), strict=True):
        picture.box(x + right, 12, _SIDE, _SIDE, _COLOURS[outcome])
        picture.text(x + right + 21, 24, outcome)


def _lines(rows: Sequence[Row]) -> Iterator[tuple[str, tuple[Sequence[Row], Sequence[Row]]]]:
    """Each family in lines of so many squares; only its first line bears its name."""
    for family in dict.fromkeys(row.site.family for row in rows):
        harmless, breaking = (
            [row for row in rows if row.site.family == family and row.breaks == breaks]
            for breaks in (False, True)
        )
        for start in range(0, max(len(harmless), len(breaking)), _ACROSS):
            end = start + _ACROSS
            yield ("" if start else family), (harmless[start:end], breaking[start:end])


def _square(picture: Drawing, row: Row, x: int, y: int) -> None:
    """One site; a verdict that must not be has a dark frame."""
    about = (
        f"{row.site.name} ({row.site.scheme}): {row.after_report_only} after report-only,"
        f" {row.after_trial} after trial"
    )
    with picture.group(about):
        picture.box(x, y, _SIDE, _STRIP, _COLOURS[row.after_report_only])
        frame = "ink" if wrong(row) else ""
        picture.box(x, y + _STRIP + 1, _SIDE, _SIDE, _COLOURS[row.after_trial], frame=frame)


_WHO = {
    "harmless": ("harmless by nature", "any response shows it"),
    "proxy": ("the proxy", "requests of browsers"),
    "browsers": ("browsers", "reports, in a trial only"),
    "nobody": ("nobody", "a person decides"),
}
"""Each witness, and what it sees."""
_STAGES = ("after report-only", "after a trial")
_BAR, _FROM, _BETWEEN = 140, 316, 158
"""Width of the longest bar; where the first column of bars begins, and the next."""


def witnesses(rows: Sequence[Row]) -> str:
    """For each witness, bars of what the gate said of its rules, after report-only and after a
    trial: the breaking rules to the left, the harmless ones to the right.
    """
    counts = {
        (who, stage, kind): _verdicts(rows, who, stage, kind)
        for who in _WHO
        for stage in _STAGES
        for kind in ("breaks", "harmless")
    }
    longest = max(each.total() for each in counts.values())
    title = "What the gate said of rules, by who can tell whether they break the site"
    about = "; ".join(
        f"{_WHO[who][0]}, {stage}, rules that are {kind}".replace("are breaks", "break the site")
        + ": "
        + ", ".join(f"{number} {outcome}" for outcome, number in each.items())
        for (who, stage, kind), each in counts.items()
        if each
    )
    picture = Drawing(_FROM + 2 * _BETWEEN, 76 + 66 * len(_WHO), title, f"{about}.")
    _legend(picture, _FROM)
    picture.text(16, 56, "who can tell", ink="faint")
    picture.text(_FROM - 10, 56, "rules that", to="end", ink="faint")
    picture.text(_FROM, 56, "break their site", bold=True)
    picture.text(_FROM + _BETWEEN, 56, "are harmless", bold=True)
    for (who, stage, kind), each in counts.items():
        y = 70 + 66 * list(_WHO).index(who) + 24 * _STAGES.index(stage)
        if kind == "breaks":
            second = _STAGES.index(stage)
            picture.text(16, y + 15, _WHO[who][second], bold=not second, ink="faint" * second)
            picture.text(_FROM - 10, y + 15, stage, to="end")
        x: float = _FROM + _BETWEEN * (kind == "harmless")
        for outcome, number in each.items():
            width = _BAR * number / longest
            picture.box(x, y, width, 20, _COLOURS[outcome])
            if width >= 20:
                ink = "ink" if outcome == "inconclusive" else "paper"
                picture.text(x + width / 2, y + 15, str(number), to="middle", ink=ink)
            x += width
    return picture.svg()


def drawn(rows: Sequence[Row]) -> dict[str, str]:
    """Path of each figure, and the figure."""
    return {
        "docs/pictures/zoo.svg": sites(rows),
        "docs/pictures/witnesses.svg": witnesses(rows),
    }


def _verdicts(rows: Sequence[Row], who: str, stage: str, kind: str) -> Counter[str]:
    """How often each outcome came, in the order of the legend."""
    found = Counter(
        row.after_report_only if stage == _STAGES[0] else row.after_trial
        for row in rows
        if row.site.witness == who and truth(row) == kind
    )
    return Counter({outcome: found[outcome] for outcome in OUTCOMES if found[outcome]})
