"""The Observatory's published points: every outcome of every test, from real responses over real
connections.
"""

import gzip
from dataclasses import dataclass

import pytest

from sidecar.audit import retrieve
from sidecar.audit.observatory import TESTS, look, observatory_results
from sidecar.audit.outcomes import Outcome, Test, grade, is_at_least, score
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
        Test.CSP,
        "no unsafe, default-src 'none'",
        10,
        Outcome.CSP_DEFAULT_NONE,
        csp("default-src 'none'; script-src 'self'"),
    ),
    (
        Test.CSP,
        "an empty default-src is 'none'",
        10,
        Outcome.CSP_DEFAULT_NONE,
        csp("default-src; img-src 'self'"),
    ),
    (Test.CSP, "no unsafe", 5, Outcome.CSP_NO_UNSAFE, csp("default-src 'self'")),
    (
        Test.CSP,
        "a nonce switches unsafe-inline off",
        5,
        Outcome.CSP_NO_UNSAFE,
        csp("default-src 'self'; script-src 'nonce-c2VjcmV0' 'unsafe-inline'"),
    ),
    (
        Test.CSP,
        "strict-dynamic switches hosts off",
        5,
        Outcome.CSP_NO_UNSAFE,
        csp(
            "script-src 'nonce-c2VjcmV0' 'strict-dynamic' https: 'self'; object-src 'none';"
            " style-src 'self'"
        ),
    ),
    (
        Test.CSP,
        "two policies allow what both allow",
        5,
        Outcome.CSP_NO_UNSAFE,
        csp("default-src 'self' 'unsafe-inline', default-src 'self'"),
    ),
    (
        Test.CSP,
        "in a meta element",
        5,
        Outcome.CSP_NO_UNSAFE,
        page("<meta http-equiv=content-security-policy content=\"default-src 'self'\">"),
    ),
    (
        Test.CSP,
        "unsafe-inline in style-src only",
        0,
        Outcome.CSP_UNSAFE_STYLE,
        csp("default-src 'self'; style-src 'self' 'unsafe-inline'"),
    ),
    (
        Test.CSP,
        "http for passive content only",
        -10,
        Outcome.CSP_INSECURE_PASSIVE,
        csp("default-src 'self'; img-src http://img.example"),
    ),
    (
        Test.CSP,
        "unsafe-eval",
        -10,
        Outcome.CSP_UNSAFE_EVAL,
        csp("default-src 'self'; script-src 'self' 'unsafe-eval'"),
    ),
    (
        Test.CSP,
        "unsafe-inline in script-src",
        -20,
        Outcome.CSP_UNSAFE_INLINE,
        csp("default-src 'self'; script-src 'unsafe-inline'"),
    ),
    (
        Test.CSP,
        "data: in script-src",
        -20,
        Outcome.CSP_UNSAFE_INLINE,
        csp("default-src 'self'; script-src data:"),
    ),
    (
        Test.CSP,
        "overly broad object-src",
        -20,
        Outcome.CSP_UNSAFE_INLINE,
        csp("default-src 'self'; object-src https:"),
    ),
    (Test.CSP, "no script-src", -20, Outcome.CSP_UNSAFE_INLINE, csp("img-src 'self'")),
    (
        Test.CSP,
        "insecure scheme for active content",
        -20,
        Outcome.CSP_INSECURE_SCHEME,
        csp("default-src 'self'; script-src http://cdn.example"),
    ),
    (
        Test.CSP,
        "invalid: a directive twice",
        -25,
        Outcome.CSP_INVALID,
        csp("default-src 'self'; default-src 'none'"),
    ),
    (Test.CSP, "invalid: too short", -25, Outcome.CSP_INVALID, csp("self")),
    (
        Test.CSP,
        "invalid: strict-dynamic alone",
        -25,
        Outcome.CSP_INVALID,
        csp("default-src 'self'; script-src 'strict-dynamic'"),
    ),
    (Test.CSP, "absent", -25, Outcome.CSP_ABSENT, {}),
    (
        Test.CSP,
        "absent: only what meta ignores",
        -25,
        Outcome.CSP_ABSENT,
        page("<meta http-equiv=Content-Security-Policy content=\"frame-ancestors 'none'\">"),
    ),
    (
        Test.CSP,
        "only report-only",
        -25,
        Outcome.CSP_REPORT_ONLY,
        line(f"{CSP}-Report-Only", "default-src 'self'"),
    ),
    (
        Test.CSP,
        "duplicate report directives",
        0,
        Outcome.CSP_DUPLICATE_REPORTING,
        csp("default-src 'self'; report-uri /a; report-uri /b"),
    ),
    (
        Test.COOKIES,
        "all Secure, sessions HttpOnly, SameSite",
        5,
        Outcome.COOKIES_SAME_SITE,
        cookie("sessionid=1; Secure; HttpOnly; SameSite=Lax", "a=1; Secure; SameSite=Strict"),
    ),
    (
        Test.COOKIES,
        "the same without SameSite",
        0,
        Outcome.COOKIES_SECURE,
        cookie("sessionid=1; Secure; HttpOnly"),
    ),
    (Test.COOKIES, "none", 0, Outcome.COOKIES_ABSENT, {}),
    (
        Test.COOKIES,
        "none kept: deleted at once",
        0,
        Outcome.COOKIES_ABSENT,
        cookie("sessionid=; Max-Age=0", "a=; Expires=Thu, 01 Jan 1970 00:00:00 GMT", hsts=True),
    ),
    (
        Test.COOKIES,
        "missing Secure but HSTS",
        -5,
        Outcome.COOKIES_INSECURE_HSTS,
        cookie("a=1; SameSite=Lax"),
    ),
    (
        Test.COOKIES,
        "session missing Secure but HSTS",
        -10,
        Outcome.COOKIES_SESSION_INSECURE_HSTS,
        cookie("login=1; HttpOnly"),
    ),
    (Test.COOKIES, "missing Secure", -20, Outcome.COOKIES_INSECURE, cookie("a=1", hsts=False)),
    (
        Test.COOKIES,
        "missing Secure, in robots.txt",
        -20,
        Outcome.COOKIES_INSECURE,
        {"robots": ("Set-Cookie: a=1",)},
    ),
    (
        Test.COOKIES,
        "invalid SameSite",
        -20,
        Outcome.COOKIES_BAD_SAME_SITE,
        cookie("a=1; Secure; SameSite=Sometimes"),
    ),
    (
        Test.COOKIES,
        "SameSite=None without Secure",
        -20,
        Outcome.COOKIES_BAD_SAME_SITE,
        cookie("a=1; SameSite=None"),
    ),
    (
        Test.COOKIES,
        "anti-CSRF without SameSite",
        -20,
        Outcome.COOKIES_CSRF_NO_SAME_SITE,
        cookie("csrftoken=1; Secure"),
    ),
    (
        Test.COOKIES,
        "session without HttpOnly",
        -30,
        Outcome.COOKIES_SESSION_READABLE,
        cookie("PHPSESSID=1; Secure"),
    ),
    (
        Test.COOKIES,
        "session without Secure",
        -40,
        Outcome.COOKIES_SESSION_INSECURE,
        cookie("sessionid=1; HttpOnly", hsts=False),
    ),
    (Test.CORS, "absent", 0, Outcome.CORS_ABSENT, {}),
    (Test.CORS, "public", 0, Outcome.CORS_PUBLIC, cors("Access-Control-Allow-Origin: *")),
    (
        Test.CORS,
        "restricted",
        0,
        Outcome.CORS_RESTRICTED,
        cors(
            "Access-Control-Allow-Origin: https://partner.example",
            "Access-Control-Allow-Credentials: true",
        ),
    ),
    (
        Test.CORS,
        "any origin with credentials",
        -50,
        Outcome.CORS_UNIVERSAL,
        cors(
            f"Access-Control-Allow-Origin: {retrieve.ORIGIN}",
            "Access-Control-Allow-Credentials: true",
        ),
    ),
    (
        Test.REDIRECTION,
        "preloaded",
        0,
        Outcome.REDIRECTION_PRELOADED,
        to("http") | {"preloaded": True},
    ),
    (Test.REDIRECTION, "to HTTPS", 0, Outcome.REDIRECTION_HTTPS, to("https")),
    (Test.REDIRECTION, "no HTTP at all", 0, Outcome.REDIRECTION_NO_HTTP, {"plain": False}),
    (Test.REDIRECTION, "first hop leaves host", -5, Outcome.REDIRECTION_OFF_HOST, to("other")),
    (Test.REDIRECTION, "first hop not HTTPS", -10, Outcome.REDIRECTION_LATE, to("http", "https")),
    (Test.REDIRECTION, "never HTTPS", -20, Outcome.REDIRECTION_NEVER_HTTPS, to("http")),
    (Test.REDIRECTION, "no redirect", -20, Outcome.REDIRECTION_ABSENT, {}),
    (Test.REDIRECTION, "bad certificate", -20, Outcome.REDIRECTION_BAD_CERTIFICATE, to("bad")),
    (
        Test.REFERRER,
        "private",
        5,
        Outcome.REFERRER_PRIVATE,
        line("Referrer-Policy", "strict-origin-when-cross-origin"),
    ),
    (
        Test.REFERRER,
        "private: the last known one counts",
        5,
        Outcome.REFERRER_PRIVATE,
        line("Referrer-Policy", "unsafe-url, no-referrer, later-invention"),
    ),
    (
        Test.REFERRER,
        "private, in a meta element",
        5,
        Outcome.REFERRER_PRIVATE,
        page("<meta name=referrer content=same-origin>"),
    ),
    (Test.REFERRER, "absent", 0, Outcome.REFERRER_ABSENT, {}),
    (Test.REFERRER, "unsafe", -5, Outcome.REFERRER_UNSAFE, line("Referrer-Policy", "unsafe-url")),
    (Test.REFERRER, "invalid", -5, Outcome.REFERRER_INVALID, line("Referrer-Policy", "whatever")),
    (Test.HSTS, "preloaded", 5, Outcome.HSTS_PRELOADED, {"preloaded": True}),
    (
        Test.HSTS,
        "at least six months",
        0,
        Outcome.HSTS_SIX_MONTHS,
        line("Strict-Transport-Security", "max-age=15552000"),
    ),
    (
        Test.HSTS,
        "shorter",
        -10,
        Outcome.HSTS_SHORTER,
        line("Strict-Transport-Security", "max-age=15551999; includeSubDomains"),
    ),
    (Test.HSTS, "absent", -20, Outcome.HSTS_ABSENT, {}),
    (
        Test.HSTS,
        "invalid",
        -20,
        Outcome.HSTS_INVALID,
        line("Strict-Transport-Security", "includeSubDomains"),
    ),
    (
        Test.HSTS,
        "sent twice",
        -20,
        Outcome.HSTS_INVALID,
        line("Strict-Transport-Security", "max-age=31536000", "max-age=31536000"),
    ),
    (
        Test.HSTS,
        "twice in one line",
        -20,
        Outcome.HSTS_INVALID,
        line("Strict-Transport-Security", "max-age=31536000, max-age=31536000"),
    ),
    (Test.HSTS, "no HTTPS", -20, Outcome.HSTS_NO_HTTPS, {"secure": "closed", "lines": (YEAR,)}),
    (
        Test.HSTS,
        "bad certificate",
        -20,
        Outcome.HSTS_BAD_CERTIFICATE,
        {"secure": "bad", "lines": (YEAR,)},
    ),
    (Test.SRI, "same-origin scripts with integrity", 5, Outcome.SRI_ALL, script("/a.js", SRI)),
    (Test.SRI, "external scripts with integrity", 5, Outcome.SRI_EXTERNAL, script(FOREIGN, SRI)),
    (
        Test.SRI,
        "not HTML",
        0,
        Outcome.SRI_NOT_HTML,
        {"type": "Content-Type: application/json", "body": b"{}"},
    ),
    (
        Test.SRI,
        "no scripts",
        0,
        Outcome.SRI_NO_SCRIPTS,
        page("<!doctype html><p>text</p><!-- <script src=//x.example/a.js></script> -->"),
    ),
    (Test.SRI, "all same-origin", 0, Outcome.SRI_SAME_ORIGIN, script("/a.js")),
    (
        Test.SRI,
        "external over HTTPS without integrity",
        -5,
        Outcome.SRI_ABSENT_SECURE,
        script(FOREIGN),
    ),
    (
        Test.SRI,
        "integrity but insecure load",
        -20,
        Outcome.SRI_INSECURE,
        script("http://cdn.example/a.js", SRI),
    ),
    (Test.SRI, "neither", -50, Outcome.SRI_ABSENT_INSECURE, script("http://cdn.example/a.js")),
    (
        Test.SRI,
        "neither: the scheme left open",
        -50,
        Outcome.SRI_ABSENT_INSECURE,
        script("//cdn.example/a.js"),
    ),
    (
        Test.SRI,
        "HTML cannot be parsed",
        -20,
        Outcome.HTML_BROKEN,
        {"lines": ("Content-Encoding: gzip",), "body": b"<!doctype html>"},
    ),
    (
        Test.SRI,
        "HTML in gzip can",
        0,
        Outcome.SRI_SAME_ORIGIN,
        {
            "lines": ("Content-Encoding: gzip",),
            "body": gzip.compress(b"<script src=a.js></script>"),
        },
    ),
    (Test.NOSNIFF, "nosniff", 0, Outcome.NOSNIFF, line("X-Content-Type-Options", "NoSniff")),
    (Test.NOSNIFF, "absent", -5, Outcome.NOSNIFF_ABSENT, {}),
    (
        Test.NOSNIFF,
        "invalid",
        -5,
        Outcome.NOSNIFF_INVALID,
        line("X-Content-Type-Options", "no-sniff"),
    ),
    (
        Test.FRAMING,
        "by frame-ancestors",
        5,
        Outcome.FRAMING_BY_CSP,
        csp("default-src 'self'; frame-ancestors 'none'"),
    ),
    (Test.FRAMING, "DENY", 5, Outcome.FRAMING_LIMITED, line("X-Frame-Options", "DENY")),
    (Test.FRAMING, "SAMEORIGIN", 5, Outcome.FRAMING_LIMITED, line("X-Frame-Options", "sameorigin")),
    (
        Test.FRAMING,
        "ALLOW-FROM",
        0,
        Outcome.FRAMING_ALLOW_FROM,
        line("X-Frame-Options", "ALLOW-FROM https://partner.example"),
    ),
    (Test.FRAMING, "absent", -20, Outcome.FRAMING_ABSENT, {}),
    (
        Test.FRAMING,
        "absent: meta cannot say it",
        -20,
        Outcome.FRAMING_ABSENT,
        page(
            "<meta http-equiv=content-security-policy content=\"default-src 'self'; frame-ancestors"
            " 'none'\">"
        ),
    ),
    (Test.FRAMING, "invalid", -20, Outcome.FRAMING_INVALID, line("X-Frame-Options", "NONE")),
    (
        Test.CORP,
        "same-origin",
        10,
        Outcome.CORP_SAME_ORIGIN,
        line("Cross-Origin-Resource-Policy", "same-origin"),
    ),
    (
        Test.CORP,
        "same-site",
        10,
        Outcome.CORP_SAME_SITE,
        line("Cross-Origin-Resource-Policy", "same-site"),
    ),
    (
        Test.CORP,
        "cross-origin",
        0,
        Outcome.CORP_CROSS_ORIGIN,
        line("Cross-Origin-Resource-Policy", "cross-origin"),
    ),
    (Test.CORP, "absent", 0, Outcome.CORP_ABSENT, {}),
    (Test.CORP, "invalid", -5, Outcome.CORP_INVALID, line("Cross-Origin-Resource-Policy", "none")),
    (
        Test.COEP,
        "require-corp",
        10,
        Outcome.COEP_REQUIRE_CORP,
        line("Cross-Origin-Embedder-Policy", 'require-corp; report-to="coep"'),
    ),
    (
        Test.COEP,
        "credentialless",
        10,
        Outcome.COEP_CREDENTIALLESS,
        line("Cross-Origin-Embedder-Policy", "credentialless"),
    ),
    (
        Test.COEP,
        "unsafe-none",
        0,
        Outcome.COEP_UNSAFE_NONE,
        line("Cross-Origin-Embedder-Policy", "unsafe-none"),
    ),
    (Test.COEP, "absent", 0, Outcome.COEP_ABSENT, {}),
    (
        Test.COEP,
        "invalid: a string is no token",
        -5,
        Outcome.COEP_INVALID,
        line("Cross-Origin-Embedder-Policy", '"require-corp"'),
    ),
    (
        Test.COEP,
        "invalid: twice",
        -5,
        Outcome.COEP_INVALID,
        line("Cross-Origin-Embedder-Policy", "require-corp", "require-corp"),
    ),
    (
        Test.COOP,
        "same-origin",
        10,
        Outcome.COOP_SAME_ORIGIN,
        line("Cross-Origin-Opener-Policy", "same-origin"),
    ),
    (
        Test.COOP,
        "same-origin-allow-popups",
        10,
        Outcome.COOP_ALLOW_POPUPS,
        line("Cross-Origin-Opener-Policy", "same-origin-allow-popups"),
    ),
    (
        Test.COOP,
        "noopener-allow-popups",
        10,
        Outcome.COOP_NOOPENER,
        line("Cross-Origin-Opener-Policy", "noopener-allow-popups"),
    ),
    (
        Test.COOP,
        "unsafe-none",
        0,
        Outcome.COOP_UNSAFE_NONE,
        line("Cross-Origin-Opener-Policy", "unsafe-none"),
    ),
    (Test.COOP, "absent", 0, Outcome.COOP_ABSENT, {}),
    (
        Test.COOP,
        "invalid",
        -5,
        Outcome.COOP_INVALID,
        line("Cross-Origin-Opener-Policy", "same-origin, same-origin"),
    ),
]


@dataclass
class World:
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


async def visit(site, world):
    """Serve the world, and visit it as the audit does."""
    document = response(
        world.type, "Date: Tue, 01 Sep 2026 00:00:00 GMT", *world.lines, body=world.body
    )
    for listener in (site.http, site.https, site.bad):
        listener.responses |= {
            "/": document,
            "/robots.txt": response(*world.robots),
            "OPTIONS /": response(*world.probe, status="204 No Content"),
        }
        listener.responses |= {f"/hop{number}": document for number in range(len(world.hops))}
    if world.hops:
        places = {
            "http": site.http.url,
            "https": site.https.url,
            "bad": site.bad.url,
            "other": lambda path: site.https.url(path, "localhost"),
        }
        paths = ["/", *(f"/hop{number}" for number in range(len(world.hops)))]
        for start, end, place in zip(paths, paths[1:], world.hops, strict=False):
            site.http.responses[start] = response(
                f"Location: {places[place](end)}", status="301 Moved Permanently"
            )
    ports = {"https": site.https.port, "bad": site.bad.port, "closed": site.closed}
    options = retrieve.Options(
        timeout=PATIENCE,
        authorities=site.authority.file,
        http_port=site.http.port if world.plain else site.closed,
        https_port=ports[world.secure],
        preloaded=frozenset({"127.0.0.1"}) if world.preloaded else frozenset(),
    )
    url = (
        site.http.url() if world.secure == "closed" else f"https://127.0.0.1:{ports[world.secure]}/"
    )
    (seen,) = await retrieve.visits([url], options, lambda: None)
    return seen


@pytest.mark.parametrize(
    ("test", "points", "outcome", "world"),
    [(test, points, outcome, world) for test, _, points, outcome, world in ROWS],
    ids=[f"{test}: {what}" for test, what, *_ in ROWS],
)
async def test_every_published_row_has_its_points(site, test, points, outcome, world):
    """A real response of each published kind comes to the published outcome and points."""
    seen = await visit(site, World(**world))

    (result,) = (result for result in observatory_results(look(seen)) if result.test is test)

    assert (outcome, points) == (result.outcome, result.outcome.points)


def test_every_outcome_has_a_row():
    """No outcome is without a published row, or can be reached by no test."""
    assert set(Outcome) == {outcome for *_, outcome, _ in ROWS}
    assert set(Test) == {test for test, *_ in ROWS} == set(TESTS)


async def test_a_bare_site_and_a_good_one_have_the_published_arithmetic(site):
    """A bare HTTPS site ends at 30 (D); policy, frame-ancestors, HSTS and nosniff bring it to
    110 (A+).
    """
    bare = await visit(site, World(hops=("https",)))
    site.clear()
    good = await visit(
        site,
        World(
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
    bonus = Outcome.CORP_SAME_ORIGIN

    assert score((Outcome.FRAMING_ABSENT, bonus)) == 80
    assert score((Outcome.HSTS_SHORTER, bonus)) == 100
    assert score((Outcome.CORS_UNIVERSAL, Outcome.SRI_ABSENT_INSECURE, Outcome.CSP_ABSENT)) == 0
