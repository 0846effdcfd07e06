"""Reports as Markdown, for pull requests and tickets. Must not know files or terminals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidecar.audit.draft import gather
from sidecar.audit.report import Report

_SPECIAL = str.maketrans({char: f"\\{char}" for char in "\\`*_[]<>|~$"})


def markdown(reports: Iterable[Report]) -> str:
    """One section for each page; ends with a line feed."""
    held = tuple(reports)
    parts = ["# Header audit"]
    if len(held) > 1:
        counts = (f"{sum(row.verdict != 'good' for row in report.rows)}" for report in held)
        marks = [(escaped(report.url), _mark(report)) for report in held]
        rows = [(*mark, count) for mark, count in zip(marks, counts, strict=True)]
        parts.append(as_table(("Page", "Mark", "Findings"), rows))
    for report in held:
        parts.append(f"## {escaped(report.url)}: {_mark(report)}")
        if report.coverage:
            parts.append(
                f"OWASP: {report.coverage.followed} of {report.coverage.due} headers as"
                f" recommended, {len(report.coverage.leaks)} that leak."
            )
        if report.rows:
            parts.append(
                as_table(
                    ("Header", "Verdict", "Observed", "Why"),
                    [
                        (
                            row.header,
                            f"**{row.verdict}**",
                            _observed(row.observed),
                            escaped(" ".join((row.why, *row.more))),
                        )
                        for row in report.rows
                    ],
                )
            )
        if report.results:
            parts.append("### Score")
            parts.append(
                as_table(
                    ("Test", "Outcome", "Points"),
                    [
                        (
                            result.test.value,
                            result.outcome.value,
                            f"{result.outcome.points:+d}" if result.outcome.points else "0",
                        )
                        for result in report.results
                    ],
                )
            )
        rules = "\n".join(answered.fix.yaml for answered in gather((report,)))
        if rules:
            parts.append(f"### Rules that answer the findings\n\n```yaml\n{rules}\n```")
        if report.notes:
            parts.append("### Notes")
            parts.append("\n".join(f"- {escaped(note)}" for note in report.notes))
    return "\n\n".join(parts) + "\n"


def _mark(report: Report) -> str:
    return "no score" if report.grade is None else f"grade {report.grade} ({report.score})"


def _observed(values: Sequence[str]) -> str:
    return "<br>".join(as_code(value) for value in values if value)


def as_code(text: str) -> str:
    """Text as code in a cell; a vertical bar would end the cell, and a backtick the code."""
    return f"`{text.replace('|', chr(92) + '|').replace('`', chr(39))}`"


def escaped(text: str) -> str:
    """Text in which nothing is markup."""
    return text.translate(_SPECIAL)


def as_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells are Markdown already."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
