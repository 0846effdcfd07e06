"""The requests of a verification: named ones, those of an archive, or an example of each route."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from sidecar.observed import ObservedResponse, target_of
from sidecar.policy.engine.plan import Plan
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.model import Match
from sidecar.policy.values import TOKEN

SAFE = ("GET", "HEAD", "OPTIONS")
"""Methods that change nothing (RFC 9110 section 9.2.1); others are used only when named."""
ABSENT = "/header-sidecar-verify"
"""A path that hardly any service has: its error response carries the policy too."""

_REPEATED = frozenset({"accept", "origin", "referer"})
_LINE = re.compile(r"(?:(?P<method>\S+) )?(?P<target>/[\x21-\x7e]*)")


@dataclass(frozen=True, slots=True)
class ReplayRequest:
    """One request, without body."""

    method: str
    target: str
    """Path and query."""
    host: str = ""
    """"" = that of the address."""
    headers: tuple[tuple[str, str], ...] = ()


def named(text: str) -> ReplayRequest:
    """A request as it is typed: `/path`, or `METHOD /path`.

    Raises:
        ValueError: it is not one.
    """
    found = _LINE.fullmatch(text)
    if found is None or not TOKEN.fullmatch(found["method"] or "GET"):
        raise ValueError(f"unknown path {text!r}; write /PATH, or METHOD /PATH in quotes")
    return ReplayRequest(found["method"] or "GET", found["target"])


def recorded(responses: Iterable[ObservedResponse]) -> tuple[tuple[ReplayRequest, ...], int]:
    """The requests of an archive that change nothing, each once, and how many others there are.

    Only their header lines that describe the page are repeated: never cookies or credentials.
    """
    found: dict[ReplayRequest, None] = {}
    others = 0
    for one in responses:
        if one.method not in SAFE:
            others += 1
            continue
        lines = ((name.decode().lower(), value.decode("latin-1")) for name, value in one.request)
        kept = (line for line in lines if line[0] in _REPEATED or line[0].startswith("sec-fetch-"))
        host = one.place.netloc.rpartition("@")[2].lower()
        found[ReplayRequest(one.method, target_of(one.place), host, tuple(kept))] = None
    return tuple(found), others


def examples(resolved: Resolved, plan: Plan, host: str) -> Iterator[ReplayRequest]:
    """A request for each route that one without changes reaches; for the default route two.

    Args:
        resolved: the policy.
        plan: the same compiled.
        host: of the address that is requested.
    """
    for route in resolved.routes[:-1]:
        one = _example(route.match)
        if one and plan.route(one.host or host, one.method, one.target).name == route.name:
            yield one
    yield from (ReplayRequest("GET", "/"), ReplayRequest("GET", ABSENT))


def _example(match: Match) -> ReplayRequest | None:
    method = next((one for one in match.method or ("GET",) if one in SAFE), None)
    if method is None:
        return None
    path = match.path[0] if match.path else "/"
    host = match.host[0] if match.host else ""
    return ReplayRequest(method, re.sub(r"\*+", "x", path), re.sub(r"\*+", "x", host))
