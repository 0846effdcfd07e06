"""Reports as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sidecar.audit.report import AuditReport
from sidecar.audit.verdicts import JudgedHeader
from sidecar.sarif import Finding, log, place

_ABOUT = {
    "weak": "{header} protects less than it could",
    "missing": "{header} is missing",
    "invalid": "{header} is not as browsers obey it",
    "leaks": "{header} reveals too much",
}


def sarif(reports: Iterable[AuditReport]) -> dict[str, Any]:
    """One run with a result for each row that is not good, and a notification for each note."""
    held = tuple(reports)
    bad = ((report, row) for report in held for row in report.rows if row.verdict != "good")
    return log(
        (_finding(report, row) for report, row in bad),
        notes=[
            ("error" if report.status is None else "note", f"{report.url}: {note}")
            for report in held
            for note in report.notes
        ],
        successful=all(report.status is not None for report in held),
    )


def _finding(report: AuditReport, row: JudgedHeader) -> Finding:
    rule = f"{row.header.lower()}/{row.verdict}"
    about: dict[str, Any] = {
        "shortDescription": {"text": f"{_ABOUT[row.verdict].format(header=row.header)}."}
    }
    if row.spec:
        about["helpUri"] = row.spec
    location = {**place(report.url), "logicalLocations": [{"name": row.header, "kind": "header"}]}
    same = [report.url, rule]
    if row.header == "Set-Cookie" and row.observed:
        same.append(row.observed[0].partition(";")[0])  # the cookie's name
    properties = {"observed": list(row.observed), "fix": row.fix.yaml if row.fix else None}
    said = " ".join(row.said)
    return Finding(rule, about, report.level(row), said, location, same, properties)
