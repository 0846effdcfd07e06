"""Whether one value protects less than another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy import headers
from sidecar.policy.headers.strength import grants, is_protective, weaker, weaker_cookie
from sidecar.policy.headers.table import ALL

CASES = (
    (
        "Content-Security-Policy",
        "default-src 'self'",
        "default-src 'self' https://cdn.example",
        "default-src allows more",
    ),
    (
        "Content-Security-Policy",
        "default-src 'self'; object-src 'none'",
        "default-src 'self'",
        "object-src allows more",
    ),
    (
        "Content-Security-Policy",
        "upgrade-insecure-requests; img-src *",
        "img-src *",
        "upgrade-insecure-requests is no longer set",
    ),
    ("Content-Security-Policy", "default-src *", "default-src 'self'", ""),
    (
        "Content-Security-Policy",
        "default-src 'self'; report-uri /a",
        "default-src 'self'; report-uri /b",
        "",
    ),
    (
        "Content-Security-Policy",
        "script-src 'nonce-...'",
        "script-src 'nonce-...'; object-src 'none'",
        "",
    ),
    (
        "Content-Security-Policy",
        "script-src 'nonce-...'",
        "script-src 'nonce-...' 'unsafe-eval'",
        "script-src allows more",
    ),
    ("Content-Security-Policy-Report-Only", "default-src 'none'", "default-src *", ""),
    ("Strict-Transport-Security", "max-age=63072000", "max-age=300", "max-age is shorter"),
    (
        "Strict-Transport-Security",
        "max-age=300; includeSubDomains",
        "max-age=300",
        "includeSubDomains is gone",
    ),
    ("Strict-Transport-Security", "max-age=300", "max-age=600", ""),
    ("Strict-Transport-Security", "max-age=600", "never", "max-age is shorter"),
    ("Referrer-Policy", "no-referrer", "unsafe-url", "it tells other sites more"),
    ("Referrer-Policy", "origin", "same-origin", ""),
    ("X-Frame-Options", "DENY", "SAMEORIGIN", "SAMEORIGIN protects less than DENY"),
    ("X-Frame-Options", "SAMEORIGIN", "deny", ""),
    ("X-Content-Type-Options", "nosniff", "sniff", "sniff protects less than nosniff"),
    ("Cross-Origin-Opener-Policy", "same-origin", 'same-origin; report-to="a"', ""),
    (
        "Cross-Origin-Opener-Policy",
        "same-origin",
        "unsafe-none",
        "unsafe-none protects less than same-origin",
    ),
    ("Permissions-Policy", "camera=()", "camera=*", "it allows more features or origins"),
    ("Permissions-Policy", "camera=(self)", "camera=()", ""),
    ("Cache-Control", "no-store", "max-age=60", "caches may keep more, or for longer"),
    ("Cache-Control", "max-age=60", "max-age=600", ""),
    ("Clear-Site-Data", '"cache", "cookies"', '"cache"', "it asks for less than before"),
    ("Vary", "Cookie, Origin", "Origin", "it asks for less than before"),
    ("Access-Control-Allow-Origin", "https://a.example", "*", "it gives leave to *"),
    ("Access-Control-Allow-Origin", "*", "https://a.example", ""),
    ("Access-Control-Allow-Methods", "GET", "GET, DELETE", "it gives leave to delete"),
    (
        "Timing-Allow-Origin",
        "https://a.example",
        "https://a.example, https://b.example",
        "it gives leave to https://b.example",
    ),
    ("Access-Control-Max-Age", "600", "7200", ""),
    ("Origin-Agent-Cluster", "?1", "?0", "?0 protects less than ?1"),
    ("Origin-Agent-Cluster", "?0", "yes", "Browsers ignore the value yes."),
    ("X-XSS-Protection", "0", "1; mode=block", "1; mode=block protects less than 0"),
    ("X-Unknown", "a", "b", ""),
    ("Server", "a", "b/1.2", ""),
)


@pytest.mark.parametrize(("name", "before", "after", "why"), CASES)
def test_a_weaker_value_is_known_by_its_effect(
    name: str, before: str, after: str, why: str
) -> None:
    """Each grammar tells what is allowed now that was not; other changes are no loss."""
    assert weaker(name, (before,), (after,)) == why


def test_a_second_copy_may_void_a_header() -> None:
    """Where browsers ignore a list, a duplicate is a loss; where the first counts, it is none."""
    assert weaker("Cross-Origin-Opener-Policy", ("same-origin",), ("same-origin", "same-origin"))
    assert not weaker("X-Frame-Options", ("DENY",), ("DENY", "SAMEORIGIN"))
    assert not weaker("Strict-Transport-Security", ("max-age=600",), ("max-age=600", "max-age=1"))
    assert not weaker("Content-Security-Policy", ("img-src *",), ("img-src *", "img-src 'none'"))


@given(st.sampled_from(ALL), st.text(max_size=60), st.text(max_size=60))
def test_nothing_is_weaker_than_itself(row: headers.Header, one: str, other: str) -> None:
    """Equal lines never count as weaker, and no text raises."""
    assert weaker(row.name, (one,), (one,)) == ""
    assert isinstance(weaker(row.name, (one,), (other, one)), str)


_sources = st.lists(
    st.sampled_from(("'self'", "https://a.example", "https:", "data:", "'unsafe-inline'", "*")),
    min_size=1,
    max_size=3,
    unique=True,
)
_policies = st.dictionaries(
    st.sampled_from(("default-src", "script-src", "img-src", "object-src")), _sources, min_size=1
).map(
    lambda directives: "; ".join(
        f"{name} {' '.join(sources)}" for name, sources in directives.items()
    )
)


@given(_policies, _policies)
def test_a_merge_is_never_weaker(one: str, other: str) -> None:
    """The merge of two policies without leave protects at least as much as the first."""
    assert not weaker(
        "Content-Security-Policy", (one,), (headers.merge("Content-Security-Policy", one, other),)
    )


@pytest.mark.parametrize(
    ("before", "after", "why"),
    [
        ("Path=/; Secure; HttpOnly", "Path=/; HttpOnly", "Secure is gone"),
        ("HttpOnly", "", "HttpOnly is gone"),
        ("SameSite=Strict", "SameSite=Lax", "SameSite is weaker"),
        ("SameSite=Lax", "", "SameSite is weaker"),
        ("", "SameSite=None; Secure", "SameSite is weaker"),
        ("", "SameSite=Lax", ""),
        ("Path=/", "Path=/; Domain=shop.example", "it reaches more hosts"),
        ("Domain=a.example", "Domain=b.example", "it goes to other hosts"),
        ("Path=/; Max-Age=60", "Path=/app; Max-Age=600", ""),
    ],
)
def test_cookies_are_weaker_by_their_attributes(before: str, after: str, why: str) -> None:
    """What scripts, plain HTTP or other sites may now do with a cookie that they could not."""
    assert weaker_cookie(before, after) == why


def test_headers_have_a_direction() -> None:
    """Some protect by standing there, some by their absence."""
    assert [
        is_protective(name)
        for name in ("Content-Security-Policy", "Server", "X-XSS-Protection", "NEL", "X-Own")
    ] == [True, False, False, False, False]
    assert [
        grants(name)
        for name in ("Access-Control-Allow-Origin", "Timing-Allow-Origin", "X-Frame-Options")
    ] == [True, True, False]
