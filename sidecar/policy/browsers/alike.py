"""Report-only headers of Content-Security-Policies that differ in their nonces alone, made once.

A service that writes a fresh nonce into each response sends a policy that was never seen before,
and to compare it with the rule's costs more than all else that is done for the response.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import TypeAlias

from sidecar.policy.browsers import trial
from sidecar.policy.browsers.trial import ReportOnly
from sidecar.policy.rules.conditions import Finding, Seen

_CSP, _XFO = b"content-security-policy", b"x-frame-options"
_NONCE = re.compile(rb"('(?i:nonce)-)([A-Za-z0-9+/_-]+={0,2})'")
"""CSP3 section 2.3.1."""
_NUMBERED = re.compile(rb"('(?i:nonce)-)(\d+)'")
_LONGEST = 4096
"""Bytes of lines that are remembered; a service may send more."""

_Lines: TypeAlias = tuple[bytes, ...]


def report_only(finding: Finding, key: str, scheme: str, seen: Seen) -> ReportOnly | None:
    """As `trial.report_only`."""
    if finding.key != _CSP or not finding.after:
        return trial.report_only(finding, key, scheme, seen)
    lines = (*finding.after, *finding.before)
    if sum(map(len, lines)) > _LONGEST or not any(map(_NONCE.search, lines)):
        return trial.report_only(finding, key, scheme, seen)
    nonces: dict[bytes, int] = {}
    after, before = _numbered(finding.after, nonces), _numbered(finding.before, nonces)
    alike = finding._replace(after=after, before=before)
    made = _made(alike, key, scheme, tuple(seen.get(_XFO, ())[:1]))
    if made is None:
        return None
    written = [*nonces]
    return made._replace(lines=tuple(_restored(made.lines, written)))


@lru_cache(128)
def _made(finding: Finding, key: str, scheme: str, framing: _Lines) -> ReportOnly | None:
    """By all that it depends on."""
    return trial.report_only(finding, key, scheme, {_XFO: framing} if framing else {})


def _numbered(lines: _Lines, nonces: dict[bytes, int]) -> _Lines:
    """The lines with a number in place of each nonce: the same for the same nonce."""

    def number(found: re.Match[bytes]) -> bytes:
        return b"%s%d'" % (found[1], nonces.setdefault(found[2], len(nonces)))

    return tuple(_NONCE.sub(number, line) for line in lines)


def _restored(
    lines: tuple[tuple[bytes, bytes], ...], nonces: list[bytes]
) -> Iterator[tuple[bytes, bytes]]:
    for name, value in lines:
        yield name, _NUMBERED.sub(lambda own: b"%s%s'" % (own[1], nonces[int(own[2])]), value)
