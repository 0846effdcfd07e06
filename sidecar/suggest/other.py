"""Causes under other headers than CSP: the smallest correct edit of the value, or advice.

Pure. Source: HTML sections 7.1.3 (COOP) and 7.1.4 (COEP), Permissions Policy section 4,
Integrity-Policy (Subresource Integrity).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sidecar.policy.browsers.losses import taken
from sidecar.rollout.model import Cause
from sidecar.suggest.model import Proposal, Terms, proposal, too_little


def advise_other(
    cause: Cause, headers: Sequence[str], value: str, terms: Terms
) -> tuple[Proposal, str]:
    """What to do about one cause, and the value afterwards."""
    names = {name.lower() for name in headers}
    if cause.type in ("permissions-policy-violation", "potential-permissions-policy-violation"):
        return _permissions(cause, value, terms)
    if cause.type == "coep":
        return _embedder(cause, value, terms)
    if cause.type == "coop":
        return _opener(cause, value, terms)
    if cause.type == "integrity-violation":
        return proposal(cause, "integrity", what=cause.blocked or "the script"), value
    if "permissions-policy" in names:
        name = next(iter(taken(value)), "camera")
        return proposal(cause, "feature-of-frame", name=name), value
    return proposal(cause, "framed-xfo" if "x-frame-options" in names else "no-edit"), value


def _permissions(cause: Cause, value: str, terms: Terms) -> tuple[Proposal, str]:
    """A page of the site uses a feature that the value forbids: allow it for the site alone."""
    name = cause.directive
    member = re.compile(rf"(?<![\w-])({re.escape(name)}\s*=\s*)(\(\s*\))")
    found = member.search(value)
    if found is None:
        return proposal(cause, "feature-of-some"), value
    if waiting := too_little(cause, terms):
        return waiting, value
    after = value[: found.start(2)] + "(self)" + value[found.end(2) :]
    return proposal(cause, "feature", sources=(after,)), after


def _embedder(cause: Cause, value: str, terms: Terms) -> tuple[Proposal, str]:
    if cause.directive != "corp":
        return proposal(cause, "embedder", what=cause.blocked or "the frame or worker"), value
    if value.strip().lower().startswith("credentialless"):
        return proposal(cause, "resource"), value
    if waiting := too_little(cause, terms):
        return waiting, value
    after = re.sub(r"(?i)require-corp", "credentialless", value, count=1)
    if after == value:
        return proposal(cause, "resource-unedited"), value
    warnings = ("Safari does not know credentialless, and does not isolate the page",)
    return proposal(cause, "credentialless", sources=(after,), warnings=warnings), after


_OPENED = {
    "navigation-from-response",
    "access-from-coop-page-to-openee",
    "access-to-coop-page-from-openee",
}
"""COOP reports of pages that open windows; all others are of pages that were opened."""


def _opener(cause: Cause, value: str, terms: Terms) -> tuple[Proposal, str]:
    token = value.strip().lower()
    if cause.directive in _OPENED and token.startswith("same-origin") and "allow" not in token:
        if waiting := too_little(cause, terms):
            return waiting, value
        after = re.sub(r"(?i)same-origin", "same-origin-allow-popups", value, count=1)
        warnings = ("the page is then not cross-origin isolated (SharedArrayBuffer)",)
        return proposal(cause, "opens", sources=(after,), warnings=warnings), after
    return proposal(cause, "opened", pages=", ".join(cause.pages) or "the page"), value
