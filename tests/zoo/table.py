"""What came of the zoo, as rows, as a Markdown table and as a figure (SVG).

Lives here: `Row`, `markdown`, `svg`, `summary`. Must not know how anything was found out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from tests.zoo.site import Site

OUTCOMES = ("pass", "inconclusive", "fail")


@dataclass(frozen=True)
class Row:
    """One site: the truth, and the verdicts after report-only and after a trial ("" = not asked)."""

    site: Site
    works_without: bool
    breaks: bool
    after_report_only: str
    after_trial: str
    unchanged: bool
    """Whether report-only and trial left the page as it is without the rule."""


def wrong(row: Row) -> str:
    """Why a row may not be; "" when it may. A harmless rule that does not pass is no error of one row."""
    if not row.works_without:
        return "the site does not work without the rule"
    if row.breaks != row.site.breaks:
        return f"the rule {'breaks' if row.breaks else 'does not break'} the site"
    if not row.unchanged:
        return "report-only or trial changed what the page does"
    if row.breaks and "pass" in (row.after_report_only, row.after_trial):
        return "a breaking rule passed"
    if row.breaks and row.after_trial and row.after_trial != "fail" and row.site.witness != "nobody":
        return "a breaking rule that has a witness is not flagged after the trial"
    return ""


def markdown(rows: Sequence[Row]) -> str:
    """The whole table."""
    lines = ["| site | scheme | rule | witness | truth | after report-only | after trial |", "|---|---|---|---|---|---|---|"]
    lines += [
        f"| {row.site.name} | {row.site.scheme} | `{row.site.rule.replace('|', '&#124;')}` | {row.site.witness} | {_truth(row)} "
        f"| {row.after_report_only} | {row.after_trial} |"
        for row in rows
    ]
    return "\n".join(lines) + "\n"


def summary(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, int]]:
    """Counts of outcomes by stage ("report-only", "trial") and truth ("breaks", "harmless")."""
    return {
        (stage, truth): {outcome: sum(verdict == outcome and _truth(row) == truth for row, verdict in found) for outcome in OUTCOMES}
        for stage, found in (("report-only", [(row, row.after_report_only) for row in rows]), ("trial", [(row, row.after_trial) for row in rows]))
        for truth in ("breaks", "harmless")
    }


def _truth(row: Row) -> str:
    return "breaks" if row.breaks else "harmless"


_COLOURS = {"pass": "#2f7d4f", "inconclusive": "#b9b3a5", "fail": "#b5432f"}
_WIDTH, _LEFT, _BAR, _LINE = 760, 210, 22, 40


def svg(rows: Sequence[Row]) -> str:
    """Four bars: harmless and breaking rules, after report-only and after a trial, by what the gate said."""
    found = summary(rows)
    bars = [(truth, stage) for truth in ("harmless", "breaks") for stage in ("report-only", "trial")]
    height = 70 + _LINE * len(bars)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_WIDTH}" height="{height}" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'font-family="system-ui, sans-serif" font-size="14"><title>{escape(_title(rows))}</title>',
        f'<rect width="{_WIDTH}" height="{height}" fill="#ffffff"/>',
    ]
    for number, outcome in enumerate(OUTCOMES):
        x = _LEFT + number * 130
        parts.append(f'<rect x="{x}" y="16" width="14" height="14" fill="{_COLOURS[outcome]}"/><text x="{x + 20}" y="28" fill="#222222">{outcome}</text>')
    for number, (truth, stage) in enumerate(bars):
        y, x = 50 + number * _LINE, float(_LEFT)
        counts = found[stage, truth]
        total = sum(counts.values())
        label = f"{'breaking' if truth == 'breaks' else 'harmless'}, after {stage}"
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 16}" text-anchor="end" fill="#222222">{label}</text>')
        for outcome in OUTCOMES:
            width = (_WIDTH - _LEFT - 20) * counts[outcome] / total if total else 0
            if width:
                ink = "#222222" if outcome == "inconclusive" else "#ffffff"
                parts.append(
                    f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{_BAR}" fill="{_COLOURS[outcome]}"/>'
                    f'<text x="{x + width / 2:.1f}" y="{y + 16}" text-anchor="middle" fill="{ink}">{counts[outcome]}</text>'
                )
            x += width
    return "\n".join([*parts, "</svg>"]) + "\n"


def _title(rows: Sequence[Row]) -> str:
    breaking = sum(row.breaks for row in rows)
    return f"What the gate said of {len(rows)} rules: {breaking} break their site, {len(rows) - breaking} are harmless"
