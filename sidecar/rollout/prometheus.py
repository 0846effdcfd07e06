"""Evidence summed over a fleet, from a Prometheus server that scrapes it.

Numbers are Prometheus's own (`increase`), all of one time, so that the same query gives the same
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.values import seconds
from sidecar.rollout.model import Doubt, Evidence, TrialEvidence, parse_mode
from sidecar.rollout.queries import (
    BY,
    EVALUATIONS,
    INFO,
    demands_at,
    edited,
    gained,
    gaps,
    matchers_of,
    place_of,
    query,
    since_when,
    window_since,
)
from sidecar.telemetry.metric_table import SEEN


def evidence(
    url: str, window: str, selector: str, at: float, known: Mapping[tuple[str, str], Evidence]
) -> list[Evidence]:
    """Evidence for every rule over the window that ends at `at`, summed over what `selector`
    matches.

    Numbers are the fleet's; `known`, by route and rule, is one sidecar's evidence: it gives the
    witnesses and the causes.
    """
    length = seconds(window)
    found = _numbers(url, window, selector, at)
    since = since_when(url, length, selector, at, found)
    demands = demands_at(url, f"{INFO}{{{selector}}}", at)
    trials = _trials(url, window, selector, at, known)
    for rule, edit in edited(url, window, selector, at).items():
        own_window, one_rule = window_since(edit, at), matchers_of(selector, f'rule="{rule}"')
        places = [place for place in found if place[1] == rule]
        now = _numbers(url, own_window, one_rule, at)
        for place in places:
            found[place] = now.get(place) or _nothing()
            since[place] = max(since.get(place, at), edit)
        trials = {place: trial for place, trial in trials.items() if place[1] != rule}
        trials |= _trials(url, own_window, selector, at, known, rule)
    own = {place: known.get(place[:2]) for place in found}
    for place, one in own.items():
        if one is not None and one.climb is not None:  # the counters do not know the step
            since[place] = max(since.get(place, at), one.since)
    listed = []
    starts = {place: since.get(place, at) for place in found}
    missed = gaps(url, window, selector, at, starts)
    for (route, rule, mode), numbers in sorted(found.items()):
        one, unseen = own[route, rule, mode], missed[route, rule, mode]
        start = min(at, starts[route, rule, mode] + unseen)
        trial = trials.get((route, rule), TrialEvidence()) if mode == "trial" else TrialEvidence()
        seen: dict[str, Any] = {}
        if one is not None:
            keys = ("witnesses", "climb", "demand", "subject", "replacing")
            seen = {key: getattr(one, key) for key in keys}
        affected = numbers.pop("affected")
        seen |= {"trial": trial, "unseen": unseen, "affected": affected or 0.0}
        item = Evidence(route, rule, parse_mode(mode), start, **seen, **numbers).witnessed()
        asked = demands.get((route, rule), set())
        doubt = _doubt(item, one, asked, counted=affected is not None)
        listed.append(replace(item, doubt=doubt))
    return listed


def _doubt(item: Evidence, known: Evidence | None, demands: set[str], *, counted: bool) -> Doubt:
    """Whether the numbers may be of something else than what the sidecar that was asked has in
    force, or miss what stands against the rule; `counted`: it is known how many were affected.
    """
    if not demands or "" in demands:
        return "unnamed"
    if len(demands) > 1:
        return "differs"
    if known is None or demands != {known.subject}:
        return "elsewhere"
    trial = item.trial
    whole = (
        (counted or not item.evaluated)
        and (item.kinds or not item.affected)
        and (not item.outcomes or item.outcomes.keys() >= {*SEEN})
        and (not trial.loads or trial.reports.keys() >= {*CAUSE_KINDS})
        and (not trial.loads or sum(trial.engines.values()) > 0)
    )
    return "" if whole else "series"


def _numbers(
    url: str, window: str, selector: str, at: float
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What the counters gained, by route, rule and mode."""

    def ask(metric: str, by: str) -> list[tuple[dict[str, str], float]]:
        return _all_of(url, metric, selector, by, window, at)

    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    counted = f"sum by ({BY}) ({gained(f'{EVALUATIONS}{{{selector}}}', window)})"
    for labels, value in query(url, counted, at):
        found[place_of(labels)] = _nothing() | {"evaluated": value}
    for place in _left(url, selector, at, found):
        del found[place]
    for labels, value in ask("sidecar_rule_affected_total", BY):
        if place_of(labels) in found:
            found[place_of(labels)]["affected"] = value
    for labels, value in ask("sidecar_violations_total", f"{BY}, kind"):
        if value and place_of(labels) in found:
            found[place_of(labels)]["kinds"][labels["kind"]] = value
    outcomes, by = "sidecar_would_break_total", "route, rule, outcome"
    good, others = (matchers_of(selector, f'outcome{sign}"safe"') for sign in ("=", "!="))
    seen = query(url, f"sum by ({by}) ({gained(f'{outcomes}{{{good}}}', window)})", at)
    seen += _all_of(url, outcomes, others, by, window, at)
    for labels, value in seen:
        # The counter has no mode: it is that in which the rule changes nothing, the higher of two.
        for mode in ("trial", "report-only", "enforce"):
            place = (labels.get("route", ""), labels.get("rule", ""), mode)
            if place in found:
                found[place]["outcomes"][labels["outcome"]] = value
                break
    return found


def _left(
    url: str, selector: str, at: float, found: Iterable[tuple[str, str, str]]
) -> set[tuple[str, str, str]]:
    """Places of rules that have gone to trial, or back, since: what was seen in the mode before is
    not what is tried now. Minutes of enforcing are left out by the gate.
    """
    there = query(url, f"group by ({BY}) ({EVALUATIONS}{{{selector}}})", at)
    now, lower = {place_of(labels) for labels, _ in there}, ("report-only", "trial")
    return {
        (route, rule, mode)
        for route, rule, mode in {*found} - now
        if mode in lower and any((route, rule, one) in now for one in lower)
    }


def _all_of(
    url: str, metric: str, matchers: str, by: str, window: str, at: float
) -> list[tuple[dict[str, str], float]]:
    """What series gained, or what new ones counted, whichever is more: of what stands against a
    rule nothing may be lost.

    `increase` leaves out what a process counted before its first scrape. The highest value of a
    series that was not there when the window began is what it counted.
    """
    own = f"{metric}{{{matchers}}}"
    counted = query(url, f"sum by ({by}) (increase({own}[{window}]))", at)
    found = {tuple(sorted(labels.items())): value for labels, value in counted}
    new = f"max_over_time({own}[{window}]) unless present_over_time({own}[1h] offset {window})"
    for labels, value in query(url, f"sum by ({by}) ({new})", at):
        place = tuple(sorted(labels.items()))
        found[place] = max(value, found.get(place, 0.0))
    return [(dict(place), value) for place, value in found.items()]


def _nothing() -> dict[str, Any]:
    return {"evaluated": 0.0, "affected": None, "kinds": {}, "outcomes": {}}


def _trials(
    url: str,
    window: str,
    selector: str,
    at: float,
    known: Mapping[tuple[str, str], Evidence],
    rule: str = "",
) -> dict[tuple[str, str], TrialEvidence]:
    """What trials of the fleet have shown, of one `rule` or all.

    Settled page loads and canaries are those of a while ago, as reports take their time; canaries
    are of all rules.
    """
    one = matchers_of(selector, f'rule="{rule}"') if rule else selector

    def ask(
        metric: str, by: str, before: float = 0.0, *, whole: bool = False
    ) -> list[tuple[dict[str, str], float]]:
        matchers = selector if by == "engine" else one
        if whole:
            return _all_of(url, metric, matchers, by, window, at - before)
        series = f"{metric}{{{matchers}}}"
        return query(url, f"sum by ({by}) ({gained(series, window)})", at - before)

    def loaded(before: float = 0.0) -> dict[tuple[str, str], float]:
        found = ask("sidecar_trial_page_loads_total", "route, rule", before)
        return {place_of(labels)[:2]: value for labels, value in found}

    def by_engine(metric: str, before: float = 0.0, *, whole: bool = False) -> dict[str, float]:
        found = ask(metric, "engine", before, whole=whole)
        return {labels.get("engine", ""): value for labels, value in found}

    loads = loaded()
    if not loads:
        return {}
    settle = max((item.trial.settle for item in known.values()), default=0.0)
    settled, sent = loaded(settle), by_engine("sidecar_canaries_sent_total", settle, whole=True)
    returned = by_engine("sidecar_canaries_returned_total")
    canaries = {engine: (value, returned.get(engine, 0.0)) for engine, value in sent.items()}
    engines = by_engine("sidecar_trial_browsers_total")
    reports: dict[tuple[str, str], dict[str, float]] = {}
    by = "route, rule, cause_kind"
    for labels, value in ask("sidecar_trial_reports_total", by, whole=True):
        reports.setdefault(place_of(labels)[:2], {})[labels.get("cause_kind", "")] = value
    found = {}
    for place, value in loads.items():
        counted = (value, settle, min(value, settled.get(place, 0.0)), canaries)
        causes = known[place].trial.causes if place in known else ()
        found[place] = TrialEvidence(*counted, reports.get(place, {}), causes, engines)
    return found
