"""Differences from a baseline: headers lost, added, changed, weakened, duplicated.

What changes with every response is masked before, so it never differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, NamedTuple, TypeAlias

from sidecar.baseline import Acceptance, Baseline, Cell, Variants, by_key, ordered
from sidecar.policy import headers
from sidecar.policy.headers.shapes import OTHER, Lines, cookie_line, display_name
from sidecar.policy.headers.strength import grants, is_protective, weaker, weaker_cookie
from sidecar.policy.terms import Severity
from sidecar.policy.values import PROXY_OWNED

DriftKind: TypeAlias = Literal["lost", "added", "changed", "weakened", "duplicated"]
DRIFT_KINDS: tuple[DriftKind, ...] = ("lost", "added", "changed", "weakened", "duplicated")
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
Weaker: TypeAlias = Callable[[Lines, Lines], str]
"""Why the second protects less than the first, "" = it does not."""
DOUBT = 0.01
"""A header of some responses counts as lost where its absence by chance is rarer than this."""

_KEPT_CHANGES = 40


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """A difference in one cell, shown by `seen` of the `responses` sampled; values fit to be shown.

    `part` is the cookie's name where the header is Set-Cookie. error: protection is lost; warning:
    what protects changed, or something new is disclosed or allowed; info: anything else.
    """

    route: str
    status: str
    content: str
    header: str
    part: str
    kind: DriftKind
    severity: Severity
    before: tuple[Lines, ...]
    now: tuple[Lines, ...]
    seen: int
    responses: int
    why: str

    @property
    def place(self) -> str:
        """Cell and header in a few words."""
        part = f" {self.part}" if self.part else ""
        return f"{self.route} {self.status} {self.content}: {self.header}{part}"


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All findings, the worst first, and how many cells were compared."""

    findings: tuple[DriftFinding, ...]
    compared: int
    unseen: tuple[str, ...]
    """Cells of the baseline without a response now."""
    unknown: tuple[str, ...]
    """Cells that the baseline does not have."""

    def at_least(self, severity: Severity) -> tuple[DriftFinding, ...]:
        """The findings of this severity and worse."""
        most = SEVERITIES.index(severity)
        return tuple(one for one in self.findings if SEVERITIES.index(one.severity) <= most)

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


def drift(baseline: Baseline, now: Iterable[Cell]) -> DriftReport:
    """What differs now. A cell on one side only is no difference: no such traffic, or new."""
    held, current = by_key(baseline.cells), by_key(now)
    both = [key for key in held if key in current]
    findings = [found for key in both for found in _differences(held[key], current[key])]
    return DriftReport(
        tuple(sorted(findings, key=lambda found: SEVERITIES.index(found.severity))),
        len(both),
        tuple(" ".join(key) for key in held if key not in current),
        tuple(" ".join(key) for key in current if key not in held),
    )


def _differences(before: Cell, now: Cell) -> Iterator[DriftFinding]:
    # Headers of the connection go no further than the next hop: their way decides, not the service.
    for name in sorted({*before.headers, *now.headers} - PROXY_OWNED):
        for one in _changes(before.header(name), now.header(name), partial(weaker, name)):
            yield _finding(now, display_name(name), "", _severity(name, one), one)
    for name in sorted({**before.cookies, **now.cookies}):
        for one in _changes(before.cookie(name), now.cookie(name), _weaker_cookie):
            yield _finding(now, "Set-Cookie", name, _cookie_severity(name, one), one)


def _weaker_cookie(before: Lines, after: Lines) -> str:
    return weaker_cookie(before[-1], after[-1]) if before and after else ""


class _Change(NamedTuple):
    kind: DriftKind
    before: tuple[Lines, ...]
    now: tuple[Lines, ...]
    seen: int
    why: str


def _changes(before: Variants, now: Variants, is_weaker: Weaker) -> Iterator[_Change]:
    """The new variants by kind, in the order of `DRIFT_KINDS`, each kind once."""
    known = tuple(sorted(filter(None, before), key=lambda lines: (-before[lines], lines)))
    by_kind: dict[DriftKind, dict[Lines, str]] = {}
    for lines in now:
        if lines in before or (lines and OTHER in before):
            continue  # the baseline had more values than it keeps: a further one is nothing new
        kind, why = _kind(lines, known, is_weaker)
        by_kind.setdefault(kind, {})[lines] = why
    if known and () in before and () in now and not any(now):
        absent, responses = before[()], sum(before.values())
        if now[()] * math.log(absent / responses) < math.log(DOUBT):
            by_kind["lost"] = {(): f"{responses - absent} of {responses} responses had it"}
    for kind in DRIFT_KINDS:
        if found := by_kind.get(kind):
            seen, why = sum(now[lines] for lines in found), next(iter(found.values()))
            yield _Change(kind, known, tuple(found), seen, why)


def _kind(lines: Lines, known: tuple[Lines, ...], is_weaker: Weaker) -> tuple[DriftKind, str]:
    if not lines:
        return "lost", "all responses had it"
    if not known:
        return "added", ""
    reasons = [is_weaker(old, lines) for old in known]
    why = reasons[0] if all(reasons) else ""
    if len(lines) > max(len(old) for old in known):
        return "duplicated", why
    return ("weakened" if why else "changed"), why


def _finding(cell: Cell, header: str, part: str, severity: Severity, one: _Change) -> DriftFinding:
    counts = (one.seen, cell.responses, one.why)
    return DriftFinding(*cell.key, header, part, one.kind, severity, one.before, one.now, *counts)


def _severity(name: str, one: _Change) -> Severity:
    """By effect: what protects, what discloses, what allows, and what has no known effect."""
    row, kind = headers.get(name), one.kind
    if kind != "lost" and one.why:
        return "error"
    if grants(name):
        return "info" if kind == "lost" else "warning"
    if is_protective(name):
        if kind == "lost":
            return "error"
        return "info" if kind == "added" else "warning"
    if name in headers.DISCLOSURE or (row and row.group in ("disclosure", "deprecated")):
        return "warning" if kind == "added" else "info"
    return "warning" if kind in ("lost", "duplicated") else "info"


def _cookie_severity(name: str, one: _Change) -> Severity:
    if one.kind != "lost" and one.why:
        return "error"
    if one.kind == "added":
        cookies = (cookie_line(name, line) for lines in one.now for line in lines)
        faulty = any(headers.header_faults("Set-Cookie", cookie) for cookie in cookies)
        return "warning" if faulty else "info"
    return "info" if one.kind == "lost" else "warning"


def accept(
    baseline: Baseline, now: Sequence[Cell], report: DriftReport, *, at: str, by: str, reason: str
) -> Baseline:
    """The baseline with each finding accepted (who and why is recorded) and new cells added.

    `drift` of the result and `now` finds nothing.
    """
    current, cells = by_key(now), by_key(baseline.cells)
    for found in report.findings:
        key = (found.route, found.status, found.content)
        cells[key] = _taken_in(cells[key], current[key], found)
    new = [cell for key, cell in current.items() if key not in cells]
    changes = [f"{found.place} {found.kind}" for found in report.findings]
    changes += [f"{' '.join(cell.key)}: new" for cell in new]
    if len(changes) > _KEPT_CHANGES:
        changes[_KEPT_CHANGES:] = [f"and {len(changes) - _KEPT_CHANGES} more"]
    if not changes:
        return baseline
    made = Acceptance(at=at, by=by, reason=reason, changes=tuple(changes))
    accepted = (*baseline.accepted, made)
    return replace(baseline, cells=ordered((*cells.values(), *new)), accepted=accepted)


def _taken_in(cell: Cell, now: Cell, found: DriftFinding) -> Cell:
    def with_(held: Mapping[str, Variants], name: str, variants: Variants) -> dict[str, Variants]:
        rest = {known: said for known, said in held.items() if known != name}
        return {**rest, name: variants} if any(variants) else rest

    if found.header == "Set-Cookie":
        return replace(cell, cookies=with_(cell.cookies, found.part, now.cookie(found.part)))
    name = found.header.lower()
    return replace(cell, headers=with_(cell.headers, name, now.header(name)))
