"""The twelve tests of the MDN HTTP Observatory, the outcomes that each may have, and their points.

Lives here: the closed lists, the one table of points, and the grades. Must not know how an outcome
is found (see `observatory`). The points are those that MDN published with algorithm 6. Source:
https://developer.mozilla.org/en-US/observatory/docs/tests_and_scoring
"""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType

START = 100
MIN_BEFORE_BONUS = 90
"""Bonuses count only where the penalties leave at least this."""


class Test(StrEnum):
    """The twelve tests."""

    __test__ = False

    CSP = "content-security-policy"
    COOKIES = "cookies"
    CORS = "cross-origin-resource-sharing"
    REDIRECTION = "redirection"
    REFERRER = "referrer-policy"
    HSTS = "strict-transport-security"
    SRI = "subresource-integrity"
    NOSNIFF = "x-content-type-options"
    FRAMING = "x-frame-options"
    CORP = "cross-origin-resource-policy"
    COEP = "cross-origin-embedder-policy"
    COOP = "cross-origin-opener-policy"


class Outcome(StrEnum):
    """What a test can come to: facts, not marks."""

    CSP_DEFAULT_NONE = "csp-implemented-with-no-unsafe-default-src-none"
    CSP_NO_UNSAFE = "csp-implemented-with-no-unsafe"
    CSP_UNSAFE_STYLE = "csp-implemented-with-unsafe-inline-in-style-src-only"
    CSP_INSECURE_PASSIVE = "csp-implemented-with-insecure-scheme-in-passive-content-only"
    CSP_UNSAFE_EVAL = "csp-implemented-with-unsafe-eval"
    CSP_UNSAFE_INLINE = "csp-implemented-with-unsafe-inline"
    CSP_INSECURE_SCHEME = "csp-implemented-with-insecure-scheme"
    CSP_INVALID = "csp-header-invalid"
    CSP_ABSENT = "csp-not-implemented"
    CSP_REPORT_ONLY = "csp-not-implemented-but-reporting-enabled"
    CSP_DUPLICATE_REPORTING = "csp-implemented-but-duplicate-directives"

    COOKIES_SAME_SITE = "cookies-secure-with-httponly-sessions-and-samesite"
    COOKIES_SECURE = "cookies-secure-with-httponly-sessions"
    COOKIES_ABSENT = "cookies-not-found"
    COOKIES_INSECURE_HSTS = "cookies-without-secure-flag-but-protected-by-hsts"
    COOKIES_INSECURE = "cookies-without-secure-flag"
    COOKIES_SESSION_INSECURE_HSTS = "cookies-session-without-secure-flag-but-protected-by-hsts"
    COOKIES_BAD_SAME_SITE = "cookies-samesite-flag-invalid"
    COOKIES_CSRF_NO_SAME_SITE = "cookies-anticsrf-without-samesite-flag"
    COOKIES_SESSION_READABLE = "cookies-session-without-httponly-flag"
    COOKIES_SESSION_INSECURE = "cookies-session-without-secure-flag"

    CORS_ABSENT = "cross-origin-resource-sharing-not-implemented"
    CORS_PUBLIC = "cross-origin-resource-sharing-implemented-with-public-access"
    CORS_RESTRICTED = "cross-origin-resource-sharing-implemented-with-restricted-access"
    CORS_UNIVERSAL = "cross-origin-resource-sharing-implemented-with-universal-access"

    REDIRECTION_PRELOADED = "redirection-all-redirects-preloaded"
    REDIRECTION_HTTPS = "redirection-to-https"
    REDIRECTION_NO_HTTP = "redirection-not-needed-no-http"
    REDIRECTION_OFF_HOST = "redirection-off-host-from-http"
    REDIRECTION_LATE = "redirection-not-to-https-on-initial-redirection"
    REDIRECTION_NEVER_HTTPS = "redirection-not-to-https"
    REDIRECTION_ABSENT = "redirection-missing"
    REDIRECTION_BAD_CERTIFICATE = "redirection-invalid-cert"

    REFERRER_PRIVATE = "referrer-policy-private"
    REFERRER_ABSENT = "referrer-policy-not-implemented"
    REFERRER_UNSAFE = "referrer-policy-unsafe"
    REFERRER_INVALID = "referrer-policy-header-invalid"

    HSTS_PRELOADED = "hsts-preloaded"
    HSTS_SIX_MONTHS = "hsts-implemented-max-age-at-least-six-months"
    HSTS_SHORTER = "hsts-implemented-max-age-less-than-six-months"
    HSTS_ABSENT = "hsts-not-implemented"
    HSTS_INVALID = "hsts-header-invalid"
    HSTS_NO_HTTPS = "hsts-not-implemented-no-https"
    HSTS_BAD_CERTIFICATE = "hsts-invalid-cert"

    SRI_ALL = "sri-implemented-and-all-scripts-loaded-securely"
    SRI_EXTERNAL = "sri-implemented-and-external-scripts-loaded-securely"
    SRI_NOT_HTML = "sri-not-implemented-response-not-html"
    SRI_NO_SCRIPTS = "sri-not-implemented-but-no-scripts-loaded"
    SRI_SAME_ORIGIN = "sri-not-implemented-but-all-scripts-loaded-from-secure-origin"
    SRI_ABSENT_SECURE = "sri-not-implemented-but-external-scripts-loaded-securely"
    SRI_INSECURE = "sri-implemented-but-external-scripts-not-loaded-securely"
    SRI_ABSENT_INSECURE = "sri-not-implemented-and-external-scripts-not-loaded-securely"
    HTML_BROKEN = "html-not-parseable"

    NOSNIFF = "x-content-type-options-nosniff"
    NOSNIFF_ABSENT = "x-content-type-options-not-implemented"
    NOSNIFF_INVALID = "x-content-type-options-header-invalid"

    FRAMING_BY_CSP = "x-frame-options-implemented-via-csp"
    FRAMING_LIMITED = "x-frame-options-sameorigin-or-deny"
    FRAMING_ALLOW_FROM = "x-frame-options-allow-from-origin"
    FRAMING_ABSENT = "x-frame-options-not-implemented"
    FRAMING_INVALID = "x-frame-options-header-invalid"

    CORP_SAME_ORIGIN = "corp-implemented-with-same-origin"
    CORP_SAME_SITE = "corp-implemented-with-same-site"
    CORP_CROSS_ORIGIN = "corp-implemented-with-cross-origin"
    CORP_ABSENT = "corp-not-implemented"
    CORP_INVALID = "corp-header-invalid"

    COEP_REQUIRE_CORP = "coep-implemented-with-require-corp"
    COEP_CREDENTIALLESS = "coep-implemented-with-credentialless"
    COEP_UNSAFE_NONE = "coep-implemented-with-unsafe-none"
    COEP_ABSENT = "coep-not-implemented"
    COEP_INVALID = "coep-header-invalid"

    COOP_SAME_ORIGIN = "coop-implemented-with-same-origin"
    COOP_ALLOW_POPUPS = "coop-implemented-with-same-origin-allow-popups"
    COOP_NOOPENER = "coop-implemented-with-noopener-allow-popups"
    COOP_UNSAFE_NONE = "coop-implemented-with-unsafe-none"
    COOP_ABSENT = "coop-not-implemented"
    COOP_INVALID = "coop-header-invalid"


POINTS: MappingProxyType[Outcome, int] = MappingProxyType(
    {
        Outcome.CSP_DEFAULT_NONE: 10,
        Outcome.CSP_NO_UNSAFE: 5,
        Outcome.CSP_UNSAFE_STYLE: 0,
        Outcome.CSP_INSECURE_PASSIVE: -10,
        Outcome.CSP_UNSAFE_EVAL: -10,
        Outcome.CSP_UNSAFE_INLINE: -20,
        Outcome.CSP_INSECURE_SCHEME: -20,
        Outcome.CSP_INVALID: -25,
        Outcome.CSP_ABSENT: -25,
        Outcome.CSP_REPORT_ONLY: -25,
        Outcome.CSP_DUPLICATE_REPORTING: 0,
        Outcome.COOKIES_SAME_SITE: 5,
        Outcome.COOKIES_SECURE: 0,
        Outcome.COOKIES_ABSENT: 0,
        Outcome.COOKIES_INSECURE_HSTS: -5,
        Outcome.COOKIES_SESSION_INSECURE_HSTS: -10,
        Outcome.COOKIES_INSECURE: -20,
        Outcome.COOKIES_BAD_SAME_SITE: -20,
        Outcome.COOKIES_CSRF_NO_SAME_SITE: -20,
        Outcome.COOKIES_SESSION_READABLE: -30,
        Outcome.COOKIES_SESSION_INSECURE: -40,
        Outcome.CORS_ABSENT: 0,
        Outcome.CORS_PUBLIC: 0,
        Outcome.CORS_RESTRICTED: 0,
        Outcome.CORS_UNIVERSAL: -50,
        Outcome.REDIRECTION_PRELOADED: 0,
        Outcome.REDIRECTION_HTTPS: 0,
        Outcome.REDIRECTION_NO_HTTP: 0,
        Outcome.REDIRECTION_OFF_HOST: -5,
        Outcome.REDIRECTION_LATE: -10,
        Outcome.REDIRECTION_NEVER_HTTPS: -20,
        Outcome.REDIRECTION_ABSENT: -20,
        Outcome.REDIRECTION_BAD_CERTIFICATE: -20,
        Outcome.REFERRER_PRIVATE: 5,
        Outcome.REFERRER_ABSENT: 0,
        Outcome.REFERRER_UNSAFE: -5,
        Outcome.REFERRER_INVALID: -5,
        Outcome.HSTS_PRELOADED: 5,
        Outcome.HSTS_SIX_MONTHS: 0,
        Outcome.HSTS_SHORTER: -10,
        Outcome.HSTS_ABSENT: -20,
        Outcome.HSTS_INVALID: -20,
        Outcome.HSTS_NO_HTTPS: -20,
        Outcome.HSTS_BAD_CERTIFICATE: -20,
        Outcome.SRI_ALL: 5,
        Outcome.SRI_EXTERNAL: 5,
        Outcome.SRI_NOT_HTML: 0,
        Outcome.SRI_NO_SCRIPTS: 0,
        Outcome.SRI_SAME_ORIGIN: 0,
        Outcome.SRI_ABSENT_SECURE: -5,
        Outcome.SRI_INSECURE: -20,
        Outcome.SRI_ABSENT_INSECURE: -50,
        Outcome.HTML_BROKEN: -20,
        Outcome.NOSNIFF: 0,
        Outcome.NOSNIFF_ABSENT: -5,
        Outcome.NOSNIFF_INVALID: -5,
        Outcome.FRAMING_BY_CSP: 5,
        Outcome.FRAMING_LIMITED: 5,
        Outcome.FRAMING_ALLOW_FROM: 0,
        Outcome.FRAMING_ABSENT: -20,
        Outcome.FRAMING_INVALID: -20,
        Outcome.CORP_SAME_ORIGIN: 10,
        Outcome.CORP_SAME_SITE: 10,
        Outcome.CORP_CROSS_ORIGIN: 0,
        Outcome.CORP_ABSENT: 0,
        Outcome.CORP_INVALID: -5,
        Outcome.COEP_REQUIRE_CORP: 10,
        Outcome.COEP_CREDENTIALLESS: 10,
        Outcome.COEP_UNSAFE_NONE: 0,
        Outcome.COEP_ABSENT: 0,
        Outcome.COEP_INVALID: -5,
        Outcome.COOP_SAME_ORIGIN: 10,
        Outcome.COOP_ALLOW_POPUPS: 10,
        Outcome.COOP_NOOPENER: 10,
        Outcome.COOP_UNSAFE_NONE: 0,
        Outcome.COOP_ABSENT: 0,
        Outcome.COOP_INVALID: -5,
    }
)
"""Outcome -> what it adds to the score."""

GRADES: tuple[tuple[int, str], ...] = (
    (100, "A+"),
    (90, "A"),
    (85, "A-"),
    (80, "B+"),
    (70, "B"),
    (65, "B-"),
    (60, "C+"),
    (50, "C"),
    (45, "C-"),
    (40, "D+"),
    (30, "D"),
    (25, "D-"),
    (0, "F"),
)
"""The least score of each grade, best first."""


def score(outcomes: tuple[Outcome, ...]) -> int:
    """The score of a page: 100, less all penalties, plus the bonuses where 90 are left; never
    below 0.
    """
    points = [POINTS[outcome] for outcome in outcomes]
    base = START + sum(number for number in points if number < 0)
    bonus = sum(number for number in points if number > 0) if base >= MIN_BEFORE_BONUS else 0
    return max(base + bonus, 0)


def grade(points: int) -> str:
    """The grade of a score of 0 or more."""
    return next(name for least, name in GRADES if points >= least)


def is_at_least(reached: str, wanted: str) -> bool:
    """Whether a grade is as good as another."""
    names = [name for _, name in GRADES]
    return names.index(reached) <= names.index(wanted)
