"""Enforcing for a share of clients: sticky, growing in steps, never on responses that a shared
cache may keep.

Lives here: the check that combines an enforced and a reported one. Must not know rules or routes.
"""

from __future__ import annotations

import hashlib

from sidecar.policy.rules.checks import Check
from sidecar.policy.rules.conditions import Ask, Facts, Seen
from sidecar.policy.rules.findings import Findings

_CACHING = frozenset({b"cache-control", b"expires", b"last-modified"})


class Shared(Check):
    """One rule, enforced for the clients in the share and only reported for the others.

    A client is in or out by the hash of its address: it stays in while the share grows, and no
    request of it flips back and forth.
    """

    __slots__ = ("action", "enforced", "kinds", "limit", "reported")

    def __init__(self, enforced: Check, reported: Check, share: float) -> None:
        self.rule, self.index, self.mode, self.when = (
            enforced.rule,
            enforced.index,
            enforced.mode,
            enforced.when,
        )
        self.action, self.kinds, self.made, self.header = (
            enforced.action,
            enforced.kinds,
            enforced.made,
            enforced.header,
        )
        self.enforced, self.reported, self.limit = enforced, reported, share

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        """What the enforced check finds for a client in the share, else what the reported one
        finds.
        """
        return (self.enforced if self.applies(facts, seen) else self.reported).judge(facts, seen)

    def applies(self, facts: Facts, seen: Seen) -> bool:
        """Whether this response is in the share."""
        return self._inside(facts) and not shared_cacheable(facts, seen)

    def looks(self) -> frozenset[bytes]:
        """Of the rule, and what tells whether a shared cache may keep the response."""
        return self.enforced.looks() | _CACHING

    def asks(self) -> tuple[Ask, ...]:
        """Of the rule, and whether client and method are in the share."""
        return (*self.enforced.asks(), self._inside, _readable)

    def _inside(self, facts: Facts) -> bool:
        return position(facts.client) < self.limit


def position(client: str) -> float:
    """Where a client stands between 0 and 1: the same for ever, and even over all clients."""
    return (
        int.from_bytes(
            hashlib.blake2b(
                client.encode("utf-8", "replace"), digest_size=4, person=b"share"
            ).digest(),
            "big",
        )
        / 2**32
    )


def shared_cacheable(facts: Facts, seen: Seen) -> bool:
    """True when a shared cache may keep the response (RFC 9111 section 3), as far as its headers
    tell.

    One client's variant would then be served to all: such responses are never part of a share.
    """
    if not _readable(facts):
        return False
    directives = {
        part.partition(b"=")[0].strip()
        for value in seen.get(b"cache-control", ())
        for part in value.lower().split(b",")
    }
    if directives & {b"private", b"no-store"}:
        return False
    if directives & {b"public", b"s-maxage", b"max-age", b"must-revalidate"}:
        return True
    return b"expires" in seen or b"last-modified" in seen


def _readable(facts: Facts) -> bool:
    return facts.method in ("GET", "HEAD")
