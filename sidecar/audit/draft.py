"""Reports -> a first report-only policy: one rule for each finding, with a comment above it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from sidecar.audit.fixes import Fix, removal
from sidecar.audit.report import Report
from sidecar.scalars import scalar

_HEAD = """\
# A first policy, from an audit. It is report-only: the sidecar logs what it would change, and changes nothing.
# Let it see real traffic, take out what does not fit, then promote rule by rule.
version: 1
name: {name}
# owner: who is responsible for this policy
reason: {reason}
expected: {expected}
rollback: sidecar rollback
mode: report-only
"""  # noqa: E501


@dataclass(frozen=True, slots=True)
class DraftRule:
    """A rule, and the findings that it is for."""

    fix: Fix
    findings: tuple[str, ...]


def gather(reports: Iterable[Report]) -> tuple[DraftRule, ...]:
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


def draft(reports: Iterable[Report]) -> str:
    """A policy file with a rule for each finding of all pages; ASCII."""
    held = tuple(reports)
    urls = dict.fromkeys(report.url for report in held)
    text = _HEAD.format(
        name=scalar(", ".join(dict.fromkeys(report.host for report in held))[:128] or "audited"),
        reason=scalar(f"audit of {', '.join(urls)}"[:512]),
        expected=scalar("the findings of the audit are gone, and no page or client is broken"),
    )
    found = gather(held)
    if not found:
        return f"{text}# Nothing was found that a rule could repair.\nrules: {{}}\n"
    return f"{text}rules:\n{''.join(map(block, found))}"


def block(one: DraftRule) -> str:
    """A rule as text below `rules:`, with its findings as comments above."""
    fix = one.fix
    comments = [*one.findings, *([f"May break: {fix.breaks}"] if fix.breaks else [])]
    lines = (*(f"# {comment}" for comment in comments), *fix.yaml.split("\n"))
    return "".join(f"  {line}\n" for line in lines)
