"""Evidence summed over a fleet, from a Prometheus server that scrapes it.

Lives here: the queries and their reading. Must not know the verdict. Numbers are Prometheus's own
(`increase`), all of one moment, so that whoever asks again for that moment gets the same.
"""

from __future__ import annotations

import json
import math
import time
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

from sidecar.policy.model import Mode, seconds
from sidecar.rollout.gate import Evidence, parse_mode

_TIMEOUT = 30.0
_BY = "route, rule, mode"
_EVALUATIONS = "sidecar_rule_evaluations_total"


class PrometheusFailed(Exception):  # noqa: N818 - an answer to the operator
    """The server cannot be asked, or refuses the query."""


def query(url: str, expression: str, at: float | None = None) -> list[tuple[dict[str, str], float]]:
    """One instant query (HTTP API, `/api/v1/query`): [(labels, value)].

    Raises:
        PrometheusFailed: with the server's own words.
    """
    asked = {"query": expression} | ({} if at is None else {"time": f"{at:.3f}"})
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(f"{url.rstrip('/')}/api/v1/query?{urllib.parse.urlencode(asked)}", timeout=_TIMEOUT) as answer:
            told = json.loads(answer.read())
    except urllib.error.HTTPError as error:
        detail = error.read(2000).decode("utf-8", "replace")
        raise PrometheusFailed(f"{url} refuses the query: {detail}") from error
    except (OSError, ValueError) as error:
        raise PrometheusFailed(f"{url} cannot be asked: {error}") from error
    if told.get("status") != "success" or told["data"]["resultType"] != "vector":
        raise PrometheusFailed(f"{url} answers strangely: {str(told)[:200]}")
    return [(item["metric"], float(item["value"][1])) for item in told["data"]["result"]]


def settled(url: str, window: str, selector: str) -> float:
    """The newest whole second up to which every sidecar's samples are in: what is asked for it does not change any more.

    A scrape's samples bear the time at which it began and can be asked for when it is over, so an answer
    for "now" may miss some that the same question finds later. `up` tells each target's last scrape, failed
    ones too; a server that does not keep it is taken at the word of the series. Whole, because people write it down.
    """
    series = f"{_EVALUATIONS}{{{selector}}}"
    found = query(url, f"min(timestamp(up) and on (job, instance) present_over_time({series}[{window}])) or min(timestamp({series}))")
    return float(math.floor(found[0][1] if found else time.time()))


def evaluated(rule: str, mode: Mode, window: str, selector: str) -> str:
    """The expression whose value is the number of answers that a rule judged in a mode."""
    matchers = ",".join(filter(None, (f'rule="{rule}",mode="{mode}"', selector)))
    return f"sum(increase({_EVALUATIONS}{{{matchers}}}[{window}]))"


def evidence(url: str, window: str, selector: str, at: float) -> list[Evidence]:
    """Evidence for every rule over the window that ends at `at`, summed over all that the selector (`job="shop"`) matches."""
    length = seconds(window)
    step = max(1, int(length / 1000))

    def ask(metric: str, by: str) -> list[tuple[dict[str, str], float]]:
        return query(url, f"sum by ({by}) (increase({metric}{{{selector}}}[{window}]))", at)

    # One step further back than the window: a rule that was there when it began has been watched for all of it.
    reach = f"{math.ceil(length) + step}s:{step}s"
    first = query(url, f"min by ({_BY}) (min_over_time(timestamp({_EVALUATIONS}{{{selector}}})[{reach}]))", at)
    since = {_place(labels): max(value, at - length) for labels, value in first}
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for labels, value in ask(_EVALUATIONS, _BY):
        found[_place(labels)] = {"evaluated": value, "affected": 0.0, "kinds": {}, "outcomes": {}}
    for labels, value in ask("sidecar_rule_affected_total", _BY):
        if _place(labels) in found:
            found[_place(labels)]["affected"] = value
    for labels, value in ask("sidecar_violations_total", f"{_BY}, kind"):
        if value and _place(labels) in found:
            found[_place(labels)]["kinds"][labels["kind"]] = value
    for labels, value in ask("sidecar_would_break_total", "route, rule, outcome"):
        place = (labels.get("route", ""), labels.get("rule", ""), "report-only")
        if place in found:
            found[place]["outcomes"][labels["outcome"]] = value
    return [
        Evidence(route, rule, parse_mode(mode), since.get((route, rule, mode), at), **numbers)
        for (route, rule, mode), numbers in sorted(found.items())
    ]


def _place(labels: dict[str, str]) -> tuple[str, str, str]:
    return labels.get("route", ""), labels.get("rule", ""), labels.get("mode", "")
