"""Evidence summed over a fleet, from a Prometheus server that scrapes it.

Numbers are Prometheus's own (`increase`), all of one time, so that the same query gives the same
again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.rollout.model import Doubt, Evidence, TrialEvidence, parse_mode
from sidecar.rollout.queries import (
    BY,
    EVALUATIONS,
    INFO,
    FleetSeries,
    Place,
    Sample,
    edited,
    gained,
    gaps,
    matchers_of,
    place_of,
    since_when,
    window_since,
)
from sidecar.telemetry.metric_table import OF_ENGINES, SEEN


def evidence(series: FleetSeries, known: Mapping[tuple[str, str], Evidence]) -> list[Evidence]:
    """Evidence for every rule over the window, summed over the series.

    Numbers are the fleet's; `known`, by route and rule, is one sidecar's evidence: it gives the
    witnesses and the causes.
    """
    at, found = series.at, _numbers(series)
    since = since_when(series, found)
    demands = series.demands(series.of(INFO))
    trials = _trials(series, known)
    for rule, edit in edited(series).items():
        after = series._replace(window=window_since(edit, at))
        one_rule = matchers_of(series.selector, f'rule="{rule}"')
        now = _numbers(after._replace(selector=one_rule))
        for place in [place for place in found if place[1] == rule]:
            found[place] = now.get(place) or _nothing()
            since[place] = max(since.get(place, at), edit)
        trials = {place: trial for place, trial in trials.items() if place[1] != rule}
        trials |= _trials(after, known, rule)
    own = {place: known.get(place[:2]) for place in found}
    for place, one in own.items():
        if one is not None and one.climb is not None:  # the counters do not know the step
            since[place] = max(since.get(place, at), one.since)
    listed = []
    starts = {place: since.get(place, at) for place in found}
    missed = gaps(series, starts)
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


def _numbers(series: FleetSeries) -> dict[Place, dict[str, Any]]:
    """What the counters gained, by route, rule and mode.

    Left out are rules that have gone to trial, or back, since: what was seen in the mode before is
    not what is tried now. Minutes of enforcing are left out by the gate.
    """
    counted = series.ask(f"sum by ({BY}) ({gained(series.of(EVALUATIONS), series.window)})")
    found = {place_of(labels): _nothing() | {"evaluated": value} for labels, value in counted}
    there, lower = series.there(), ("report-only", "trial")
    for route, rule, mode in {*found} - there:
        if mode in lower and any((route, rule, one) in there for one in lower):
            del found[route, rule, mode]
    for labels, value in _all_of(series, "sidecar_rule_affected_total", BY):
        if place_of(labels) in found:
            found[place_of(labels)]["affected"] = value
    for labels, value in _all_of(series, "sidecar_violations_total", f"{BY}, kind"):
        if value and place_of(labels) in found:
            found[place_of(labels)]["kinds"][labels["kind"]] = value
    outcomes, by = "sidecar_would_break_total", "route, rule, outcome"
    good = series.of(outcomes, 'outcome="safe"')
    seen = series.ask(f"sum by ({by}) ({gained(good, series.window)})")
    seen += _all_of(series, outcomes, by, 'outcome!="safe"')
    for labels, value in seen:
        # The counter has no mode: it is that in which the rule changes nothing, the higher of two.
        for mode in ("trial", "report-only", "enforce"):
            place = (labels.get("route", ""), labels.get("rule", ""), mode)
            if place in found:
                found[place]["outcomes"][labels["outcome"]] = value
                break
    return found


def _all_of(series: FleetSeries, metric: str, by: str, matchers: str = "") -> list[Sample]:
    """What series gained, or what new ones counted, whichever is more: of what stands against a
    rule nothing may be lost.

    `increase` leaves out what a process counted before its first scrape. The highest value of a
    series that was not there when the window began is what it counted.
    """
    own, window = series.of(metric, matchers), series.window
    counted = series.ask(f"sum by ({by}) (increase({own}[{window}]))")
    found = {tuple(sorted(labels.items())): value for labels, value in counted}
    new = f"max_over_time({own}[{window}]) unless present_over_time({own}[1h] offset {window})"
    for labels, value in series.ask(f"sum by ({by}) ({new})"):
        place = tuple(sorted(labels.items()))
        found[place] = max(value, found.get(place, 0.0))
    return [(dict(place), value) for place, value in found.items()]


def _nothing() -> dict[str, Any]:
    return {"evaluated": 0.0, "affected": None, "kinds": {}, "outcomes": {}}


def _trials(
    series: FleetSeries, known: Mapping[tuple[str, str], Evidence], rule: str = ""
) -> dict[tuple[str, str], TrialEvidence]:
    """What trials of the fleet have shown, of one `rule` or all.

    Settled page loads and canaries are those of a while ago, as reports take their time; canaries
    are of all rules.
    """
    of_rule = f'rule="{rule}"' if rule else ""

    def loaded(before: float) -> dict[tuple[str, str], float]:
        counted = gained(series.of("sidecar_trial_page_loads_total", of_rule), series.window)
        found = series.ask(f"sum by (route, rule) ({counted})", before)
        return {place_of(labels)[:2]: value for labels, value in found}

    def by_engine(what: str) -> dict[str, float]:
        counted = gained(series.of(OF_ENGINES[what]), series.window)
        return _by_engine(series.ask(f"sum by (engine) ({counted})"))

    loads = loaded(0.0)
    if not loads:
        return {}
    settle = max((item.trial.settle for item in known.values()), default=0.0)
    settled, earlier = loaded(settle), series._replace(at=series.at - settle)
    sent = _by_engine(_all_of(earlier, OF_ENGINES["sent"], "engine"))
    returned, engines = by_engine("returned"), by_engine("browser")
    canaries = {engine: (value, returned.get(engine, 0.0)) for engine, value in sent.items()}
    reports: dict[tuple[str, str], dict[str, float]] = {}
    by = "route, rule, cause_kind"
    for labels, value in _all_of(series, "sidecar_trial_reports_total", by, of_rule):
        reports.setdefault(place_of(labels)[:2], {})[labels.get("cause_kind", "")] = value
    found = {}
    for place, value in loads.items():
        counted = (value, settle, min(value, settled.get(place, 0.0)), canaries)
        causes = known[place].trial.causes if place in known else ()
        found[place] = TrialEvidence(*counted, reports.get(place, {}), causes, engines)
    return found


def _by_engine(samples: Iterable[Sample]) -> dict[str, float]:
    return {labels.get("engine", ""): value for labels, value in samples}
