"""Netlify: a `_headers` file. Of the blocks that match a path the last one with a header counts.

Source: Netlify's documentation of custom headers, and its own engine (`@netlify/headers`).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import product

from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Program
from sidecar.exporting.target import plain_steps
from sidecar.policy.model import Match


def write(program: Program, gaps: list[Gap]) -> str:
    """The blocks: the default route first, the first route last."""
    default = program.routes[-1]
    blocks: list[str] = []
    written: list[tuple[ExportedRoute, dict[str, ExportedStep]]] = []
    for place in reversed(range(len(program.routes))):
        route = program.routes[place]
        paths = ["/*"] if route is default else _paths(route.match)
        if not paths:
            gaps += _displaced(route, program.routes[place + 1 :], gaps)
            continue
        found = {step.key: step for step in plain_steps(route, "Netlify", _unsupported, gaps)}
        # Headers of blocks before this one, which this route does not write.
        text = f"it is sent on route {route.name} too: a block cannot remove what one before has"
        gaps += [
            Gap("differs", step.rule, step.header, f"{text} written", route.name)
            for other, steps in written
            if not _apart(route.match, other.match)
            for key, step in steps.items()
            if key not in found
        ]
        text = "it replaces one that is sent already"
        defaults = (one for one in found.values() if one.act == "default")
        gaps += [Gap("differs", one.rule, one.header, text, route.name) for one in defaults]
        written.append((route, found))
        for path in paths if found else ():
            blocks += [f"# route {route.name}", path]
            for step in found.values():
                blocks.append(f"  # rule {step.rule}, revision {program.revision}")
                blocks.append(f"  {step.header}: {step.value}")
    return "".join(f"{line}\n" for line in blocks)


def _unsupported(step: ExportedStep) -> str:
    if step.act in ("remove", "append"):
        return f"a line of _headers replaces what is sent; it has no {step.act}"
    if step.key in ("date", "server"):
        return f"Netlify writes {step.header} itself"
    return "" if step.value.strip() else "a line of _headers has a value"


def _paths(match: Match) -> list[str]:
    """The paths of a route's blocks; [] where they cannot be expressed."""
    if match.host or match.method:
        return []
    found: list[str] = []
    for pattern in match.path or ("/**",):
        head = pattern.removesuffix("/**")
        segments = head.split("/")
        if any("*" in part and part != "*" for part in segments) or re.search(r"[:\s]", head):
            return []
        path = "/".join(":any" if part == "*" else part for part in segments)
        found += [path or "/"] if head == pattern else [f"{path}/", f"{path}/:any/*"]
    return found


def _displaced(
    route: ExportedRoute, below: Sequence[ExportedRoute], gaps: Iterable[Gap]
) -> list[Gap]:
    """The gaps of a route that has no blocks: its requests get the headers of a route below it."""
    parts = {"host": route.match.host, "method": route.match.method}
    named = [name for name, said in parts.items() if said] or ["* within a segment, or ** inside"]
    reason = f"_headers cannot tell the route's requests: it knows no {' and no '.join(named)}"
    found: list[Gap] = []
    for other in (one for one in below if not _apart(route.match, one.match)):
        lost = [one for one in route.steps if one not in other.steps]
        more = [one for one in other.steps if one not in route.steps]
        sent = f"{reason}, so it is sent there"
        found += [Gap("lost", one.rule, one.header, reason, route.name) for one in lost]
        found += [Gap("differs", one.rule, one.header, sent, route.name) for one in more]
        shared = (gap for gap in gaps if gap.route == other.name and gap.rule in route.rules)
        found += [replace(gap, route=route.name) for gap in shared]
    return found


def _apart(one: Match, other: Match) -> bool:
    """Whether no path is of both, by what comes before the first *."""
    heads = [[path.partition("*")[0] for path in match.path or ("/",)] for match in (one, other)]
    pairs = product(*heads)
    return not any(left.startswith(right) or right.startswith(left) for left, right in pairs)
