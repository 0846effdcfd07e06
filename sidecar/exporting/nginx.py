"""nginx: maps for conditions and routes, add_header always and proxy_hide_header for what leaves;
attributes of cookies by proxy_cookie_flags, of which the first match counts.

Sources: nginx's documentation of the modules headers, map, proxy and core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import TypeAlias

from sidecar.exporting import nginx_maps, patterns
from sidecar.exporting.cookie_edits import changes
from sidecar.exporting.nginx_maps import Maps, field_variable, inside, pattern, quoted
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Program
from sidecar.exporting.target import sees_changes, shortest
from sidecar.exporting.terms import Condition, over_https
from sidecar.policy import headers
from sidecar.templates import filled

OWN = frozenset({"server", "date", "content-type"})
"""Lines that nginx writes itself, beside whatever add_header says."""
_MORE = "more_clear_headers or more_set_headers of libnginx-mod-http-headers-more"
MOST_KINDS = 4
"""Kinds of cookies whose patterns may overlap: each set of them takes a directive."""
AlikePatterns: TypeAlias = tuple[str, ...]
"""Patterns that all rules treat alike."""


def write(program: Program, gaps: list[Gap]) -> str:
    """One file for http { }: maps, and the directives that servers and locations inherit."""
    maps = Maps(program)
    lines: list[str] = []
    written = (step for route in program.routes for step in route.steps if step.act != "cookie")
    for header in {step.key: step.header for step in written}.values():
        steps = [(shortest(route.steps, header), route.name) for route in program.routes]
        chains = [_supported(chain, header, route, gaps) for chain, route in steps]
        chains = _without_variable(header, chains, gaps)
        if any(chains):
            lines += _header(header, chains, maps, gaps)
    lines += _cookie_lines(program, maps, gaps)
    mapped = "".join(maps.blocks)
    return filled(
        "sidecar.exporting",
        "nginx.conf.jinja",
        dollar=any(nginx_maps.DOLLAR in text for text in (mapped, *lines)),
        path=nginx_maps.PATH in mapped or nginx_maps.ROUTE in mapped,
        routes=list(maps.routes()) if nginx_maps.ROUTE in mapped else (),
        blocks=maps.blocks,
        lines=lines,
        server=any(gap.header.lower() == "server" for gap in gaps),
        pattern=pattern,
    )


def _supported(
    steps: tuple[ExportedStep, ...], header: str, route: str, gaps: list[Gap]
) -> tuple[ExportedStep, ...]:
    """The steps that nginx can express; the others are noted."""
    kept: list[ExportedStep] = []
    for step in steps:
        later = steps[steps.index(step) + 1 :]
        reason = _unsupported(step, header, last=all(one.act == "append" for one in later))
        if reason:
            gaps.append(Gap("lost", step.rule, header, reason, route))
        else:
            kept.append(step)
    return tuple(kept)


def _without_variable(
    header: str, chains: list[tuple[ExportedStep, ...]], gaps: list[Gap]
) -> list[tuple[ExportedStep, ...]]:
    """The same, or nothing where the service's line must be put back but has no variable."""
    if field_variable("upstream_http", header) and header.lower() != "set-cookie":
        return chains
    owns = any(step.act in ("set", "remove") for chain in chains for step in chain)
    if not owns or not any(map(_rests_on_service, chains)):
        return chains
    reason = "where the rule does not hold, nginx cannot put the service's lines back"
    rules = dict.fromkeys(step.rule for chain in chains for step in chain)
    gaps += [Gap("lost", rule, header, reason) for rule in rules]
    return [() for _ in chains]


def _unsupported(step: ExportedStep, header: str, *, last: bool) -> str:
    if step.key == "server":
        return f"nginx writes a Server of its own; {_MORE} can change it"
    if step.key in OWN:
        return f"nginx writes {header} itself, and add_header would write a second one"
    if not field_variable("upstream_http", header) and step.act in ("default", "append"):
        return "nginx has no variable for a header of this name"
    if step.act == "append" and not last:
        return "a later rule on the same header would not see the added line"
    if step.rewritten:
        return f"{sees_changes(step)}; nginx sees the service's line"
    return nginx_maps.unnamed_field(step)


def _header(
    header: str, chains: list[tuple[ExportedStep, ...]], maps: Maps, gaps: list[Gap]
) -> Iterator[str]:
    rules = dict.fromkeys(step.rule for chain in chains for step in chain)
    yield f"# {header}: {', '.join(rules)}"
    service = field_variable("upstream_http", header)
    owns = any(step.act in ("set", "remove") for chain in chains for step in chain)
    values = [_value(chain, service, maps, owns=owns) for chain in chains]
    if owns:
        yield f"proxy_hide_header {quoted_name(header)};"
        known = headers.get(header)
        single = known is not None and known.single
        if not single and any(map(_rests_on_service, chains)):
            lines = "the first (nginx before 1.23), or all in a list"
            reason = f"where no rule writes it, several lines of the service's become one: {lines}"
            gaps += [Gap("differs", rule, header, reason) for rule in rules]
    value = maps.by_route(header, values)
    if value != '""':
        yield f"add_header {quoted_name(header)} {value} always;"
    appends = dict.fromkeys(step for chain in chains for step in chain if step.act == "append")
    extras: list[str] = []
    for step in appends:
        added = [
            _added(chain, step, ["" if owns else service, word, *extras], maps)
            for chain, word in zip(chains, values, strict=True)
        ]
        extra = maps.by_route(f"{header} added", added)
        if extra != '""':
            yield f"add_header {quoted_name(header)} {extra} always;"
            extras.append(extra)
    yield ""


def quoted_name(header: str) -> str:
    """A header's name as a plain word, without variables."""
    return f'"{header}"' if "$" in header or "#" in header else header


def _rests_on_service(chain: tuple[ExportedStep, ...]) -> bool:
    """Whether the service's own line can be what leaves."""
    return not any(step.always and step.act in ("set", "remove") for step in chain)


def _value(chain: tuple[ExportedStep, ...], service: str, maps: Maps, *, owns: bool) -> str:
    """The value after all steps but appends.

    Where the service's own line is hidden (`owns`), the value begins with it; else, where steps
    only add, it is the line to add, empty where the service sends one.
    """
    value = service if owns and service else '""'
    for step in (one for one in chain if one.act != "append"):
        value = maps.after(step, value) if owns else _default(step, value, maps)
    return value


def _default(step: ExportedStep, before: str, maps: Maps) -> str:
    if before != '""' and not before.startswith("$"):
        return before
    service = field_variable("upstream_http", step.header)
    wanted = {service: ""} if before == '""' else {service: "", before: ""}
    if not step.always:
        wanted = {maps.holds(step.when, "sent"): "1", **wanted}
    source, key = f'"{":".join(map(inside, wanted))}"', f'"{":".join(wanted.values())}"'
    about = f"rule {step.rule}"
    return maps.made(step.header, source, [(key, quoted(step.value))], before, about)


def _added(
    chain: tuple[ExportedStep, ...], step: ExportedStep, words: Sequence[str], maps: Maps
) -> str:
    """The line that an append adds, unless the service or an earlier step wrote the same; else "".

    `words` are the lines so far: the service's (where it leaves), what other steps made of it, what
    was added.
    """
    if step not in chain:
        return '""'
    text = quoted(step.value)
    stands = [word for word in words if word not in ("", '""')]
    if text in stands:
        return '""'
    stands = [word for word in stands if word.startswith("$")]
    asked = "1" if step.always else inside(maps.holds(step.when, "sent"))
    if not stands:
        return text if step.always else maps.made("added", f'"{asked}"', [("1", text)], '""')
    same = patterns.literal(step.value)
    source = f'"{asked}:{"|".join(inside(word) for word in stands)}"'
    keys = [pattern(rf"^1:(?:.*\|)?{same}(?:\||$)"), pattern("^1:")]
    entries = [(keys[0], '""'), (keys[1], text)]
    return maps.made(f"{step.header} added", source, entries, '""', f"rule {step.rule}")


def _cookie_lines(program: Program, maps: Maps, gaps: list[Gap]) -> Iterator[str]:
    """The directives, the narrowest first."""
    chains: list[tuple[ExportedStep, ...]] = []
    for route in program.routes:
        steps = (step for step in route.steps if step.act == "cookie")
        chains.append(tuple(step for step in steps if _supported_cookie(step, route.name, gaps)))
    for route in program.routes:
        gaps.extend(_added_before(route))
    kinds = _kinds(chains)
    for kind in kinds[MOST_KINDS:]:
        for step in (step for chain in chains for step in chain if step.cookie in kind):
            reason = "too many rules whose patterns may match the same cookie"
            gaps.append(Gap("lost", step.rule, "Set-Cookie", reason))
    kinds = kinds[:MOST_KINDS]
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


def _supported_cookie(step: ExportedStep, route: str, gaps: list[Gap]) -> bool:
    demands = step.demands
    parts = ("Path", demands.path), ("Domain", demands.host_only)
    lost = [name for name, said in parts if said]
    lost += ["Partitioned"] if demands.partitioned is not None else []
    if lost:
        text = f"{' and '.join(lost)}: proxy_cookie_flags knows only Secure, HttpOnly and SameSite"
        keys = tuple(name.lower() for name in lost)
        gaps.append(Gap("lost", step.rule, "Set-Cookie", text, route, keys))
    reason = nginx_maps.unnamed_field(step) or (sees_changes(step) if step.rewritten else "")
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
