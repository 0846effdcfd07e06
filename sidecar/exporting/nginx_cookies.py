"""nginx: attributes of cookies by proxy_cookie_flags, of which the first match counts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TypeAlias

from sidecar.exporting import patterns
from sidecar.exporting.cookie_edits import changes
from sidecar.exporting.nginx_maps import Maps, pattern, unnamed_field
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Program
from sidecar.exporting.target import sees_changes
from sidecar.exporting.terms import Condition, over_https

MOST = 4
"""Kinds of cookies whose patterns may overlap: each set of them takes a directive."""

AlikePatterns: TypeAlias = tuple[str, ...]
"""Patterns that all rules treat alike."""


def cookie_lines(program: Program, maps: Maps, gaps: list[Gap]) -> Iterator[str]:
    """The directives, the narrowest first."""
    chains: list[tuple[ExportedStep, ...]] = []
    for route in program.routes:
        steps = (step for step in route.steps if step.act == "cookie")
        chains.append(tuple(step for step in steps if _supported(step, route.name, gaps)))
    for route in program.routes:
        gaps.extend(_added_before(route))
    kinds = _kinds(chains)
    for kind in kinds[MOST:]:
        for step in (step for chain in chains for step in chain if step.cookie in kind):
            reason = "too many rules whose patterns may match the same cookie"
            gaps.append(Gap("lost", step.rule, "Set-Cookie", reason))
    kinds = kinds[:MOST]
    rules = dict.fromkeys(step.rule for chain in chains for step in chain)
    if kinds:
        yield f"# Set-Cookie: {', '.join(rules)}"
    for size in range(len(kinds), 0, -1):
        for chosen in combinations(kinds, size):
            yield from _directives(chosen, chains, maps)
    if kinds:
        yield ""


def _added_before(route: ExportedRoute) -> Iterator[Gap]:
    added: list[ExportedStep] = []
    for step in route.steps:
        if step.key == "set-cookie" and step.act == "append":
            added.append(step)
        for one in added if step.act == "cookie" else ():
            reason = f"the cookie that {one.rule} adds stays as that rule writes it"
            yield Gap("differs", step.rule, "Set-Cookie", reason, route.name)


def _kinds(chains: Sequence[tuple[ExportedStep, ...]]) -> list[AlikePatterns]:
    found = dict.fromkeys(step.cookie for chain in chains for step in chain)
    alike: dict[object, list[str]] = {}
    for one in found:
        mine = (tuple(step for step in chain if step.cookie == one) for chain in chains)
        says = tuple(tuple((step.demands, step.when) for step in chain) for chain in mine)
        alike.setdefault(says, []).append(one)
    return [tuple(kind) for kind in alike.values()]


def _supported(step: ExportedStep, route: str, gaps: list[Gap]) -> bool:
    demands = step.demands
    parts = ("Path", demands.path), ("Domain", demands.host_only)
    lost = [name for name, said in parts if said]
    lost += ["Partitioned"] if demands.partitioned is not None else []
    if lost:
        text = f"{' and '.join(lost)}: proxy_cookie_flags knows only Secure, HttpOnly and SameSite"
        keys = tuple(name.lower() for name in lost)
        gaps.append(Gap("lost", step.rule, "Set-Cookie", text, route, keys))
    reason = unnamed_field(step) or (sees_changes(step) if step.rewritten else "")
    if reason:
        gaps.append(Gap("lost", step.rule, "Set-Cookie", reason, route))
    return not reason


def _directives(
    chosen: tuple[AlikePatterns, ...], chains: Sequence[tuple[ExportedStep, ...]], maps: Maps
) -> Iterator[str]:
    """The directive for cookies of all these kinds, after that for those that scripts must read."""
    among = {one for kind in chosen for one in kind}
    mine = [tuple(step for step in chain if step.cookie in among) for chain in chains]
    demands = [step.demands for chain in mine for step in chain]
    spared = any(one.http_only and not one.hide_csrf for one in demands)
    heads = "".join(f"(?={_named(kind)})" for kind in chosen) if len(chosen) > 1 else ""
    tail = "^" if heads else _named(chosen[0])
    for readable in (True, False) if spared else (False,):
        # Without flags it is still the first that matches, so that no wider one after it counts.
        flags = _flags(mine, maps, readable=readable) or ['""']
        lead = f"(?=^{patterns.READABLE})" if readable else ""
        yield f"proxy_cookie_flags {pattern(f'(?-i){lead}{heads}{tail}')} {' '.join(flags)};"


def _named(kind: AlikePatterns) -> str:
    return f"^{patterns.any_of(patterns.glob(one)[1:-1] for one in kind)}$"


def _flags(chains: Sequence[tuple[ExportedStep, ...]], maps: Maps, *, readable: bool) -> list[str]:
    found: list[str] = []
    for hint in ("secure", "httponly", "samesite"):
        words: list[str] = []
        for chain in chains:
            word = '""'
            for step in chain:
                for name, when, flag in _demanded(step, readable=readable):
                    if name == hint:
                        word = maps.where(when, flag, word, hint, step.rule, "upstream")
            words.append(word)
        found.append(maps.by_route(hint, words))
    return [word for word in found if word != '""']


def _demanded(step: ExportedStep, *, readable: bool) -> Iterator[tuple[str, Condition, str]]:
    """A rule's demands that nginx can express: attribute, condition, nginx's word."""
    demands = step.demands._replace(partitioned=None, path=None, host_only=False)
    for change in changes(demands):
        if not (readable and change.spares_readable):
            when = over_https(step.when) if change.https else step.when
            yield change.name, when, change.text.lower() or f"no{change.name}"
