"""What came of the zoo, as rows, as a Markdown table and as a figure (SVG)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from tests.zoo.site import Site

OUTCOMES = ("pass", "inconclusive", "fail")


@dataclass(frozen=True)
class Row:
    """One site: the truth, and the verdicts after report-only and after a trial ("" = not
    asked).
    """

    site: Site
    works_without: bool
    breaks: bool
    after_report_only: str
    after_trial: str
    unchanged: bool
    """Whether report-only and trial left the page as it is without the rule."""


def wrong(row: Row) -> str:
    """Why a row may not be; "" when it may. A harmless rule that does not pass is no error of
    one row.
    """
    if not row.works_without:
        return "the site does not work without the rule"
    if row.breaks != row.site.breaks:
        return f"the rule {'breaks' if row.breaks else 'does not break'} the site"
    if not row.unchanged:
        return "report-only or trial changed what the page does"
    if row.breaks and "pass" in (row.after_report_only, row.after_trial):
        return "a breaking rule passed"
    if (
        row.breaks
        and row.after_trial
        and row.after_trial != "fail"
        and row.site.witness != "nobody"
    ):
        return "a breaking rule that has a witness is not flagged after the trial"
    return ""


def markdown(rows: Sequence[Row]) -> str:
    """The whole table."""
    lines = [
        "| site | scheme | rule | witness | truth | after report-only | after trial |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.site.name} | {row.site.scheme} | `{row.site.rule.replace('|', '&#124;')}` |"
        f" {row.site.witness} | {_truth(row)} | {row.after_report_only} | {row.after_trial} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def summary(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, int]]:
    """Counts of outcomes by stage ("report-only", "trial") and truth ("breaks", "harmless")."""
    return {
        (stage, truth): {
            outcome: sum(verdict == outcome and _truth(row) == truth for row, verdict in found)
            for outcome in OUTCOMES
        }
        for stage, found in (
            ("report-only", [(row, row.after_report_only) for row in rows]),
            ("trial", [(row, row.after_trial) for row in rows]),
        )
        for truth in ("breaks", "harmless")
    }


def _truth(row: Row) -> str:
    return "breaks" if row.breaks else "harmless"


_COLOURS = {"pass": "#2f7d4f", "inconclusive": "#c9c3b4", "fail": "#b5432f", "": "#ffffff"}
_LEFT, _SIDE, _STRIP, _GAP, _LINE, _TOP = 170, 15, 5, 3, 36, 78
_ACROSS = 16
"""Sites side by side in one line of a family."""
_BLOCK = _ACROSS * (_SIDE + _GAP) + 24


def svg(rows: Sequence[Row]) -> str:
    """A square for each site by what the gate said after the trial, a strip above it for
    report-only.

    One line for each family, harmless rules to the left, breaking rules to the right.
    """
    lines = list(_lines(rows))
    width, height = _LEFT + 2 * _BLOCK, _TOP + _LINE * len(lines) + 8
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0'
        f' {width} {height}" role="img" font-family="system-ui, sans-serif" font-size="13"'
        f' fill="#222222"><title>{escape(_title(rows))}</title>'
    )
    parts = [opening, f'<rect width="{width}" height="{height}" fill="#ffffff"/>']
    for number, outcome in enumerate(OUTCOMES):
        x = _LEFT + number * 110
        parts.append(
            f'<rect x="{x}" y="12" width="{_SIDE}" height="{_SIDE}" fill="{_COLOURS[outcome]}"/>'
        )
        parts.append(f'<text x="{x + 21}" y="24">{outcome}</text>')
    parts.append(
        f'<text x="{_LEFT + 330}" y="24">strip: after report-only; square: after a trial</text>'
    )
    for column, truth in enumerate(("harmless", "breaks")):
        of = [row for row in rows if _truth(row) == truth]
        head = (
            f"{len(of)} rules"
            f" {'that break their site' if truth == 'breaks' else 'harmless to their site'}"
        )
        parts.append(f'<text x="{_LEFT + column * _BLOCK}" y="60" font-weight="600">{head}</text>')
    for number, (family, columns) in enumerate(lines):
        y = _TOP + number * _LINE
        parts.append(
            f'<text x="{_LEFT - 12}" y="{y + 17}" text-anchor="end">{escape(family)}</text>'
        )
        for column, found in enumerate(columns):
            for place, row in enumerate(found):
                parts += _square(row, _LEFT + column * _BLOCK + place * (_SIDE + _GAP), y)
    return "\n".join([*parts, "</svg>"]) + "\n"


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


def _square(row: Row, x: int, y: int) -> Iterator[str]:
    """One site; a verdict that must not be has a dark frame."""
    frame = ' stroke="#111111" stroke-width="2"' if wrong(row) else ""
    about = (
        f"{row.site.name} ({row.site.scheme}): {row.after_report_only} after report-only,"
        f" {row.after_trial} after trial"
    )
    yield f"<g><title>{escape(about)}</title>"
    yield (
        f'<rect x="{x}" y="{y}" width="{_SIDE}" height="{_STRIP}"'
        f' fill="{_COLOURS[row.after_report_only]}"/>'
    )
    yield (
        f'<rect x="{x}" y="{y + _STRIP + 1}" width="{_SIDE}" height="{_SIDE}"'
        f' fill="{_COLOURS[row.after_trial]}"{frame}/></g>'
    )


def _title(rows: Sequence[Row]) -> str:
    breaking = sum(row.breaks for row in rows)
    return (
        f"What the gate said of {len(rows)} rules: {breaking} break their site,"
        f" {len(rows) - breaking} are harmless"
    )
