"""What a rule would have broken in a real browser, read from the request.

A breakage test is a function from one request and response to an outcome. Those of loading are
here; those of cookies in `cookie_breakage`, of frames in `framing`, of CORS in `cors`, of what
browsers store and show in `storage`, of headers that are taken away in `removals`.

Source: Fetch Metadata Request Headers (W3C); Fetch sections 3.6 (nosniff) and 3.7 (CORP); HTML
section 7.1.6 (X-Frame-Options); CSP Level 3 section 6.4.2 (frame-ancestors).
"""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.policy import csp
from sidecar.policy.browsers.cookie_breakage import CookieTest
from sidecar.policy.browsers.cors import sharing_test
from sidecar.policy.browsers.framing import Framing
from sidecar.policy.browsers.removals import (
    grants_test,
    permissions_test,
    referrer_of_rule,
    removal_test,
)
from sidecar.policy.browsers.storage import (
    Clearing,
    disposition_test,
    freshness_test,
    pragma_test,
    saved,
    store_test,
    unstored,
)
from sidecar.policy.csp.table import REPORTING
from sidecar.policy.data import media_types
from sidecar.policy.model import Attributes, Rule
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import (
    FRAMES,
    SCRIPT_TYPES,
    BreakageTest,
    Fetch,
    Outcome,
    began_here,
    line,
    media_type,
)
from sidecar.policy.rules.ladder import HEADER as HSTS
from sidecar.policy.rules.ladder import transport
from sidecar.policy.terms import WRITING

_REMOVED: Mapping[str, BreakageTest] = {
    "content-security-policy": removal_test,
    "feature-policy": grants_test,
    "pragma": pragma_test,
}
"""The tests of headers that are taken away."""
_SCRIPTS = frozenset(
    {b"script", b"worker", b"sharedworker", b"serviceworker", b"audioworklet", b"paintworklet"}
)
_OPAQUE = media_types("opaque")
_MEDIA = frozenset({b"image", b"audio", b"video"})
_SAYS_NOTHING = frozenset({b"unknown/unknown", b"application/unknown", b"*/*"})
_ANYTHING = frozenset({b"text/plain", b"application/octet-stream"})
"""Types of files whose type a service does not know: scripts and styles too."""
_SHOWN = (b"image/", b"audio/", b"video/", b"font/")
_NAMED = (".js", ".mjs", ".css")


def breakage_test(rule: Rule, value: str) -> BreakageTest | None:
    """The test of a complete rule that would write `value`; None where requests show nothing."""
    if rule.action not in (None, *WRITING):
        return None
    if rule.cookie is not None:
        return CookieTest(rule.attributes or Attributes(), rule.cookie)
    found = [one for name in rule.names if (one := _header_test(name, rule, value))]
    return _worst(found) if len(found) > 1 else next(iter(found), None)


_SEVERITY: tuple[Outcome, ...] = ("break", "open", "unknown", "safe", "data", "irrelevant")


def _worst(breakage_tests: list[BreakageTest]) -> BreakageTest:
    """Several headers of one rule: what any of them would break."""

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        outcomes = [breakage_test(facts, fetch) for breakage_test in breakage_tests]
        return min(outcomes, key=_SEVERITY.index)

    return judge


def _header_test(name: str, rule: Rule, value: str) -> BreakageTest | None:
    wanted = value.lower().strip()
    if name.startswith("access-control-"):
        return sharing_test(name, rule, value)
    if name == "content-disposition":
        return disposition_test(rule, value)
    if name == "referrer-policy":
        return referrer_of_rule(rule, value)
    if name == "permissions-policy":
        return permissions_test(rule, value)
    if name == "x-ua-compatible":
        return _old_mode
    if rule.action == "remove":
        return _REMOVED.get(name)
    if name == "clear-site-data":
        return Clearing(value)
    if name == "cache-control":
        return store_test if unstored(wanted) else freshness_test(rule, wanted)
    if name == "x-frame-options" and wanted in ("deny", "sameorigin"):
        return Framing(("'self'",) if wanted == "sameorigin" else (), overruled=True)
    if name == "content-security-policy" and (ancestors := _only_ancestors(wanted)) is not None:
        return Framing(ancestors, overruled=False, replaces=rule.action == "set")
    if name == "cross-origin-resource-policy" and wanted in ("same-origin", "same-site"):
        return _resource(same_site_allowed=wanted == "same-site")
    if name == HSTS and rule.ladder is not None:
        return transport
    if name == "x-content-type-options" and wanted == "nosniff":
        return _nosniff
    return None


def _only_ancestors(value: str) -> tuple[str, ...] | None:
    """The sources of a policy that says nothing but `frame-ancestors`."""
    acting = [one for one in csp.directives(value) if one.name not in REPORTING]
    if len(acting) != 1 or acting[0].name != "frame-ancestors":
        return None
    return tuple(word for word in acting[0].values if word != "'none'")


def _resource(*, same_site_allowed: bool) -> BreakageTest:
    blocked = frozenset({b"cross-site"} if same_site_allowed else {b"cross-site", b"same-site"})

    def judge(facts: Facts, fetch: Fetch) -> Outcome:
        if (silent := fetch.silent) is not None:
            return silent
        if fetch.site not in blocked:
            return "safe"
        if fetch.dest in FRAMES and _embeds_isolated(facts):
            return "break"
        if fetch.mode != b"no-cors":
            return "safe"
        if fetch.dest == b"empty":
            # No script reads a ping's response; one may wait for that of its own fetch, which looks
            # like a beacon.
            pings = any(value == b"text/ping" for name, value in facts.request if len(name) == 12)
            return "safe" if pings else "open"
        if facts.status >= 400:  # shown nevertheless, where it is an image
            return "break" if media_type(facts).startswith(b"image/") else "safe"
        return "open" if began_here(facts, fetch) else "break"

    return judge


def _embeds_isolated(facts: Facts) -> bool:
    """Whether pages of other origins may frame it under COEP, where CORP decides (HTML 7.1.4)."""
    said = line(facts, b"cross-origin-resource-policy")
    return said == b"cross-origin" and line(facts, b"cross-origin-embedder-policy") is not None


def _nosniff(facts: Facts, fetch: Fetch) -> Outcome:
    if (silent := fetch.silent) is not None:
        return silent
    media = media_type(facts)
    if fetch.navigates:
        if 300 <= facts.status < 400 or facts.status in (204, 205) or saved(facts):
            return "safe"
        # Other files than texts are sent as plain text by mistake, and saved as what they are (MIME
        # Sniffing section 7.2).
        doubtful = media == b"text/plain" and not facts.path.endswith(".txt")
        return "break" if _sniffed(media) else "open" if doubtful else "safe"
    if facts.status >= 300:
        return "safe"
    if fetch.relayed and facts.method == "GET":
        return "open" if _may_be_refused(media, facts, fetch) else "safe"
    if fetch.dest == b"style":
        return _style(media, fetch)
    if fetch.dest in _SCRIPTS:
        if media in SCRIPT_TYPES:
            return "safe"
        # A module of another type was refused before (HTML section 8.1.4.2), a classic script with
        # `crossorigin` was not: requests do not tell them apart.
        return "open" if fetch.mode == b"cors" and media else "break"
    if fetch.dest in _MEDIA and fetch.site in (b"cross-site", b"same-site"):
        return "break" if media in _OPAQUE else "safe"
    return "safe"


def _may_be_refused(media: bytes, facts: Facts, fetch: Fetch) -> bool:
    """Whether what a service worker asks for, or a page for a later one, may be a script, a style
    sheet or what another site shows, of a type that `nosniff` has refused there.
    """
    if media in SCRIPT_TYPES or media == b"text/css" or media.startswith(_SHOWN):
        return False
    if _sniffed(media) or media in _ANYTHING or facts.path.endswith(_NAMED):
        return True
    # A page that is asked for ahead says so.
    return fetch.mode in (b"no-cors", b"same-origin") and not any(
        len(name) == 11 and name.lower() == b"sec-purpose" for name, _ in facts.request
    )


def _old_mode(facts: Facts, fetch: Fetch) -> Outcome:
    """Edge's mode for Internet Explorer still obeys X-UA-Compatible, and names its old engine."""
    if b"Trident/" in (fetch.agent or b""):
        return "open"
    return "safe" if fetch.browser else "irrelevant"


def _sniffed(media: bytes) -> bool:
    """Whether a page of this type is found out by its content (MIME Sniffing section 7): it has
    none, or one that says nothing.
    """
    return b"/" not in media or media in _SAYS_NOTHING


def _style(media: bytes, fetch: Fetch) -> Outcome:
    """A style sheet. Of another type it is taken only from the page's own origin and in quirks
    mode, which requests do not tell (HTML section 4.2.4.3).
    """
    if media == b"text/css" or (media and fetch.site != b"same-origin"):
        return "safe"
    return "open" if media else "break"
