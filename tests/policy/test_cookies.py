"""Set-Cookie lines: what is read, what is reported, and that nothing but attributes is ever
changed.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.headers import cookies
from sidecar.policy.headers.cookies import Demands, apply, cookie_faults, parse

OCTETS = st.text(st.characters(max_codepoint=255), max_size=60)
PIECES = st.one_of(
    st.sampled_from(
        [
            "Secure",
            "secure",
            " HttpOnly",
            "SameSite=Lax",
            " samesite = NONE ",
            "SameSite",
            "Path=/",
            " path=/x",
            "Domain=a.com",
        ]
    ),
    st.sampled_from(
        [
            "Partitioned",
            "",
            " ",
            "Max-Age=1",
            "Expires=Wed, 21 Oct 2026 07:28:00 GMT",
            " Priority=High",
            "x=y",
        ]
    ),
    OCTETS,
)
LINES = st.one_of(
    st.builds(";".join, st.lists(PIECES, max_size=6)),
    st.builds(
        lambda name, value, pieces: ";".join([f"{name}={value}", *pieces]),
        st.sampled_from(["sid", "csrftoken", "__Host-a"]),
        OCTETS,
        st.lists(PIECES),
    ),
)
DEMANDS = st.builds(
    Demands,
    secure=st.sampled_from([None, True, False]),
    http_only=st.sampled_from([None, True, False]),
    same_site=st.sampled_from([None, "Strict", "Lax", "None"]),
    partitioned=st.sampled_from([None, True, False]),
    path=st.sampled_from([None, "/", "/app"]),
    host_only=st.booleans(),
    hide_csrf=st.booleans(),
)
SCHEMES = st.sampled_from(["http", "https"])


def test_a_line_is_read_as_browsers_read_it():
    """Names fold, white space goes, the value of the cookie is not kept."""
    cookie = parse('sid = "s3cret"; Path=/ ;HTTPONLY; SameSite = lax; odd=s3cret')

    assert cookie.name == "sid"
    assert cookie.attributes == (("path", "/"), ("httponly", ""), ("samesite", "lax"), ("", ""))
    assert "s3cret" not in repr(cookie)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("a=1; Path=/x; Path=/y", "/y"),
        ("a=1; Path=/x; Path=" + "y" * 1_025, "/x"),
        ("a=1", None),
        ("a=1; path", ""),
    ],
)
def test_the_last_attribute_that_counts_counts(line, expected):
    """Of repeats the last one holds, and those beyond 1,024 bytes do not exist."""
    assert expected == parse(line).get("path")


@pytest.mark.parametrize(
    ("line", "demands", "expected"),
    [
        (
            "sid=1",
            Demands(secure=True, http_only=True, same_site="Lax"),
            "sid=1; Secure; HttpOnly; SameSite=Lax",
        ),
        (
            "sid=1; secure; HTTPONLY; samesite=lax",
            Demands(secure=True, http_only=True, same_site="Lax"),
            "sid=1; secure; HTTPONLY; samesite=lax",
        ),
        ("sid=1;", Demands(secure=True), "sid=1; Secure"),
        ("sid=1; ", Demands(secure=True), "sid=1; Secure"),
        (
            "sid=1; SameSite=None; Path=/",
            Demands(same_site="Strict"),
            "sid=1; SameSite=Strict; Path=/",
        ),
        ("sid=1; SAMESITE = none", Demands(same_site="Lax"), "sid=1; SAMESITE =Lax"),
        ("sid=1; SameSite", Demands(same_site="Lax"), "sid=1; SameSite=Lax"),
        (
            "sid=1; SameSite=Lax; SameSite=None",
            Demands(same_site="Lax"),
            "sid=1; SameSite=Lax; SameSite=Lax",
        ),
        ("sid=1", Demands(same_site="None"), "sid=1; Secure; SameSite=None"),
        ("sid=1", Demands(partitioned=True), "sid=1; Secure; Partitioned"),
        ("sid=1", Demands(partitioned=True, secure=False), "sid=1; Secure; Partitioned"),
        (
            "sid=1; Secure; HttpOnly; Partitioned",
            Demands(secure=False, http_only=False, partitioned=False),
            "sid=1",
        ),
        (
            "__Host-a=1; Domain=a.com; Path=/x",
            Demands(secure=True, path="/", host_only=True),
            "__Host-a=1; Path=/; Secure",
        ),
        ("sid=1", Demands(path="/app"), "sid=1; Path=/app"),
        ("csrftoken=1", Demands(http_only=True), "csrftoken=1"),
        ("csrftoken=1", Demands(http_only=True, hide_csrf=True), "csrftoken=1; HttpOnly"),
        ("csrftoken=1; HttpOnly", Demands(http_only=False), "csrftoken=1"),
        (
            "a=1;Expires=Wed, 21 Oct 2026 07:28:00 GMT",
            Demands(secure=True),
            "a=1;Expires=Wed, 21 Oct 2026 07:28:00 GMT; Secure",
        ),
        ("sid=1", Demands(), "sid=1"),
        ("a\x00=1", Demands(secure=True), "a\x00=1"),
        ("", Demands(secure=True), ""),
        ("a=" + "x" * 5_000, Demands(secure=True), "a=" + "x" * 5_000),
        ("a=1;" + " " * 70_000, Demands(secure=True), "a=1;" + " " * 70_000),
    ],
)
def test_attributes_become_as_demanded(line, demands, expected):
    """Over https each demand is met where it can be, at the end of the line or in its place."""
    assert expected == apply(line, demands)


@pytest.mark.parametrize(
    ("line", "demands", "expected"),
    [
        (
            "sid=1",
            Demands(secure=True, http_only=True, same_site="Lax"),
            "sid=1; HttpOnly; SameSite=Lax",
        ),
        ("sid=1", Demands(same_site="None", partitioned=True), "sid=1"),
        ("sid=1; Secure; Partitioned", Demands(secure=False, partitioned=False), "sid=1"),
        ("sid=1; Secure", Demands(secure=False, partitioned=True), "sid=1"),
        ("sid=1; Secure", Demands(secure=True), "sid=1; Secure"),
    ],
)
def test_over_plain_http_nothing_is_written_that_loses_the_cookie(line, demands, expected):
    """Secure, and what needs it, stays away from responses over http."""
    assert expected == apply(line, demands, "http")


@given(LINES, DEMANDS, SCHEMES)
def test_an_edit_is_idempotent(line, demands, scheme):
    """Law: applying the same demands again changes nothing."""
    once = apply(line, demands, scheme)

    assert once == apply(once, demands, scheme)


@given(LINES, DEMANDS, SCHEMES)
def test_an_edit_leaves_name_and_value_untouched(line, demands, scheme):
    """Law: everything before the first semicolon, and every attribute not demanded, is byte for
    byte as it was.
    """
    edited = apply(line, demands, scheme)
    touched = {"secure", "httponly", "samesite", "partitioned", "path", "domain"}

    def rest(text: str) -> list[str]:
        return [
            piece
            for piece in text.split(";")[1:]
            if piece.partition("=")[0].strip(" \t").lower() not in touched and piece.strip(" \t")
        ]

    assert line.partition(";")[0] == edited.partition(";")[0]
    assert rest(line) == rest(edited)


@given(LINES, DEMANDS)
def test_an_edit_over_https_meets_the_demands(line, demands):
    """Law: after an edit the attributes that count are as demanded, unless browsers refuse the
    line anyway.
    """
    cookie = parse(apply(line, demands))
    if cookie.refused:
        return

    if demands.secure or demands.partitioned or demands.same_site == "None":
        assert cookie.get("secure") is not None
    if demands.same_site:
        assert cookie.get("samesite").lower() == demands.same_site.lower()
    if demands.path:
        assert cookie.get("path") == demands.path
    if demands.host_only:
        assert cookie.get("domain") is None


SOUND = "; Secure; HttpOnly; SameSite=Lax"


@pytest.mark.parametrize(
    ("line", "scheme", "expected"),
    [
        ("sid=1" + SOUND, "https", []),
        ("sid=1; HttpOnly; SameSite=Lax", "http", []),
        ("sid=1; HttpOnly; SameSite=Lax", "https", ["cookie-not-secure"]),
        ("sid=1; Secure; SameSite=Lax", "https", ["cookie-readable"]),
        ("XSRF-TOKEN=1; Secure; SameSite=Lax", "https", []),
        ("sid=1; Secure; HttpOnly", "https", ["cookie-no-samesite"]),
        ("sid=1; Secure; HttpOnly; SameSite=Relaxed", "https", ["cookie-bad-samesite"]),
        ("sid=1; HttpOnly; SameSite=None", "https", ["cookie-needs-secure", "cookie-not-secure"]),
        (
            "sid=1; HttpOnly; SameSite=Lax; Partitioned",
            "https",
            ["cookie-needs-secure", "cookie-not-secure"],
        ),
        ("sid=1" + SOUND, "http", ["cookie-secure-over-http"]),
        ("__Host-a=1; Path=/" + SOUND, "https", []),
        ("__Host-a=1; Path=/app" + SOUND, "https", ["cookie-prefix"]),
        ("__host-a=1; Path=/; Domain=a.com" + SOUND, "https", ["cookie-prefix"]),
        ("__Secure-a=1; HttpOnly; SameSite=Lax", "http", ["cookie-prefix"]),
        ("__Http-a=1; Secure; SameSite=Lax", "https", ["cookie-prefix", "cookie-readable"]),
        ("__Host-Http-a=1; Path=/" + SOUND, "https", []),
        ("sid=1; Secure" + SOUND, "https", ["cookie-repeated-attribute"]),
        ("sid=1; Http-Only" + SOUND, "https", ["cookie-unknown-attribute"]),
        ("justavalue" + SOUND, "https", ["cookie-nameless"]),
        ("=" + SOUND, "https", ["cookie-empty"]),
        ("sid=\x01" + SOUND, "https", ["cookie-control"]),
        ("sid=" + "x" * 5_000 + SOUND, "https", ["cookie-too-long"]),
    ],
)
def test_what_is_wrong_is_reported_by_kind(line, scheme, expected):
    """Each fault has its own kind, and a sound line has none."""
    assert expected == [fault.code for fault in cookie_faults(line, scheme)]


@given(LINES, SCHEMES)
def test_no_line_raises_and_no_value_is_reported(line, scheme):
    """Law: any bytes may come, and what is reported of them holds the name at most."""
    for fault in cookie_faults(f"sid=s3cret{line}", scheme):
        assert "s3cret" not in fault.text + fault.fix
    cookie_faults(line, scheme)


@pytest.mark.parametrize(
    "line",
    [
        "a=1" + "; Secure" * 25_000,
        ";" * 200_000,
        "=" * 200_000,
        "a=" + "x" * 200_000,
        "\x00" * 200_000,
        " " * 200_000,
    ],
)
def test_huge_lines_are_read(line):
    """200 kB of anything is judged and edited; work that grows with the square of the length
    would not end.
    """
    cookie_faults(line)
    apply(line, Demands(secure=True, same_site="Lax"))


@pytest.mark.parametrize(
    ("pattern", "name", "expected"),
    [
        ("sid", "sid", True),
        ("sid", "SID", False),
        ("sess*", "sessionid", True),
        ("sess*", "sess", True),
        ("sess*", "asess", False),
        ("*", "", True),
        ("*id", "sid", True),
        ("*id", "ids", False),
        ("a*b*c", "axxbyyc", True),
        ("a*b*c", "ac", False),
        ("a*a", "a", False),
        ("*sess*", "my_session", True),
        ("*sess*", "none", False),
        ("a**b", "ab", True),
        ("[s]*", "sid", False),
        ("s?d", "sid", False),
    ],
)
def test_a_pattern_matches_whole_names(pattern, name, expected):
    """Only * is special, and case counts."""
    assert expected == cookies.matches(pattern, name)


@pytest.mark.parametrize(
    "name",
    [
        "csrftoken",
        "XSRF-TOKEN",
        "csrf_access_token",
        "_xsrf",
        "X-CSRF-Token",
        "__Host-csrf",
        "__Secure-XSRF-TOKEN",
    ],
)
def test_well_known_csrf_cookies_are_readable(name):
    """The tokens that scripts copy into a request header stay readable, with a name prefix or
    without.
    """
    assert cookies.is_readable_csrf(name)


@pytest.mark.parametrize("name", ["sessionid", "sid", "not_csrf", "", "__Host-session"])
def test_other_cookies_are_not(name):
    """A session is no CSRF token."""
    assert not cookies.is_readable_csrf(name)
