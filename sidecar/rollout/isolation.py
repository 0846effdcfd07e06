"""What reports of COEP, COOP and of frames under a Permissions-Policy mean.

Pure. Source: HTML sections 7.1.3 and 7.1.4 (the report-only header of the other page or frame does
not count yet); Permissions Policy section 5.4 (`allow`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import urlsplit

from sidecar.policy.browsers.losses import taken, taken_from_page
from sidecar.policy.browsers.page_loads import ALLOW
from sidecar.policy.browsers.reports import BrowserReport
from sidecar.policy.browsers.signs import (
    GIVES,
    IMPORT,
    IMPORTS,
    INSIDE,
    MAKES,
    PLAIN,
    REACHES,
    SANDBOX,
    SHARED,
    WORKLET,
    asked_about,
)
from sidecar.policy.browsers.support import FRAMES_TOO, GONE
from sidecar.policy.engine.plan import Plan
from sidecar.policy.model import Rule
from sidecar.rollout.served_pages import ServedPages

FRAME = "allow"
"""The directive of causes that are frames of other origins: their attribute for features."""

SIGN = "sign"
"""The directive of causes that were read in scripts: browsers report nothing of them."""
_LONGEST = 200

WORKER = "worker initialization"
_ENDS = {FRAME, WORKER, "navigation", "navigation-to-response", "navigation-from-response"}
"""Reports whose other end would have the header too, under the same rule."""


@dataclass(frozen=True, slots=True)
class RuleContext:
    """How a rule's reports are judged; `features`: what a Permissions-Policy forbids frames."""

    features: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    """Those of them that it takes from the page itself."""
    frames: bool = False
    """It is reported by the Reporting API, which delivers nothing from frames of no origin."""
    scripts: bool = False
    """A Content-Security-Policy says which scripts may run."""
    integrity: bool = False
    """It asks for the integrity of scripts."""
    upgrades: bool = False
    """It upgrades addresses."""
    typed: bool = False
    """It asks for Trusted Types, and names no policies that may be made."""
    credentialless: bool = False
    shared: frozenset[str] = frozenset()
    """What it comes with scripts for too, those of workers: "embedder", "integrity"."""
    leaves: frozenset[str] = frozenset()
    """Headers of which the rule leaves what the service says itself (`action: default`)."""
    parted: bool = False
    """COEP beside the service's own COOP, which parts pages from those of other origins today."""
    agrees: bool = False
    """The worker of a report would carry the header too."""
    alike: bool = False
    """The other page of a report would carry it, if it is a page."""
    unlike: bool = False
    """Some pages of the rule have COEP and some have not (HTML section 7.1.3)."""

    @property
    def looks(self) -> bool:
        """Whether it may block what pages and scripts show, and browsers do not report."""
        by_browsers = self.features or self.frames or self.shared or self.integrity
        return bool(by_browsers) or self.scripts or self.upgrades


def rule_context(rule: Rule) -> RuleContext:
    """That of a complete rule."""
    value = rule.text
    features = own = frozenset[str]()
    if "permissions-policy" in rule.names:
        features, own = frozenset(taken(value)), taken_from_page(value)
    embedder = "cross-origin-embedder-policy" in rule.names
    words = value.lower().replace(";", " ").split()
    typed = "require-trusted-types-for" in words and "trusted-types" not in words
    credentialless = embedder and value.strip().lower().startswith("credentialless")
    is_csp = "content-security-policy" in rule.names
    scripts = is_csp and not _SCRIPTS.isdisjoint(words)
    integrity = "integrity-policy" in rule.names
    frames = embedder or integrity
    upgrades = is_csp and "upgrade-insecure-requests" in words
    named = {"embedder": embedder, "integrity": integrity}
    shared = frozenset(name for name, it in named.items() if it and not _for_pages(rule))
    parted = embedder and "cross-origin-opener-policy" not in rule.names
    about = features, own, frames, scripts, integrity, upgrades, typed, credentialless
    leaves = frozenset() if rule.action == "set" else frozenset(rule.names)
    return RuleContext(*about, shared, leaves, parted)


_SCRIPTS = frozenset({"default-src", "script-src", "script-src-elem"})


def unreported(
    served: ServedPages, route: str, context: RuleContext
) -> Iterator[tuple[str, str, str]]:
    """What pages that were read have and no browser reports: directive, what is blocked, why."""
    if not served.reads and context.looks:
        why = "browsers do not report all that it would block, and `trial.pages` is 0%"
        yield SIGN, "no page and no script was read", why
    if context.own and served.frames_itself(route):
        why = "scripts in `srcdoc` have what the page has, and report nothing"
        yield FRAME, "about:srcdoc", why
    found = served.signs(route)
    by_default = context.frames or context.features & FRAMES_TOO
    made = SANDBOX in found and (by_default or _gives(found, context.features))
    if made or served.frames_apart(route, context.features, by_default=by_default):
        why = "a sandboxed frame is of no origin that the rule could name, and reports nothing"
        yield FRAME, "no origin", why
    if context.scripts and WORKLET in found:
        yield SIGN, "a script adds a worklet", "Chromium does not report the code of worklets"
    if context.scripts and IMPORT in found:
        why = "Chromium does not report what module workers import from other origins"
        yield SIGN, "a worker imports a module of another origin", why
    if "embedder" in context.shared and SHARED in found:
        why = "Chromium does not report what shared workers load"
        yield SIGN, "a script starts a shared worker", why
    if "integrity" in context.shared and IMPORTS in found:
        why = "Chromium does not report which scripts shared and service workers load"
        yield SIGN, "a shared or a service worker loads other scripts", why
    if context.upgrades and PLAIN in found:
        why = "links are upgraded too, on every port of the page's host, and none is reported"
        yield SIGN, "a page leads to http: on another port", why
    if inside := sorted(name for name in context.own if f"{INSIDE}{name}" in found):
        what = f"a script uses {', '.join(inside)}, perhaps in a frame or a worker that it makes"
        yield SIGN, what[:_LONGEST], "frames without an address, and workers, report nothing"
    reached = sorted(name for name in context.own if f"{REACHES}{name}" in found)
    if reached and served.frames_nothing(route):
        what = f"a script uses {', '.join(reached)}, perhaps in an empty frame of the page"
        yield SIGN, what[:_LONGEST], "frames without an address report nothing"
    if context.integrity and (MAKES in found or served.frames_itself(route)):
        why = "frames and windows without an address have the rule too, and report nothing"
        yield SIGN, "a page makes pages without an address", why
    if asked := asked_about(found, context.own - GONE):
        what = f"a script asks whether it may use {', '.join(asked)}"
        yield SIGN, what[:_LONGEST], "browsers do not report that a script asks"


def _gives(found: frozenset[str], features: Collection[str]) -> bool:
    """Whether a script, by its signs, gives a frame what may be one of the features."""
    return bool(features) and not found.isdisjoint({GIVES, *(f"{GIVES} {it}" for it in features)})


def both_ends(plan: Plan, rule: str, report: BrowserReport) -> Literal["", "page", "any"]:
    """Whether the rule applies to the other page, frame or worker too: enforced, they agree.

    "page" = where it is a page.
    """
    parts = urlsplit(report.blocked)
    if report.directive not in _ENDS or f"{parts.scheme}://{parts.netloc}" != report.origin:
        return ""
    route = plan.route(parts.netloc, "GET", parts.path or "/")
    line = next((line for line in route.rules if line.name == rule), None)
    if line is None or line.mode not in ("trial", "enforce"):
        return ""
    found = line.named.rule
    if found.text.strip().lower().startswith("noopener-allow-popups"):
        return ""  # a page parts from its opener even where both carry the rule (section 7.1.3)
    conditions = _conditions(found)
    if conditions <= _OF_REQUESTS:
        return "any"
    return "page" if report.directive != WORKER and conditions <= _OF_PAGES else ""


def _conditions(rule: Rule) -> frozenset[str]:
    return frozenset() if rule.when is None else frozenset(rule.when.model_fields_set)


def _for_pages(rule: Rule) -> bool:
    """Whether the rule is for pages of HTML, so that no script carries it."""
    when = rule.when
    return when is not None and "html" in f"{when.content_type} {when.response_class}"


_OF_REQUESTS = frozenset({"scheme"})
_OF_PAGES = _OF_REQUESTS | {"content_type", "response_class"}
"""Conditions that hold of the other end too: whatever it is, and where it is a page."""


_PARTINGS = {
    "navigation-to-response": "the page came after one of another origin, or was opened by it",
    "navigation-from-response": "the page opened a window of another origin",
}
"""What COOP reports of windows that it would part, whether or not one of them uses the other."""


def parted_already(report: BrowserReport, context: RuleContext) -> bool:
    """Whether the windows of a report of COOP are apart today, as they are of different origins."""
    parts = report.type == "coop" and report.directive in _PARTINGS
    return context.parted and parts and not report.blocked.startswith(f"{report.origin}/")


def unclear(report: BrowserReport, context: RuleContext) -> str:
    """Why a report does not show whether anything breaks; "" where it does."""
    if report.type == "coop" and report.directive in _PARTINGS:
        return f"{_PARTINGS[report.directive]}: whether they need each other is reported apart"
    if report.directive == WORKER and context.agrees:
        return "what the worker loads, browsers do not report before it is enforced"
    return ""


def other_page(
    served: ServedPages, addresses: Sequence[str], context: RuleContext
) -> tuple[Literal["noise", "unexplained"], str]:
    """Whether the other ends of reports carry the rule too: they do where the service does not say
    it itself; if it is sent with pages only, where they are pages.
    """
    if any(served.says(name) for name in context.leaves):
        why = (
            "for some pages the service says it itself, and the rule leaves that: it may not agree"
        )
        return "unexplained", why
    if context.agrees or all(served.has_read(urlsplit(url).path) for url in addresses):
        return "noise", "the other page carries the rule too"
    return (
        "unexplained",
        "whether the other end carries the rule too is not known: it may be no page",
    )


def uncredentialed(
    served: ServedPages, route: str, urls: Sequence[str]
) -> tuple[Literal["noise", "unexplained"], str]:
    """Whether `credentialless` takes the cookies from what is loaded from these addresses."""
    if all(served.shares(route, url) for url in urls):
        return "noise", "the page asks for it by CORS, to which the rule does nothing"
    return (
        "unexplained",
        "it would be loaded without cookies: whether it needs them is not reported",
    )


def framed(
    report: BrowserReport,
    served: ServedPages,
    route: str,
    addresses: Sequence[str],
    context: RuleContext,
) -> tuple[Literal["served", "noise", "unexplained"], str]:
    """Whether a page gives a frame of another origin a feature that the policy forbids."""
    urls = (report.blocked, *addresses)
    if any(not url.startswith("http") or url.startswith(f"{report.origin}/") for url in urls):
        return "unexplained", "frames of the page's own, and of no origin, report nothing"
    given = sorted(
        name
        for name in context.features
        if any(served.linked(route, f"{ALLOW}{name}", url) for url in urls)
    )
    if given:
        return "served", f"a page gives this frame {', '.join(given)}, and the rule forbids it"
    known = all(served.linked(route, "frame-src", url) for url in urls)
    gives = _gives(served.signs(route), context.features)
    if known and not context.features & FRAMES_TOO and not gives:
        return "noise", "the pages that we served give this frame nothing that the rule forbids"
    return "unexplained", "browsers do not report what the rule forbids this frame"
