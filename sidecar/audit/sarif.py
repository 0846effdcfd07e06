"""Reports as SARIF 2.1.0, for code scanning."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sidecar.audit.report import Report
from sidecar.audit.verdicts import Row
from sidecar.sarif import log, place, result

_ABOUT = {
    "weak": "{header} protects less than it could",
    "missing": "{header} is missing",
    "invalid": "{header} is not as browsers obey it",
    "leaks": "{header} reveals too much",
}


def sarif(reports: Iterable[Report]) -> dict[str, Any]:
    """One run with a result for each row that is not good, and a notification for each note."""
    held = tuple(reports)
    found = [(report, row) for report in held for row in report.rows if row.verdict != "good"]
    rules = {_id(row): _rule(row) for _, row in found}
    return log(
        rules.values(),
        [_result(report, row) for report, row in found],
        notes=[_note(report, note) for report in held for note in report.notes],
        successful=all(report.status is not None for report in held),
    )


def _id(row: Row) -> str:
    return f"{row.header.lower()}/{row.verdict}"


def _rule(row: Row) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": _id(row),
        "shortDescription": {"text": f"{_ABOUT[row.verdict].format(header=row.header)}."},
    }
    return {**made, "helpUri": row.spec} if row.spec else made


def _result(report: Report, row: Row) -> dict[str, Any]:
    location = {**place(report.url), "logicalLocations": [{"name": row.header, "kind": "header"}]}
    same = [report.url, _id(row)]
    if row.header == "Set-Cookie" and row.observed:
        same.append(row.observed[0].partition(";")[0])  # the cookie's name
    properties = {"observed": list(row.observed), "fix": row.fix.yaml if row.fix else None}
    made = result(_id(row), report.level(row), " ".join(row.said), location, same)
    return {**made, "properties": properties}


def _note(report: Report, note: str) -> dict[str, Any]:
    return {
        "level": "note" if report.status is not None else "error",
        "message": {"text": f"{report.url}: {note}"},
    }
