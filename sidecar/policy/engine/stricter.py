"""Whether one match or condition includes another, and which of two compiled routes is stricter: it
applies where a path can be read in two ways.

Inclusion is judged by the patterns themselves; one that is not seen counts as none. A route is
stricter when it demands something more and nothing less. A rule demands more in a higher mode,
under wider conditions, with a larger share, or with a value that protects more; a lower limit on
bodies counts too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import eq
from typing import TYPE_CHECKING, TypeAlias

from sidecar.policy.headers.strength import grants, is_protective, weaker
from sidecar.policy.model import Match, Rule, When
from sidecar.policy.rules.matching import REST, STAR, decoded, host_name, symbols
from sidecar.policy.terms import GIVING, MODES

if TYPE_CHECKING:
    from sidecar.policy.engine.plan import RoutePlan, RuleLine


Symbol: TypeAlias = str
"""One character, or a gap by its longer name: `segment` (a run within one segment), `any` (any
run), `one` (exactly one character), `some` (at least one).
"""


_GAPS: Mapping[str, Symbol] = {STAR: "segment", REST: "any"}


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
        and _all_within(
            said.status, wide.status, lambda a, b: a == b or (b.endswith("xx") and a[0] == b[0])
        )
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


def _path_within(one: str, other: str) -> bool:
    return _start(one).startswith(_start(other)) and _includes(_path(other), _path(one))


def _start(pattern: str) -> str:
    return decoded(pattern.partition("*")[0])


def _path(pattern: str) -> list[Symbol]:
    return [_GAPS.get(symbol, symbol) for symbol in symbols(pattern)]


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


def stricter(one: RoutePlan, other: RoutePlan) -> bool:
    """Whether `one` demands something more than `other`, and nothing less."""
    found = set(_differences(one, other))
    return True in found and False not in found


def _differences(one: RoutePlan, other: RoutePlan) -> Iterator[bool]:
    """True for each demand in which `one` is the stricter, False for each in which `other` is."""
    ours, theirs = _body(one), _body(other)
    if ours != theirs:
        yield ours < theirs
    mine, others = _active(one), _active(other)
    for name in mine.keys() | others.keys():
        yield from _of_rule(mine.get(name), others.get(name))


def _body(route: RoutePlan) -> float:
    if route.max_body is None or route.max_body_mode != "enforce":
        return float("inf")
    return route.max_body


def _active(route: RoutePlan) -> Mapping[str, RuleLine]:
    return {line.name: line for line in route.rules if line.mode != "off"}


def _of_rule(one: RuleLine | None, other: RuleLine | None) -> Iterator[bool]:
    if one is None or other is None:
        line = one or other
        assert line is not None
        yield (one is not None) is not _is_lenient(line.named.rule)
        return
    if one.meaning == other.meaning:
        return
    mine, theirs = one.named.rule, other.named.rule
    lenient = _is_lenient(mine) and _is_lenient(theirs)
    ranks = MODES.index(one.mode), MODES.index(other.mode)
    if ranks[0] != ranks[1]:
        yield (ranks[0] > ranks[1]) is not lenient
    shares = mine.share or 1.0, theirs.share or 1.0
    if shares[0] != shares[1]:
        yield (shares[0] > shares[1]) is not lenient
    wider = when_covers(mine.when, theirs.when), when_covers(theirs.when, mine.when)
    if wider[0] != wider[1]:
        yield wider[0] is not lenient
    yield from _of_values(mine, theirs)


def _is_lenient(rule: Rule) -> bool:
    """Whether the rule grants access or removes protection: the more it acts, the laxer."""
    names = rule.header or ()
    if rule.action in GIVING:
        return bool(names) and all(map(grants, names))
    return rule.action == "remove" and any(map(is_protective, names))


def _of_values(one: Rule, other: Rule) -> Iterator[bool]:
    if _is_lenient(one) is not _is_lenient(other):
        yield _is_lenient(other)
    elif one.attributes is not None and other.attributes is not None:
        ours, theirs = (
            rule.attributes.model_dump(exclude_none=True).items()
            for rule in (one, other)
            if rule.attributes is not None
        )
        if ours > theirs or theirs > ours:
            yield ours > theirs
    elif one.value is not None and other.value is not None:
        mine, others = (one.text,), (other.text,)
        for name in {*one.names}.intersection(other.names):
            if weaker(name, others, mine):
                yield False
            if weaker(name, mine, others):
                yield True
