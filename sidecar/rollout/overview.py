"""How far each rule is on its way to enforce: one row for each rule, over all its routes.

Pure: the time is passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, TypeAlias

from sidecar.policy.engine.plan import Plan, RuleLine
from sidecar.policy.rules.ladder import described
from sidecar.policy.terms import MODES
from sidecar.policy.values import age_text
from sidecar.rollout.gate import judge, judged
from sidecar.rollout.model import Evidence, Minimums, Verdict, span

Trend: TypeAlias = Callable[[str, str], Sequence[float]]
"""Responses with a violation in each of the last intervals, oldest first, by route and rule."""
Row: TypeAlias = dict[str, Any]
"""One rule, for JSON: what it does, how far it is, what prevents the next step, and what to do now.

`mode` is the highest of its `places`, which are its routes. `outcome` is the gate's, or "enforcing"
or "off". `command` is the next command to run, "" where there is none. `progress` has the gate's
demands: `have` of `need`, and the same as text. `ladder` is null for a rule without one.
"""


def overview(
    plan: Plan, evidence: Iterable[Evidence], minimums: Minimums, at: float, trend: Trend
) -> list[Row]:
    """All rules in the order of the policy; `at` in epoch seconds."""
    seen: dict[str, dict[str, Evidence]] = {}
    for item in evidence:
        seen.setdefault(item.rule, {})[item.route] = item
    lines: dict[str, dict[str, RuleLine]] = {}
    for route in plan.routes:
        for line in route.rules:
            lines.setdefault(line.name, {})[route.name] = line
    return [
        _row(rule, places, seen.get(rule, {}), minimums, at, trend)
        for rule, places in lines.items()
    ]


def _row(
    rule: str,
    places: Mapping[str, RuleLine],
    seen: Mapping[str, Evidence],
    minimums: Minimums,
    at: float,
    trend: Trend,
) -> Row:
    """The row of a rule; its lines and what was seen of it are by route."""
    modes = {line.mode for line in places.values()}
    mode = max(modes, key=MODES.index)
    verdict = judge(rule, seen.values(), minimums, at)
    climbs = any(item.climb and not item.climb.top for item in seen.values())
    settled = modes <= {"off"} or (modes <= {"enforce", "off"} and not climbs)
    trends = [trend(route, rule) for route in places]
    row: Row = {
        "rule": rule,
        "does": _does(next(iter(places.values()))),
        "mode": mode,
        "places": [_place(route, line, seen.get(route)) for route, line in places.items()],
        "outcome": verdict.outcome,
        "reasons": verdict.reasons,
        "next": verdict.next,
        "command": _command(verdict, mode),
        "progress": (),
        "witnesses": [
            *{one["kind"]: one for item in seen.values() for one in item.witnesses}.values()
        ],
        "causes": [asdict(cause) for item in seen.values() for cause in item.trial.causes],
        "trend": [sum(numbers) for numbers in zip(*filter(None, trends), strict=False)],
        "ladder": _ladder(seen.values(), at),
    }
    if settled:
        outcome = "off" if mode == "off" else "enforcing"
        return row | {"outcome": outcome, "next": "", "command": ""}
    affected = any(item.affected or item.climb for item in judged(rule, seen.values()))
    able = "climb to the next step of its ladder" if mode == "enforce" else "enforce"
    return row | {
        "next": verdict.next or f"The evidence is enough: it can {able}.",
        "progress": _progress(verdict, minimums, affected=affected),
    }


def _place(route: str, line: RuleLine, seen: Evidence | None) -> dict[str, Any]:
    evaluated, affected = (seen.evaluated, seen.affected) if seen else (0.0, 0.0)
    counts = {"evaluated": evaluated, "affected": affected}
    return {"route": route, "mode": line.mode, "ceiling": line.ceiling, **counts}


def _ladder(seen: Iterable[Evidence], at: float) -> dict[str, Any] | None:
    """The lowest step of all routes, from 1; what browsers keep longest ("" = nothing)."""
    climbs = [item.climb for item in seen if item.climb is not None]
    if not climbs:
        return None
    lowest = min(climbs, key=lambda climb: climb.step)
    promise = max(climbs, key=lambda climb: climb.until).promise(at)
    return {"step": lowest.step, "steps": [*map(age_text, lowest.ages)], "promise": promise}


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


def _command(verdict: Verdict, mode: str) -> str:
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


def _progress(verdict: Verdict, minimums: Minimums, *, affected: bool) -> list[dict[str, Any]]:
    """What the gate counts, as bars."""
    bars = []
    if "nobody" not in verdict.witnesses:
        # Where the rule would change nothing, the gate counts responses, or requests of browsers.
        kinds = verdict.witnesses if affected or "proxy" in verdict.witnesses else ()
        what = next((word for kind, word in _COUNTED.items() if kind in kinds), "responses")
        text = f"{verdict.observed:,.0f} of {minimums.requests:,} {what}"
        bars.append(_bar(what, verdict.observed, minimums.requests, text))
    text = f"{span(verdict.elapsed)} of {span(minimums.time)}"
    return [*bars, _bar("time", verdict.elapsed, minimums.time, text)]


def _bar(what: str, have: float, need: float, text: str) -> dict[str, Any]:
    return {"what": what, "have": min(have, need), "need": need, "text": text}
