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
from typing import Any

from sidecar.observed.client import ask
from sidecar.policy.terms import Mode
from sidecar.policy.values import seconds
from sidecar.rollout.model import Evidence, Trial, parse_mode

_TIMEOUT = 30.0
_MAX_BODY = 64 << 20
_BY = "route, rule, mode"
_EVALUATIONS = "sidecar_rule_evaluations_total"
_INFO = "sidecar_rule_info"
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
    by, length = "route, rule, demand", seconds(window)
    step = max(1, int(length / 10_000))

    def demands(series: str) -> set[tuple[tuple[str, str], str]]:
        found = query(url, f"group by ({by}) ({series})", at)
        return {(_place(labels)[:2], labels.get("demand", "")) for labels, _ in found}

    now = demands(f"{_INFO}{{{selector}}}")
    past = demands(f"present_over_time({_INFO}{{{selector}}}[{math.ceil(length)}s])")
    found: dict[str, float] = {}
    for (route, rule), demand in past:
        others = {value for place, value in now if place == (route, rule)} - {demand}
        if not others:
            continue
        # Ten thousand looks at each series: at those of former values alone, which are few.
        one = _matchers(selector, f'route="{route}",rule="{rule}",demand="{demand}"')
        last_seen = f"max_over_time(timestamp({_INFO}{{{one}}})[{math.ceil(length)}s:{step}s])"
        for _, last in query(url, f"max({last_seen})", at):
            found[rule] = max(found.get(rule, 0.0), min(at, last + step + MIXED))
    return found


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
    for (route, rule, mode), numbers in sorted(found.items()):
        one, start = own[route, rule, mode], since.get((route, rule, mode), at)
        trial = trials.get((route, rule), Trial()) if mode == "trial" else Trial()
        seen: dict[str, Any] = {"witnesses": one.witnesses, "climb": one.climb} if one else {}
        listed.append(
            Evidence(route, rule, parse_mode(mode), start, trial=trial, **seen, **numbers)
        )
    return listed


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
        return query(url, f"sum by ({by}) (increase({metric}{{{selector}}}[{window}]))", at)

    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for labels, value in ask(_EVALUATIONS, _BY):
        found[_place(labels)] = _nothing() | {"evaluated": value}
    for labels, value in ask("sidecar_rule_affected_total", _BY):
        if _place(labels) in found:
            found[_place(labels)]["affected"] = value
    for labels, value in ask("sidecar_violations_total", f"{_BY}, kind"):
        if value and _place(labels) in found:
            found[_place(labels)]["kinds"][labels["kind"]] = value
    for labels, value in ask("sidecar_would_break_total", "route, rule, outcome"):
        # The counter has no mode: it is that in which the rule changes nothing, the higher of two.
        for mode in ("trial", "report-only", "enforce"):
            place = (labels.get("route", ""), labels.get("rule", ""), mode)
            if place in found:
                found[place]["outcomes"][labels["outcome"]] = value
                break
    return found


def _nothing() -> dict[str, Any]:
    return {"evaluated": 0.0, "affected": 0.0, "kinds": {}, "outcomes": {}}


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

    def ask(metric: str, by: str, before: float = 0.0) -> list[tuple[dict[str, str], float]]:
        matchers = selector if by == "engine" else one
        expression = f"sum by ({by}) (increase({metric}{{{matchers}}}[{window}]))"
        return query(url, expression, at - before)

    def loaded(before: float = 0.0) -> dict[tuple[str, str], float]:
        found = ask("sidecar_trial_page_loads_total", "route, rule", before)
        return {_place(labels)[:2]: value for labels, value in found}

    def by_engine(metric: str, before: float = 0.0) -> dict[str, float]:
        found = ask(metric, "engine", before)
        return {labels.get("engine", ""): value for labels, value in found}

    loads = loaded()
    if not loads:
        return {}
    settle = max((item.trial.settle for item in known.values()), default=0.0)
    settled, sent = loaded(settle), by_engine("sidecar_canaries_sent_total", settle)
    returned = by_engine("sidecar_canaries_returned_total")
    canaries = {engine: (value, returned.get(engine, 0.0)) for engine, value in sent.items()}
    engines = by_engine("sidecar_trial_browsers_total")
    reports: dict[tuple[str, str], dict[str, float]] = {}
    for labels, value in ask("sidecar_trial_reports_total", "route, rule, cause_kind"):
        reports.setdefault(_place(labels)[:2], {})[labels.get("cause_kind", "")] = value
    found = {}
    for place, value in loads.items():
        counted = (value, settle, min(value, settled.get(place, 0.0)), canaries)
        causes = known[place].trial.causes if place in known else ()
        found[place] = Trial(*counted, reports.get(place, {}), causes, engines)
    return found


def _place(labels: dict[str, str]) -> tuple[str, str, str]:
    return labels.get("route", ""), labels.get("rule", ""), labels.get("mode", "")
