"""Enforcing for a share of clients: sticky, growing, never where a shared cache may keep it."""

from __future__ import annotations

import hashlib

from sidecar.policy.rules.checks import Check, CheckOfAnother
from sidecar.policy.rules.conditions import Ask, Facts, Findings, Seen

_CACHING = frozenset({b"cache-control", b"expires", b"last-modified"})


class ShareCheck(CheckOfAnother):
    """One rule, enforced for the clients in the share and only reported for the others.

    The hash of its address decides whether a client is in: it stays in while the share grows, and
    its requests do not flip back and forth.
    """

    __slots__ = ("enforced", "limit", "reported")

    def __init__(self, enforced: Check, reported: Check, share: float) -> None:
        super().__init__(enforced)
        self.enforced, self.reported, self.limit = enforced, reported, share

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        """What the enforced check finds for a client in the share, else the reported one."""
        return (self.enforced if self.applies(facts, seen) else self.reported).judge(facts, seen)

    def applies(self, facts: Facts, seen: Seen) -> bool:
        """Whether this response is in the share."""
        return self._inside(facts) and not shared_cacheable(facts, seen)

    def looks(self) -> frozenset[bytes]:
        """Of the rule, and what decides whether a shared cache may keep the response."""
        return self.enforced.looks() | _CACHING

    def asks(self) -> tuple[Ask, ...]:
        """Of the rule, and whether client and method are in the share."""
        return (*self.enforced.asks(), self._inside, _readable)

    def _inside(self, facts: Facts) -> bool:
        return position(facts.client) < self.limit


def position(client: str) -> float:
    """A client's place between 0 and 1: always the same, and even over all clients."""
    digest = hashlib.blake2b(client.encode("utf-8", "replace"), digest_size=4, person=b"share")
    return int.from_bytes(digest.digest(), "big") / 2**32


def shared_cacheable(facts: Facts, seen: Seen) -> bool:
    """Whether a shared cache may keep the response by its headers (RFC 9111 section 3).

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
