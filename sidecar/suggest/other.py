"""Causes under other headers than CSP: the smallest correct edit of the value, or advice.

Pure. Source: HTML sections 7.1.3 (COOP) and 7.1.4 (COEP), Permissions Policy section 4,
Integrity-Policy (Subresource Integrity).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sidecar.policy.browsers.trial import taken
from sidecar.rollout.causes import Cause
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
        return _integrity(cause), value
    if "permissions-policy" in names:
        name = next(iter(taken(value)), "camera")
        text = "a frame of another origin may need what the value forbids; browsers never report it"
        fix = (
            f'name it, with what it needs: {name}=(self "{cause.blocked}"); if it needs nothing:'
            f" promote --waive {cause.id}"
        )
    elif "x-frame-options" in names:
        text = "the page was framed; the report does not say by whom"
        fix = (
            "SAMEORIGIN, if the site frames its own pages; for partners a CSP rule with"
            " frame-ancestors and their origins"
        )
    else:
        text, fix = "no edit of this rule is known to help", "look into the page's console"
    return proposal(cause, "advice", text, fix), value


def _permissions(cause: Cause, value: str, terms: Terms) -> tuple[Proposal, str]:
    """A page of the site uses a feature that the value forbids: allow it for the site alone."""
    name = cause.directive
    member = re.compile(rf"(?<![\w-])({re.escape(name)}\s*=\s*)(\(\s*\))")
    found = member.search(value)
    if found is None:
        text = f"the value lets some use {name}, and this page not"
        fix = (
            f'name who may use it: {name}=(self "https://partner.example"), and the frame needs'
            f" allow={name}"
        )
        return proposal(cause, "advice", text, fix), value
    if waiting := too_little(cause, terms):
        return waiting, value
    after = value[: found.start(2)] + "(self)" + value[found.end(2) :]
    text = f"a page of the site uses {name}: the site may, its frames may not"
    return proposal(cause, "add", text, sources=(after,)), after


def _embedder(cause: Cause, value: str, terms: Terms) -> tuple[Proposal, str]:
    if cause.directive != "corp":
        what = cause.blocked or "the frame or worker"
        fix = (
            f"let {what} send Cross-Origin-Embedder-Policy too (a rule on its route, if it is"
            " yours), or frame it with the attribute credentialless"
        )
        return proposal(cause, "advice", f"{what} does not send the header", fix), value
    if value.strip().lower().startswith("credentialless"):
        fix = f"let {cause.blocked} send Cross-Origin-Resource-Policy: cross-origin"
        return proposal(cause, "advice", "the resource does not agree to be embedded", fix), value
    if waiting := too_little(cause, terms):
        return waiting, value
    after = re.sub(r"(?i)require-corp", "credentialless", value, count=1)
    if after == value:
        return proposal(cause, "advice", "the resource does not agree to be embedded", ""), value
    fix = (
        f"better: let {cause.blocked} send Cross-Origin-Resource-Policy: cross-origin, or load it"
        " with the attribute crossorigin"
    )
    text = "resources of other origins are then loaded without cookies instead of being blocked"
    warnings = ("Safari does not know credentialless, and does not isolate the page",)
    return proposal(cause, "add", text, fix, sources=(after,), warnings=warnings), after


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
        text = "the page uses windows that it opened: it keeps them; its own opener still loses it"
        warnings = ("the page is then not cross-origin isolated (SharedArrayBuffer)",)
        return proposal(cause, "add", text, sources=(after,), warnings=warnings), after
    pages = ", ".join(cause.pages) or "the page"
    fix = (
        f"give {pages} a route of its own with unsafe-none for this rule; it is a window that"
        " another site opened (a sign-in or payment)"
    )
    return proposal(cause, "advice", "a window that was opened loses its opener", fix), value


def _integrity(cause: Cause) -> Proposal:
    text = f"{cause.blocked or 'the script'} is loaded without integrity"
    fix = (
        "in the page: integrity=sha384-... and crossorigin on its element; the digest: curl -s URL"
        " | openssl dgst -sha384 -binary | openssl base64 -A"
    )
    return proposal(cause, "advice", text, fix)
