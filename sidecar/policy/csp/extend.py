"""A Content Security Policy gains sources for one use, and allows no less than before.

Source: CSP Level 3 section 6.8.3 (which directive governs by fallback).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from sidecar.policy.csp import CspDirective, CspPolicy, effective
from sidecar.policy.csp.sources import parse_source, source_list

FAMILY = {"script-src-elem": "script-src", "style-src-elem": "style-src"}


def extended(policy: CspPolicy, directive: str, sources: Sequence[str]) -> tuple[CspPolicy, str]:
    """The policy with these sources added for `directive`, and the name of the directive that
    gained them.

    The directive of the family that is there gains them (script-src for script-src-elem). Where
    default-src or another kind's directive governs, a new directive takes over what it allowed.
    """
    governing = effective(policy, directive)
    if governing is None:
        return policy, directive
    target = _target(governing, directive)
    held = governing.values if governing.name == target else _copied(governing, target)
    known = source_list(held)
    new = [text for text in sources if parse_source(text).key not in known]
    values = (*(word for word in held if word.lower() != "'none'"), *new)
    made = CspDirective(target, values)
    if policy.get(target):
        found = tuple(made if one.name == target else one for one in policy.directives)
    else:
        found = (*policy.directives, made)
    return replace(policy, directives=found), target


def _target(governing: CspDirective, directive: str) -> str:
    family = directive.removesuffix("-elem").removesuffix("-attr")
    if governing.name == directive:
        return directive
    if directive.endswith("-attr"):
        # 'unsafe-hashes' stays with the attributes, where it can.
        open_already = governing.name == family and "'unsafe-hashes'" in governing.values
        return family if open_already else directive
    return FAMILY.get(directive, directive)


def _copied(governing: CspDirective, target: str) -> tuple[str, ...]:
    """What has an effect in a new directive of what governed before."""
    sources = source_list(governing.values)
    if target.endswith("-attr"):
        hashes = "'unsafe-hashes'" in sources
        kept = [
            one
            for one in sources.values()
            if one.key == "'unsafe-inline'"
            or (hashes and (one.shape == "hash" or one.key == "'unsafe-hashes'"))
        ]
    elif target in ("script-src", "style-src", "worker-src"):
        kept = [*sources.values()]
    else:
        kept = [one for one in sources.values() if one.is_url]
    return tuple(one.text for one in kept)
