"""Rows: from one changed header of a good response to verdict, sentence, what is shown, and fix."""

from typing import get_args

import pytest

from sidecar.audit.fixes import Fix
from sidecar.audit.observatory import look
from sidecar.audit.verdicts import HeaderVerdict, verdicts
from sidecar.audit.visit import Visit
from sidecar.observed import ObservedResponse
from sidecar.scalars import scalar
from sidecar.source import load
from tests.audit.visits import fields, response, visit


def rows(*changes, header, **how):
    return [row for row in verdicts(look(visit(*changes, **how))) if row.header == header]


def test_a_good_response_has_only_good_rows():
    """Every recommended header is judged good, shown with its value, and given no fix."""
    found = verdicts(look(visit()))

    assert {"good"} == {row.verdict for row in found}
    assert len(found) == 12
    assert [row for row in found if row.fix or not row.observed or not row.why.endswith(".")] == []


HTML, PAGES, DYNAMIC = {"class": "html"}, {"class": ["html", "docs"]}, {"class": ["html", "api"]}
CASES = [
    ("Content-Security-Policy", None, "missing", {"csp": {"action": "default", "when": HTML}}),
    (
        "Content-Security-Policy",
        (
            "default-src 'self' 'unsafe-inline'; base-uri 'self'; form-action 'self';"
            " frame-ancestors 'none'"
        ),
        "weak",
        {"csp": {"action": "set"}},
    ),
    (
        "Content-Security-Policy",
        "default-src 'self'; frame-ancestors 'none'",
        "weak",
        {"csp": {"action": "merge", "value": {"base-uri": ["'self'"], "form-action": ["'self'"]}}},
    ),
    (
        "Content-Security-Policy",
        "script-src 'nonce-c2VjcmV0'; form-action 'self'",
        "weak",
        {"csp": {"action": "merge", "value": {"object-src": ["'none'"], "base-uri": ["'self'"]}}},
    ),
    (
        "Content-Security-Policy",
        "default-src 'self'; defualt-src 'none'",
        "invalid",
        {"csp": {"action": "set"}},
    ),
    (
        "Strict-Transport-Security",
        None,
        "missing",
        {"hsts": {"action": "default", "when": {"scheme": "https"}}},
    ),
    (
        "Strict-Transport-Security",
        "max-age=300",
        "weak",
        {"hsts": {"action": "set", "value": "max-age=63072000; includeSubDomains"}},
    ),
    ("Strict-Transport-Security", "includeSubDomains", "invalid", {"hsts": {"action": "set"}}),
    (
        "Strict-Transport-Security",
        ["max-age=63072000", "max-age=0"],
        "invalid",
        {"hsts": {"action": "set"}},
    ),
    (
        "X-Content-Type-Options",
        None,
        "missing",
        {"nosniff": {"header": "X-Content-Type-Options", "action": "default", "value": "nosniff"}},
    ),
    (
        "X-Content-Type-Options",
        "sniff",
        "invalid",
        {"nosniff": {"action": "set", "value": "nosniff"}},
    ),
    (
        "X-Frame-Options",
        "ALLOWALL",
        "invalid",
        {"frame-options": {"action": "set", "value": "DENY", "when": PAGES}},
    ),
    ("X-Frame-Options", ["DENY", "SAMEORIGIN"], "invalid", {"frame-options": {"action": "set"}}),
    ("X-Frame-Options", ["DENY", "DENY"], "good", {}),
    ("X-Frame-Options", None, "good", {}),
    ("Referrer-Policy", "unsafe-url", "weak", {"referrer-policy": {"action": "set"}}),
    (
        "Cross-Origin-Opener-Policy",
        ["same-origin", "same-origin"],
        "invalid",
        {"coop": {"action": "set"}},
    ),
    (
        "Cross-Origin-Embedder-Policy",
        "unsafe-none",
        "weak",
        {"coep": {"action": "set", "value": "require-corp"}},
    ),
    (
        "Permissions-Policy",
        "geolocation 'none'",
        "invalid",
        {"permissions-policy": {"action": "set"}},
    ),
    ("Cache-Control", None, "missing", {"cache-control": {"action": "default", "when": DYNAMIC}}),
    (
        "X-XSS-Protection",
        "1; mode=block",
        "weak",
        {"x-xss-protection": {"header": "X-XSS-Protection", "action": "remove"}},
    ),
    ("X-XSS-Protection", "0", "good", {}),
    ("Expect-CT", "max-age=0", "weak", {"expect-ct": {"action": "remove"}}),
    ("Content-Security-Policy-Report-Only", "default-src 'self'", "invalid", {}),
    ("Content-Security-Policy-Report-Only", "default-src 'self'; report-uri /r", "good", {}),
    ("Server-Timing", "db;dur=53", "weak", {"server-timing": {"action": "remove"}}),
    ("Server", "nginx/1.18.0", "leaks", {"disclosure": {"header": ["Server"], "action": "remove"}}),
    ("X-AspNet-Version", "4.0", "leaks", {"disclosure": {"header": ["X-AspNet-Version"]}}),
    ("Access-Control-Allow-Origin", "null", "weak", {}),
    (
        "Set-Cookie",
        "a=SECRET",
        "weak",
        {
            "cookie-a": {
                "cookie": "a",
                "attributes": {"Secure": True, "HttpOnly": True, "SameSite": "Lax"},
            }
        },
    ),
    (
        "Set-Cookie",
        "csrftoken=SECRET; Secure",
        "weak",
        {"cookie-csrftoken": {"attributes": {"SameSite": "Lax"}}},
    ),
    (
        "Set-Cookie",
        "a*b=SECRET; Secure; SameSite=Maybe",
        "invalid",
        {"cookie-a-b": {"cookie": "a*b", "attributes": {"HttpOnly": True, "SameSite": "Lax"}}},
    ),
    (
        "Set-Cookie",
        "__Host-a=SECRET; Secure",
        "invalid",
        {"cookie-__Host-a": {"attributes": {"HttpOnly": True, "SameSite": "Lax"}}},
    ),
    (
        "Content-Security-Policy",
        "default-src 'self', script-src 'none'",
        "invalid",
        {"csp": {"action": "set"}},
    ),
    (
        "Content-Security-Policy",
        "default-src 'self'; connect-src wss",
        "invalid",
        {"csp": {"action": "set"}},
    ),
    ("Permissions-Policy", "camera=();report-to=here", "weak", {}),
    ("NEL", '{"report_to":"here","max_age":1}', "weak", {}),
    ("NEL", '{"max_age":1}', "invalid", {}),
    (
        "Set-Cookie",
        "a=SECRET; HttpOnly; SameSite=None",
        "invalid",
        {"cookie-a": {"attributes": {"Secure": True}}},
    ),
    ("Set-Cookie", "a=SECRET; Secure; HttpOnly; SameSite=Strict", "good", {}),
]


@pytest.mark.parametrize(
    ("header", "value", "verdict", "fix"),
    CASES,
    ids=[f"{header}: {value}" for header, value, *_ in CASES],
)
def test_a_changed_header_has_its_verdict_and_fix(header, value, verdict, fix):
    """Each kind of change gets its verdict and a rule that answers it, or none where nothing is
    wrong.
    """
    (row,) = rows((header, value), header=header)

    made = load(row.fix.yaml.encode(), "fix").data if row.fix else {}

    assert verdict == row.verdict
    assert fix == {name: {key: made[name].get(key) for key in rule} for name, rule in fix.items()}
    assert fix.keys() == made.keys()
    assert row.verdict in get_args(HeaderVerdict)
    assert "SECRET" not in f"{row}"


@pytest.mark.parametrize(
    ("change", "status", "absent"),
    [
        (
            ("Content-Type", "application/json"),
            200,
            ["Content-Security-Policy", "X-Frame-Options", "Referrer-Policy"],
        ),
        (("Content-Type", "text/html"), 200, ["Clear-Site-Data"]),
        (("Content-Type", "image/png"), 200, ["Cache-Control", "Content-Security-Policy"]),
    ],
)
def test_headers_are_missed_only_where_they_have_an_effect(change, status, absent):
    """An API response is not asked for document headers, nor a page for the header of a logout."""
    bare = ObservedResponse("https://shop.example/api", status, fields([change]))

    found = verdicts(look(Visit(bare.url, (bare,))))

    assert "X-Content-Type-Options" in {row.header for row in found}
    assert set() == {row.header for row in found} & {*absent}


def test_a_header_whose_name_is_misspelt_is_reported():
    """Browsers do not know it, whatever its value; the right name is the advice."""
    (row,) = rows(("Referer-Policy", "no-referrer"), header="referer-policy")

    assert (row.verdict, row.advice) == ("invalid", "Write Referrer-Policy.")


def test_hsts_over_plain_http_is_reported_as_void():
    """HSTS is not missed over http, and is invalid where it is sent."""
    silent, sent = (
        response(("Strict-Transport-Security", None), url="http://shop.example/"),
        response(url="http://shop.example/"),
    )

    found = [
        [
            (row.verdict, row.advice)
            for row in verdicts(look(Visit(page.url, (), (page,))))
            if row.header == "Strict-Transport-Security"
        ]
        for page in (silent, sent)
    ]

    assert found == [[], [("invalid", "Send it over HTTPS only.")]]


def test_upgrades_over_plain_http_are_reported():
    """A policy that sends browsers to https is reported where the page itself came over http,
    and there alone.
    """
    policy = ("Content-Security-Policy", "default-src 'none'; upgrade-insecure-requests")
    plain, secure = response(policy, url="http://shop.example/"), response(policy)
    found = [
        row.why + " ".join(row.more)
        for page in (plain, secure)
        for row in verdicts(look(Visit(page.url, (), (page,))))
        if row.header == "Content-Security-Policy"
    ]

    assert ["Over plain HTTP upgrade-insecure" in text for text in found] == [True, False]


def test_an_endpoint_that_is_named_and_declared_is_good():
    """By Reporting-Endpoints or by the older Report-To."""
    named = ("Permissions-Policy", "camera=();report-to=here")
    (row,) = rows(named, ("Reporting-Endpoints", 'here="/r"'), header="Permissions-Policy")

    assert row.verdict == "good"


def test_meta_elements_stand_in_for_headers():
    """A policy and a referrer policy in the page are judged as if they had been sent."""
    body = (
        b"<meta name=referrer content=unsafe-url><meta http-equiv=content-security-policy"
        b" content=\"script-src 'unsafe-inline'\">"
    )
    found = {
        row.header: row.verdict
        for row in verdicts(
            look(visit(("Content-Security-Policy", None), ("Referrer-Policy", None), body=body))
        )
    }

    assert (found["Content-Security-Policy"], found["Referrer-Policy"]) == ("weak", "weak")


def test_a_mirrored_origin_with_credentials_is_reported():
    """A preflight that gives a foreign origin leave with credentials gets a row whose fix takes
    the credentials away.
    """
    probe = ObservedResponse(
        "https://shop.example/",
        204,
        fields(
            [
                ("Access-Control-Allow-Origin", "https://x.example"),
                ("Access-Control-Allow-Credentials", "true"),
            ]
        ),
    )

    (row,) = rows(header="Access-Control-Allow-Origin", probe=probe, origin="https://x.example")

    assert (row.verdict, row.fix.yaml) == (
        "weak",
        "cors-credentials: {header: Access-Control-Allow-Credentials, action: remove}",
    )


def test_cookies_on_the_way_count_and_deleted_ones_do_not():
    """A cookie of a redirect has a row; one that is deleted later has none; the last line of a
    name counts.
    """
    hop = ObservedResponse(
        "https://shop.example/",
        302,
        fields([("Location", "/in"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=1")]),
    )
    page = response(
        ("Set-Cookie", ["b=; Max-Age=0", "c=1", "c=1; Secure; HttpOnly; SameSite=Lax"]),
        url="https://shop.example/in",
    )

    found = [
        (row.observed[0], row.verdict)
        for row in verdicts(look(Visit(hop.url, (hop, page))))
        if row.header == "Set-Cookie"
    ]

    assert found == [("a", "weak"), ("c; Secure; HttpOnly; SameSite=Lax", "good")]


def test_observed_values_keep_no_secret():
    """Nonces, query strings and cookie values are not shown; control characters and long values
    neither.
    """
    value = (
        "script-src 'nonce-c2VjcmV0' https://r.example/x?key=c2VjcmV0; report-uri"
        f" /r?t=c2VjcmV0;{' a' * 400}"
    )
    policy, cookie = (
        rows(("Content-Security-Policy", value), header="Content-Security-Policy")[0].observed[0],
        rows(("Set-Cookie", "n\x01=c2VjcmV0; Path=/\x02"), header="Set-Cookie")[0].observed[0],
    )

    assert policy.startswith(
        "script-src 'nonce-...' https://r.example/x?...; report-uri /r?...; a a"
    )
    assert len(policy) < 320
    assert "c2VjcmV0" not in policy + cookie
    assert "\x01" not in cookie
    assert "\x02" not in cookie


def test_sentences_quote_no_secret():
    """A fault that quotes a source with a query tells it without; structured booleans stay as
    they are.
    """
    (row,) = rows(
        ("Content-Security-Policy", "script-src https://a.example/x?key=c2VjcmV0"),
        header="Content-Security-Policy",
    )
    (flag,) = rows(("Origin-Agent-Cluster", "?1"), header="Origin-Agent-Cluster")

    assert "c2VjcmV0" not in f"{row}"
    assert row.why == "Browsers ignore https://a.example/x?...: it is not a source expression."
    assert flag.observed == ("?1",)


@pytest.mark.parametrize(
    "text",
    [
        "off",
        "yes",
        "no-store, max-age=0",
        "'self'",
        "a: b",
        "#x",
        "",
        " x ",
        "{a}",
        "max-age=1; b",
        "12",
        "0x1",
        "1.5",
        "~",
        "*",
        "&a",
        "caf\xe9",
        "\x07",
        "=",
        "a\\b",
        '"q"',
        "null",
    ],
)
def test_a_scalar_reads_back_as_the_same_text(text):
    """Whatever the text, the YAML written for it means that text, and is ASCII."""
    written = Fix("r", {"value": text}).yaml

    assert {"r": {"value": text}} == load(written.encode(), "x").data
    assert written.isascii()
    assert text == load(f"x: {scalar(text)}".encode(), "x").data["x"]
