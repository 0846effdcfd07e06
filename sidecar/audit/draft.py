"""Reports -> a first report-only policy: one rule for each finding, with a comment above it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sidecar.audit.fixes import Fix, removal
from sidecar.audit.report import AuditReport
from sidecar.scalars import scalar
from sidecar.templates import filled


@dataclass(frozen=True, slots=True)
class DraftRule:
    """A rule, and the findings that it is for."""

    fix: Fix
    findings: tuple[str, ...]

    @property
    def comments(self) -> tuple[str, ...]:
        """What stands above it in a policy file."""
        breaks = (f"May break: {self.fix.breaks}",) if self.fix.breaks else ()
        return (*self.findings, *breaks)


def gather(reports: Iterable[AuditReport]) -> tuple[DraftRule, ...]:
    """One rule for each header or cookie, in the order of the findings; one for all names that
    leak.

    Where several cookies would get the same rule name, the later rules get numbers.
    """
    held: dict[str, DraftRule] = {}
    leaks: dict[str, None] = {}
    for row in (row for report in reports for row in report.rows):
        if row.verdict == "leaks":
            leaks[row.header] = None
        elif row.fix is not None:
            _add(held, row.fix, f"{row.header} is {row.verdict}: {row.why}")
    rules = [*held.values()]
    if leaks:
        rules.append(
            DraftRule(removal(*leaks), (f"These reveal what runs here: {', '.join(leaks)}.",))
        )
    return tuple(rules)


def _add(held: dict[str, DraftRule], fix: Fix, finding: str) -> None:
    name, number = fix.name, 1
    while name in held and held[name].fix.rule.get("cookie") != fix.rule.get("cookie"):
        number += 1
        name = f"{fix.name}-{number}"
    findings: tuple[str, ...] = (finding,)
    if before := held.get(name):
        fix, findings = _both(before.fix, fix), tuple(dict.fromkeys((*before.findings, finding)))
    held[name] = DraftRule(replace(fix, name=name), findings)


def _both(one: Fix, other: Fix) -> Fix:
    """A fix for both: `set` also adds an absent header, and the attributes of a cookie add up."""
    mine, theirs = one.rule.get("attributes"), other.rule.get("attributes")
    if isinstance(mine, Mapping) and isinstance(theirs, Mapping):
        return replace(one, rule={**one.rule, "attributes": {**mine, **theirs}})
    return other if one.rule.get("action") == "default" else one


def draft(reports: Iterable[AuditReport]) -> str:
    """A policy file with a rule for each finding of all pages; ASCII."""
    held = tuple(reports)
    hosts = ", ".join(dict.fromkeys(report.host for report in held))
    urls = ", ".join(dict.fromkeys(report.url for report in held))
    return filled(
        "sidecar.audit",
        "draft.yaml.jinja",
        name=scalar(hosts[:128] or "audited"),
        reason=scalar(f"audit of {urls}"[:512]),
        found=gather(held),
    )
