"""nginx: maps for conditions and routes, add_header always and proxy_hide_header for what leaves.

Sources: nginx's documentation of the modules headers, map, proxy and core.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sidecar.exporting import patterns
from sidecar.exporting.nginx_cookies import cookie_lines
from sidecar.exporting.nginx_maps import (
    DOLLAR,
    PATH,
    ROUTE,
    Maps,
    field_variable,
    inside,
    pattern,
    quoted,
    unnamed_field,
)
from sidecar.exporting.program import ExportedStep, Gap, Program
from sidecar.exporting.target import sees_changes, shortest
from sidecar.policy import headers
from sidecar.templates import filled

OWN = frozenset({"server", "date", "content-type"})
"""Lines that nginx writes itself, beside whatever add_header says."""
_MORE = "more_clear_headers or more_set_headers of libnginx-mod-http-headers-more"


def write(program: Program, gaps: list[Gap]) -> str:
    """One file for http { }: maps, and the directives that servers and locations inherit."""
    maps = Maps(program)
    lines: list[str] = []
    for header in program.headers():
        steps = [(shortest(route.steps, header), route.name) for route in program.routes]
        chains = [_supported(chain, header, route, gaps) for chain, route in steps]
        chains = _without_variable(header, chains, gaps)
        if any(chains):
            lines += _header(header, chains, maps, gaps)
    lines += cookie_lines(program, maps, gaps)
    mapped = "".join(maps.blocks)
    return filled(
        "sidecar.exporting",
        "nginx.conf.jinja",
        dollar=any(DOLLAR in text for text in (mapped, *lines)),
        path=PATH in mapped or ROUTE in mapped,
        routes=list(maps.routes()) if ROUTE in mapped else (),
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
    return unnamed_field(step)


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
