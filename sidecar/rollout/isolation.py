"""What reports of COEP, COOP and of frames under a Permissions-Policy mean.

Pure. Must not know how reports are counted. Source: HTML sections 7.1.3 and 7.1.4 (the report-only
header of the other page or frame does not count yet); Permissions Policy section 5.4 (`allow`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from sidecar.policy.browsers.pages import ALLOW
from sidecar.policy.browsers.reports import Report
from sidecar.policy.browsers.support import FRAMES_TOO
from sidecar.policy.browsers.trial import taken
from sidecar.policy.engine.plan import Plan
from sidecar.policy.model import Rule
from sidecar.policy.rules.checks import value_text
from sidecar.rollout.served import ServedPages

FRAME = "allow"
"""The directive of causes that are frames of other origins: their attribute for features."""

WORKER = "worker initialization"
_ENDS = {WORKER, "navigation", "navigation-to-response", "navigation-from-response"}
"""COEP and COOP reports whose other end would have the header too, under the same rule."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """How a rule's reports are judged; `features`: what a Permissions-Policy forbids frames."""

    features: frozenset[str] = frozenset()
    credentialless: bool = False
    agrees: bool = False
    """The worker of a report would carry the header too."""


def ruling(rule: Rule) -> Ruling:
    """That of a complete rule."""
    names = {name.lower() for name in rule.header or ()}
    value = "" if rule.value is None else value_text(rule.value)
    features = frozenset(taken(value)) if "permissions-policy" in names else frozenset()
    embedder = "cross-origin-embedder-policy" in names
    return Ruling(features, embedder and value.strip().lower().startswith("credentialless"))


def both_ends(plan: Plan, rule: str, report: Report) -> bool:
    """Whether the rule applies to the other page, frame or worker too: enforced, they agree."""
    parts = urlsplit(report.blocked)
    if report.directive not in _ENDS or f"{parts.scheme}://{parts.netloc}" != report.origin:
        return False
    route = plan.route(parts.netloc, "GET", parts.path or "/")
    sure = _OF_REQUESTS if report.directive == WORKER else _OF_PAGES
    return any(
        line.name == rule
        and line.mode in ("trial", "enforce")
        and (line.named.rule.when is None or line.named.rule.when.model_fields_set <= sure)
        for line in route.rules
    )


_OF_REQUESTS = frozenset({"scheme"})
_OF_PAGES = _OF_REQUESTS | {"content_type", "response_class"}
"""Conditions that hold of the other end too: of a worker, and of a page."""


def unclear(report: Report, held: Ruling) -> str:
    """Why a report does not show whether anything breaks; "" where it does."""
    if report.type == "coop" and report.directive == "navigation-to-response":
        return "whether the page needs the one of another origin before it is not reported"
    if report.type == "coep" and report.directive == "corp" and held.credentialless:
        return "it would be loaded without cookies: whether it needs them is not reported"
    if report.directive == WORKER and held.agrees:
        return "what the worker loads, browsers do not report before it is enforced"
    return ""


def framed(
    report: Report, served: ServedPages, route: str, addresses: Sequence[str], held: Ruling
) -> tuple[Literal["served", "noise", "unexplained"], str]:
    """Whether a page gives a frame of another origin a feature that the policy forbids."""
    urls = (report.blocked, *addresses)
    given = sorted(
        name
        for name in held.features
        if any(served.linked(route, f"{ALLOW}{name}", url) for url in urls)
    )
    if given:
        return "served", f"a page gives this frame {', '.join(given)}, and the rule forbids it"
    known = all(served.linked(route, "frame-src", url) for url in urls)
    if known and not held.features & FRAMES_TOO:
        return "noise", "the pages that we served give this frame nothing that the rule forbids"
    return "unexplained", "browsers do not report what the rule forbids this frame"
