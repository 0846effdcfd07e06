"""How far each rule is on its way to enforce: one row for each rule, over all its routes.

Pure: the time is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sidecar.policy.engine.plan import Plan, RuleLine
from sidecar.policy.rules.ladder import described
from sidecar.policy.terms import MODES, Mode
from sidecar.policy.values import age_text
from sidecar.rollout.gate import judge, judged
from sidecar.rollout.model import Evidence, Minimums, Verdict, span

Trend = Callable[[str, str], Sequence[float]]
"""Responses with a violation in each of the last intervals, oldest first, by route and rule."""


@dataclass(frozen=True, slots=True)
class Progress:
    """One demand of the gate: `have` of `need`, and the same as text."""

    what: str
    have: float
    need: float
    text: str


@dataclass(frozen=True, slots=True)
class RuleOnRoute:
    """The rule on one route."""

    route: str
    mode: Mode
    ceiling: str
    evaluated: float
    affected: float


@dataclass(frozen=True, slots=True)
class Ladder:
    """A rule's step on its ladder, from 1; `promise`: what browsers keep ("" = nothing)."""

    step: int
    steps: tuple[str, ...]
    promise: str


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule: what it does, how far it is, what prevents the next step, and what to do now.

    `mode` is the highest of its routes. `outcome` is the gate's, or "enforcing" or "off". `command`
    is the next command to run, "" where there is none.
    """

    rule: str
    does: str
    mode: Mode
    places: tuple[RuleOnRoute, ...]
    outcome: str
    reasons: tuple[str, ...]
    next: str
    command: str
    progress: tuple[Progress, ...]
    witnesses: tuple[dict[str, str], ...]
    causes: tuple[dict[str, Any], ...]
    trend: tuple[float, ...]
    ladder: Ladder | None


def overview(
    plan: Plan, evidence: Iterable[Evidence], minimums: Minimums, at: float, trend: Trend
) -> list[RuleView]:
    """All rules in the order of the policy; `at` in epoch seconds."""
    found = list(evidence)
    lines: dict[str, list[tuple[str, RuleLine]]] = {}
    for route in plan.routes:
        for line in route.rules:
            lines.setdefault(line.name, []).append((route.name, line))
    return [_view(rule, where, found, minimums, at, trend) for rule, where in lines.items()]


def _view(
    rule: str,
    where: Sequence[tuple[str, RuleLine]],
    evidence: Sequence[Evidence],
    minimums: Minimums,
    at: float,
    trend: Trend,
) -> RuleView:
    own = {item.route: item for item in evidence if item.rule == rule}
    counts = {route: (item.evaluated, item.affected) for route, item in own.items()}
    places = tuple(
        RuleOnRoute(route, line.mode, line.ceiling, *counts.get(route, (0.0, 0.0)))
        for route, line in where
    )
    modes = {place.mode for place in places}
    mode = max(modes, key=MODES.index)
    verdict = judge(rule, own.values(), minimums, at)
    climb = next((item.climb for item in own.values() if item.climb and not item.climb.top), None)
    settled = modes <= {"off"} or (modes <= {"enforce", "off"} and climb is None)
    outcome = ("off" if mode == "off" else "enforcing") if settled else verdict.outcome
    affected = any(item.affected or item.climb for item in judged(rule, own.values()))
    series = [list(trend(route, rule)) for route, _ in where]
    witnesses = {one["kind"]: dict(one) for item in own.values() for one in item.witnesses}
    return RuleView(
        rule,
        _does(where[0][1]),
        mode,
        places,
        outcome,
        verdict.reasons,
        "" if settled else _next(verdict, mode),
        "" if settled else _command(verdict, mode),
        () if settled else _progress(verdict, minimums, affected=affected),
        tuple(witnesses.values()),
        tuple(dict(cause) for item in own.values() for cause in item.trial.causes),
        tuple(sum(numbers) for numbers in zip(*[one for one in series if one], strict=False)),
        _ladder(own.values(), at),
    )


def _ladder(evidence: Iterable[Evidence], at: float) -> Ladder | None:
    """The lowest step of all routes; the promise of the route whose browsers keep it longest."""
    climbs = [item.climb for item in evidence if item.climb is not None]
    if not climbs:
        return None
    lowest = min(climbs, key=lambda climb: climb.step)
    longest = max(climbs, key=lambda climb: climb.until)
    steps = tuple(age_text(int(age)) for age in lowest.ages)
    return Ladder(lowest.step, steps, longest.promise(at))


_DOES = {"default": "add {} if absent", "append": "append to {}", "merge": "merge into {}"}
"""Actions whose name does not say enough."""


def _does(line: RuleLine) -> str:
    """The rule in a few words: what it does to which header or cookie."""
    rule = line.named.rule
    if rule.cookie is not None:
        return f"cookie {rule.cookie}"
    step = described(rule)
    does = _DOES.get(rule.action or "", f"{rule.action} {{}}").format(", ".join(rule.header or ()))
    return f"{does}, {step}" if step else does


def _next(verdict: Verdict, mode: Mode) -> str:
    able = "climb to the next step of its ladder" if mode == "enforce" else "enforce"
    return verdict.next or f"The evidence is enough: it can {able}."


def _command(verdict: Verdict, mode: Mode) -> str:
    if verdict.outcome == "pass":
        return f"sidecar promote {verdict.rule}"
    if verdict.causes:
        return f"sidecar suggest {verdict.rule}"
    if "browsers" in verdict.witnesses and mode == "report-only":
        return f"sidecar promote {verdict.rule} --to trial"
    if "nobody" in verdict.witnesses:
        return f'sidecar promote {verdict.rule} --override "why"'
    return "sidecar evidence"


_COUNTED = {"browsers": "page loads", "proxy": "requests"}
"""What a witness sees, by its kind."""


def _progress(verdict: Verdict, minimums: Minimums, *, affected: bool) -> tuple[Progress, ...]:
    """What the gate counts, as bars."""
    text = f"{span(verdict.elapsed)} of {span(minimums.time)}"
    time = Progress("time", min(verdict.elapsed, minimums.time), minimums.time, text)
    if "nobody" in verdict.witnesses:
        return (time,)
    # Where the rule would change nothing, the gate counts responses, or requests of browsers.
    kinds = verdict.witnesses if affected or "proxy" in verdict.witnesses else ()
    what = next((word for kind, word in _COUNTED.items() if kind in kinds), "responses")
    text = f"{verdict.observed:,.0f} of {minimums.requests:,} {what}"
    have = min(verdict.observed, minimums.requests)
    return Progress(what, have, minimums.requests, text), time
