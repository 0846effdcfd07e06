"""Evidence summed over a fleet, from a Prometheus server that scrapes it.

Numbers are Prometheus's own (`increase`), all of one time, so that the same query gives the same
again.
"""

from __future__ import annotations

import json
import math
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from sidecar.observed.client import ask
from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.terms import Mode
from sidecar.policy.values import seconds
from sidecar.rollout.model import Doubt, Evidence, Trial, parse_mode
from sidecar.telemetry.metric_table import SEEN

_TIMEOUT = 30.0
_MAX_BODY = 64 << 20
_BY = "route, rule, mode"
_EVALUATIONS = "sidecar_rule_evaluations_total"
_INFO = "sidecar_rule_info"
_POLICY = "sidecar_policy_info"
_LOOKS = 1000
"""Moments of a window at which is asked whether anything was seen."""
_SMALL = 0.01
"""The share of a window that may be missing: restarts, and minutes of enforcing."""
MIXED = 60.0
"""Seconds after an edit in which a scrape may still hold counts of the value before."""


class PrometheusFailed(Exception):  # noqa: N818 - a response to the operator
    """The server cannot be asked, or refuses the query."""


def query(url: str, expression: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
    """One instant query (HTTP API, `/api/v1/query`): [(labels, value)].

    Raises:
        PrometheusFailed: with the server's own words.
    """
    asked = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
    address = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode(asked)}"
    try:
        found = ask(address, timeout=_TIMEOUT, most=_MAX_BODY)
        data = json.loads(found.body) if found.status < 300 else {}
    except ValueError as error:
        raise PrometheusFailed(f"{url} cannot be asked: {error}") from error
    if found.status >= 300:
        detail = found.body[:2000].decode("utf-8", "replace")
        raise PrometheusFailed(f"{url} refuses the query: {detail}")
    if data.get("status") != "success" or data["data"]["resultType"] != "vector":
        raise PrometheusFailed(f"{url} sends no result of a query: {str(data)[:200]}")
    return [(item["metric"], float(item["value"][1])) for item in data["data"]["result"]]


def settled(url: str, window: str, selector: str) -> float:
    """The newest second for which all samples are in: queries for it always give the same.

    A sample has the time at which its scrape began but exists only after it, so a query for "now"
    may miss some that the same query finds later. `up` gives each target's last scrape, failed ones
    too; without it the series' own last samples count. Whole seconds, because people write them
    down.
    """
    series = f"{_EVALUATIONS}{{{selector}}}"
    known = f"timestamp(up) and on (job, instance) present_over_time({series}[{window}])"
    found = query(url, f"min({known}) or min(timestamp({series}))")
    return float(math.floor(found[0][1] if found else time.time()))


def evaluated(rule: str, mode: Mode, window: str, selector: str) -> str:
    """The expression whose value is the number of responses that a rule judged in a mode."""
    matchers = _matchers(f'rule="{rule}",mode="{mode}"', selector)
    return f"sum(increase({_EVALUATIONS}{{{matchers}}}[{window}]))"


def edited(url: str, window: str, selector: str, at: float) -> dict[str, float]:
    """The rules that had another value within the window, and since when each can be believed.

    An edit of a rule's value starts its evidence anew: its counters go on, but `sidecar_rule_info`
    names the value.
    """
    length = seconds(window)
    step = max(1, int(length / 10_000))
    now = _demands(url, f"{_INFO}{{{selector}}}", at)
    past = _demands(url, f"present_over_time({_INFO}{{{selector}}}[{math.ceil(length)}s])", at)
    found: dict[str, float] = {}
    for (route, rule), demand in ((place, one) for place in past for one in past[place]):
        if not now.get((route, rule), set()) - {demand}:
            continue
        # Ten thousand looks at each series: at those of former values alone, which are few.
        one = _matchers(selector, f'route="{route}",rule="{rule}",demand="{demand}"')
        last_seen = f"max_over_time(timestamp({_INFO}{{{one}}})[{math.ceil(length)}s:{step}s])"
        for _, last in query(url, f"max({last_seen})", at):
            found[rule] = max(found.get(rule, 0.0), min(at, last + step + MIXED))
    return found


def _demands(url: str, series: str, at: float) -> dict[tuple[str, str], set[str]]:
    """By route and rule: what is demanded, as the sidecars' hashes; several while they differ."""
    found: dict[tuple[str, str], set[str]] = {}
    for labels, _ in query(url, f"group by (route, rule, demand) ({series})", at):
        found.setdefault(_place(labels)[:2], set()).add(labels.get("demand", ""))
    return found


def strangers(url: str, selector: str, at: float, name: str) -> str:
    """Why the series are not those of one service whose policy has this `name`, each once; "" where
    they are. How to choose others is not said.
    """
    names = {
        labels.get("name", "")
        for labels, _ in query(url, f"group by (name) ({_POLICY}{{{selector}}})", at)
    }
    if not names:
        return f"it has no `{_POLICY}`, so nobody can tell whose the numbers are"
    if names != {name}:
        shown = ", ".join(sorted(repr(one) for one in names))
        return f"the numbers are of policies named {shown}; that of the sidecar asked is {name!r}"
    began: dict[tuple[str, float], dict[str, str]] = {}
    for labels, value in query(url, f"process_start_time_seconds{{{selector}}}", at):
        same = began.setdefault((labels.get("instance", ""), value), labels)
        if same is not labels:
            keys = sorted(key for key in {*same, *labels} if same.get(key) != labels.get(key))
            each = " and ".join(
                ", ".join(f'{key}="{one[key]}"' for key in keys if key in one) or "without it"
                for one in (same, labels)
            )
            return f"it has every sample of {labels.get('instance')} twice, with {each}"
    return ""


def window_since(moment: float, at: float) -> str:
    """The window from a moment on; a second, in which nothing is counted, when it is `at`."""
    return f"{max(1, math.floor(at - moment))}s"


def _matchers(*parts: str) -> str:
    return ",".join(filter(None, parts))


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
    since = _since(url, length, selector, at, found)
    demands = _demands(url, f"{_INFO}{{{selector}}}", at)
    trials = _trials(url, window, selector, at, known)
    for rule, edit in edited(url, window, selector, at).items():
        own_window, one_rule = window_since(edit, at), _matchers(selector, f'rule="{rule}"')
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
    gaps = _gaps(url, window, selector, at, {place: since.get(place, at) for place in found})
    for (route, rule, mode), numbers in sorted(found.items()):
        one, unseen = own[route, rule, mode], gaps[route, rule, mode]
        start = min(at, since.get((route, rule, mode), at) + unseen)
        trial = trials.get((route, rule), Trial()) if mode == "trial" else Trial()
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


def _gaps(
    url: str,
    window: str,
    selector: str,
    at: float,
    since: Mapping[tuple[str, str, str], float],
) -> dict[tuple[str, str, str], float]:
    """For how many of the seconds since then each was not there: no sidecar was scraped, or none
    had the rule. Less than a hundredth counts as nothing.

    A rule that is in every scrape is there whenever a sidecar is, which costs little to ask.
    """
    every = sum(
        value
        for _, value in query(url, f"sum(count_over_time({_POLICY}{{{selector}}}[{window}]))", at)
    )
    counted = f"sum by ({_BY}) (count_over_time({_EVALUATIONS}{{{selector}}}[{window}]))"
    held = {_place(labels): value for labels, value in query(url, counted, at)}
    known: dict[tuple[str, float], float] = {}
    found = {}
    for (route, rule, mode), start in since.items():
        modes = ("enforce",) if mode == "enforce" else ("report-only", "trial")
        series = f"{_POLICY}{{{selector}}}"
        if not every or sum(held.get((route, rule, one), 0.0) for one in modes) < every * 0.999:
            place = f'route="{route}",rule="{rule}",mode=~"{"|".join(modes)}"'
            series = f"{_EVALUATIONS}{{{_matchers(selector, place)}}}"
        if (series, start) not in known:
            known[series, start] = _missed(url, series, at - start, at)
        found[route, rule, mode] = known[series, start]
    return found


def _missed(url: str, series: str, length: float, at: float) -> float:
    """Seconds in which no such series was there, by a thousand looks."""
    if length < 1:
        return 0.0
    step = max(1, int(length / _LOOKS))
    reach = f"{math.floor(length)}s:{step}s"
    there = sum(v for _, v in query(url, f"count_over_time((group({series}))[{reach}])", at))
    looked = sum(v for _, v in query(url, f"count_over_time((vector(1))[{reach}])", at))
    missed = looked - there
    return missed * step if missed > looked * _SMALL else 0.0


def _since(
    url: str, length: float, selector: str, at: float, found: Iterable[tuple[str, str, str]]
) -> dict[tuple[str, str, str], float]:
    """Since when each was watched, at most `length` seconds: all of them if it was there when they
    began.

    A thousand looks at each series are for those that came later, which are few.
    """
    there = query(url, f"group by ({_BY}) ({_EVALUATIONS}{{{selector}}})", at - length)
    since = {_place(labels): at - length for labels, _ in there}
    reach = f"{math.ceil(length)}s:{max(1, int(length / 1000))}s"
    for route, rule, mode in found:
        if (route, rule, mode) not in since:
            one = _matchers(selector, f'route="{route}",rule="{rule}",mode="{mode}"')
            first = f"min_over_time(timestamp({_EVALUATIONS}{{{one}}})[{reach}])"
            for _, value in query(url, f"min({first})", at):
                since[route, rule, mode] = max(value, at - length)
    return since


def _numbers(
    url: str, window: str, selector: str, at: float
) -> dict[tuple[str, str, str], dict[str, Any]]:
    """What the counters gained, by route, rule and mode."""

    def ask(metric: str, by: str) -> list[tuple[dict[str, str], float]]:
        return _all_of(url, metric, selector, by, window, at)

    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    counted = f"sum by ({_BY}) (increase({_EVALUATIONS}{{{selector}}}[{window}]))"
    for labels, value in query(url, counted, at):
        found[_place(labels)] = _nothing() | {"evaluated": value}
    for place in _left(url, selector, at, found):
        del found[place]
    for labels, value in ask("sidecar_rule_affected_total", _BY):
        if _place(labels) in found:
            found[_place(labels)]["affected"] = value
    for labels, value in ask("sidecar_violations_total", f"{_BY}, kind"):
        if value and _place(labels) in found:
            found[_place(labels)]["kinds"][labels["kind"]] = value
    outcomes = "sidecar_would_break_total", selector, "route, rule, outcome", window, at
    for labels, value in _all_of(url, *outcomes, 'outcome!="safe"'):
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
    there = query(url, f"group by ({_BY}) ({_EVALUATIONS}{{{selector}}})", at)
    now, lower = {_place(labels) for labels, _ in there}, ("report-only", "trial")
    return {
        (route, rule, mode)
        for route, rule, mode in {*found} - now
        if mode in lower and any((route, rule, one) in now for one in lower)
    }


def _all_of(
    url: str, metric: str, matchers: str, by: str, window: str, at: float, against: str = ""
) -> list[tuple[dict[str, str], float]]:
    """What series gained, or what new ones counted, whichever is more: of what stands against a
    rule nothing may be lost. `against` chooses those that do.

    `increase` leaves out what a process counted before its first scrape. The highest value of a
    series that was not there when the window began is what it counted.
    """
    found = {
        tuple(sorted(labels.items())): value
        for labels, value in query(
            url, f"sum by ({by}) (increase({metric}{{{matchers}}}[{window}]))", at
        )
    }
    own = f"{metric}{{{_matchers(matchers, against)}}}"
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
) -> dict[tuple[str, str], Trial]:
    """What trials of the fleet have shown, of one `rule` or all.

    Settled page loads and canaries are those of a while ago, as reports take their time; canaries
    are of all rules.
    """
    one = _matchers(selector, f'rule="{rule}"') if rule else selector

    def ask(
        metric: str, by: str, before: float = 0.0, *, whole: bool = False
    ) -> list[tuple[dict[str, str], float]]:
        matchers = selector if by == "engine" else one
        if whole:
            return _all_of(url, metric, matchers, by, window, at - before)
        gained = f"sum by ({by}) (increase({metric}{{{matchers}}}[{window}]))"
        return query(url, gained, at - before)

    def loaded(before: float = 0.0) -> dict[tuple[str, str], float]:
        found = ask("sidecar_trial_page_loads_total", "route, rule", before)
        return {_place(labels)[:2]: value for labels, value in found}

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
        reports.setdefault(_place(labels)[:2], {})[labels.get("cause_kind", "")] = value
    found = {}
    for place, value in loads.items():
        counted = (value, settle, min(value, settled.get(place, 0.0)), canaries)
        causes = known[place].trial.causes if place in known else ()
        found[place] = Trial(*counted, reports.get(place, {}), causes, engines)
    return found


def _place(labels: dict[str, str]) -> tuple[str, str, str]:
    return labels.get("route", ""), labels.get("rule", ""), labels.get("mode", "")
