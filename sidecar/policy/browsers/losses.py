"""What a rule takes away: features, and what the service's own header gave before.

Source: Upgrade Insecure Requests section 3.1; Trusted Types section 4.2; HTML sections 7.1.1
(sandbox) and 7.1.6 (X-Frame-Options); Permissions Policy section 5.2; Client Hints Infrastructure
section 3.4.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from http_sf import Token

from sidecar.policy import csp
from sidecar.policy.headers import fields

GRANTING = ("ch-", "deferred-fetch", "unload")
"""How the names of features begin that pages, or other origins, have by this header alone."""


def loses_upgrade(before: Iterable[bytes], after: Iterable[bytes]) -> bool:
    """Whether `upgrade-insecure-requests` is in the policies before, and not in those after."""
    return upgrades(before) and not upgrades(after)


def loses_types(before: Iterable[bytes], after: Iterable[bytes]) -> bool:
    """Whether the policies before have a page's default policy of Trusted Types run, which may
    rewrite what scripts load, and those after do not (Trusted Types section 4.2).
    """
    return _converts(before) and not _converts(after)


def loses_sandbox(before: Iterable[bytes], after: Iterable[bytes]) -> bool:
    """Whether the policies before keep a page from having an origin, which the pages around it may
    count on, and those after do not (HTML section 7.1.1).
    """
    return _confines(before) and not _confines(after)


def _confines(lines: Iterable[bytes]) -> bool:
    sandboxes = (policy.get("sandbox") for policy in _policies(lines))
    return any(
        one is not None and "allow-same-origin" not in map(str.lower, one.values)
        for one in sandboxes
    )


def _converts(lines: Iterable[bytes]) -> bool:
    for policy in _policies(lines):
        named = policy.get("trusted-types")
        allowed = named is None or not {"default", "*"}.isdisjoint(named.values)
        if policy.get("require-trusted-types-for") and allowed:
            return True
    return False


def lifts(before: Iterable[bytes], after: Iterable[bytes]) -> bool:
    """Whether `frame-ancestors` stands in the policies before, and not in those after: browsers
    then obey X-Frame-Options again (HTML section 7.1.6).
    """
    return csp.names_ancestors(before) and not csp.names_ancestors(after)


def upgrades(lines: Iterable[bytes]) -> bool:
    """Whether `upgrade-insecure-requests` is in one of the policies."""
    return any(policy.get("upgrade-insecure-requests") for policy in _policies(lines))


def _policies(lines: Iterable[bytes]) -> Iterator[csp.CspPolicy]:
    return (policy for line in lines for policy in csp.parse(line.decode("latin-1")))


def taken(value: str) -> Mapping[str, frozenset[str]]:
    """Features that a Permissions-Policy restricts -> the other origins that keep them."""
    found: dict[str, frozenset[str]] = {}
    for name, words in _allowlists(value):
        if not any(isinstance(word, Token) and str(word) == "*" for word in words):
            found[name] = frozenset(word for word in words if isinstance(word, str))
    return found


def loses_grants(before: Iterable[bytes], after: Iterable[bytes]) -> bool:
    """Whether the lines before give what only this header gives, and those after do not."""
    kept = _grants(after)
    return any(
        not words <= kept.get(name, frozenset()) and "*" not in kept.get(name, ())
        for name, words in _grants(before).items()
    )


def _grants(lines: Iterable[bytes]) -> Mapping[str, frozenset[str]]:
    """What a Permissions-Policy alone gives, and to whom: client hints that go to other origins,
    `unload` handlers, and fetches that outlive the page (HTML; Client Hints Infrastructure section
    3.4; Deferred Fetching).
    """
    found = {}
    for name, listed in _allowlists(b", ".join(lines).decode("latin-1")):
        words = frozenset(map(str, listed)) - (frozenset() if name == "unload" else {"self"})
        if words and name.startswith(GRANTING):
            found[name] = words
    return found


def taken_from_page(value: str) -> frozenset[str]:
    """Features that a Permissions-Policy takes from the page itself, and so from frames of its own
    origin, whatever these say.
    """
    return frozenset(
        name
        for name, words in _allowlists(value)
        if not {"*", "self"} & {str(word) for word in words if isinstance(word, Token)}
    )


def _allowlists(value: str) -> Iterator[tuple[str, list[Any]]]:
    """The features of a Permissions-Policy, each with its items (structured fields)."""
    for name, (member, _) in (fields.parse_dictionary(value).value or {}).items():
        yield name, [one for one, _ in member] if isinstance(member, list | tuple) else [member]
