"""The table of headers, and what is asked of a header by name: judge, collapse, merge."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.headers import (
    ALL,
    DISCLOSURE,
    MERGEABLE,
    collapse,
    get,
    header_faults,
    merge,
)

SHAPED = st.text(st.sampled_from("abAx1*,;= \t\"-'()?:/{}[]\x00\xe9\u20ac"), max_size=50)
VALUES = st.one_of(
    st.sampled_from([row.strong for row in ALL if row.strong]), SHAPED, st.text(max_size=60)
)
ROWS = st.sampled_from(ALL)
OSHP_13 = {
    "Cache-Control": "no-store, max-age=0",
    "Clear-Site-Data": '"cache","cookies","storage"',
    "Content-Security-Policy": (
        "default-src 'self'; form-action 'self'; base-uri 'self'; object-src 'none';"
        " frame-ancestors 'none'; upgrade-insecure-requests"
    ),
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=63072000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-DNS-Prefetch-Control": "off",
    "X-Frame-Options": "DENY",
    "X-Permitted-Cross-Domain-Policies": "none",
}


def kinds(name: str, value: str, scheme: str = "https") -> list[str]:
    """The kinds of fault of one value, in order."""
    return [fault.code for fault in header_faults(name, value, scheme)]


def test_a_header_is_found_whatever_its_case():
    """Names fold; what is not known is None."""
    assert get("strict-transport-SECURITY").name == "Strict-Transport-Security"
    assert get("X-Nonsense") is None


def test_names_stand_once():
    """No header has two rows."""
    assert len({row.key for row in ALL}) == len(ALL)


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_a_row_is_whole(row):
    """Every row has its texts and its specification, and what it refers to exists."""
    assert row.purpose.endswith(".")
    assert row.spec.startswith("https://")
    assert not row.breaks or row.breaks[-1] in ".)"
    assert all(why.endswith(".") for _, why in row.weak)
    if row.report_only:
        reporting = get(row.report_only)
        assert (reporting.name, reporting.grammar, reporting.scope) == (
            f"{row.name}-Report-Only",
            row.grammar,
            row.scope,
        )
    assert (row.group == "deprecated") <= row.deprecated
    assert row.single == (row.shape == "single")


@pytest.mark.parametrize("row", [row for row in ALL if row.strong], ids=lambda row: row.name)
def test_a_recommended_value_is_flawless(row):
    """What the table recommends, the table's own judge has nothing to say against."""
    assert header_faults(row.name, row.strong) == ()


@pytest.mark.parametrize(
    ("row", "value"), [(row, value) for row in ALL for value, _ in row.weak], ids=str
)
def test_a_weak_value_is_reported(row, value):
    """Every weak value of the table is reported, with the reason."""
    assert "header-weak-value" in kinds(row.name, value)


WRONG = {
    "Content-Security-Policy": ("default-src self", "write 'self'"),
    "Content-Security-Policy-Report-Only": ("defualt-src 'self'", "write default-src"),
    "Permissions-Policy": ("camera 'none'", "write geolocation=(self), camera=()"),
    "Permissions-Policy-Report-Only": ("camera=none", "write camera=(), camera=(self) or camera=*"),
    "Document-Policy": ("sync-xhr 'none'", "write it as name=word"),
    "Document-Policy-Report-Only": ("a=1; b=2, a=3", "write a once"),
    "Require-Document-Policy": ("sync-xhr: false", "write it as name=word"),
    "Integrity-Policy": (
        'blocked-destinations=("script")',
        "use blocked-destinations=(script style)",
    ),
    "Integrity-Policy-Report-Only": (
        "blocked-destinations=()",
        "write blocked-destinations=(script)",
    ),
    "Connection-Allowlist": ("https://api.example.com", "with addresses in double quotes"),
    "Connection-Allowlist-Report-Only": (
        "'self'",
        'write (response-origin "https://api.example.com/*")',
    ),
    "X-Content-Type-Options": ("no-sniff", "write one of: nosniff"),
    "Content-Type": ("html", "write type/subtype"),
    "Content-Disposition": ("attachement", "write attachment"),
    "Service-Worker-Allowed": ("/app/*", "write the beginning of the paths"),
    "Referrer-Policy": ("no-referer", "write no-referrer"),
    "X-DNS-Prefetch-Control": ("false", "write one of: off"),
    "Strict-Transport-Security": ("max-age=1y", "with seconds in digits"),
    "X-Frame-Options": ("ALLOW-FROM https://a.example", "write one of: deny, sameorigin"),
    "Cross-Origin-Opener-Policy": ("'same-origin'", "write one of: same-origin"),
    "Cross-Origin-Opener-Policy-Report-Only": ("same-site", "write one of: same-origin"),
    "Cross-Origin-Embedder-Policy": ("require-cors", "write one of: require-corp"),
    "Cross-Origin-Embedder-Policy-Report-Only": ("?1", "write one of: require-corp"),
    "Cross-Origin-Resource-Policy": ("Same-Origin", "write one of: same-origin"),
    "Origin-Agent-Cluster": ("true", "write ?1"),
    "Document-Isolation-Policy": ("isolate", "write one of: isolate-and-require-corp"),
    "Document-Isolation-Policy-Report-Only": ("isolate", "write one of: isolate-and-require-corp"),
    "X-Permitted-Cross-Domain-Policies": ("no", "write one of: none"),
    "Timing-Allow-Origin": ("a.example", "write origins as https://example.com"),
    "Access-Control-Allow-Origin": ("*.example.com", "write one origin as https://example.com"),
    "Access-Control-Allow-Credentials": ("TRUE", "write one of: true"),
    "Access-Control-Allow-Methods": ("GET POST", "write names separated by commas"),
    "Access-Control-Allow-Headers": (
        '"Content-Type"',
        "write names separated by commas, without quotes",
    ),
    "Access-Control-Expose-Headers": ("X-A; X-B", "write names separated by commas"),
    "Access-Control-Max-Age": ("10m", "write seconds in digits"),
    "Access-Control-Allow-Private-Network": ("yes", "write one of: true"),
    "Reporting-Endpoints": (
        'default="http://a.example/r"',
        'write default="https://example.com/reports"',
    ),
    "Report-To": ('{"group":"a","max_age":1,"endpoints":[]}', 'write "endpoints"'),
    "NEL": ('{"max_age":1}', 'write "report_to":"name" with a group of report-to'),
    "Set-Cookie": ("a=1; SameSite=None; HttpOnly", "add secure"),
    "Clear-Site-Data": ("cookies", 'write "cookies" in double quotes'),
    "WWW-Authenticate": ("Basic realm=my site", "with the realm in double quotes"),
    "Cache-Control": ("no-store; max-age=0", "separate directives by commas"),
    "Vary": ("Accept Encoding", "write names separated by commas"),
    "Expires": ("tomorrow", "write tue, 01 dec 2026"),
    "Pragma": ("no-cache", "use cache-control"),
    "Server": ("nginx/1.25", "remove server"),
    "X-Powered-By": ("PHP/8", "remove x-powered-by"),
    "X-Generator": ("Drupal", "remove x-generator"),
    "X-AspNet-Version": ("4.0", "remove x-aspnet-version"),
    "X-AspNetMvc-Version": ("5.2", "remove x-aspnetmvc-version"),
    "Via": ("1.1 proxy7.internal", "remove via"),
    "Server-Timing": ("db;dur=53", "remove server-timing"),
    "SourceMap": ("/app.js.map", "remove sourcemap"),
    "X-SourceMap": ("/app.js.map", "remove x-sourcemap"),
    "X-XSS-Protection": ("1; mode=block", "send 0"),
    "Expect-CT": ("max-age=86400, enforce", "remove it"),
    "Public-Key-Pins": ("max-age=1", "remove it"),
    "Public-Key-Pins-Report-Only": ("max-age=1", "remove it"),
    "Feature-Policy": ("camera 'none'", "use permissions-policy"),
    "X-Content-Security-Policy": ("default-src 'self'", "use content-security-policy"),
    "X-WebKit-CSP": ("default-src 'self'", "use content-security-policy"),
    "P3P": ('CP="x"', "remove it"),
    "X-Download-Options": ("noopen", "remove it"),
    "X-UA-Compatible": ("IE=edge", "remove it"),
}
"""Header -> a value that people get wrong, and what the fix must say."""


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_a_wrong_value_of_every_header_is_found_with_its_fix(row):
    """No row of the table lets everything pass, and the message says what to write or do."""
    value, fix = WRONG[row.name]

    assert any(fix in fault.fix.lower() for fault in header_faults(row.name, value))


@pytest.mark.parametrize(
    ("row", "value"), [(row, value) for row in ALL for value in row.tokens], ids=str
)
def test_a_known_value_is_valid(row, value):
    """No value that browsers recognise is called invalid."""
    assert all(fault.verdict == "weak" for fault in header_faults(row.name, value))


def test_the_owasp_headers_have_their_values():
    """The thirteen headers of the OWASP project stand in the table, with a recommended value
    each.
    """
    assert {name: get(name).strong for name in OSHP_13} == OSHP_13


def test_the_owasp_names_to_remove_are_known():
    """87 names of OWASP's list, and the one that Kubernetes really sends; all lower case, all
    reported.
    """
    assert len(DISCLOSURE) == 88
    assert all(name == name.lower() for name in DISCLOSURE)
    assert all("header-discloses" in kinds(name.upper(), "x") for name in DISCLOSURE)
    assert {row.key for row in ALL if row.group == "disclosure"} - DISCLOSURE == {
        "via",
        "server-timing",
    }


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("Content-Security-Policy", "policies"),
        ("Set-Cookie", "lines"),
        ("Permissions-Policy", "dictionary"),
        ("Reporting-Endpoints", "dictionary"),
        ("Vary", "list"),
        ("Referrer-Policy", "list"),
        ("X-Frame-Options", "single"),
    ],
)
def test_the_shape_tells_what_copies_are_together(name, shape):
    """A shape follows from how copies combine and from the grammar."""
    assert get(name).shape == shape


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("X-Content-Type-Options", "NoSniff", []),
        ("X-Content-Type-Options", "nosniff, nosniff", []),
        ("X-Content-Type-Options", "sniff, nosniff", ["header-invalid-value"]),
        ("X-Frame-Options", " sameorigin ", []),
        ("X-Frame-Options", "ALLOW-FROM https://a.com", ["header-invalid-value"]),
        ("X-Frame-Options", "DENY, SAMEORIGIN", ["header-invalid-value"]),
        ("Cross-Origin-Opener-Policy", 'same-origin; report-to="coop"', []),
        ("Cross-Origin-Opener-Policy", "Same-Origin", ["header-invalid-value"]),
        ("Cross-Origin-Opener-Policy", "same-origin, same-origin", ["header-invalid-value"]),
        ("Cross-Origin-Opener-Policy", 'unsafe-none; report-to="coop"', ["header-weak-value"]),
        ("Cross-Origin-Resource-Policy", "Same-Origin", ["header-invalid-value"]),
        ("Origin-Agent-Cluster", "?1", []),
        ("Origin-Agent-Cluster", "1", ["header-not-a-boolean"]),
        ("Origin-Agent-Cluster", "", ["header-not-a-boolean"]),
        ("Access-Control-Allow-Origin", "*", []),
        ("Access-Control-Allow-Origin", "https://a.com:8443", []),
        ("Access-Control-Allow-Origin", "https://a.com/", ["header-not-an-origin"]),
        ("Access-Control-Allow-Origin", "https://a.com, https://b.com", ["header-not-an-origin"]),
        ("Access-Control-Allow-Origin", "null", ["header-weak-value"]),
        ("Access-Control-Allow-Credentials", "True", ["header-invalid-value"]),
        ("Access-Control-Allow-Headers", "X-A, X B", ["list-not-a-name"]),
        ("Access-Control-Max-Age", "600", []),
        ("Access-Control-Max-Age", "10m", ["header-not-a-number"]),
        ("Timing-Allow-Origin", "https://a.com", []),
        ("NEL", '{"report_to": "x", "max_age": 1}', []),
        (
            "Report-To",
            '{"max_age": 0}, {"max_age": 1, "endpoints": [{"url": "https://a.com"}]}',
            ["header-deprecated"],
        ),
        (
            "Report-To",
            '{"group": "x"}',
            ["reporting-no-max-age", "report-to-no-endpoints", "header-deprecated"],
        ),
        ("NEL", '{"report-to": "x", "max_age": "1"}', ["nel-no-group", "reporting-no-max-age"]),
        ("NEL", '{"max_age": 0}', []),
        ("NEL", "[1]", ["header-not-json"]),
        ("Content-Type", 'text/html; charset="utf-8"; a=b;', []),
        ("Content-Type", "text/html, charset=utf-8", ["value-not-a-media-type"]),
        ("Content-Type", "text/html; a" + " ;" * 20_000 + "@", ["value-not-a-media-type"]),
        ("Content-Disposition", "attachment; filename*=UTF-8''a%20b.pdf", []),
        ("Content-Disposition", "attachment; filename=my report.pdf", ["value-not-a-disposition"]),
        ("Content-Disposition", "save", []),
        ("Expires", "0", []),
        ("Expires", "Sunday, 06-Nov-94 08:49:37 GMT", []),
        ("Expires", "Sun Nov  6 08:49:37 1994", []),
        ("Expires", "2026-12-01", ["value-not-a-date"]),
        ("Service-Worker-Allowed", "https://a.com/app/", []),
        ("Expires", "Tue, 01 Dec 2026 12:00:00 GMT", []),
        ("WWW-Authenticate", 'Basic realm="a, b", Bearer', []),
        ("WWW-Authenticate", "Negotiate oRQwEqADCgEA==", []),
        ("WWW-Authenticate", "Basic a" + ", b c=d" * 10_000 + " @", ["value-not-a-challenge"]),
        ("Service-Worker-Allowed", "/app/", []),
        ("Service-Worker-Allowed", "/app/*", ["value-not-a-path"]),
        ("Timing-Allow-Origin", "https://a.com, b.com, *", ["value-not-origins"]),
        ("Connection-Allowlist", '(response-origin "https://a.com/*")', []),
        ("Cache-Control", "nostore, Max_Age=1, private", ["cache-misspelt"] * 2),
        ("Cache-Control", "max-age, s-maxage=1h", ["cache-no-seconds"] * 2),
        ("X-Frame-Options", "X-Frame-Options: DENY", ["header-name-in-value"]),
        ("NEL", "{", ["header-not-json"]),
        ("NEL", "[" * 60_000, ["header-not-json"]),
        ("Strict-Transport-Security", "max-age=300", ["hsts-short"]),
        ("Referrer-Policy", "unsafe-url", ["referrer-unsafe"]),
        ("Content-Security-Policy-Report-Only", "default-src self", ["csp-unquoted"]),
        ("Permissions-Policy", "camera 'none'", ["pp-old-syntax"]),
        ("Reporting-Endpoints", 'a="http://a.com"', ["reporting-bad-endpoint"]),
        ("Integrity-Policy", "sources=(inline)", ["integrity-no-destinations"]),
        ("Document-Policy", "a=", ["sf-bad-syntax"]),
        ("Cache-Control", "no-store, public", ["cache-conflict"]),
        ("Vary", "Accept Cookie", ["list-not-a-name"]),
        ("Clear-Site-Data", "cookies", ["site-data-unquoted"]),
        ("Server", "nginx/1.22", ["header-discloses"]),
        ("X-Varnish-Server", "cache-1", ["header-discloses"]),
        ("X-XSS-Protection", "0", []),
        ("X-XSS-Protection", "1; mode=block", ["header-weak-value", "header-deprecated"]),
        ("Feature-Policy", "camera 'none'", ["header-deprecated"]),
        ("X-Nonsense", "x", []),
    ],
)
def test_a_value_is_judged_by_its_headers_grammar(name, value, expected):
    """Each header has its own grammar, and what is wrong has its own kind."""
    assert expected == kinds(name, value)


def test_a_cookie_is_judged_by_the_scheme():
    """What is missing over https may be right over http."""
    line = "sid=1; HttpOnly; SameSite=Lax"

    assert kinds("Set-Cookie", line) == ["cookie-not-secure"]
    assert kinds("Set-Cookie", line, "http") == []


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("Strict-Transport-Security", ["max-age=1", "max-age=2"], "max-age=1"),
        ("X-Content-Type-Options", ["nosniff", "nosniff"], "nosniff"),
        ("X-Frame-Options", ["DENY", "DENY"], "DENY"),
        ("X-Frame-Options", ["Deny", "DENY "], "Deny"),
        ("X-Frame-Options", ["SAMEORIGIN", "deny"], "deny"),
        ("X-Frame-Options", ["SAMEORIGIN", "ALLOW-FROM a"], "DENY"),
        ("X-Frame-Options", ["SAMEORIGIN, SAMEORIGIN", "sameorigin"], "SAMEORIGIN"),
        ("X-Frame-Options", ["ALLOW-FROM a", "ALLOW-FROM b"], None),
        ("Cross-Origin-Opener-Policy", ["unsafe-none", "same-origin"], "same-origin"),
        (
            "Cross-Origin-Opener-Policy",
            ['same-origin; report-to="a"', "same-origin"],
            'same-origin; report-to="a"',
        ),
        ("Cross-Origin-Embedder-Policy", ["nonsense", "credentialless"], "credentialless"),
        ("Cross-Origin-Resource-Policy", ["cross-origin", "same-site"], "same-site"),
        ("Cross-Origin-Resource-Policy", ["a", "b"], None),
        ("Access-Control-Allow-Origin", ["https://a.com", "https://b.com"], None),
        ("Access-Control-Allow-Origin", ["https://a.com", "https://a.com"], "https://a.com"),
        ("Server", ["uvicorn", "gunicorn"], "uvicorn"),
        ("Content-Security-Policy", ["img-src a", "img-src b"], None),
        ("Set-Cookie", ["a=1", "a=1"], None),
        ("Vary", ["a", "a"], None),
        ("X-Nonsense", ["a", "a"], None),
        ("X-Frame-Options", [], None),
    ],
)
def test_copies_collapse_by_the_headers_own_rule(name, values, expected):
    """Once-only headers keep one copy and never get weaker; headers that may repeat are left
    alone.
    """
    assert expected == collapse(name, values)


@pytest.mark.parametrize(
    ("name", "app", "ours", "expected"),
    [
        (
            "Content-Security-Policy",
            "default-src 'self'",
            "frame-ancestors 'none'",
            "default-src 'self'; frame-ancestors 'none'",
        ),
        ("Content-Security-Policy-Report-Only", "", "default-src 'self'", "default-src 'self'"),
        ("Permissions-Policy", "camera=*, usb=()", "camera=(self)", "camera=(self), usb=()"),
        ("Reporting-Endpoints", 'a="/x"', 'a="/y", b="/z"', 'a="/y", b="/z"'),
        (
            "Integrity-Policy",
            "blocked-destinations=(script)",
            "blocked-destinations=(style)",
            "blocked-destinations=(script style)",
        ),
        ("Document-Policy", "js-profiling", "js-profiling=?0", "js-profiling=?0"),
        ("Cache-Control", "public, max-age=60", "no-store", "no-store"),
        ("Vary", "Accept", "Cookie", "Accept, Cookie"),
        ("Clear-Site-Data", '"cache"', '"cookies"', '"cache", "cookies"'),
    ],
)
def test_values_merge_by_the_headers_grammar(name, app, ours, expected):
    """A string is never glued to a string: the parts of the two find one another."""
    assert expected == merge(name, app, ours)


@pytest.mark.parametrize(
    ("name", "app", "ours", "expected"),
    [
        ("Content-Security-Policy", "img-src 'self'", "img-src a.com", "img-src 'self' a.com"),
        ("permissions-policy", "camera=()", "camera=(self)", "camera=(self)"),
        ("Cache-Control", "no-store", "public", "public"),
    ],
)
def test_a_merge_widens_with_leave(name, app, ours, expected):
    """With leave, ours may allow more than the service did."""
    assert expected == merge(name, app, ours, widen=True)


@pytest.mark.parametrize(
    "name",
    [
        "X-Frame-Options",
        "Strict-Transport-Security",
        "Set-Cookie",
        "X-Content-Security-Policy",
        "X-Nonsense",
    ],
)
def test_what_has_no_rule_is_not_merged(name):
    """The refusal names the header and the fix, and the set of names agrees."""
    assert name.lower() not in MERGEABLE
    with pytest.raises(ValueError, match=f"{name} cannot be merged; use set"):
        merge(name, "a", "b")


@given(ROWS, VALUES, st.lists(VALUES, max_size=4))
def test_no_value_raises(row, value, values):
    """Law: any text of any header can be judged and collapsed, and what is reported is
    printable.
    """
    for fault in header_faults(row.name, value):
        assert (fault.text + fault.fix).isprintable()
        assert (fault.text + fault.fix).isascii()
    collapse(row.name, values)


@given(st.sampled_from(sorted(MERGEABLE)), VALUES, VALUES, st.booleans())
def test_a_merge_is_idempotent(name, app, ours, widen):
    """Law: for every mergeable header, merging the same again changes nothing, and with itself a
    text stays.
    """
    once = merge(name, app, ours, widen=widen)

    assert once == merge(name, once, ours, widen=widen)
    assert app == merge(name, app, app, widen=widen)


@given(ROWS, st.lists(VALUES, min_size=2, max_size=4))
def test_a_collapse_is_one_of_the_copies_or_the_strongest(row, values):
    """Law: a collapse never makes a value up, but for the one that blocks."""
    made = collapse(row.name, values)

    parts = {part.strip(" \t") for value in values for part in (value, *value.split(","))}
    assert made is None or made in parts or made == row.strong


@pytest.mark.parametrize("row", ALL, ids=lambda row: row.name)
def test_huge_values_are_read(row):
    """200 kB of anything is judged, collapsed and merged, whatever the header; work that grows
    with the square of the length would not end.
    """
    for part in ("a", ",", ";", '"', "(", "a=1,", "\x00"):
        value = part * (200_000 // len(part))
        header_faults(row.name, value)
        collapse(row.name, [value, row.strong])
        if row.key in MERGEABLE:
            merge(row.name, value, row.strong)
