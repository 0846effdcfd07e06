"""What a service sends now that its baseline does not know: lost, added, changed, weakened,
duplicated.

Lives here: the comparison, the severities by effect, accepting a difference, and the check of a
running sidecar. Must not know how responses are gathered, nor where findings are shown. What
changes with every response was masked before it came here, so it never differs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, Literal, TypeAlias

from sidecar.baseline import Acceptance, Baseline, Cell, Variants, ordered
from sidecar.policy import headers
from sidecar.policy.headers.shapes import OTHER, Lines, cookie_line, display_name
from sidecar.policy.headers.strength import grants, is_protective, weaker, weaker_cookie
from sidecar.policy.model import Severity

DriftKind: TypeAlias = Literal["lost", "added", "changed", "weakened", "duplicated"]
DRIFT_KINDS: tuple[DriftKind, ...] = ("lost", "added", "changed", "weakened", "duplicated")
SEVERITIES: tuple[Severity, ...] = ("error", "warning", "info")
Weaker: TypeAlias = Callable[[Lines, Lines], str]
"""Why the second protects less than the first, "" = it does not."""
DOUBT = 0.01
"""A header that only some responses had counts as lost when chance explains its absence less
often than this.
"""

_KEPT_CHANGES = 40


@dataclass(frozen=True, slots=True)
class DriftFinding:
    """One difference in one cell. `seen` of the `responses` looked at showed it; values as they may
    be shown.

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
        return (
            f"{self.route} {self.status} {self.content}:"
            f" {self.header}{f' {self.part}' if self.part else ''}"
        )

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class DriftReport:
    """All findings, the worst first; the cells that were compared, that only one side has."""

    findings: tuple[DriftFinding, ...]
    compared: int
    unseen: tuple[str, ...]
    """Cells of the baseline without a response now."""
    unknown: tuple[str, ...]
    """Cells that the baseline does not know."""

    def at_least(self, severity: Severity) -> tuple[DriftFinding, ...]:
        """The findings of this severity and worse."""
        return tuple(
            found
            for found in self.findings
            if SEVERITIES.index(found.severity) <= SEVERITIES.index(severity)
        )

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "findings": [found.data() for found in self.findings],
            "compared": self.compared,
            "unseen": list(self.unseen),
            "unknown": list(self.unknown),
        }


def drift(baseline: Baseline, now: Iterable[Cell]) -> DriftReport:
    """What differs now. A cell on one side alone is no difference: that traffic did not come, or
    is new.
    """
    held, current = baseline.by_key(), {cell.key: cell for cell in now}
    both = [key for key in held if key in current]
    findings = [found for key in both for found in _differences(held[key], current[key])]
    return DriftReport(
        tuple(sorted(findings, key=lambda found: SEVERITIES.index(found.severity))),
        len(both),
        tuple(" ".join(key) for key in held if key not in current),
        tuple(" ".join(key) for key in current if key not in held),
    )


def _differences(before: Cell, now: Cell) -> Iterator[DriftFinding]:
    for name in sorted({**before.headers, **now.headers}):
        for kind, said in _judged(before.header(name), now.header(name), partial(weaker, name)):
            yield _finding(now, display_name(name), "", kind, _severity(name, kind, said), said)
    for name in sorted({**before.cookies, **now.cookies}):
        for kind, said in _judged(before.cookie(name), now.cookie(name), _weaker_cookie):
            yield _finding(now, "Set-Cookie", name, kind, _cookie_severity(name, kind, said), said)


def _weaker_cookie(before: Lines, after: Lines) -> str:
    return weaker_cookie(before[-1], after[-1]) if before and after else ""


@dataclass(frozen=True, slots=True)
class _Said:
    before: tuple[Lines, ...]
    now: tuple[Lines, ...]
    seen: int
    why: str


def _judged(
    before: Variants, now: Variants, is_weaker: Weaker
) -> Iterator[tuple[DriftKind, _Said]]:
    """The new variants by kind; the kinds in the order of KINDS, each once."""
    known = tuple(
        sorted((lines for lines in before if lines), key=lambda lines: (-before[lines], lines))
    )
    by_kind: dict[DriftKind, dict[Lines, str]] = {}
    for lines in now:
        if lines in before or (lines and OTHER in before):
            # where the baseline had more values than it keeps, a further one is nothing new
            continue
        kind, why = _kind(lines, known, is_weaker)
        by_kind.setdefault(kind, {})[lines] = why
    if known and () in before and () in now and not any(now):
        absent, responses = before[()], sum(before.values())
        if now[()] * math.log(absent / responses) < math.log(DOUBT):
            by_kind["lost"] = {(): f"{responses - absent} of {responses} responses had it"}
    for kind in DRIFT_KINDS:
        if found := by_kind.get(kind):
            yield (
                kind,
                _Said(
                    known,
                    tuple(found),
                    sum(now[lines] for lines in found),
                    next(iter(found.values())),
                ),
            )


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


def _finding(
    cell: Cell, header: str, part: str, kind: DriftKind, severity: Severity, said: _Said
) -> DriftFinding:
    return DriftFinding(
        *cell.key,
        header,
        part,
        kind,
        severity,
        said.before,
        said.now,
        said.seen,
        cell.responses,
        said.why,
    )


def _severity(name: str, kind: DriftKind, said: _Said) -> Severity:
    """By effect: what protects, what discloses, what gives leave, and what has none that is
    known.
    """
    row = headers.get(name)
    if kind != "lost" and said.why:
        return "error"
    if grants(name):
        return "info" if kind == "lost" else "warning"
    if is_protective(name):
        if kind == "lost":
            return "error"
        return "info" if kind == "added" else "warning"
    if name in headers.DISCLOSURE or (
        row is not None and row.group in ("disclosure", "deprecated")
    ):
        return "warning" if kind == "added" else "info"
    return "warning" if kind in ("lost", "duplicated") else "info"


def _cookie_severity(name: str, kind: DriftKind, said: _Said) -> Severity:
    if kind != "lost" and said.why:
        return "error"
    if kind == "added":
        faults = [
            fault
            for lines in said.now
            for line in lines
            for fault in headers.header_faults("Set-Cookie", cookie_line(name, line))
        ]
        return "warning" if faults else "info"
    return "info" if kind == "lost" else "warning"


def accept(
    baseline: Baseline, now: Sequence[Cell], report: DriftReport, *, at: str, by: str, reason: str
) -> Baseline:
    """The baseline with every finding taken in, and new cells added; who and why is written down.

    `drift` of the result and `now` finds nothing.
    """
    current = {cell.key: cell for cell in now}
    cells = {cell.key: cell for cell in baseline.cells}
    for found in report.findings:
        key = (found.route, found.status, found.content)
        cells[key] = _taken_in(cells[key], current[key], found)
    new = [cell for key, cell in current.items() if key not in cells]
    changes = [f"{found.place} {found.kind}" for found in report.findings] + [
        f"{' '.join(cell.key)}: new" for cell in new
    ]
    if len(changes) > _KEPT_CHANGES:
        changes[_KEPT_CHANGES:] = [f"and {len(changes) - _KEPT_CHANGES} more"]
    if not changes:
        return baseline
    entry = Acceptance(at, by, reason, tuple(changes))
    return replace(
        baseline, cells=ordered((*cells.values(), *new)), accepted=(*baseline.accepted, entry)
    )


def _taken_in(cell: Cell, now: Cell, found: DriftFinding) -> Cell:
    def with_(held: Mapping[str, Variants], name: str, variants: Variants) -> dict[str, Variants]:
        rest = {known: said for known, said in held.items() if known != name}
        return {**rest, name: variants} if any(variants) else rest

    if found.header == "Set-Cookie":
        return replace(cell, cookies=with_(cell.cookies, found.part, now.cookie(found.part)))
    name = found.header.lower()
    return replace(cell, headers=with_(cell.headers, name, now.header(name)))
