"""A policy as the configuration of another proxy, and what that proxy cannot express.

To add a target, write its module, add a row to `targets.json`, and test its real proxy, or say in
`checked` what.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import NamedTuple

from sidecar.exporting import apache, caddy, envoy, gateway_api, haproxy, netlify, nginx, traefik
from sidecar.exporting.program import Gap, Program, program
from sidecar.exporting.target import TEXTS, WEIGHTS, Written
from sidecar.policy.engine.resolve import Resolved


class Target(NamedTuple):
    """One proxy."""

    write: Callable[[Program, list[Gap]], str]
    """Makes the configuration; what it does not do is added to the gaps."""
    name: str
    """For sentences."""
    checked: str
    """What the tests use."""
    about: Sequence[str] | None
    """How the configuration is used, line by line; None = it cannot hold comments."""
    limits: Sequence[str]
    """Where the target differs for any policy, a sentence each."""


def _target(key: str, write: Callable[[Program, list[Gap]], str]) -> Target:
    row = TEXTS["targets"][key]
    limits = [TEXTS["shared"].get(limit, limit) for limit in row["limits"]]
    return Target(write, row["name"], row["checked"], row["about"], limits)


TARGETS: Mapping[str, Target] = {
    key: _target(key, write)
    for key, write in {
        "nginx": nginx.write,
        "apache": apache.write,
        "haproxy": haproxy.write,
        "caddy": caddy.write,
        "envoy": envoy.write,
        "traefik": traefik.write,
        "gateway-api": gateway_api.write,
        "netlify": netlify.write,
    }.items()
}


def export(resolved: Resolved, target: str, reports_to: str = "") -> Written:
    """The configuration of a target for what a policy enforces; `reports_to` as for `program`."""
    enforced, gaps, chosen = program(resolved, reports_to), list[Gap](), TARGETS[target]
    text = chosen.write(enforced, gaps)
    found = enforced.all_gaps(gaps)
    head = "".join(f"# {line}".rstrip() + "\n" for line in _heading(enforced, chosen, found))
    return Written(head + text, found)


def _heading(enforced: Program, target: Target, gaps: Sequence[Gap]) -> Iterator[str]:
    """What this is, how it is used, and what is not in it."""
    if target.about is None:
        return
    yield f"Policy {enforced.name}, revision {enforced.revision}, for {target.name}."
    yield from target.about
    for weight, title in WEIGHTS.items():
        found = [f"  - {gap}" for gap in gaps if gap.weight == weight]
        yield from (f"{title}:", *found) if found else ()
    yield "In general:"
    yield from (f"  - {limit}" for limit in target.limits)
