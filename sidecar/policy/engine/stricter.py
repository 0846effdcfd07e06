"""Which of two compiled routes is stricter: it applies where a path can be read in two ways.

A route is stricter when it demands something more and nothing less. A rule demands more in a higher
mode, under wider conditions, with a larger share, or with a value that protects more; a lower limit
on bodies counts too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from sidecar.policy.engine.overlap import when_covers
from sidecar.policy.headers.strength import grants, is_protective, weaker
from sidecar.policy.model import Rule
from sidecar.policy.terms import GIVING, MODES

if TYPE_CHECKING:
    from sidecar.policy.engine.plan import RoutePlan, RuleLine


def stricter(one: RoutePlan, other: RoutePlan) -> bool:
    """Whether `one` demands something more than `other`, and nothing less."""
    found = set(_differences(one, other))
    return True in found and False not in found


def _differences(one: RoutePlan, other: RoutePlan) -> Iterator[bool]:
    """True for each demand in which `one` is the stricter, False for each in which `other` is."""
    ours, theirs = _body(one), _body(other)
    if ours != theirs:
        yield ours < theirs
    mine, others = _lines(one), _lines(other)
    for name in mine.keys() | others.keys():
        yield from _of_rule(mine.get(name), others.get(name))


def _body(route: RoutePlan) -> float:
    if route.max_body is None or route.max_body_mode != "enforce":
        return float("inf")
    return route.max_body


def _lines(route: RoutePlan) -> Mapping[str, RuleLine]:
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
