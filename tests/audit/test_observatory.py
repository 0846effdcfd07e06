"""The Observatory's published points: every outcome of every test, from real responses over real
connections.
"""

import gzip
from dataclasses import dataclass

import pytest

from sidecar.audit import retrieve
from sidecar.audit.observatory import TESTS, look, observatory_results
from sidecar.audit.outcomes import OUTCOMES, POINTS, grade, is_at_least, score
from sidecar.trust import authorities
from tests.audit.origin import response
from tests.patience import PATIENCE

CSP = "Content-Security-Policy"
STRICT = f"{CSP}: default-src 'none'"
YEAR = "Strict-Transport-Security: max-age=31536000"
HTML = "Content-Type: text/html; charset=utf-8"
FOREIGN = "https://cdn.example/a.js"
SRI = ' integrity="sha384-AAAA" crossorigin=anonymous'


def csp(value):
    return {"lines": (f"{CSP}: {value}",)}


def cookie(*lines, hsts=True):
    return {"lines": (*(f"Set-Cookie: {line}" for line in lines), *((YEAR,) if hsts else ()))}


def cors(*lines):
    return {"probe": lines}


def page(text):
    return {"body": text.encode()}


def script(src, more=""):
    return page(f"<!doctype html><title>x</title><script src='{src}'{more}></script>")


def line(name, *values):
    return {"lines": tuple(f"{name}: {value}" for value in values)}


def to(*hops):
    """Redirects from the plain address; `http`, `https`, `other` and `bad` stand for listeners."""
    return {"hops": hops}


# test, what is told apart, points, outcome, what the site sends
ROWS = [
    (
        "content-security-policy",
        "no unsafe, default-src 'none'",
        10,
        "csp-implemented-with-no-unsafe-default-src-none",
        csp("default-src 'none'; script-src 'self'"),
    ),
    (
        "content-security-policy",
        "an empty default-src is 'none'",
        10,
        "csp-implemented-with-no-unsafe-default-src-none",
        csp("default-src; img-src 'self'"),
    ),
    (
        "content-security-policy",
        "no unsafe",
        5,
        "csp-implemented-with-no-unsafe",
        csp("default-src 'self'"),
    ),
    (
        "content-security-policy",
        "a nonce switches unsafe-inline off",
        5,
        "csp-implemented-with-no-unsafe",
        csp("default-src 'self'; script-src 'nonce-c2VjcmV0' 'unsafe-inline'"),
    ),
    (
        "content-security-policy",
        "strict-dynamic switches hosts off",
        5,
        "csp-implemented-with-no-unsafe",
        csp(
            "script-src 'nonce-c2VjcmV0' 'strict-dynamic' https: 'self'; object-src 'none';"
            " style-src 'self'"
        ),
    ),
    (
        "content-security-policy",
        "two policies allow what both allow",
        5,
        "csp-implemented-with-no-unsafe",
        csp("default-src 'self' 'unsafe-inline', default-src 'self'"),
    ),
    (
        "content-security-policy",
        "in a meta element",
        5,
        "csp-implemented-with-no-unsafe",
        page("<meta http-equiv=content-security-policy content=\"default-src 'self'\">"),
    ),
    (
        "content-security-policy",
        "unsafe-inline in style-src only",
        0,
        "csp-implemented-with-unsafe-inline-in-style-src-only",
        csp("default-src 'self'; style-src 'self' 'unsafe-inline'"),
    ),
    (
        "content-security-policy",
        "http for passive content only",
        -10,
        "csp-implemented-with-insecure-scheme-in-passive-content-only",
        csp("default-src 'self'; img-src http://img.example"),
    ),
    (
        "content-security-policy",
        "unsafe-eval",
        -10,
        "csp-implemented-with-unsafe-eval",
        csp("default-src 'self'; script-src 'self' 'unsafe-eval'"),
    ),
    (
        "content-security-policy",
        "unsafe-inline in script-src",
        -20,
        "csp-implemented-with-unsafe-inline",
        csp("default-src 'self'; script-src 'unsafe-inline'"),
    ),
    (
        "content-security-policy",
        "data: in script-src",
        -20,
        "csp-implemented-with-unsafe-inline",
        csp("default-src 'self'; script-src data:"),
    ),
    (
        "content-security-policy",
        "overly broad object-src",
        -20,
        "csp-implemented-with-unsafe-inline",
        csp("default-src 'self'; object-src https:"),
    ),
    (
        "content-security-policy",
        "no script-src",
        -20,
        "csp-implemented-with-unsafe-inline",
        csp("img-src 'self'"),
    ),
    (
        "content-security-policy",
        "insecure scheme for active content",
        -20,
        "csp-implemented-with-insecure-scheme",
        csp("default-src 'self'; script-src http://cdn.example"),
    ),
    (
        "content-security-policy",
        "invalid: a directive twice",
        -25,
        "csp-header-invalid",
        csp("default-src 'self'; default-src 'none'"),
    ),
    ("content-security-policy", "invalid: too short", -25, "csp-header-invalid", csp("self")),
    (
        "content-security-policy",
        "invalid: strict-dynamic alone",
        -25,
        "csp-header-invalid",
        csp("default-src 'self'; script-src 'strict-dynamic'"),
    ),
    ("content-security-policy", "absent", -25, "csp-not-implemented", {}),
    (
        "content-security-policy",
        "absent: only what meta ignores",
        -25,
        "csp-not-implemented",
        page("<meta http-equiv=Content-Security-Policy content=\"frame-ancestors 'none'\">"),
    ),
    (
        "content-security-policy",
        "only report-only",
        -25,
        "csp-not-implemented-but-reporting-enabled",
        line(f"{CSP}-Report-Only", "default-src 'self'"),
    ),
    (
        "content-security-policy",
        "duplicate report directives",
        0,
        "csp-implemented-but-duplicate-directives",
        csp("default-src 'self'; report-uri /a; report-uri /b"),
    ),
    (
        "cookies",
        "all Secure, sessions HttpOnly, SameSite",
        5,
        "cookies-secure-with-httponly-sessions-and-samesite",
        cookie("sessionid=1; Secure; HttpOnly; SameSite=Lax", "a=1; Secure; SameSite=Strict"),
    ),
    (
        "cookies",
        "the same without SameSite",
        0,
        "cookies-secure-with-httponly-sessions",
        cookie("sessionid=1; Secure; HttpOnly"),
    ),
    ("cookies", "none", 0, "cookies-not-found", {}),
    (
        "cookies",
        "none kept: deleted at once",
        0,
        "cookies-not-found",
        cookie("sessionid=; Max-Age=0", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", hsts=True),
    ),
    (
        "cookies",
        "missing Secure but HSTS",
        -5,
        "cookies-without-secure-flag-but-protected-by-hsts",
        cookie("a=1; SameSite=Lax"),
    ),
    (
        "cookies",
        "session missing Secure but HSTS",
        -10,
        "cookies-session-without-secure-flag-but-protected-by-hsts",
        cookie("login=1; HttpOnly"),
    ),
    ("cookies", "missing Secure", -20, "cookies-without-secure-flag", cookie("a=1", hsts=False)),
    (
        "cookies",
        "missing Secure, in robots.txt",
        -20,
        "cookies-without-secure-flag",
        {"robots": ("Set-Cookie: a=1",)},
    ),
    (
        "cookies",
        "invalid SameSite",
        -20,
        "cookies-samesite-flag-invalid",
        cookie("a=1; Secure; SameSite=Sometimes"),
    ),
    (
        "cookies",
        "SameSite=None without Secure",
        -20,
        "cookies-samesite-flag-invalid",
        cookie("a=1; SameSite=None"),
    ),
    (
        "cookies",
        "anti-CSRF without SameSite",
        -20,
        "cookies-anticsrf-without-samesite-flag",
        cookie("csrftoken=1; Secure"),
    ),
    (
        "cookies",
        "session without HttpOnly",
        -30,
        "cookies-session-without-httponly-flag",
        cookie("PHPSESSID=1; Secure"),
    ),
    (
        "cookies",
        "session without Secure",
        -40,
        "cookies-session-without-secure-flag",
        cookie("sessionid=1; HttpOnly", hsts=False),
    ),
    (
        "cross-origin-resource-sharing",
        "absent",
        0,
        "cross-origin-resource-sharing-not-implemented",
        {},
    ),
    (
        "cross-origin-resource-sharing",
        "public",
        0,
        "cross-origin-resource-sharing-implemented-with-public-access",
        cors("Access-Control-Allow-Origin: *"),
    ),
    (
        "cross-origin-resource-sharing",
        "restricted",
        0,
        "cross-origin-resource-sharing-implemented-with-restricted-access",
        cors(
            "Access-Control-Allow-Origin: https://partner.example",
            "Access-Control-Allow-Credentials: true",
        ),
    ),
    (
        "cross-origin-resource-sharing",
        "any origin with credentials",
        -50,
        "cross-origin-resource-sharing-implemented-with-universal-access",
        cors(
            f"Access-Control-Allow-Origin: {retrieve.ORIGIN}",
            "Access-Control-Allow-Credentials: true",
        ),
    ),
    (
        "redirection",
        "preloaded",
        0,
        "redirection-all-redirects-preloaded",
        to("http") | {"preloaded": True},
    ),
    ("redirection", "to HTTPS", 0, "redirection-to-https", to("https")),
    ("redirection", "no HTTP at all", 0, "redirection-not-needed-no-http", {"plain": False}),
    ("redirection", "first hop leaves host", -5, "redirection-off-host-from-http", to("other")),
    (
        "redirection",
        "first hop not HTTPS",
        -10,
        "redirection-not-to-https-on-initial-redirection",
        to("http", "https"),
    ),
    ("redirection", "never HTTPS", -20, "redirection-not-to-https", to("http")),
    ("redirection", "no redirect", -20, "redirection-missing", {}),
    ("redirection", "bad certificate", -20, "redirection-invalid-cert", to("bad")),
    (
        "referrer-policy",
        "private",
        5,
        "referrer-policy-private",
        line("Referrer-Policy", "strict-origin-when-cross-origin"),
    ),
    (
        "referrer-policy",
        "private: the last known one counts",
        5,
        "referrer-policy-private",
        line("Referrer-Policy", "unsafe-url, no-referrer, later-invention"),
    ),
    (
        "referrer-policy",
        "private, in a meta element",
        5,
        "referrer-policy-private",
        page("<meta name=referrer content=same-origin>"),
    ),
    ("referrer-policy", "absent", 0, "referrer-policy-not-implemented", {}),
    (
        "referrer-policy",
        "unsafe",
        -5,
        "referrer-policy-unsafe",
        line("Referrer-Policy", "unsafe-url"),
    ),
    (
        "referrer-policy",
        "invalid",
        -5,
        "referrer-policy-header-invalid",
        line("Referrer-Policy", "whatever"),
    ),
    ("strict-transport-security", "preloaded", 5, "hsts-preloaded", {"preloaded": True}),
    (
        "strict-transport-security",
        "at least six months",
        0,
        "hsts-implemented-max-age-at-least-six-months",
        line("Strict-Transport-Security", "max-age=15552000"),
    ),
    (
        "strict-transport-security",
        "shorter",
        -10,
        "hsts-implemented-max-age-less-than-six-months",
        line("Strict-Transport-Security", "max-age=15551999; includeSubDomains"),
    ),
    ("strict-transport-security", "absent", -20, "hsts-not-implemented", {}),
    (
        "strict-transport-security",
        "invalid",
        -20,
        "hsts-header-invalid",
        line("Strict-Transport-Security", "includeSubDomains"),
    ),
    (
        "strict-transport-security",
        "sent twice",
        -20,
        "hsts-header-invalid",
        line("Strict-Transport-Security", "max-age=31536000", "max-age=31536000"),
    ),
    (
        "strict-transport-security",
        "twice in one line",
        -20,
        "hsts-header-invalid",
        line("Strict-Transport-Security", "max-age=31536000, max-age=31536000"),
    ),
    (
        "strict-transport-security",
        "no HTTPS",
        -20,
        "hsts-not-implemented-no-https",
        {"secure": "closed", "lines": (YEAR,)},
    ),
    (
        "strict-transport-security",
        "bad certificate",
        -20,
        "hsts-invalid-cert",
        {"secure": "bad", "lines": (YEAR,)},
    ),
    (
        "subresource-integrity",
        "same-origin scripts with integrity",
        5,
        "sri-implemented-and-all-scripts-loaded-securely",
        script("/a.js", SRI),
    ),
    (
        "subresource-integrity",
        "external scripts with integrity",
        5,
        "sri-implemented-and-external-scripts-loaded-securely",
        script(FOREIGN, SRI),
    ),
    (
        "subresource-integrity",
        "not HTML",
        0,
        "sri-not-implemented-response-not-html",
        {"type": "Content-Type: application/json", "body": b"{}"},
    ),
    (
        "subresource-integrity",
        "no scripts",
        0,
        "sri-not-implemented-but-no-scripts-loaded",
        page("<!doctype html><p>text</p><!-- <script src=//x.example/a.js></script> -->"),
    ),
    (
        "subresource-integrity",
        "all same-origin",
        0,
        "sri-not-implemented-but-all-scripts-loaded-from-secure-origin",
        script("/a.js"),
    ),
    (
        "subresource-integrity",
        "external over HTTPS without integrity",
        -5,
        "sri-not-implemented-but-external-scripts-loaded-securely",
        script(FOREIGN),
    ),
    (
        "subresource-integrity",
        "integrity but insecure load",
        -20,
        "sri-implemented-but-external-scripts-not-loaded-securely",
        script("http://cdn.example/a.js", SRI),
    ),
    (
        "subresource-integrity",
        "neither",
        -50,
        "sri-not-implemented-and-external-scripts-not-loaded-securely",
        script("http://cdn.example/a.js"),
    ),
    (
        "subresource-integrity",
        "neither: the scheme left open",
        -50,
        "sri-not-implemented-and-external-scripts-not-loaded-securely",
        script("//cdn.example/a.js"),
    ),
    (
        "subresource-integrity",
        "HTML cannot be parsed",
        -20,
        "html-not-parseable",
        {"lines": ("Content-Encoding: gzip",), "body": b"<!doctype html>"},
    ),
    (
        "subresource-integrity",
        "HTML in gzip can",
        0,
        "sri-not-implemented-but-all-scripts-loaded-from-secure-origin",
        {
            "lines": ("Content-Encoding: gzip",),
            "body": gzip.compress(b"<script src=a.js></script>"),
        },
    ),
    (
        "x-content-type-options",
        "nosniff",
        0,
        "x-content-type-options-nosniff",
        line("X-Content-Type-Options", "NoSniff"),
    ),
    ("x-content-type-options", "absent", -5, "x-content-type-options-not-implemented", {}),
    (
        "x-content-type-options",
        "invalid",
        -5,
        "x-content-type-options-header-invalid",
        line("X-Content-Type-Options", "no-sniff"),
    ),
    (
        "x-frame-options",
        "by frame-ancestors",
        5,
        "x-frame-options-implemented-via-csp",
        csp("default-src 'self'; frame-ancestors 'none'"),
    ),
    (
        "x-frame-options",
        "DENY",
        5,
        "x-frame-options-sameorigin-or-deny",
        line("X-Frame-Options", "DENY"),
    ),
    (
        "x-frame-options",
        "SAMEORIGIN",
        5,
        "x-frame-options-sameorigin-or-deny",
        line("X-Frame-Options", "sameorigin"),
    ),
    (
        "x-frame-options",
        "ALLOW-FROM",
        0,
        "x-frame-options-allow-from-origin",
        line("X-Frame-Options", "ALLOW-FROM https://partner.example"),
    ),
    ("x-frame-options", "absent", -20, "x-frame-options-not-implemented", {}),
    (
        "x-frame-options",
        "absent: meta cannot say it",
        -20,
        "x-frame-options-not-implemented",
        page(
            "<meta http-equiv=content-security-policy content=\"default-src 'self'; frame-ancestors"
            " 'none'\">"
        ),
    ),
    (
        "x-frame-options",
        "invalid",
        -20,
        "x-frame-options-header-invalid",
        line("X-Frame-Options", "NONE"),
    ),
    (
        "cross-origin-resource-policy",
        "same-origin",
        10,
        "corp-implemented-with-same-origin",
        line("Cross-Origin-Resource-Policy", "same-origin"),
    ),
    (
        "cross-origin-resource-policy",
        "same-site",
        10,
        "corp-implemented-with-same-site",
        line("Cross-Origin-Resource-Policy", "same-site"),
    ),
    (
        "cross-origin-resource-policy",
        "cross-origin",
        0,
        "corp-implemented-with-cross-origin",
        line("Cross-Origin-Resource-Policy", "cross-origin"),
    ),
    ("cross-origin-resource-policy", "absent", 0, "corp-not-implemented", {}),
    (
        "cross-origin-resource-policy",
        "invalid",
        -5,
        "corp-header-invalid",
        line("Cross-Origin-Resource-Policy", "none"),
    ),
    (
        "cross-origin-embedder-policy",
        "require-corp",
        10,
        "coep-implemented-with-require-corp",
        line("Cross-Origin-Embedder-Policy", 'require-corp; report-to="coep"'),
    ),
    (
        "cross-origin-embedder-policy",
        "credentialless",
        10,
        "coep-implemented-with-credentialless",
        line("Cross-Origin-Embedder-Policy", "credentialless"),
    ),
    (
        "cross-origin-embedder-policy",
        "unsafe-none",
        0,
        "coep-implemented-with-unsafe-none",
        line("Cross-Origin-Embedder-Policy", "unsafe-none"),
    ),
    ("cross-origin-embedder-policy", "absent", 0, "coep-not-implemented", {}),
    (
        "cross-origin-embedder-policy",
        "invalid: a string is no token",
        -5,
        "coep-header-invalid",
        line("Cross-Origin-Embedder-Policy", '"require-corp"'),
    ),
    (
        "cross-origin-embedder-policy",
        "invalid: twice",
        -5,
        "coep-header-invalid",
        line("Cross-Origin-Embedder-Policy", "require-corp", "require-corp"),
    ),
    (
        "cross-origin-opener-policy",
        "same-origin",
        10,
        "coop-implemented-with-same-origin",
        line("Cross-Origin-Opener-Policy", "same-origin"),
    ),
    (
        "cross-origin-opener-policy",
        "same-origin-allow-popups",
        10,
        "coop-implemented-with-same-origin-allow-popups",
        line("Cross-Origin-Opener-Policy", "same-origin-allow-popups"),
    ),
    (
        "cross-origin-opener-policy",
        "noopener-allow-popups",
        10,
        "coop-implemented-with-noopener-allow-popups",
        line("Cross-Origin-Opener-Policy", "noopener-allow-popups"),
    ),
    (
        "cross-origin-opener-policy",
        "unsafe-none",
        0,
        "coop-implemented-with-unsafe-none",
        line("Cross-Origin-Opener-Policy", "unsafe-none"),
    ),
    ("cross-origin-opener-policy", "absent", 0, "coop-not-implemented", {}),
    (
        "cross-origin-opener-policy",
        "invalid",
        -5,
        "coop-header-invalid",
        line("Cross-Origin-Opener-Policy", "same-origin, same-origin"),
    ),
]


@dataclass
class Situation:
    """What one row makes of the site."""

    lines: tuple[str, ...] = ()
    type: str = HTML
    body: bytes = b"<!doctype html><title>x</title>"
    robots: tuple[str, ...] = ()
    probe: tuple[str, ...] = ()
    hops: tuple[str, ...] = ()
    plain: bool = True
    secure: str = "https"
    preloaded: bool = False


async def visit(site, situation):
    """Serve the situation, and visit it as the audit does."""
    document = response(
        situation.type, "Date: Tue, 01 Sep 2026 00:00:00 GMT", *situation.lines, body=situation.body
    )
    for listener in (site.http, site.https, site.bad):
        listener.responses |= {
            "/": document,
            "/robots.txt": response(*situation.robots),
            "OPTIONS /": response(*situation.probe, status="204 No Content"),
        }
        listener.responses |= {f"/hop{number}": document for number in range(len(situation.hops))}
    if situation.hops:
        places = {
            "http": site.http.url,
            "https": site.https.url,
            "bad": site.bad.url,
            "other": lambda path: site.https.url(path, "localhost"),
        }
        paths = ["/", *(f"/hop{number}" for number in range(len(situation.hops)))]
        for start, end, place in zip(paths, paths[1:], situation.hops, strict=False):
            site.http.responses[start] = response(
                f"Location: {places[place](end)}", status="301 Moved Permanently"
            )
    ports = {"https": site.https.port, "bad": site.bad.port, "closed": site.closed}
    options = retrieve.Options(
        timeout=PATIENCE,
        trust=authorities(site.authority.file),
        http_port=site.http.port if situation.plain else site.closed,
        https_port=ports[situation.secure],
        preloaded=frozenset({"127.0.0.1"}) if situation.preloaded else frozenset(),
    )
    url = (
        site.http.url()
        if situation.secure == "closed"
        else f"https://127.0.0.1:{ports[situation.secure]}/"
    )
    (seen,) = await retrieve.visits([url], options, lambda: None)
    return seen


@pytest.mark.parametrize(
    ("test", "points", "outcome", "situation"),
    [(test, points, outcome, situation) for test, _, points, outcome, situation in ROWS],
    ids=[f"{test}: {what}" for test, what, *_ in ROWS],
)
async def test_every_published_row_has_its_points(site, test, points, outcome, situation):
    """A real response of each published kind comes to the published outcome and points."""
    seen = await visit(site, Situation(**situation))

    (result,) = (result for result in observatory_results(look(seen)) if result.test == test)

    assert (outcome, points) == (result.outcome, result.points)


def test_every_outcome_has_a_row():
    """No outcome is without a published row, or can be reached by no test."""
    assert set(POINTS) == {outcome for *_, outcome, _ in ROWS}
    assert set(OUTCOMES) == {test for test, *_ in ROWS} == set(TESTS)


async def test_a_bare_site_and_a_good_one_have_the_published_arithmetic(site):
    """A bare HTTPS site ends at 30 (D); policy, frame-ancestors, HSTS and nosniff bring it to
    110 (A+).
    """
    bare = await visit(site, Situation(hops=("https",)))
    site.clear()
    good = await visit(
        site,
        Situation(
            lines=(
                f"{CSP}: default-src 'self'; frame-ancestors 'none'",
                YEAR,
                "X-Content-Type-Options: nosniff",
            ),
            hops=("https",),
        ),
    )

    reached = [
        score(tuple(result.outcome for result in observatory_results(look(seen))))
        for seen in (bare, good)
    ]

    assert [(points, grade(points)) for points in reached] == [(30, "D"), (110, "A+")]


GRADES = [
    (135, "A+"),
    (100, "A+"),
    (95, "A"),
    (90, "A"),
    (85, "A-"),
    (80, "B+"),
    (75, "B"),
    (70, "B"),
    (65, "B-"),
    (60, "C+"),
    (55, "C"),
    (50, "C"),
    (45, "C-"),
    (40, "D+"),
    (35, "D"),
    (30, "D"),
    (25, "D-"),
    (20, "F"),
    (5, "F"),
    (0, "F"),
]


@pytest.mark.parametrize(("points", "name"), GRADES)
def test_grades_are_the_published_ones(points, name):
    """Each step of five has its published grade, and a better score never a worse one."""
    assert grade(points) == name
    assert is_at_least(grade(points), "F")
    assert is_at_least("A+", grade(points))


def test_bonuses_count_from_90_only():
    """With 85 left after penalties no bonus counts; with 90 all do; the score never falls below
    0.
    """
    bonus = "corp-implemented-with-same-origin"

    assert score(("x-frame-options-not-implemented", bonus)) == 80
    assert score(("hsts-implemented-max-age-less-than-six-months", bonus)) == 100
    assert (
        score(
            (
                "cross-origin-resource-sharing-implemented-with-universal-access",
                "sri-not-implemented-and-external-scripts-not-loaded-securely",
                "csp-not-implemented",
            )
        )
        == 0
    )
