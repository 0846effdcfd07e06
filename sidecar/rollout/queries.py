"""What a Prometheus server is asked, and what its labels say (HTTP API, `/api/v1/query`)."""

from __future__ import annotations

import json
import math
import urllib.parse

from sidecar.observed.client import ask
from sidecar.policy.terms import Mode

_TIMEOUT = 30.0
_MAX_BODY = 64 << 20
BY = "route, rule, mode"
EVALUATIONS = "sidecar_rule_evaluations_total"
INFO = "sidecar_rule_info"
POLICY = "sidecar_policy_info"


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


def _read(body: bytes) -> list[tuple[dict[str, str], float]]:
    response = json.loads(body)
    data = response["data"]
    if (response["status"], data["resultType"]) != ("success", "vector"):
        raise ValueError("another result")
    read = [(dict(item["metric"]), float(item["value"][1])) for item in data["result"]]
    return [(labels, value) for labels, value in read if math.isfinite(value)]


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


def demands_at(url: str, series: str, at: float) -> dict[tuple[str, str], set[str]]:
    """By route and rule: what is demanded, as the sidecars' hashes; several while they differ."""
    found: dict[tuple[str, str], set[str]] = {}
    for labels, _ in query(url, f"group by (route, rule, demand) ({series})", at):
        found.setdefault(place_of(labels)[:2], set()).add(labels.get("demand", ""))
    return found


def matchers_of(*parts: str) -> str:
    """Label matchers as one, empty ones left out."""
    return ",".join(filter(None, parts))


def place_of(labels: dict[str, str]) -> tuple[str, str, str]:
    """Route, rule and mode of a series."""
    return labels.get("route", ""), labels.get("rule", ""), labels.get("mode", "")
