"""The gate: what has been seen of a rule, by whom, and the verdict against stated minimums.

A verdict claims no more than a witness has seen: without one, or with one that said nothing, it is
inconclusive and says what to do next. `evidence` reads this process's counters, `prometheus` those
of a fleet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from sidecar.policy.words import counted
from sidecar.rollout.isolation import FRAME, SIGN
from sidecar.rollout.model import Cause, Evidence, Minimums, Reasons, Verdict, span, step_of
from sidecar.rollout.witness_checks import canaries, check_witnesses, examples, total

REAL = ("served", "script")
"""Kinds of cause that are the site's own: enforcing would break it."""

OPEN = ("unserved", "unexplained")
"""Kinds that no page we served explains: somebody has to say what they are."""

_LOOKED_AT = {SIGN: "sign", FRAME: "frame"}
"""Reasons of causes that browsers do not report, by directive: they are the site's own."""

_OFTEN = 0.5
"""The share of a route's page loads from which on it is no extension of few browsers."""


def judged(rule: str, evidence: Iterable[Evidence]) -> list[Evidence]:
    """What decides on a rule: what it saw where it changes nothing yet; what it saw in enforce,
    where it enforces everywhere.

    A fleet's numbers hold both for a while after a rule was taken back, and the few minutes in
    which it enforced say nothing of how long it was watched.
    """
    own = [item for item in evidence if item.rule == rule]
    return [item for item in own if item.mode in ("report-only", "trial")] or [
        item for item in own if item.mode == "enforce"
    ]


def judge(
    rule: str,
    evidence: Iterable[Evidence],
    minimums: Minimums,
    at: float,
    waived: Collection[str] = (),
    beside: Collection[str] = (),
) -> Verdict:
    """The gate for one rule over all its routes, on evidence of the moment `at`; `waived` are
    ids of causes that do not count, `beside` rules that are to enforce with it and act on it.
    """
    live, reasons = judged(rule, evidence), Reasons()
    if not live:
        reasons.lack("not-judged")
    _doubts(live, reasons)
    if beside:
        reasons.lack("together", others=", ".join(sorted(beside)))
    causes = _causes(live, waived, reasons)
    breaks = total(live, "break")  # requests that would have broken, as they themselves show
    if breaks > minimums.breaks:
        reasons.fail(
            "breaks", breaks=breaks, allowed=minimums.breaks, which=examples(live, "break")
        )
    silent = not (causes or _without_cause(live) or _dropped(live, reasons))
    observed, bound = (
        check_witnesses(live, minimums, reasons, silent=silent) if live else (0.0, None)
    )
    _each_demand(live, minimums, reasons)
    elapsed = _watched(live, minimums, at, reasons)
    _places(live, minimums, reasons)
    reasons.notes += dict.fromkeys(f"on {item.climb}" for item in live if item.climb is not None)
    outcome = reasons.outcome()
    return Verdict(
        rule,
        outcome,
        reasons.texts(),
        next="" if outcome == "pass" else _next(reasons, causes),
        evaluated=sum(item.evaluated for item in live),
        elapsed=elapsed,
        breaks=breaks,
        unknown=total(live, "unknown"),
        at=at,
        witnesses=_kinds(live),
        observed=observed,
        canaries=canaries(live),
        bound=bound,
        causes=tuple(cause.id for cause in causes),
    )


def admit(rule: str, evidence: Iterable[Evidence], prospect: Iterable[str], at: float) -> Verdict:
    """The gate to trial, which changes nothing: the rule must be judged somewhere; `prospect` is
    what a trial can show of it.
    """
    live, reasons = judged(rule, evidence), Reasons()
    if live:
        reasons.met.extend(prospect)
    else:
        reasons.lack("not-judged-there")
    return Verdict(
        rule,
        reasons.outcome(),
        reasons.texts(),
        next="" if live else reasons.steps[0],
        evaluated=sum(item.evaluated for item in live),
        elapsed=min((at - item.since for item in live), default=0.0),
        breaks=total(live, "break"),
        unknown=total(live, "unknown"),
        at=at,
        witnesses=_kinds(live),
    )


def _kinds(live: Iterable[Evidence]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one["kind"] for item in live for one in item.witnesses))


def _next(reasons: Reasons, causes: Sequence[Cause]) -> str:
    if not reasons.failing:
        return reasons.steps[0]
    if causes:
        return (
            "See what to do about the causes with `sidecar suggest`; or name a cause that the site"
            " can do without: `--waive ID`."
        )
    return reasons.remedies[0]


def _watched(live: Iterable[Evidence], minimums: Minimums, at: float, reasons: Reasons) -> float:
    """For how many seconds the rule has been watched on the route where it is youngest."""
    elapsed = min((at - item.since for item in live), default=0.0)
    spans = {"watched": elapsed, "wanted": minimums.time, "left": minimums.time - elapsed}
    texts = {name: span(seconds) for name, seconds in spans.items()}
    unseen = max((item.unseen for item in live), default=0.0)
    step = step_of("unseen") if unseen else ""
    reasons.at_least(elapsed, minimums.time, "watched", step=step, **texts)
    if unseen:
        reasons.note("unseen", unseen=span(unseen))
    return elapsed


def _doubts(live: Iterable[Evidence], reasons: Reasons) -> None:
    """Numbers that may be of something else than the rule prove nothing of it."""
    routes: dict[str, list[str]] = {}
    for item in live:
        if item.doubt:
            routes.setdefault(item.doubt, []).append(item.route)
    for doubt, places in routes.items():
        reasons.lack(doubt, routes=", ".join(dict.fromkeys(places)))


def _each_demand(live: Sequence[Evidence], minimums: Minimums, reasons: Reasons) -> None:
    """Where the rule says something else on some routes, what was seen of the one is no proof of
    the other.
    """
    by_demand: dict[str, list[Evidence]] = {}
    for item in live:
        by_demand.setdefault(item.demand, []).append(item)
    for items in by_demand.values() if len(by_demand) > 1 else ():
        alone = Reasons()
        check_witnesses(items, minimums, alone, silent=True)
        if alone.lacking:
            routes = ", ".join(item.route for item in items)
            reasons.lack("demand", step=alone.steps[0], routes=routes, why=alone.lacking[0])


def _places(live: Sequence[Evidence], minimums: Minimums, reasons: Reasons) -> None:
    """On how many routes the rule has been seen."""
    seen = [item.route for item in live if item.evaluated > 0]
    reasons.at_least(len(seen), minimums.routes, "routes", routes=len(live))
    unseen = [item.route for item in live if item.route not in seen]
    if unseen and seen:
        reasons.note("routes-unseen", routes=", ".join(unseen))


def _causes(live: Sequence[Evidence], waived: Collection[str], reasons: Reasons) -> list[Cause]:
    """The causes that stand against the rule; they become reasons."""
    known = [cause for item in live for cause in item.trial.causes]
    standing = [cause for cause in known if cause.id not in waived]
    real = [cause for cause in standing if cause.kind in REAL]
    for cause in real[:5]:
        reasons.fail("reported", cause=describe(cause))
    if len(real) > 5:
        reasons.fail("reported-more", more=len(real) - 5)
    if uncaused := _without_cause(live):
        reasons.fail("reported-elsewhere", times=uncaused)
    open_ones = _unexplained(live, waived, reasons)
    gone = [cause for cause in known if cause.id in waived]
    if gone:
        reasons.note("waived", ids=", ".join(cause.id for cause in gone))
    return [*real, *open_ones]


def _unexplained(
    live: Sequence[Evidence], waived: Collection[str], reasons: Reasons
) -> list[Cause]:
    """The causes that no page we served explains: each waits for a word, unless it is too
    frequent to be an extension.
    """
    found = [
        (cause, item.trial.loads)
        for item in live
        for cause in item.trial.causes
        if cause.kind in OPEN and cause.id not in waived
    ]
    counts = sum(item.trial.reports.get(kind, 0.0) for item in live for kind in OPEN)
    if counts and not waived and not any(item.trial.causes for item in live):
        # A fleet's, as in `_without_cause`. Whoever waives has seen them: the id of a cause is the
        # same in every sidecar.
        reasons.lack("unexplained-elsewhere", times=counts)
    for cause, loads in found[:5]:
        # What harmless pages have often: how often it is says nothing.
        usual = cause.directive == FRAME or cause.type in ("coep", "coop")
        if 0 < loads * _OFTEN <= cause.count and not usual:
            reasons.fail("unexplained-often", cause=describe(cause))
        else:
            code = _LOOKED_AT.get(cause.directive, cause.kind)
            reasons.lack(code, cause=describe(cause), why=cause.why, id=cause.id)
    if len(found) > 5:
        reasons.note("unexplained-more", more=len(found) - 5)
    return [cause for cause, _ in found]


def _dropped(live: Sequence[Evidence], reasons: Reasons) -> float:
    """Reports that found no room: the one that matters may be among them, so the silence of the
    others is no proof.
    """
    lost = sum(item.trial.reports.get("dropped", 0.0) for item in live)
    if lost:
        reasons.lack("dropped", lost=lost)
    return lost


def _without_cause(live: Sequence[Evidence]) -> float:
    """Reports of what the site itself does whose causes are not known here: a fleet's, which
    stand with each sidecar.
    """
    if any(cause.kind in REAL for item in live for cause in item.trial.causes):
        return 0.0
    counts = sum(item.trial.reports.get(kind, 0.0) for item in live for kind in REAL)
    # A report counts as what it was taken for when it came; the pages that were read since may have
    # cleared the site.
    cleared: float = sum(
        cause.count for item in live for cause in item.trial.causes if cause.kind in OPEN
    )
    return max(0.0, counts - cleared)


def describe(cause: Cause) -> str:
    """A cause in one line: what was blocked, where, how often."""
    blocked = (
        f"inline code {cause.sample!r}" if cause.sample else cause.blocked or "something unnamed"
    )
    does = f"{cause.directive} blocks {blocked}"
    if cause.directive == FRAME:
        does = f"a frame of {blocked} may need what the rule takes"
    if cause.directive == SIGN:
        return f"{blocked}, and browsers do not report it [{cause.id}]"
    place = f" on {', '.join(cause.pages[:2])}" if cause.pages else ""
    often = f"{counted(cause.count, 'report')}, {counted(cause.clients, 'client')}"
    return f"{does}{place} ({often}) [{cause.id}]"
