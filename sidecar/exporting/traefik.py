"""Traefik: a headers middleware and a router for each route, as the file provider reads them.

Source: Traefik's reference of the middleware Headers and of HTTP routers and rules, version 3.
"""

from __future__ import annotations

import json
import re

from sidecar.exporting import patterns
from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap, Program
from sidecar.exporting.target import HTTPS_ONLY, plain_steps
from sidecar.policy.model import Match
from sidecar.templates import filled

_MIDDLEWARE = "Traefik's headers middleware"
_HSTS = re.compile(r"max-age=(\d+)(; includeSubDomains)?(; preload)?")


def write(program: Program, gaps: list[Gap]) -> str:
    """Routers and middlewares; the service is the user's."""
    default = program.routes[-1]
    routers = [
        {
            "name": f"{_name(asked)}{'-slash' if bare else ''}",
            "rule": _rule(asked.match, program, bare=bare),
            "route": route,
        }
        for asked, bare, route in (*patterns.order(program.routes), (default, False, default))
    ]
    return filled(
        "sidecar.exporting",
        "traefik.yaml.jinja",
        routers=routers,
        routes=program.routes,
        steps={
            route.name: [*plain_steps(route, _MIDDLEWARE, _unsupported, gaps, over_http=False)]
            for route in program.routes
        },
        revision=program.revision,
        name=_name,
        hsts=_hsts,
        json=json.dumps,
    )


def _name(route: ExportedRoute) -> str:
    return f"policy-{route.name.replace('.', '-')}"


def _rule(match: Match, program: Program, *, bare: bool) -> str:
    parts = []
    if match.method:
        parts.append(" || ".join(f"Method(`{one}`)" for one in match.method))
    if match.host:
        parts.append(" || ".join(f"HostRegexp(`^{patterns.host(one)}$`)" for one in match.host))
    if match.path:
        found = (
            f"^{patterns.path(one, program.slash)}{'/' if bare else ''}$" for one in match.path
        )
        parts.append(" || ".join(f"PathRegexp(`{one}`)" for one in found))
    return " && ".join(f"({part})" for part in parts) or "PathPrefix(`/`)"


def _hsts(step: ExportedStep) -> re.Match[str] | None:
    """The parts of Strict-Transport-Security, which has options of its own."""
    is_hsts = step.key == "strict-transport-security" and step.act == "set"
    return _HSTS.fullmatch(step.value) if is_hsts else None


def _unsupported(step: ExportedStep) -> str:
    if step.act in ("default", "append"):
        return f"{_MIDDLEWARE} sets and removes; it has no {step.act}"
    if step.key == "date":
        return "Traefik writes Date itself"
    if step.key != "strict-transport-security":
        return ""
    if step.act == "remove":
        return "" if step.always else f"{_MIDDLEWARE} has no conditions"
    if step.when != HTTPS_ONLY:
        return f"{_MIDDLEWARE} has no conditions but https for this header"
    parts = _hsts(step)
    if parts is None or parts[1] == "0":
        return "Traefik writes only max-age, includeSubDomains and preload, in this order"
    return ""
