"""Enforcing for a share of clients: sticky, growing in steps, never on answers that a shared cache may keep.

Lives here: the check that stands for an enforced and a told one. Must not know rules or routes.
"""

from __future__ import annotations

import hashlib

from sidecar.policy.checks import Check, Findings
from sidecar.policy.conditions import Facts, Seen


class Shared(Check):
    """One rule, enforced for the clients in the share and only told for the others.

    A client is in or out by the hash of its address: it stays in while the share grows, and no request of
    it flips back and forth.
    """

    __slots__ = ("action", "enforced", "kinds", "limit", "told")

    def __init__(self, enforced: Check, told: Check, share: float) -> None:
        self.rule, self.index, self.mode, self.when = enforced.rule, enforced.index, enforced.mode, enforced.when
        self.action, self.kinds, self.made, self.header = enforced.action, enforced.kinds, enforced.made, enforced.header
        self.enforced, self.told, self.limit = enforced, told, share

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        """What the enforced check finds for a client in the share, else what the told one finds."""
        inside = position(facts.client) < self.limit and not shared_cacheable(facts, seen)
        return (self.enforced if inside else self.told).judge(facts, seen)


def position(client: str) -> float:
    """Where a client stands between 0 and 1: the same for ever, and even over all clients."""
    return int.from_bytes(hashlib.blake2b(client.encode("utf-8", "replace"), digest_size=4, person=b"share").digest(), "big") / 2**32


def shared_cacheable(facts: Facts, seen: Seen) -> bool:
    """True when a shared cache may keep the answer (RFC 9111 section 3), as far as its headers tell.

    One client's variant would then be served to all: such answers are never part of a share.
    """
    if facts.method not in ("GET", "HEAD"):
        return False
    directives = {
        part.partition(b"=")[0].strip() for value in seen.get(b"cache-control", ()) for part in value.lower().split(b",")
    }
    if directives & {b"private", b"no-store"}:
        return False
    if directives & {b"public", b"s-maxage", b"max-age", b"must-revalidate"}:
        return True
    return b"expires" in seen or b"last-modified" in seen
