"""What a Prometheus server is asked (HTTP API, `/api/v1/query`), and of which time, and of whose
sidecars, its numbers are.
"""

from __future__ import annotations

import json
import math
import time
import urllib.parse
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from sidecar.observed.client import ask
from sidecar.policy.terms import Mode
from sidecar.policy.values import seconds

Sample: TypeAlias = tuple[dict[str, str], float]
"""Labels and value."""
Place: TypeAlias = tuple[str, str, str]
"""Route, rule and mode."""

_TIMEOUT = 30.0
_MAX_BODY = 64 << 20
BY = "route, rule, mode"
EVALUATIONS = "sidecar_rule_evaluations_total"
INFO = "sidecar_rule_info"
POLICY = "sidecar_policy_info"


class PrometheusFailed(Exception):  # noqa: N818 - a response to the operator
    """The server cannot be asked, or refuses the query."""


def query(url: str, expression: str, at: float | None = None) -> list[Sample]:
    """One instant query (HTTP API, `/api/v1/query`): [(labels, value)].

    Raises:
        PrometheusFailed: with the server's own words.
    """
    asked = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
    address = f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode(asked)}"
    try:
        found = ask(address, timeout=_TIMEOUT, most=_MAX_BODY)
    except ValueError as error:
        raise PrometheusFailed(f"{url} cannot be asked: {error}") from error
    if found.status >= 300:
        detail = found.body[:2000].decode("utf-8", "replace")
        raise PrometheusFailed(f"{url} refuses the query: {detail}")
    try:
        return _read(found.body)
    except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
        shown = found.body[:200].decode("utf-8", "replace")
        raise PrometheusFailed(f"{url} sends no result of a query: {shown}") from error


def _read(body: bytes) -> list[Sample]:
    response = json.loads(body)
    data = response["data"]
    if (response["status"], data["resultType"]) != ("success", "vector"):
        raise ValueError("another result")
    read = [(dict(item["metric"]), float(item["value"][1])) for item in data["result"]]
    return [(labels, value) for labels, value in read if math.isfinite(value)]


class FleetSeries(NamedTuple):
    """The series of one fleet at a Prometheus server, in a window that ends at `at`."""

    url: str
    window: str
    """As Prometheus writes it: 24h."""
    selector: str
    """Label matchers of all that is asked; "" = none."""
    at: float
    """In epoch seconds. Whole ones, because people write them down."""

    def of(self, metric: str, matchers: str = "") -> str:
        """The expression for a metric's series, those that match these too."""
        return f"{metric}{{{matchers_of(self.selector, matchers)}}}"

    def ask(self, expression: str, before: float = 0.0) -> list[Sample]:
        """The expression's values when the window ends, or so many seconds before; as `query`."""
        return query(self.url, expression, self.at - before)

    def there(self, before: float = 0.0) -> set[Place]:
        """Where rules were judged then."""
        found = self.ask(f"group by ({BY}) ({self.of(EVALUATIONS)})", before)
        return {place_of(labels) for labels, _ in found}

    def demands(self, series: str) -> dict[tuple[str, str], set[str]]:
        """By route and rule: what is demanded, as the sidecars' hashes in series of `INFO`; several
        while they differ.
        """
        found: dict[tuple[str, str], set[str]] = {}
        for labels, _ in self.ask(f"group by (route, rule, demand) ({series})"):
            found.setdefault(place_of(labels)[:2], set()).add(labels.get("demand", ""))
        return found


def evaluated(rule: str, mode: Mode, window: str, selector: str) -> str:
    """The expression whose value is the number of responses that a rule judged in a mode."""
    matchers = matchers_of(f'rule="{rule}",mode="{mode}"', selector)
    return f"sum({gained(f'{EVALUATIONS}{{{matchers}}}', window)})"


def gained(series: str, window: str) -> str:
    """The expression for what counters gained from the first scrape to the last, and no more:
    `increase` adds what may have come before and after, and alone sees a process that began anew.
    """
    span = f"(max_over_time({series}[{window}]) - min_over_time({series}[{window}]))"
    return f"(increase({series}[{window}]) <= {span} or {span})"


def matchers_of(*parts: str) -> str:
    """Label matchers as one, empty ones left out."""
    return ",".join(filter(None, parts))


def place_of(labels: dict[str, str]) -> Place:
    """Route, rule and mode of a series."""
    return labels.get("route", ""), labels.get("rule", ""), labels.get("mode", "")


_LOOKS = 1000
"""Moments of a window at which is asked whether anything was seen."""
_SMALL = 0.01
"""The share of a window that may be missing: restarts, and minutes of enforcing."""
MIXED = 60.0
"""Seconds after an edit in which a scrape may still hold counts of the value before."""


def settled(url: str, window: str, selector: str) -> float:
    """The newest second for which all samples are in: queries for it always give the same.

    A sample has the time at which its scrape began but exists only after it, so a query for "now"
    may miss some that the same query finds later. `up` gives each target's last scrape, failed ones
    too; without it the series' own last samples count. Whole seconds, because people write them
    down.
    """
    series = f"{EVALUATIONS}{{{selector}}}"
    known = f"timestamp(up) and on (job, instance) present_over_time({series}[{window}])"
    found = query(url, f"min({known}) or min(timestamp({series}))")
    return float(math.floor(found[0][1] if found else time.time()))


def edited(series: FleetSeries) -> dict[str, float]:
    """The rules that had another value within the window, and since when each can be believed.

    An edit of a rule's value starts its evidence anew: its counters go on, but `sidecar_rule_info`
    names the value.
    """
    length = math.ceil(seconds(series.window))
    step = max(1, int(length / 10_000))
    now = series.demands(series.of(INFO))
    past = series.demands(f"present_over_time({series.of(INFO)}[{length}s])")
    found: dict[str, float] = {}
    for (route, rule), demand in ((place, one) for place in past for one in past[place]):
        if not now.get((route, rule), set()) - {demand}:
            continue
        # Ten thousand looks at each series: at those of former values alone, which are few.
        one = series.of(INFO, f'route="{route}",rule="{rule}",demand="{demand}"')
        for _, last in series.ask(f"max(max_over_time(timestamp({one})[{length}s:{step}s]))"):
            found[rule] = max(found.get(rule, 0.0), min(series.at, last + step + MIXED))
    return found


def mixed_services(series: FleetSeries, name: str) -> str:
    """Why the series are not those of one service whose policy has this `name`, each once; "" where
    they are. How to choose others is not said.
    """
    found = series.ask(f"group by (name, job) ({series.of(POLICY)})")
    names, jobs = ({labels.get(key, "") for labels, _ in found} for key in ("name", "job"))
    if not names:
        return f"it has no `{POLICY}`, so nobody can tell whose the numbers are"
    if names != {name}:
        shown = ", ".join(sorted(map(repr, names)))
        return f"the numbers are of policies named {shown}; that of the sidecar asked is {name!r}"
    if len(jobs) > 1 and "job" not in series.selector:
        return f"the numbers are of several jobs: {', '.join(sorted(map(repr, jobs)))}"
    began: dict[tuple[str, float], dict[str, str]] = {}
    for labels, value in series.ask(series.of("process_start_time_seconds")):
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


def gaps(series: FleetSeries, since: Mapping[Place, float]) -> dict[Place, float]:
    """For how many of the seconds since then each was not there: no sidecar was scraped, or none
    had the rule. Less than a hundredth counts as nothing.

    A rule that is in every scrape is there whenever a sidecar is, which costs little to ask.
    """
    window = series.window
    scraped = series.ask(f"sum(count_over_time({series.of(POLICY)}[{window}]))")
    every = sum(value for _, value in scraped)
    counted = series.ask(f"sum by ({BY}) (count_over_time({series.of(EVALUATIONS)}[{window}]))")
    held = {place_of(labels): value for labels, value in counted}
    known: dict[tuple[str, float], float] = {}
    found = {}
    for (route, rule, mode), start in since.items():
        modes = ("enforce",) if mode == "enforce" else ("report-only", "trial")
        watched = series.of(POLICY)
        if not every or sum(held.get((route, rule, one), 0.0) for one in modes) < every * 0.999:
            place = f'route="{route}",rule="{rule}",mode=~"{"|".join(modes)}"'
            watched = series.of(EVALUATIONS, place)
        if (watched, start) not in known:
            known[watched, start] = _missed(series, watched, series.at - start)
        found[route, rule, mode] = known[watched, start]
    return found


def _missed(series: FleetSeries, watched: str, length: float) -> float:
    """Seconds in which no such series was there, by a thousand looks."""
    if length < 1:
        return 0.0
    step = max(1, int(length / _LOOKS))
    reach = f"{math.floor(length)}s:{step}s"
    there, looked = (
        sum(value for _, value in series.ask(f"count_over_time(({one})[{reach}])"))
        for one in (f"group({watched})", "vector(1)")
    )
    missed = looked - there
    return missed * step if missed > looked * _SMALL else 0.0


def since_when(series: FleetSeries, found: Iterable[Place]) -> dict[Place, float]:
    """Since when each was watched, at most as long as the window: all of it if it was there when
    that began.

    A thousand looks at each series are for those that came later, which are few.
    """
    length = seconds(series.window)
    began = series.at - length
    since = dict.fromkeys(series.there(length), began)
    reach = f"{math.ceil(length)}s:{max(1, int(length / _LOOKS))}s"
    for route, rule, mode in found:
        if (route, rule, mode) not in since:
            one = series.of(EVALUATIONS, f'route="{route}",rule="{rule}",mode="{mode}"')
            for _, value in series.ask(f"min(min_over_time(timestamp({one})[{reach}]))"):
                since[route, rule, mode] = max(value, began)
    return since
