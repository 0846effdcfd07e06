"""The gate: what has been seen of a rule, by whom, and the verdict against stated minimums.

Lives here: `judge`. A verdict claims no more than a witness has seen: without one, or
with one that said nothing, it is inconclusive and says what to do next. Must not know where the numbers come
from: `evidence` reads this process's counters, `prometheus` those of a fleet.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from sidecar.rollout.testimony import Evidence, Minimums, Outcome, Verdict, span

REAL = ("served", "script")
"""Kinds of cause that are the site's own: enforcing would break it."""

_FEW_LOADS = 300
_MANY_CLIENTS = 3
"""A cause that nothing we served explains counts when so many clients met it, or when so few pages were loaded."""


def judged(rule: str, evidence: Iterable[Evidence]) -> list[Evidence]:
    """What decides on a rule: what it saw where it changes nothing yet; what it saw in enforce, where it enforces everywhere.

    A fleet's numbers hold both for a while after a rule was taken back, and the few minutes in which it
    enforced say nothing of how long it was watched.
    """
    own = [item for item in evidence if item.rule == rule]
    return [item for item in own if item.mode in ("report-only", "trial")] or [
        item for item in own if item.mode == "enforce"
    ]


class _Sheet:
    """Reasons as they are found: `failing` ones, `lacking` ones with what to do next, and those that are met."""

    def __init__(self) -> None:
        self.failing: list[str] = []
        self.lacking: list[str] = []
        self.met: list[str] = []
        self.notes: list[str] = []
        self.steps: list[str] = []

    def lack(self, reason: str, step: str) -> None:
        self.lacking.append(reason)
        self.steps.append(step)

    def at_least(self, held: float, wanted: float, text: str, step: str) -> None:
        if held < wanted:
            self.lack(text, step)
        else:
            self.met.append(text)

    def outcome(self) -> Outcome:
        return "fail" if self.failing else "inconclusive" if self.lacking else "pass"

    def reasons(self) -> tuple[str, ...]:
        return (*self.failing, *self.lacking, *self.met, *self.notes)


def judge(
    rule: str,
    evidence: Iterable[Evidence],
    minimums: Minimums,
    at: float,
    waived: Collection[str] = (),
) -> Verdict:
    """The gate for one rule over all its routes, on evidence of the moment `at`; `waived` are ids of causes that do not count."""
    live = judged(rule, evidence)
    evaluated = sum(item.evaluated for item in live)
    affected = sum(item.affected for item in live)
    elapsed = min((at - item.since for item in live), default=0.0)
    witnesses = {witness["kind"]: witness for item in live for witness in item.witnesses}
    breaks, unknown = _sum(live, "break"), _sum(live, "unknown")
    sheet = _Sheet()
    if not live:
        sheet.lack(
            "the rule is not judged on any route (unknown, or off)",
            "Name a rule of the policy that is not off.",
        )
    causes = _against(live, waived, sheet)
    if breaks > minimums.breaks:
        sheet.failing.append(
            f"{breaks:g} requests would have broken, {minimums.breaks} are allowed"
        )
    testified, bound = evaluated, None
    if live and not affected:
        wait = "Wait for more traffic."
        sheet.at_least(
            evaluated,
            minimums.requests,
            f"none of {evaluated:g} responses would have been changed; {minimums.requests} must be seen",
            wait,
        )
    elif live:
        testified, bound = _testimony(live, witnesses, minimums, at, sheet)
    wait = f"Wait {span(minimums.time - elapsed)} longer."
    sheet.at_least(
        elapsed,
        minimums.time,
        f"watched for {span(elapsed)}, {span(minimums.time)} are needed",
        wait,
    )
    seen = [item.route for item in live if item.evaluated > 0]
    text = f"seen on {len(seen)} of {len(live)} routes, {minimums.routes} are needed"
    sheet.at_least(len(seen), minimums.routes, text, "Send traffic to the other routes.")
    unseen = [item.route for item in live if item.route not in seen]
    if unseen and seen:
        sheet.notes.append(f"no response yet on route {', '.join(unseen)}")
    outcome = sheet.outcome()
    step = "" if outcome == "pass" else _next(outcome, sheet, causes)
    return Verdict(
        rule,
        outcome,
        sheet.reasons(),
        step,
        evaluated,
        elapsed,
        breaks,
        unknown,
        at,
        tuple(witnesses),
        testified,
        _canaries(live),
        bound,
        tuple(cause["id"] for cause in causes),
    )


def _next(outcome: Outcome, sheet: _Sheet, causes: Sequence[Mapping[str, Any]]) -> str:
    if outcome == "fail":
        if causes:
            return "See the causes with `sidecar reports`; change the rule or the service, or name a cause that the site can do without: --waive ID."
        return "Change the rule or the service, or allow so many with --max-breaks."
    return sheet.steps[0]


def _sum(live: Iterable[Evidence], outcome: str) -> float:
    return sum(item.outcomes.get(outcome, 0.0) for item in live)


def _against(
    live: Sequence[Evidence], waived: Collection[str], sheet: _Sheet
) -> list[Mapping[str, Any]]:
    """The causes that speak against the rule, written on the sheet."""
    known = [cause for item in live for cause in item.trial.causes]
    loads = sum(item.trial.loads for item in live)
    standing = [cause for cause in known if cause["id"] not in waived]
    real = [cause for cause in standing if cause["kind"] in REAL]
    for cause in real[:5]:
        sheet.failing.append(f"browsers reported: {describe(cause)}")
    if len(real) > 5:
        sheet.failing.append(f"and {len(real) - 5} more causes")
    counted = sum(item.trial.reports.get(kind, 0.0) for item in live for kind in REAL)
    if counted and not known:  # a fleet's counters, whose causes stand with each sidecar
        sheet.failing.append(f"browsers reported {counted:g} times what the site itself does")
    open_ones = [cause for cause in standing if cause["kind"] == "unexplained"]
    grave = [
        cause for cause in open_ones if cause["clients"] >= _MANY_CLIENTS or loads < _FEW_LOADS
    ]
    for cause in grave[:3]:
        step = f"Look at it with `sidecar reports`; if the site does not need it: --waive {cause['id']}."
        sheet.lack(
            f"browsers reported what stands in no page that we served: {describe(cause)}", step
        )
    if len(open_ones) > len(grave):
        sheet.notes.append(
            f"{len(open_ones) - len(grave)} reports of single clients are explained by nothing that we served"
        )
    gone = [cause for cause in known if cause["id"] in waived]
    if gone:
        sheet.notes.append(f"waived: {', '.join(cause['id'] for cause in gone)}")
    return [*real, *grave]


def describe(cause: Mapping[str, Any]) -> str:
    """A cause in one line: what was blocked, where, how often."""
    blocked = (
        f"inline code {cause['sample']!r}"
        if cause.get("sample")
        else cause["blocked"] or "something unnamed"
    )
    place = f" on {', '.join(cause['pages'][:2])}" if cause.get("pages") else ""
    return f"{cause['directive']} blocks {blocked}{place} ({cause['count']:g} reports, {cause['clients']:g} clients) [{cause['id']}]"


def _testimony(
    live: Sequence[Evidence],
    witnesses: Mapping[str, Mapping[str, str]],
    minimums: Minimums,
    at: float,
    sheet: _Sheet,
) -> tuple[float, float | None]:
    """What each witness that the rule needs has said; returns what could be judged, and the bound that follows."""
    testified, bound = float("inf"), None
    known, unknown = _sum(live, "safe") + _sum(live, "break"), _sum(live, "unknown")
    loads = sum(item.trial.settled for item in live)
    if "nobody" in witnesses:
        sheet.lack(f"nobody can tell: {witnesses['nobody']['why']}", witnesses["nobody"]["next"])
        testified = 0.0
    trial_speaks = "browsers" in witnesses or ("proxy" in witnesses and loads > known)
    if trial_speaks:
        witness = witnesses.get("browsers", witnesses.get("proxy", {}))
        heard, bound = _browsers(live, witness, minimums, sheet)
        testified = min(testified, heard)
    elif "proxy" in witnesses:
        text = f"{known:g} requests of browsers that say where they come from, {minimums.requests} are needed"
        sheet.at_least(
            known,
            minimums.requests,
            text,
            witnesses["proxy"]["next"] or "Wait for more traffic of browsers.",
        )
        if unknown > known:
            sheet.lack(
                f"most requests of browsers ({unknown:g} of {unknown + known:g}) say too little",
                _TELL_LITTLE,
            )
        elif unknown:
            sheet.notes.append(f"{unknown:g} requests of browsers say too little")
        testified = min(testified, known)
    if not set(witnesses) - {"harmless"}:
        evaluated = sum(item.evaluated for item in live)
        sheet.at_least(
            evaluated,
            minimums.requests,
            f"{evaluated:g} responses judged, {minimums.requests} are needed",
            "Wait for more traffic.",
        )
        if "harmless" in witnesses:
            sheet.met.append(f"harmless by nature: {witnesses['harmless']['why']}")
        testified = min(testified, evaluated)
    return (0.0 if testified == float("inf") else testified), bound


_TELL_LITTLE = 'Serve the site over https, where browsers say where their requests come from; or give --override "why".'


def _browsers(
    live: Sequence[Evidence], witness: Mapping[str, str], minimums: Minimums, sheet: _Sheet
) -> tuple[float, float | None]:
    """What a trial has shown: page loads that could have reported, and proof that reports come through."""
    outside = [item.route for item in live if item.mode != "trial" and item.affected]
    trial = [item for item in live if item.mode == "trial"]
    if outside:
        place = "" if not trial else f" on route {', '.join(outside)}"
        sheet.lack(
            f"only browsers can tell, and the rule is not in trial{place}",
            witness.get("next") or "Set `mode: trial`.",
        )
    loads, settled = (
        sum(item.trial.loads for item in trial),
        sum(item.trial.settled for item in trial),
    )
    # Where requests speak too, their outcomes are of requests, not of page loads in trial.
    told = trial if witness.get("kind") == "browsers" else ()
    same, unknown, waiting = (_sum(told, outcome) for outcome in ("safe", "unknown", "waiting"))
    sent, returned = (sum(pair[place] for pair in _canaries(trial).values()) for place in (0, 1))
    heard = settled + same
    if trial:
        text = f"{settled:g} page loads in browsers that report, {minimums.requests} are needed"
        late = (
            "Reports may take a minute: ask again then."
            if loads > settled
            else "Wait for more page loads."
        )
        sheet.at_least(heard, minimums.requests, text, late)
        if unknown > heard:
            sheet.lack(
                f"most page loads ({unknown:g} of {unknown + heard:g}) are of browsers that do not report this here",
                _CANNOT_REPORT,
            )
        elif unknown:
            sheet.notes.append(
                f"{unknown:g} page loads are of browsers that do not report this here"
            )
        if waiting:
            sheet.lack(
                f"on {waiting:g} page loads the service's own report-only line stands in the place of ours",
                "Let the service leave it out while the trial lasts.",
            )
    if not settled:
        return heard, None
    bound = _proof(trial, sent, returned, settled, sheet)
    return heard, bound


_CANNOT_REPORT = (
    'Serve the site over https and wait for browsers that report; or give --override "why".'
)


def _proof(
    trial: Sequence[Evidence], sent: float, returned: float, settled: float, sheet: _Sheet
) -> float | None:
    """Silence counts only as far as canaries came back: the rule of three on the page loads that would have been heard."""
    engines = ", ".join(
        f"{engine} {pair[1]:g} of {pair[0]:g}"
        for engine, pair in sorted(_canaries(trial).items())
        if pair[0]
    )
    if not returned:
        step = "See that `/.well-known/sidecar/` of the site reaches the sidecar, and wait for page loads."
        sheet.lack(f"no proof that reports come through: none of {sent:g} canaries came back", step)
        return None
    rate = min(1.0, returned / max(sent, returned))
    bound = min(1.0, 3.0 / (settled * rate))
    text = f"of {sent:g} canaries {returned:g} came back ({engines}): at most {bound:.1%} of page loads would break (95 %)"
    if rate < 0.5:
        sheet.lack(
            text,
            "Find out why reports do not come through: a blocker, another proxy, a path that does not reach the sidecar.",
        )
    else:
        sheet.met.append(text)
    return bound


def _canaries(live: Iterable[Evidence]) -> dict[str, tuple[float, float]]:
    """Canaries by engine: they are of the whole process, so each route tells the same and the highest counts."""
    found: dict[str, tuple[float, float]] = {}
    for item in live:
        for engine, (sent, returned) in item.trial.canaries.items():
            if sent > found.get(engine, (0.0, 0.0))[0] or engine not in found:
                found[engine] = (sent, returned)
    return found
