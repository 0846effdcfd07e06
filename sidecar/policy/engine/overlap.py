"""Whether one match or condition includes another, judged by the patterns themselves.

Never claims too much: an inclusion that it does not see counts as none.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from operator import eq
from typing import TypeAlias

from sidecar.policy.model import Match, When
from sidecar.policy.rules.matching import decoded, host_name

Symbol: TypeAlias = str
"""One character, or a gap by its longer name: `segment` (a run within one segment), `any` (any
run), `one` (exactly one character), `some` (at least one).
"""


def match_covers(wide: Match, narrow: Match) -> bool:
    """Whether every request that `narrow` matches is matched by `wide`."""
    return (
        _all_within(narrow.method, wide.method, eq)
        and _all_within(narrow.host, wide.host, lambda a, b: _includes(_host(b), _host(a)))
        and _all_within(narrow.path, wide.path, _path_within)
    )


def when_covers(wide: When | None, narrow: When | None) -> bool:
    """Whether `wide` holds for every response that `narrow` holds for."""
    if wide is None:
        return True
    said = narrow or When()
    return (
        wide.scheme in (None, said.scheme)
        and _all_within(said.status, wide.status, _status_within)
        and _all_within(said.response_class, wide.response_class, eq)
        and _all_within(
            said.content_type, wide.content_type, lambda a, b: _includes(_wild(b), _wild(a))
        )
        and (wide.request or {}).items() <= (said.request or {}).items()
        and (wide.response or {}).items() <= (said.response or {}).items()
    )


def _all_within(
    narrow: Sequence[str] | None, wide: Sequence[str] | None, within: Callable[[str, str], bool]
) -> bool:
    """Whether each of `narrow` lies within one of `wide`; None is everything."""
    if wide is None:
        return True
    return narrow is not None and all(any(within(one, other) for other in wide) for one in narrow)


def _status_within(one: str, other: str) -> bool:
    return one == other or (other.endswith("xx") and one[0] == other[0])


def _path_within(one: str, other: str) -> bool:
    return _start(one).startswith(_start(other)) and _includes(_path(other), _path(one))


def _start(pattern: str) -> str:
    return decoded(pattern.partition("*")[0])


def _path(pattern: str) -> list[Symbol]:
    found: list[Symbol] = []
    for part in re.split(r"(\*+)", pattern):
        if part.startswith("*"):
            found.append("segment" if part == "*" else "any")
        else:
            found += decoded(part)
    return found


def _host(pattern: str) -> list[Symbol]:
    return ["some" if part == "*" else part for part in host_name(pattern)]


def _wild(pattern: str) -> list[Symbol]:
    return ["any" if part == "*" else part for part in pattern]


def _includes(wide: Iterable[Symbol], narrow: Iterable[Symbol]) -> bool:
    """Whether each text of the pattern `narrow` is a text of `wide`, which reads its symbols."""
    states = [symbol for part in wide for symbol in (("one", "any") if part == "some" else (part,))]
    reached = _skip({0}, states)
    for symbol in narrow:
        places = [at for at in reached if at < len(states)]
        reached = _skip({after for at in places for after in _step(states[at], symbol, at)}, states)
        if not reached:
            return False
    return len(states) in reached


def _step(state: Symbol, symbol: Symbol, at: int) -> tuple[int, ...]:
    if state == "any":
        return (at,)
    if state == "segment":
        return (at,) if symbol == "segment" or (len(symbol) == 1 and symbol != "/") else ()
    if state == "one":
        return (at + 1,) if symbol == "some" or len(symbol) == 1 else ()
    return (at + 1,) if state == symbol else ()


def _skip(reached: set[int], states: list[Symbol]) -> set[int]:
    """All places that can be reached without reading: a run may be empty."""
    found = set(reached)
    for start in reached:
        at = start
        while at < len(states) and states[at] in ("any", "segment"):
            at += 1
            found.add(at)
    return found
