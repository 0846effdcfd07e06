"""The twelve tests of the MDN HTTP Observatory, their outcomes, points and grades.

The points are those that MDN published with algorithm 6. Source:
https://developer.mozilla.org/en-US/observatory/docs/tests_and_scoring
"""

from __future__ import annotations

from enum import StrEnum

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
    """What a test can come to, and the points that it adds to the score."""

    points: int

    def __new__(cls, value: str, points: int) -> Outcome:  # noqa: PYI034
        """Make a member whose value is its published name."""
        outcome = str.__new__(cls, value)
        outcome._value_, outcome.points = value, points
        return outcome

    CSP_DEFAULT_NONE = "csp-implemented-with-no-unsafe-default-src-none", 10
    CSP_NO_UNSAFE = "csp-implemented-with-no-unsafe", 5
    CSP_UNSAFE_STYLE = "csp-implemented-with-unsafe-inline-in-style-src-only", 0
    CSP_INSECURE_PASSIVE = "csp-implemented-with-insecure-scheme-in-passive-content-only", -10
    CSP_UNSAFE_EVAL = "csp-implemented-with-unsafe-eval", -10
    CSP_UNSAFE_INLINE = "csp-implemented-with-unsafe-inline", -20
    CSP_INSECURE_SCHEME = "csp-implemented-with-insecure-scheme", -20
    CSP_INVALID = "csp-header-invalid", -25
    CSP_ABSENT = "csp-not-implemented", -25
    CSP_REPORT_ONLY = "csp-not-implemented-but-reporting-enabled", -25
    CSP_DUPLICATE_REPORTING = "csp-implemented-but-duplicate-directives", 0

    COOKIES_SAME_SITE = "cookies-secure-with-httponly-sessions-and-samesite", 5
    COOKIES_SECURE = "cookies-secure-with-httponly-sessions", 0
    COOKIES_ABSENT = "cookies-not-found", 0
    COOKIES_INSECURE_HSTS = "cookies-without-secure-flag-but-protected-by-hsts", -5
    COOKIES_INSECURE = "cookies-without-secure-flag", -20
    COOKIES_SESSION_INSECURE_HSTS = "cookies-session-without-secure-flag-but-protected-by-hsts", -10
    COOKIES_BAD_SAME_SITE = "cookies-samesite-flag-invalid", -20
    COOKIES_CSRF_NO_SAME_SITE = "cookies-anticsrf-without-samesite-flag", -20
    COOKIES_SESSION_READABLE = "cookies-session-without-httponly-flag", -30
    COOKIES_SESSION_INSECURE = "cookies-session-without-secure-flag", -40

    CORS_ABSENT = "cross-origin-resource-sharing-not-implemented", 0
    CORS_PUBLIC = "cross-origin-resource-sharing-implemented-with-public-access", 0
    CORS_RESTRICTED = "cross-origin-resource-sharing-implemented-with-restricted-access", 0
    CORS_UNIVERSAL = "cross-origin-resource-sharing-implemented-with-universal-access", -50

    REDIRECTION_PRELOADED = "redirection-all-redirects-preloaded", 0
    REDIRECTION_HTTPS = "redirection-to-https", 0
    REDIRECTION_NO_HTTP = "redirection-not-needed-no-http", 0
    REDIRECTION_OFF_HOST = "redirection-off-host-from-http", -5
    REDIRECTION_LATE = "redirection-not-to-https-on-initial-redirection", -10
    REDIRECTION_NEVER_HTTPS = "redirection-not-to-https", -20
    REDIRECTION_ABSENT = "redirection-missing", -20
    REDIRECTION_BAD_CERTIFICATE = "redirection-invalid-cert", -20

    REFERRER_PRIVATE = "referrer-policy-private", 5
    REFERRER_ABSENT = "referrer-policy-not-implemented", 0
    REFERRER_UNSAFE = "referrer-policy-unsafe", -5
    REFERRER_INVALID = "referrer-policy-header-invalid", -5

    HSTS_PRELOADED = "hsts-preloaded", 5
    HSTS_SIX_MONTHS = "hsts-implemented-max-age-at-least-six-months", 0
    HSTS_SHORTER = "hsts-implemented-max-age-less-than-six-months", -10
    HSTS_ABSENT = "hsts-not-implemented", -20
    HSTS_INVALID = "hsts-header-invalid", -20
    HSTS_NO_HTTPS = "hsts-not-implemented-no-https", -20
    HSTS_BAD_CERTIFICATE = "hsts-invalid-cert", -20

    SRI_ALL = "sri-implemented-and-all-scripts-loaded-securely", 5
    SRI_EXTERNAL = "sri-implemented-and-external-scripts-loaded-securely", 5
    SRI_NOT_HTML = "sri-not-implemented-response-not-html", 0
    SRI_NO_SCRIPTS = "sri-not-implemented-but-no-scripts-loaded", 0
    SRI_SAME_ORIGIN = "sri-not-implemented-but-all-scripts-loaded-from-secure-origin", 0
    SRI_ABSENT_SECURE = "sri-not-implemented-but-external-scripts-loaded-securely", -5
    SRI_INSECURE = "sri-implemented-but-external-scripts-not-loaded-securely", -20
    SRI_ABSENT_INSECURE = "sri-not-implemented-and-external-scripts-not-loaded-securely", -50
    HTML_BROKEN = "html-not-parseable", -20

    NOSNIFF = "x-content-type-options-nosniff", 0
    NOSNIFF_ABSENT = "x-content-type-options-not-implemented", -5
    NOSNIFF_INVALID = "x-content-type-options-header-invalid", -5

    FRAMING_BY_CSP = "x-frame-options-implemented-via-csp", 5
    FRAMING_LIMITED = "x-frame-options-sameorigin-or-deny", 5
    FRAMING_ALLOW_FROM = "x-frame-options-allow-from-origin", 0
    FRAMING_ABSENT = "x-frame-options-not-implemented", -20
    FRAMING_INVALID = "x-frame-options-header-invalid", -20

    CORP_SAME_ORIGIN = "corp-implemented-with-same-origin", 10
    CORP_SAME_SITE = "corp-implemented-with-same-site", 10
    CORP_CROSS_ORIGIN = "corp-implemented-with-cross-origin", 0
    CORP_ABSENT = "corp-not-implemented", 0
    CORP_INVALID = "corp-header-invalid", -5

    COEP_REQUIRE_CORP = "coep-implemented-with-require-corp", 10
    COEP_CREDENTIALLESS = "coep-implemented-with-credentialless", 10
    COEP_UNSAFE_NONE = "coep-implemented-with-unsafe-none", 0
    COEP_ABSENT = "coep-not-implemented", 0
    COEP_INVALID = "coep-header-invalid", -5

    COOP_SAME_ORIGIN = "coop-implemented-with-same-origin", 10
    COOP_ALLOW_POPUPS = "coop-implemented-with-same-origin-allow-popups", 10
    COOP_NOOPENER = "coop-implemented-with-noopener-allow-popups", 10
    COOP_UNSAFE_NONE = "coop-implemented-with-unsafe-none", 0
    COOP_ABSENT = "coop-not-implemented", 0
    COOP_INVALID = "coop-header-invalid", -5


_BOUNDS = (100, 90, 85, 80, 70, 65, 60, 50, 45, 40, 30, 25, 0)
_NAMES = ("A+", "A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "D-", "F")
GRADES = tuple(zip(_BOUNDS, _NAMES, strict=True))
"""The least score of each grade, best first."""


def score(outcomes: tuple[Outcome, ...]) -> int:
    """100 less all penalties, plus the bonuses where at least 90 are left; never below 0."""
    points = [outcome.points for outcome in outcomes]
    base = START + sum(number for number in points if number < 0)
    bonus = sum(number for number in points if number > 0) if base >= MIN_BEFORE_BONUS else 0
    return max(base + bonus, 0)


def grade(points: int) -> str:
    """The grade of a score of 0 or more."""
    return next(name for least, name in GRADES if points >= least)


def is_at_least(reached: str, wanted: str) -> bool:
    """Whether a grade is as good as another."""
    return _NAMES.index(reached) <= _NAMES.index(wanted)
