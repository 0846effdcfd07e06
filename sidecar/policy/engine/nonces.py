"""`'nonce-{request}'`: a nonce of each response, written where a rule says so and never kept.

Judgements know only the placeholder, so they can be remembered and logged whatever the nonce is.

Source: CSP Level 3 sections 2.3.1 and 7.1 (nonces), RFC 9111 sections 3.2 and 4.3.4 (what a 304
replaces in a stored response) and 5.2.2.7 (private), RFC 9213 (targeted cache headers).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Final

from sidecar.policy import headers
from sidecar.policy.csp.sources import REQUEST_NONCE
from sidecar.policy.headers.tokens import parse_cache
from sidecar.policy.model import Rule
from sidecar.policy.rules.checks import Check, CheckOfAnother
from sidecar.policy.rules.conditions import Ask, Condition, Facts, Finding, Findings, Seen
from sidecar.policy.rules.shares import ShareCheck
from sidecar.policy.terms import WRITING, ViolationKind

SOURCE: Final = REQUEST_NONCE.encode()

_CSP: Final = frozenset(name.encode() for name in headers.CSP_NAMES)
_CACHE: Final = b"cache-control"
_TARGETED = (
    "CDN-Cache-Control Cloudflare-CDN-Cache-Control Netlify-CDN-Cache-Control"
    " Vercel-CDN-Cache-Control Surrogate-Control Edge-Control X-Accel-Expires"
)
TARGETED: Final = {name.lower().encode(): name for name in _TARGETED.split()}
"""What shared caches obey instead of Cache-Control."""


def asks_for_nonce(rule: Rule) -> bool:
    """Whether a complete rule writes, or demands, a nonce of each response."""
    return not headers.CSP_NAMES.isdisjoint(rule.names) and REQUEST_NONCE in rule.text


def nonced(check: Check, rule: Rule) -> Check:
    """The check of a rule; where the rule writes a nonce, with what that demands of caches."""
    return NonceWriter(check) if rule.action in WRITING and asks_for_nonce(rule) else check


def last_words(checks: Iterable[Check]) -> tuple[Check, ...]:
    """What comes after all other checks of a route, so that no rule undoes what a nonce needs."""
    pairs = ((one.enforced, one) if isinstance(one, ShareCheck) else (one, None) for one in checks)
    return tuple(
        NonceEnsured(one, share)
        for one, share in pairs
        if isinstance(one, NonceWriter) and one.made
    )


class _OfRule(CheckOfAnother):
    """A check that a rule needs beside its own because of a nonce."""

    __slots__ = ("inner", "targets")

    def __init__(self, inner: Check) -> None:
        super().__init__(inner)
        self.inner = inner
        self.targets = tuple(sorted(inner.looks() & _CSP))
        more: tuple[ViolationKind, ...] = ("missing", "mismatch", "forbidden")
        self.kinds = tuple(dict.fromkeys((*inner.kinds, *more)))

    def looks(self) -> frozenset[bytes]:
        """Of the rule, and what caches obey."""
        return self.inner.looks() | {_CACHE, *TARGETED}

    def asks(self) -> tuple[Ask, ...]:
        """Of the rule."""
        return self.inner.asks()

    def _private(self, seen: Seen) -> Findings:
        """No shared cache may keep the response, whatever the service or another rule says."""
        said = seen.get(_CACHE, ())
        text = b", ".join(said).decode("latin-1")
        wanted = headers.merge("cache-control", text, "private")
        found = tuple(self._gone(key, seen) for key in TARGETED if key in seen)
        words = parse_cache(text)[0]
        # Beside must-understand, caches leave no-store out (RFC 9111 section 5.2.2.3).
        if wanted == text or ("no-store" in words and "must-understand" not in words):
            return found
        kind: ViolationKind = "mismatch" if said else "missing"
        after = (wanted.encode("latin-1"),)
        return (self._finding(_CACHE, "Cache-Control", kind, said, after), *found)

    def _gone(self, key: bytes, seen: Seen) -> Finding:
        row = headers.get(key.decode())
        name = TARGETED.get(key) or (row.name if row else key.decode())
        return self._finding(key, name, "forbidden", seen[key], ())

    def _finding(
        self,
        key: bytes,
        name: str,
        kind: ViolationKind,
        before: tuple[bytes, ...],
        after: tuple[bytes, ...],
    ) -> Finding:
        rule = (self.rule, self.index, name, name.encode(), key)
        return Finding(*rule, self.action, kind, self.mode, before, after, self.made)


class NonceWriter(_OfRule):
    """A rule that writes a nonce: the response is for one client, and no 304 changes the nonce.

    A browser that gets a 304 replaces the stored header lines and shows the stored body, whose
    nonce is the old one. So on a 304 no nonce is written, and the service's own line, which would
    replace the rule's in the stored response, goes too. Under `default` it stays: it was in the
    stored response. A 304 says neither the type nor the status of what is stored, so conditions on
    these count as met.
    """

    __slots__ = ()

    def __init__(self, inner: Check) -> None:
        super().__init__(inner)
        self.when = tuple(_or_not_modified(one) if one.of_response else one for one in inner.when)

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        """What the rule finds; where it only reports, also what `NonceEnsured` would do."""
        found = self.inner.judge(facts, seen)
        leaving = {finding.key: finding.after for finding in found}
        carriers = [
            key
            for key in self.targets
            if any(SOURCE in line for line in leaving.get(key) or seen.get(key, ()))
        ]
        if not carriers:
            return found
        if facts.status != 304:
            return found if self.made else found + self._private(seen)
        kept = tuple(finding for finding in found if finding.key not in carriers)
        if self.made or self.action == "default":
            return kept
        return kept + tuple(self._gone(key, seen) for key in carriers if key in seen)


class NonceEnsured(_OfRule):
    """What an enforced rule with a nonce ensures at the end, when no other rule follows."""

    __slots__ = ("share",)

    def __init__(self, rule: NonceWriter, share: ShareCheck | None) -> None:
        super().__init__(rule)
        self.when = ()
        self.share = share

    def judge(self, facts: Facts, seen: Seen) -> Findings:
        """A nonce that leaves makes the response private; a 304 has no header that carries one."""
        if facts.status != 304:
            carried = any(SOURCE in line for key in self.targets for line in seen.get(key, ()))
            return self._private(seen) if carried else ()
        inside = self.share is None or self.share.applies(facts, seen)
        if not inside or not all(one.holds(facts, seen) for one in self.inner.when):
            return ()
        of_service = {name.lower() for name, _ in facts.fields}
        stays = of_service if self.action == "default" else frozenset[bytes]()
        return tuple(self._gone(key, seen) for key in self.targets if key in seen.keys() - stays)


def _or_not_modified(condition: Condition) -> Condition:
    holds = condition.holds
    return replace(condition, holds=lambda facts, seen: facts.status == 304 or holds(facts, seen))


def hidden(fields: Iterable[tuple[bytes, bytes]], nonce: bytes) -> Iterable[tuple[bytes, bytes]]:
    """A service's lines with the placeholder where it has written the nonce that it was given."""
    source = b"'nonce-%b'" % nonce
    if not any(source in value for _, value in fields):
        return fields
    return [*_replaced(fields, source, SOURCE)]


def spelled(
    lines: tuple[tuple[bytes, bytes], ...], nonce: bytes
) -> tuple[tuple[bytes, bytes], ...]:
    """Lines that rules have written, with the nonce where the placeholder stands."""
    return tuple(_replaced(lines, SOURCE, b"'nonce-%b'" % nonce))


def _replaced(
    lines: Iterable[tuple[bytes, bytes]], old: bytes, new: bytes
) -> Iterator[tuple[bytes, bytes]]:
    for name, value in lines:
        yield name, value.replace(old, new) if name.lower() in _CSP else value
