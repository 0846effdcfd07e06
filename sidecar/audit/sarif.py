"""Reports as SARIF 2.1.0, for code scanning. Must not know files or terminals."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from sidecar.audit.report import Report
from sidecar.audit.verdicts import Row
from sidecar.sarif import log

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
    texts = [row.why, *row.more, *([row.advice] if row.advice else [])]
    # The same finding keeps its print while values vary, so that a tracker can follow it over runs.
    same = hashlib.sha256("\n".join((report.url, _id(row), *_subject(row))).encode()).hexdigest()[
        :32
    ]
    return {
        "ruleId": _id(row),
        "level": report.level(row),
        "message": {"text": " ".join(texts)},
        "locations": [_location(report, row.header)],
        "partialFingerprints": {"finding/v1": same},
        "properties": {"observed": list(row.observed), "fix": row.fix.yaml if row.fix else None},
    }


def _subject(row: Row) -> tuple[str, ...]:
    """What tells rows of one header apart: the cookie's name."""
    return (
        (row.observed[0].partition(";")[0],) if row.header == "Set-Cookie" and row.observed else ()
    )


def _location(report: Report, header: str) -> dict[str, Any]:
    return {
        "physicalLocation": {"artifactLocation": {"uri": report.url}, "region": {"startLine": 1}},
        "logicalLocations": [{"name": header, "kind": "header"}],
    }


def _note(report: Report, note: str) -> dict[str, Any]:
    return {
        "level": "note" if report.status is not None else "error",
        "message": {"text": f"{report.url}: {note}"},
    }
