"""Lint: what is legal and yet weak, idle or harmful, each with a policy that earns it and one
that does not.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from sidecar.policy.data import read_table
from sidecar.policy.engine.resolve import Resolved, resolve
from sidecar.policy.lint import lint, refused
from sidecar.policy.terms import PolicyError, Problem
from sidecar.source import lint_policy, load_policy
from tests.policy.making import POLICIES
from tests.portion import examples

CSP, RO, XFO, STS, REF = (
    "Content-Security-Policy",
    "Content-Security-Policy-Report-Only",
    "X-Frame-Options",
    "Strict-Transport-Security",
    "Referrer-Policy",
)
CACHE, NONCE = "Cache-Control", "script-src 'nonce-{request}'"
PAGES = {"class": ["html", "docs"]}
ABOUT = {
    "owner": "a@example.com",
    "expected": "a CSP on every page",
    "rollback": "sidecar rollback",
}


def header(name: str, action: str, value: Any = None, **more: Any) -> dict[str, Any]:
    """One rule on a header."""
    return {"header": name, "action": action} | ({} if value is None else {"value": value}) | more


def cookie(name: str, action: str | None = None, **attributes: Any) -> dict[str, Any]:
    """One rule on a cookie."""
    return {"cookie": name, "attributes": attributes} | (
        {} if action is None else {"action": action}
    )


def found(
    *rules: dict[str, Any], routes: list[dict[str, Any]] | None = None, **more: Any
) -> tuple[Problem, ...]:
    """What lint finds in a policy of these rules, named a, b, c..."""
    named = {chr(ord("a") + at): rule for at, rule in enumerate(rules)}
    return lint(resolve({"version": 1, "rules": named, "routes": routes or [], **more}, {}))


def routed(*matches: dict[str, Any], **rules: Any) -> dict[str, Any]:
    """Routes r0, r1... with these matches, the last one with these rules."""
    routes = [{"name": f"r{at}", "match": match} for at, match in enumerate(matches)]
    routes[-1]["rules"] = rules
    return {"routes": routes}


CASES: list[
    tuple[str, str, dict[str, Any] | list[dict[str, Any]], dict[str, Any] | list[dict[str, Any]]]
] = [
    # one value
    (
        "csp-nonce-literal",
        "error",
        header(CSP, "set", "script-src 'nonce-aGVhZGVyc2lkZWNhcg'"),
        header(CSP, "require", "*'nonce-*"),
    ),
    (
        "csp-nonce-literal",
        "error",
        header(RO, "merge", {"script-src": ["'NONCE-x'"]}),
        header("X-Odd", "set", "'nonce-x'"),
    ),
    (
        "csp-nonce-misspelt",
        "error",
        header(CSP, "set", "script-src 'nonce-{requests}'"),
        header(CSP, "set", NONCE),
    ),
    (
        "csp-nonce-misspelt",
        "error",
        header(CSP, "set", "script-src nonce-{request}"),
        header(CSP, "set", "script-src https://a.example/nonce-request"),
    ),
    (
        "csp-nonce-misspelt",
        "error",
        header(RO, "set", "script-src 'nonce-$request'"),
        header("X-Odd", "set", "nonce-$request"),
    ),
    (
        "csp-nonce-misspelt",
        "error",
        header(CSP, "merge", {"script-src": ["'Nonce-{request}'"]}),
        header(CSP, "remove"),
    ),
    ("nonce-elsewhere", "warning", header("X-Odd", "set", NONCE), header(RO, "set", NONCE)),
    (
        "header-misspelt",
        "warning",
        header("Referer-Policy", "set", "no-referrer"),
        header("Referrer-Policy", "set", "no-referrer"),
    ),
    (
        "header-misspelt",
        "warning",
        header("X-Frame-Option", "require"),
        header(["X-Frame", "X-Content-Security-Policy", "X-Powered-By", "Content-Range"], "remove"),
    ),
    (
        "csp-nonce-idle",
        "warning",
        header(CSP, "set", "img-src 'nonce-{request}'"),
        header(CSP, "set", "style-src 'nonce-{request}'"),
    ),
    (
        "csp-nonce-merged",
        "warning",
        header(CSP, "merge", NONCE),
        header(CSP, "merge", NONCE, widen=True),
    ),
    (
        "csp-nonce-everywhere",
        "warning",
        header(CSP, "set", NONCE),
        header(CSP, "set", NONCE, when=PAGES),
    ),
    (
        "csp-nonce-everywhere",
        "warning",
        header(CSP, "set", NONCE, when={"class": ["html", "static"]}),
        header(CSP, "set", "script-src 'self'"),
    ),
    (
        "csp-nonce-everywhere",
        "warning",
        header(CSP, "set", NONCE, when={"content-type": "text/*"}),
        header(CSP, "set", NONCE, when={"content-type": "text/html"}),
    ),
    (
        "csp-nonce-private",
        "warning",
        [
            header(CACHE, "set", "public"),
            header(CSP, "set", NONCE, when={"content-type": "text/html"}),
        ],
        [
            header(CACHE, "set", "public", when={"content-type": "text/css"}),
            header(CSP, "set", NONCE, when={"content-type": "text/html"}),
        ],
    ),
    (
        "csp-nonce-private",
        "warning",
        [header(CSP, "set", NONCE, when=PAGES), header(CACHE, "merge", "s-maxage=60", widen=True)],
        [
            header(CSP, "set", NONCE, when=PAGES),
            header(CACHE, "set", "public", when={"class": "static"}),
        ],
    ),
    (
        "csp-nonce-private",
        "warning",
        [header(CSP, "set", NONCE), header("CDN-Cache-Control", "set", "max-age=60")],
        [
            header(CSP, "set", NONCE),
            header("CDN-Cache-Control", "remove"),
            header(CACHE, "set", "max-age=60"),
        ],
    ),
    (
        "csp-unsafe-inline",
        "warning",
        header(CSP, "set", "script-src 'unsafe-inline'"),
        header(CSP, "forbid", "*'unsafe-inline'*"),
    ),
    (
        "csp-object-open",
        "warning",
        header(CSP, "set", "script-src 'none'"),
        header(CSP, "set", "default-src 'none'"),
    ),
    (
        "csp-object-open",
        "info",
        header(CSP, "merge", "script-src 'none'"),
        header(CSP, "merge", "default-src 'none'"),
    ),
    (
        "csp-script-host",
        "info",
        header(CSP, "set", "default-src 'self'"),
        header(CSP, "set", "default-src 'none'"),
    ),
    (
        "csp-no-reports",
        "info",
        header(CSP, "set", "default-src 'none'"),
        header(RO, "set", "default-src 'none'"),
    ),
    (
        "csp-comma",
        "warning",
        header(CSP, "set", "default-src 'self', script-src 'self'"),
        header(CSP, "set", "default-src 'self'; script-src 'self'"),
    ),
    (
        "csp-upgrade-over-http",
        "warning",
        header(CSP, "set", "default-src 'none'; upgrade-insecure-requests"),
        header(CSP, "append", "upgrade-insecure-requests", when={"scheme": "https"}),
    ),
    (
        "csp-keyword-idle",
        "info",
        header(CSP, "set", "img-src 'unsafe-inline'"),
        header(CSP, "set", "style-src 'unsafe-inline'"),
    ),
    (
        "nel-no-group",
        "warning",
        header("NEL", "set", '{"max_age":1}'),
        header("NEL", "set", '{"max_age":0}'),
    ),
    (
        "header-invalid-value",
        "warning",
        header(XFO, "set", "ALLOW-FROM https://a.example"),
        header(XFO, "set", "deny"),
    ),
    (
        "header-invalid-value",
        "warning",
        header(XFO, "default", "DENNY"),
        header(XFO, "require", "DENNY"),
    ),
    (
        "header-deprecated",
        "warning",
        header("Feature-Policy", "set", "camera 'none'"),
        header("Feature-Policy", "remove"),
    ),
    (
        "header-weak-value",
        "warning",
        header("X-XSS-Protection", "set", "1; mode=block"),
        header("X-XSS-Protection", "set", "0"),
    ),
    ("header-discloses", "info", header("Server", "set", "web"), header("Server", "remove")),
    (
        "pp-old-syntax",
        "warning",
        header("Permissions-Policy", "set", "camera 'none'"),
        header("Permissions-Policy", "set", "camera=()"),
    ),
    (
        "referrer-unsafe",
        "warning",
        header(REF, "set", "unsafe-url"),
        header(REF, "set", "no-referrer"),
    ),
    (
        "referrer-unknown",
        "warning",
        header(REF, "set", "same-site"),
        header(REF, "set", "same-origin"),
    ),
    (
        "hsts-short",
        "info",
        header(STS, "set", "max-age=300"),
        header(STS, "set", "max-age=31536000"),
    ),
    (
        "hsts-off",
        "warning",
        header(STS, "set", "max-age=0"),
        header(STS, "set", "max-age=31536000"),
    ),
    (
        "hsts-preload",
        "warning",
        header(STS, "set", "max-age=63072000; includeSubDomains; preload"),
        header(STS, "set", "max-age=63072000; includeSubDomains"),
    ),
    (
        "hsts-subdomains",
        "info",
        header(STS, "default", "max-age=63072000; includeSubDomains"),
        header(STS, "default", "max-age=63072000"),
    ),
    (
        "cookie-needs-secure",
        "warning",
        header("Set-Cookie", "append", "a=1; SameSite=None"),
        header("Set-Cookie", "append", "a=1; SameSite=None; Secure"),
    ),
    # scope
    (
        "document-header-everywhere",
        "info",
        header([XFO, "X-A"], "set", "DENY"),
        header(XFO, "set", "DENY", when=PAGES),
    ),
    (
        "document-header-everywhere",
        "info",
        header(CSP, "merge", "img-src 'self'"),
        header(CSP, "set", "default-src 'none'", when={"status": "4xx"}),
    ),
    (
        "document-header-everywhere",
        "info",
        header(REF, "default", "no-referrer", when={"scheme": "https"}),
        header("X-Content-Type-Options", "set", "nosniff"),
    ),
    (
        "site-data-everywhere",
        "warning",
        header("Clear-Site-Data", "set", '"cookies"'),
        header("Clear-Site-Data", "set", '"cookies"', when={"class": "logout"}),
    ),
    (
        "site-data-everywhere",
        "warning",
        header("Clear-Site-Data", "set", '"cookies"', when={"class": ["logout", "html"]}),
        header("Clear-Site-Data", "set", '"cookies"', mode="off"),
    ),
    (
        "docs-left-out",
        "info",
        header(XFO, "set", "DENY", when={"class": "html"}),
        header(XFO, "set", "DENY", when=PAGES),
    ),
    (
        "docs-left-out",
        "info",
        header(CSP, "set", "default-src 'self'", when={"class": ["html", "api"]}),
        [
            header(XFO, "set", "DENY", when={"class": "html"}),
            header(XFO, "set", "SAMEORIGIN", when={"class": "docs"}),
        ],
    ),
    # conditions
    (
        "never-applies",
        "warning",
        header(STS, "set", "max-age=31536000", when={"scheme": "http"}),
        header(STS, "remove", when={"scheme": "http"}),
    ),
    (
        "never-applies",
        "warning",
        cookie("sid", Secure=True) | {"when": {"scheme": "http"}},
        cookie("sid", Secure=True, HttpOnly=True) | {"when": {"scheme": "http"}},
    ),
    (
        "never-applies",
        "warning",
        header(XFO, "set", "DENY", when={"class": "html", "status": 304}),
        header(XFO, "set", "DENY", when={"class": "html", "status": [304, 200]}),
    ),
    (
        "never-applies",
        "warning",
        header(XFO, "set", "DENY", when={"content-type": "text/*", "status": "204"}),
        header(XFO, "set", "DENY", when={"status": 204}),
    ),
    (
        "never-applies",
        "warning",
        header(XFO, "set", "DENY", when={"class": "html", "content-type": "application/json"}),
        header(XFO, "set", "DENY", when={"class": "docs", "content-type": "application/json"}),
    ),
    (
        "never-applies",
        "warning",
        header(XFO, "set", "DENY", when={"class": "static", "content-type": ["text/html", "a/b"]}),
        header(
            XFO, "set", "DENY", when={"class": ["static", "download"], "content-type": "text/html"}
        ),
    ),
    (
        "never-applies",
        "warning",
        header(XFO, "set", "DENY", when={"class": "logout", "status": "4xx"}),
        header(XFO, "set", "DENY", when={"class": "logout", "status": "3xx"}),
    ),
    (
        "never-applies",
        "warning",
        header("Server", "remove", when={"response": {"server": False}}),
        header("Server", "remove", when={"response": {"server": "a*"}}),
    ),
    (
        "never-applies",
        "warning",
        header(XFO, "default", "DENY", when={"response": {XFO: True}}),
        header(XFO, "set", "DENY", when={"response": {XFO: True}}),
    ),
    (
        "share-without-effect",
        "info",
        header(XFO, "require", share="10%"),
        header(XFO, "set", "DENY", share="10%"),
    ),
    (
        "share-without-effect",
        "info",
        header(XFO, "set", "DENY", share="10%", mode="report-only"),
        header(XFO, "set", "DENY", mode="report-only"),
    ),
    # cookies
    (
        "cookie-refused",
        "error",
        cookie("sid", Secure=False, SameSite="None"),
        cookie("sid", SameSite="None"),
    ),
    (
        "cookie-refused",
        "error",
        cookie("sid", Secure=False, Partitioned=True),
        cookie("sid", "require", Secure=False, Partitioned=True),
    ),
    (
        "cookie-refused",
        "error",
        cookie("__Secure-*", Secure=False),
        cookie("__Secure-*", Secure=True),
    ),
    (
        "cookie-refused",
        "error",
        cookie("__Host-sid", Path="/app"),
        cookie("__Host-sid", Path="/", Domain=False),
    ),
    (
        "cookie-refused",
        "error",
        cookie("__Host-Http-sid", HttpOnly=False),
        cookie("__Host-sid", HttpOnly=False),
    ),
    (
        "cookie-csrf-hidden",
        "warning",
        cookie("csrftoken", HttpOnly=True),
        cookie("csrf*", HttpOnly=True),
    ),
    ("cookie-weakened", "warning", cookie("sid", Secure=False), cookie("sid", Secure=True)),
    (
        "cookie-weakened",
        "warning",
        cookie("sid", HttpOnly=False),
        cookie("csrftoken", HttpOnly=False),
    ),
    # several rules
    (
        "rule-overwritten",
        "warning",
        [header(XFO, "set", "DENY"), header(XFO, "set", "SAMEORIGIN")],
        [header(XFO, "set", "DENY"), header(XFO, "set", "SAMEORIGIN", when={"status": 404})],
    ),
    (
        "rule-overwritten",
        "warning",
        [header(XFO, "remove"), header(XFO, "set", "DENY")],
        [header(XFO, "remove"), header(XFO, "default", "DENY")],
    ),
    (
        "rule-overwritten",
        "warning",
        [
            header(CSP, "merge", "img-src 'self'", when={"class": "html"}),
            header(CSP, "set", "default-src 'none'", when={"class": ["html", "api"]}),
        ],
        [
            header(CSP, "set", "default-src 'none'", when={"class": "api"}),
            header(CSP, "set", "default-src 'self'", when={"class": "html"}),
        ],
    ),
    (
        "rule-overwritten",
        "warning",
        [header([XFO, "X-A"], "set", "DENY"), header("x-a", "set", "1")],
        [
            header(XFO, "set", "DENY", mode="enforce"),
            header(XFO, "set", "SAMEORIGIN", mode="report-only"),
        ],
    ),
    (
        "rule-undone",
        "warning",
        [header(XFO, "default", "DENY"), header(XFO, "remove")],
        [header(XFO, "default", "DENY"), header(XFO, "remove", mode="off")],
    ),
    (
        "rule-idle",
        "warning",
        [header(XFO, "set", "DENY"), header(XFO, "default", "SAMEORIGIN", when={"status": 200})],
        [header(XFO, "set", "DENY", when={"status": 404}), header(XFO, "default", "SAMEORIGIN")],
    ),
    (
        "rules-clash",
        "warning",
        [header("Server", "remove"), header("Server", "require")],
        [header("Server", "require"), header("Server", "remove")],
    ),
    (
        "rules-clash",
        "warning",
        [header(XFO, "set", "DENY"), header(XFO, "forbid")],
        [header(XFO, "set", "DENY"), header(XFO, "forbid", "ALLOW*")],
    ),
    (
        "rules-clash",
        "warning",
        [header(XFO, "set", "DENY"), header(XFO, "forbid", when={"status": 200})],
        [header(XFO, "set", "DENY"), header(XFO, "forbid", when={"response": {XFO: "A*"}})],
    ),
    (
        "cors-credentials-for-all",
        "warning",
        [
            header("Access-Control-Allow-Origin", "set", "*"),
            header("Access-Control-Allow-Credentials", "set", "true"),
        ],
        [
            header("Access-Control-Allow-Origin", "set", "https://a.example"),
            header("Access-Control-Allow-Credentials", "set", "true"),
        ],
    ),
    # reports
    (
        "report-only-without-destination",
        "warning",
        header(RO, "set", "default-src 'self'"),
        header(RO, "set", "default-src 'self'; report-uri /r"),
    ),
    (
        "report-only-without-destination",
        "info",
        header(RO, "merge", "default-src 'self'"),
        header(RO, "merge", "default-src 'self'; report-to r"),
    ),
    (
        "report-only-without-destination",
        "warning",
        header("Cross-Origin-Embedder-Policy-Report-Only", "set", "require-corp"),
        header("Cross-Origin-Embedder-Policy-Report-Only", "set", 'require-corp; report-to="r"'),
    ),
    (
        "report-only-without-destination",
        "warning",
        header("Permissions-Policy-Report-Only", "set", "camera=()"),
        header("Permissions-Policy-Report-Only", "set", "camera=();report-to=r"),
    ),
    (
        "report-only-without-destination",
        "warning",
        header("Integrity-Policy-Report-Only", "set", "blocked-destinations=(script)"),
        header(
            "Integrity-Policy-Report-Only", "set", "blocked-destinations=(script), endpoints=(r)"
        ),
    ),
    (
        "report-only-without-destination",
        "warning",
        header("Document-Policy-Report-Only", "set", "js-profiling=?0"),
        header("Document-Policy-Report-Only", "set", "*;report-to=r"),
    ),
    (
        "report-endpoint-unknown",
        "warning",
        [
            header(CSP, "set", "default-src 'none'; report-to r"),
            header("Reporting-Endpoints", "set", 'other="/o"'),
        ],
        [
            header(CSP, "set", "default-src 'none'; report-to r"),
            header("Reporting-Endpoints", "set", 'r="/r"'),
        ],
    ),
    (
        "report-endpoint-undeclared",
        "info",
        header(CSP, "set", "default-src 'none'; report-to r"),
        header(CSP, "set", "default-src 'none'; report-uri /r"),
    ),
    (
        "report-endpoint-unknown",
        "warning",
        [
            header("NEL", "set", '{"report_to":"n","max_age":1}'),
            header(
                "Report-To",
                "set",
                '{"group":"m","max_age":1,"endpoints":[{"url":"https://a.example/r"}]}',
            ),
        ],
        [
            header("NEL", "set", '{"report_to":"n","max_age":1}'),
            header(
                "Report-To",
                "set",
                '{"group":"n","max_age":1,"endpoints":[{"url":"https://a.example/r"}]}',
            ),
        ],
    ),
    (
        "report-endpoint-undeclared",
        "info",
        header("NEL", "set", '{"report_to":"n","max_age":1}'),
        header("NEL", "set", '{"max_age":0}'),
    ),
    (
        "csp-report-only-inert",
        "warning",
        header(RO, "set", "sandbox; report-uri /r"),
        header(CSP, "set", "sandbox; default-src 'none'"),
    ),
    (
        "csp-report-only-copy",
        "warning",
        [
            header(CSP, "set", "default-src 'none'; img-src a b"),
            header(RO, "set", "img-src b a; default-src 'none'; report-uri /r"),
        ],
        [
            header(CSP, "set", "default-src 'none'"),
            header(RO, "set", "default-src 'none'; img-src 'self'; report-uri /r"),
        ],
    ),
    # routes
    (
        "route-shadowed",
        "warning",
        routed({"path": "/api/**"}, {"path": "/api/items", "method": "GET"}),
        routed({"path": "/api/items"}, {"path": "/api/**"}),
    ),
    (
        "route-never-matches",
        "warning",
        routed({"host": "https://a.example"}),
        routed({"host": "a.example"}),
    ),
    *(
        (
            "method-unknown",
            "warning",
            routed({"method": ["POST", wrong]}),
            routed({"method": right}),
        )
        for wrong, right in (
            ("GTE", "GET"),
            ("PSOT", "POST"),
            ("propfind", "PROPFIND"),
            ("M_SEARCH", "M-SEARCH"),
            ("BREW", ["PURGE", "CONNECT", "TRACE"]),
        )
    ),
    (
        "site-data-everywhere",
        "warning",
        routed({"path": ["/logout", "/x"]}, z=header("Clear-Site-Data", "set", '"cookies"')),
        routed({"path": "/account/sign-out/**"}, z=header("Clear-Site-Data", "set", '"cookies"')),
    ),
    ("headers-over-4k", "info", header("X-A", "set", "a" * 4096), header("X-A", "set", "a" * 4000)),
    (
        "headers-over-8k",
        "warning",
        header(["X-A", "X-B"], "set", "a" * 4096),
        [
            header("X-A", "set", "a" * 8000, when={"status": 200}),
            header("X-A", "set", "a" * 8000, when={"status": 404}),
        ],
    ),
    (
        "headers-over-16k",
        "warning",
        [header("Vary", "append", "a" * 8190), header("Vary", "append", "b" * 8190)],
        header("X-A", "set", "a" * 16000),
    ),
    # the review
    (
        "enforced-without-owner",
        "warning",
        {"a": header("Server", "remove"), "mode": "enforce"},
        {"a": header("Server", "remove"), "mode": "enforce", "owner": "a@example.com"},
    ),
    (
        "enforced-without-expected",
        "warning",
        {"a": header("Server", "remove"), "mode": "enforce"},
        {"a": header("Server", "remove", expected="no name"), "mode": "enforce"},
    ),
    (
        "enforced-without-rollback",
        "warning",
        {"a": header("Server", "remove"), "mode": "enforce"},
        {"a": header("Server", "remove")},
    ),
]


def codes(case: dict[str, Any] | list[dict[str, Any]]) -> dict[str, str]:
    """Codes and severities that a case earns: rules, routes, or a policy with one rule `a`."""
    if isinstance(case, list):
        problems = found(*case)
    elif "routes" in case:
        problems = found(**case)
    elif "a" in case:
        problems = found(case["a"], **{key: value for key, value in case.items() if key != "a"})
    else:
        problems = found(case)
    return {problem.code: problem.severity for problem in problems}


@pytest.mark.parametrize(("code", "severity", "earning", "innocent"), CASES)
def test_each_finding_has_a_policy_that_earns_it_and_one_that_does_not(
    code: str, severity: str, earning: Any, innocent: Any
):
    """The code and how bad it is; what is close to it and right is left alone."""
    assert codes(earning).get(code) == severity
    assert code not in codes(innocent)


def test_every_code_is_in_the_table():
    """Each finding that the modules of lint can make has its two cases."""
    made = read_table("sidecar.policy.lint", "findings.json")

    assert len(made) > 15
    assert made.keys() <= {code for code, *_ in CASES}


WHOLE = """\
version: 1
name: shop
mode: enforce
extends: [oshp-2026-07]
owner: web@example.com
expected: every page carries a CSP
rollback: sidecar rollback
rules:
  frames: {header: X-Frame-Options, action: set, value: ALLOW}
  csp:
    value: "script-src 'unsafe-inline'; object-src 'none'"
routes:
  - name: all
    match: {path: /**}
  - name: api
    match: {path: /api/**}
    rules:
      frames: {value: DENNY}
      mine: {header: Server, action: set, value: x, when: {response: {Server: false}, scheme: http}}
"""


def test_a_finding_stands_at_the_key_that_it_is_about():
    """Line and column of the layer that said it: the policy, a route, or the name of the preset."""
    _, problems = lint_policy(WHOLE.encode(), "policy.yaml")

    data = [
        (problem.line, problem.column, problem.severity, problem.code)
        for problem in problems
        if problem.severity != "info"
    ]
    assert data == [
        (9, 57, "warning", "header-invalid-value"),
        (11, 12, "warning", "csp-unsafe-inline"),
        (16, 12, "warning", "route-shadowed"),
        (18, 23, "warning", "header-invalid-value"),
    ]
    infos = {
        (problem.line, problem.column)
        for problem in problems
        if problem.severity == "info" and problem.message.startswith("preset oshp-2026-07, rule ")
    }
    assert infos == {(4, 11)}
    assert all(problem.file == "policy.yaml" and problem.code for problem in problems)


@pytest.mark.parametrize(("action", "severity"), [("set", "warning"), ("append", "info")])
def test_a_policy_beside_another_may_leave_scripts_to_it(action: str, severity: str):
    """What a policy leaves out is a warning where it is set, a note where it is appended."""
    rule = header(CSP, action, "upgrade-insecure-requests", when={"scheme": "https"} | PAGES)
    missing = [one for one in found(rule) if one.code in ("csp-scripts-open", "csp-object-open")]
    assert {one.severity for one in missing} == {severity}


def test_a_preset_is_no_warning_to_who_extends_it():
    """Its words cannot be changed by the reader: they are reported as infos, in the preset's
    name.
    """
    presets = {"weak": {"version": 1, "rules": {"it": header(XFO, "set", "ALLOW")}}}
    (problem,) = (
        one
        for one in lint(resolve({"version": 1, "extends": "weak"}, presets))
        if one.code == "header-invalid-value"
    )

    assert (problem.severity, problem.path) == ("info", ("extends", 0))
    assert problem.message.startswith("preset weak, rule 'it': ")


def test_a_rule_inherited_by_routes_is_reported_once():
    """The same finding at the same place is one finding."""
    problems = found(header(XFO, "set", "ALLOW"), **routed({"path": "/a"}, {"path": "/b"}))

    assert [problem.code for problem in problems].count("header-invalid-value") == 1


@pytest.mark.parametrize("off", [{"mode": "off"}, {"routes": "off"}])
def test_what_is_off_is_not_judged(off: dict[str, str]):
    """A fault in a rule or route that is off does not keep a policy back; a policy that is off
    is still judged.
    """
    nonce = header(CSP, "set", "script-src 'nonce-x'")
    if "mode" in off:
        assert found(nonce | off) == ()
    else:
        assert (
            found(
                routes=[
                    {"name": "r", "match": {"path": "/"}, "mode": "off", "rules": {"it": nonce}}
                ]
            )
            == ()
        )
    assert [
        problem.code
        for problem in refused(resolve({"version": 1, "mode": "off", "rules": {"it": nonce}}, {}))
    ] == ["csp-nonce-literal"]


def test_an_error_of_lint_keeps_a_policy_from_being_put_in_force():
    """It is refused like any other, with its place; warnings are not in the way."""
    bad = WHOLE.replace("'unsafe-inline'", "'nonce-abcdefgh'")
    with pytest.raises(PolicyError) as caught:
        load_policy(bad.encode(), "policy.yaml")

    assert (
        str(caught.value)
        == "policy.yaml:11:12: error: rule 'csp': a nonce in a policy is the same in every"
        " response, so whoever reads one page can use it on the next; write 'nonce-{request}'"
        " for a fresh one in each response [csp-nonce-literal]"
    )
    assert load_policy(WHOLE.encode(), "policy.yaml").mode == "enforce"


@settings(max_examples=examples(100))
@given(POLICIES)
def test_lint_is_total_and_each_finding_is_whole(resolved: Resolved):
    """Law: any complete policy can be judged; a finding has code, fix and one line of text, and
    no secret nonce.
    """
    for problem in lint(resolved):
        assert problem.code
        assert problem.fix
        assert "\n" not in f"{problem.message}{problem.fix}"
        assert problem.path


def test_a_policy_about_which_all_is_said_is_clean():
    """Nothing is found where there is nothing to find."""
    rules = (
        header("Server", "remove"),
        header("X-Content-Type-Options", "set", "nosniff"),
        header(REF, "set", "no-referrer", when=PAGES),
        header(STS, "set", "max-age=63072000"),
        header(
            CSP,
            "set",
            "default-src 'none'; frame-ancestors 'none'; report-uri /r",
            when={"class": "api"},
        ),
        cookie("sess*", Secure=True, HttpOnly=True, SameSite="Lax"),
    )

    assert found(*rules, mode="enforce", **ABOUT) == ()
