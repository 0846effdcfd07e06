"""What came of the zoo, as rows and as a page with their table; `figures` draws them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import cast

from tests.zoo.site import Site, Witness
from tests.zoo.sites import SITES

OUTCOMES = ("pass", "inconclusive", "fail")
_INTRODUCTION = """\
# How often the gate is right

`python -m tests.zoo` opened each of these small sites in a real Chromium, and found the truth by enforcing its rule. The gate
was asked after report-only, and again after a trial. [Trial and evidence](evidence.md) says who can tell what, and sums it up.

![One square for each site: what the gate said after report-only and after a trial, for harmless rules and for rules that \
break their site. The table below says the same in words.](pictures/zoo.svg)

"""  # noqa: E501


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
    """The page: a few words, the figure, the whole table."""
    lines = [
        "| site | scheme | rule | witness | truth | after report-only | after trial |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.site.name} | {row.site.scheme} | `{row.site.rule.replace('|', '&#124;')}` |"
        f" {row.site.witness} | {truth(row)} | {row.after_report_only} | {row.after_trial} |"
        for row in rows
    ]
    return _INTRODUCTION + "\n".join(lines) + "\n"


def summary(rows: Sequence[Row]) -> dict[tuple[str, str], dict[str, int]]:
    """Counts of outcomes by stage ("report-only", "trial") and truth ("breaks", "harmless")."""
    return {
        (stage, true): {
            outcome: sum(verdict == outcome and truth(row) == true for row, verdict in found)
            for outcome in OUTCOMES
        }
        for stage, found in (
            ("report-only", [(row, row.after_report_only) for row in rows]),
            ("trial", [(row, row.after_trial) for row in rows]),
        )
        for true in ("breaks", "harmless")
    }


def truth(row: Row) -> str:
    return "breaks" if row.breaks else "harmless"


def read(text: str) -> list[Row]:
    """The rows of a page of `markdown`, with the witness that it names.

    Raises KeyError for a site that is gone: the zoo has to run again.
    """
    sites, found = {site.name: site for site in SITES}, []
    for line in text.splitlines():
        if re.match(r"\| [a-z0-9-]+ \|", line) and not line.startswith("| site |"):
            cells = [cell.strip() for cell in line.strip("| ").split(" | ")]
            name, _, _, witness, whether, after_report_only, after_trial = cells
            row = Row(
                replace(sites[name], witness=cast("Witness", witness)),
                works_without=True,
                breaks=whether == "breaks",
                after_report_only=after_report_only,
                after_trial=after_trial,
                unchanged=True,
            )
            found.append(row)
    return found
