"""Traefik: a headers middleware and a router for each route, as the file provider reads them.

Source: Traefik's reference of the middleware Headers and of HTTP routers and rules, version 3.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

from sidecar.exporting import patterns
from sidecar.exporting.program import Gap, Program, Route, Step
from sidecar.exporting.target import Limits, Written, heading, shortest
from sidecar.exporting.terms import ALWAYS, Scheme
from sidecar.policy.model import Match

LIMITS: Limits = (
    "A path is matched decoded only; the sidecar matches each form that a service may see.",
    "The policy does not reach requests that are not HTTP (400) or that no router takes (404).",
)

_HSTS = re.compile(r"max-age=(\d+)(; includeSubDomains)?(; preload)?")


def write(program: Program) -> Written:
    """Routers and middlewares; the service is the user's."""
    gaps: list[Gap] = []
    lines = {route.name: list(_middleware(route, program, gaps)) for route in program.routes}
    default = program.routes[-1]
    asked = [*patterns.order(program.routes), (default, False, default)]
    routers: list[str] = []
    for number, (matched, bare, route) in enumerate(asked):
        name = f"{_name(matched)}{'-slash' if bare else ''}"
        routers += [
            f"    {name}:    # route {route.name}",
            f"      rule: {json.dumps(_rule(matched.match, program, bare=bare))}",
            f"      priority: {len(asked) - number}",
            *([f"      middlewares: [{_name(route)}]"] if lines[route.name] else []),
            "      service: service",
        ]
    middlewares: list[str] = []
    for route in (one for one in program.routes if lines[one.name]):
        middlewares += [f"    {_name(route)}:", "      headers:", *lines[route.name]]
    found = program.all_gaps(gaps)
    about = "For a file provider of Traefik 3. Name your own service, and entry points if not all."
    body = ["http:", "  routers:", *routers]
    body += ["  middlewares:", *middlewares] if middlewares else []
    text = "\n".join([heading(program, "Traefik", (about,), found, LIMITS), *body])
    return Written(f"{text}\n", found)


def _name(route: Route) -> str:
    return f"policy-{route.name.replace('.', '-')}"


def _rule(match: Match, program: Program, *, bare: bool) -> str:
    slash = "/" if program.slashes == "keep" else "/+"
    parts = []
    if match.method:
        parts.append(" || ".join(f"Method(`{one}`)" for one in match.method))
    if match.host:
        parts.append(" || ".join(f"HostRegexp(`^{patterns.host(one)}$`)" for one in match.host))
    if match.path:
        found = (f"^{patterns.path(one, slash)}{'/' if bare else ''}$" for one in match.path)
        parts.append(" || ".join(f"PathRegexp(`{one}`)" for one in found))
    return " && ".join(f"({part})" for part in parts) or "PathPrefix(`/`)"


def _middleware(route: Route, program: Program, gaps: list[Gap]) -> Iterator[str]:
    lines: list[str] = []
    for header in dict.fromkeys(step.key for step in route.steps):
        chain = shortest(route.steps, header)
        every = [step for step in route.steps if step.key == header]
        reasons = [reason for step in every if (reason := _unsupported(step, chain))]
        for step in chain if not reasons else ():
            about = f"    # rule {step.rule}, revision {program.revision}"
            if step.key == "strict-transport-security" and step.act == "set":
                hsts = _HSTS.fullmatch(step.value)
                assert hsts is not None
                yield f"        stsSeconds: {hsts[1]}{about}"
                yield f"        stsIncludeSubdomains: {str(bool(hsts[2])).lower()}"
                yield f"        stsPreload: {str(bool(hsts[3])).lower()}"
            else:
                value = step.value if step.act == "set" else ""
                lines.append(f"          {json.dumps(step.header)}: {json.dumps(value)}{about}")
        # Where one rule on a header is lost, the others on it cannot be expressed either.
        for step in every if reasons else ():
            why = _unsupported(step, chain) or reasons[0]
            gaps.append(Gap("lost", step.rule, step.header, why, route.name))
    if lines:
        yield "        customResponseHeaders:"
        yield from lines


def _unsupported(step: Step, chain: tuple[Step, ...]) -> str:
    if step not in chain and step.act != "cookie":
        return ""
    if step.act == "cookie":
        return "Traefik's headers middleware does not read cookies"
    if step.act in ("default", "append"):
        return f"Traefik's headers middleware sets and removes; it has no {step.act}"
    if len(chain) > 1:
        return "several rules on one header, and Traefik has no conditions to tell which"
    if step.key == "date":
        return "Traefik writes Date itself"
    if step.key == "strict-transport-security" and step.act == "set":
        if step.when != ((Scheme("https"),),):
            return "Traefik's headers middleware has no conditions but https for this header"
        if not _HSTS.fullmatch(step.value) or _HSTS.fullmatch(step.value)[1] == "0":  # type: ignore[index]
            return "Traefik writes only max-age, includeSubDomains and preload, in this order"
        return ""
    if step.when != ALWAYS:
        return "Traefik's headers middleware has no conditions"
    return ""
