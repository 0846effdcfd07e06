"""Reports as Markdown, for pull requests and tickets."""

from __future__ import annotations

from collections.abc import Iterable

from sidecar.audit.draft import gather
from sidecar.audit.report import Report
from sidecar.audit.verdicts import Row
from sidecar.markdown import as_code, as_table, escaped
from sidecar.policy.words import counted


def markdown(reports: Iterable[Report]) -> str:
    """One section for each page; ends with a line feed."""
    held = tuple(reports)
    parts = ["# Header audit"]
    if len(held) > 1:
        found = [sum(row.verdict != "good" for row in report.rows) for report in held]
        rows = [
            (escaped(report.url), _mark(report), str(count))
            for report, count in zip(held, found, strict=True)
        ]
        parts.append(as_table(("Page", "Mark", "Findings"), rows))
    for report in held:
        parts.append(f"## {escaped(report.url)}: {_mark(report)}")
        if seen := report.coverage:
            followed = f"{seen.followed} of {seen.due} headers as recommended"
            leaks = counted(len(seen.leaks), "header")
            parts.append(f"OWASP: {followed}, {leaks} to remove.")
        if report.rows:
            columns = ("Header", "Verdict", "Observed", "Why")
            parts.append(as_table(columns, map(_verdict, report.rows)))
        if report.results:
            points = [
                f"{outcome.points:+d}" if outcome.points else "0" for _, outcome in report.results
            ]
            results = [
                (test.value, outcome.value, number)
                for (test, outcome), number in zip(report.results, points, strict=True)
            ]
            parts += ["### Score", as_table(("Test", "Outcome", "Points"), results)]
        rules = "\n".join(one.fix.yaml for one in gather((report,)))
        if rules:
            parts.append(f"### Rules for the findings\n\n```yaml\n{rules}\n```")
        if report.notes:
            parts += ["### Notes", "\n".join(f"- {escaped(note)}" for note in report.notes)]
    return "\n\n".join(parts) + "\n"


def _mark(report: Report) -> str:
    return "no score" if report.grade is None else f"grade {report.grade} ({report.score})"


def _verdict(row: Row) -> tuple[str, ...]:
    observed = "<br>".join(as_code(value) for value in row.observed if value)
    advice = (f"Fix: {row.advice}",) if row.advice else ()
    why = escaped(" ".join((row.why, *row.more, *advice)))
    return row.header, f"**{row.verdict}**", observed, why
