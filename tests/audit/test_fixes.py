"""The fixes work: a response that goes through the drafted policy, enforced, has no findings
that the policy was to fix.
"""

import pytest

from sidecar.audit.first_files import draft
from sidecar.audit.report import report
from sidecar.audit.visit import Visit
from sidecar.observed import ObservedResponse
from sidecar.policy.engine.explain import explain
from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.rules.conditions import Facts
from sidecar.source import load_policy
from tests.audit.visits import URL, fields, response

BARE = ObservedResponse(
    URL,
    200,
    fields(
        [
            ("Content-Type", "text/html"),
            ("Server", "nginx/1.18.0"),
            ("X-Powered-By", "x"),
            ("Set-Cookie", "sessionid=1"),
            ("Set-Cookie", "csrftoken=1; Path=/"),
        ]
    ),
)
ANSWERS = {
    "a bare page": BARE,
    "a bare API response": ObservedResponse(
        URL,
        200,
        fields([("Content-Type", "application/json"), ("Set-Cookie", "a=1; SameSite=None")]),
    ),
    "a bare image": ObservedResponse(URL, 200, fields([("Content-Type", "image/png")])),
    "a bare page over http": ObservedResponse(
        "http://shop.example/", 200, fields([("Content-Type", "text/html")])
    ),
    "a policy with gaps": response(("Content-Security-Policy", "script-src 'self'; report-uri /r")),
    "a policy with a nonce": response(
        ("Content-Security-Policy", "default-src 'self'; script-src 'nonce-c2VjcmV0c2VjcmV0'")
    ),
    "an unsafe policy": response(
        ("Content-Security-Policy", "default-src * 'unsafe-inline'"),
        ("X-Frame-Options", "ALLOWALL"),
    ),
    "copies": response(
        ("X-Frame-Options", ["DENY", "SAMEORIGIN"]),
        ("Strict-Transport-Security", ["max-age=1", "max-age=2"]),
        ("Cross-Origin-Opener-Policy", ["same-origin"] * 2),
    ),
    "weak values": response(
        ("Strict-Transport-Security", "max-age=60"),
        ("Referrer-Policy", "unsafe-url"),
        ("Cross-Origin-Embedder-Policy", "unsafe-none"),
        ("X-DNS-Prefetch-Control", "on"),
    ),
    "invalid values": response(
        ("X-Content-Type-Options", "yes"),
        ("Permissions-Policy", "camera 'none'"),
        ("Cache-Control", "no-store, ="),
    ),
    "outdated headers": response(
        ("X-XSS-Protection", "1"),
        ("Expect-CT", "max-age=0"),
        ("Pragma", "no-cache"),
        ("Feature-Policy", "camera 'none'"),
        ("Via", "1.1 x"),
    ),
}


def judged(page):
    is_https = page.place.scheme == "https"
    return report(Visit(page.url, (page,) if is_https else (), () if is_https else (page,)))


@pytest.mark.parametrize("name", ANSWERS)
def test_an_enforced_draft_fixes_every_finding(name):
    """After the drafted rules, every header is judged good, and the score is not lower."""
    before = ANSWERS[name]
    first = judged(before)
    policy = draft([first]).replace("mode: report-only", "mode: enforce")
    facts = Facts(
        "GET", "shop.example", "/", before.place.scheme, [], before.status, list(before.fields)
    )

    after = ObservedResponse(
        before.url,
        before.status,
        tuple(
            explain(
                compile_policy(load_policy(policy.encode(), "p.yaml")).route(
                    "GET", "shop.example", "/"
                ),
                facts,
            ).after
        ),
        before.body,
    )
    second = judged(after)

    assert [row for row in first.rows if row.verdict != "good"]
    assert [
        (row.header, row.verdict, row.why) for row in second.rows if row.verdict != "good"
    ] == []
    assert second.score >= first.score
