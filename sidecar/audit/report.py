"""Everything the audit found on one page; as plain data, and as SARIF for code scanning."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal, TypeAlias

from sidecar.audit import outcomes
from sidecar.audit.observatory import ObservatoryResult, look, observatory_results
from sidecar.audit.oshp import PRESET, Coverage, coverage
from sidecar.audit.verdicts import TEXTS, JudgedHeader, verdicts
from sidecar.audit.visit import Visit, is_judged
from sidecar.observed import ObservedResponse, without_query
from sidecar.policy.headers.tokens import parse_hsts
from sidecar.policy.lint.routes import HEADER_SIZES
from sidecar.sarif import Finding, log, place

Level: TypeAlias = Literal["error", "warning", "note", "none"]
"""The words of SARIF; none = nothing is wrong."""

_BAD = -20
"""Points from which on a finding is an error."""


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The judgement on one page."""

    url: str
    """The judged address (that of the last redirect), fit to be shown."""
    host: str
    status: int | None
    """None = no response."""
    results: tuple[ObservatoryResult, ...]
    score: int | None
    """None = responses of this status are not scored."""
    grade: str | None
    coverage: Coverage | None
    rows: tuple[JudgedHeader, ...]
    notes: tuple[str, ...]

    def level(self, row: JudgedHeader) -> Level:
        """How bad a row is, by what its test cost."""
        if row.verdict == "good":
            return "none"
        name = "cookies" if row.header == "Set-Cookie" else row.header.lower()
        points = sum(result.points for result in self.results if result.test == name)
        if points <= _BAD and row.verdict != "leaks":
            return "error"
        return "warning" if points < 0 or row.verdict in ("weak", "invalid") else "note"


def report(visit: Visit) -> AuditReport:
    """Judge a visit. Total: whatever the responses hold."""
    seen, page = look(visit), visit.page
    results = observatory_results(seen) if seen else ()
    scored = page is not None and is_judged(page.status)
    score = outcomes.score(result.outcome for result in results) if scored else None
    return AuditReport(
        url=without_query(page.url if page else visit.url),
        host=visit.host,
        status=page.status if page else None,
        results=results,
        score=score,
        grade=None if score is None else outcomes.grade(score),
        coverage=coverage(page) if page else None,
        rows=verdicts(seen) if seen else (),
        notes=(*visit.notes, *_notes(visit, page)),
    )


def _notes(visit: Visit, page: ObservedResponse | None) -> Iterator[str]:
    if page is None:
        yield "there was no response, so nothing was judged"
        return
    if not is_judged(page.status):
        yield f"a response of status {page.status} has no score; scored are 2xx, 3xx, 401 and 403"
    size = sum(len(name) + len(value) + len(": \r\n") for name, value in page.fields)
    outcome = next((outcome for kib, outcome in HEADER_SIZES.items() if size > kib << 10), "")
    if outcome:
        yield f"its header lines add up to {size} bytes: {outcome}"
    values = page.values("strict-transport-security")
    if any(parse_hsts(value).preload for value in values) and not visit.is_preloaded(visit.host):
        yield (
            "the header asks for preloading; whether browsers' lists hold the host was not looked"
            " up (say so with --preloaded HOST)"
        )


def reaches(one: AuditReport, least: str) -> bool:
    """Whether a page has at least this grade; False without a grade."""
    return one.grade is not None and outcomes.is_at_least(one.grade, least)


def as_data(one: AuditReport) -> dict[str, Any]:
    """The report as plain data, for JSON."""
    covered = one.coverage
    return {
        **{name: getattr(one, name) for name in ("url", "host", "status", "grade", "score")},
        "tests": [
            {"test": each.test, "outcome": each.outcome, "points": each.points}
            for each in one.results
        ],
        "oshp": covered
        and {
            "preset": PRESET,
            "as_recommended": covered.followed,
            "due": covered.due,
            "of": len(covered.states),
            "headers": dict(covered.states),
            "leaks": list(covered.leaks),
        },
        "headers": [
            {**asdict(row), "level": one.level(row), "fix": row.fix and row.fix.yaml}
            for row in one.rows
        ],
        "notes": list(one.notes),
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
        "shortDescription": {"text": f"{TEXTS['about'][row.verdict].format(header=row.header)}."}
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
