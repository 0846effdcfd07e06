"""What of a response may be written down."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.headers.shapes import (
    MAX_LINES,
    MAX_VALUE,
    OTHER,
    content_class,
    cookie,
    display_name,
    host,
    path,
    shape,
    shapes,
)

SECRET = "Hq7w9ZtK3vXb2LmN8pRs"


@pytest.mark.parametrize(
    ("header", "value", "data"),
    [
        ("x-frame-options", "DENY", "DENY"),
        (
            "content-security-policy",
            f"script-src 'nonce-{SECRET}' 'sha256-abc='",
            "script-src 'nonce-...' 'sha256-abc='",
        ),
        (
            "content-security-policy",
            f"report-uri https://u:{SECRET}@r.example/x?key={SECRET}; img-src *",
            "report-uri https://...@r.example/x?...; img-src *",
        ),
        (
            "www-authenticate",
            f'Digest realm="shop", nonce="{SECRET}", opaque={SECRET}',
            'Digest realm="shop", nonce="...", opaque="..."',
        ),
        ("www-authenticate", f"Negotiate {SECRET}", "Negotiate ..."),
        ("access-control-allow-origin", "https://a.example", "https://a.example"),
        ("expires", "Sun, 22 Nov 2026 13:00:00 GMT", "<date>"),
        ("expires", "0", "0"),
        ("server", "uvicorn", "uvicorn"),
        ("x-datadog-trace-id", "1234567890123456", "..."),
        ("server-timing", "db;dur=53.2", "<token>"),
        ("content-type", "Text/HTML; Charset=UTF-8", "Text/HTML; charset=UTF-8"),
        ("content-type", f"multipart/mixed; boundary={SECRET}", "multipart/mixed"),
        ("date", "Sunday, 06-Nov-94 08:49:37 GMT", "<date>"),
        ("last-modified", "Sun Nov  6 08:49:37 1994", "<date>"),
        ("etag", f'W/"{SECRET}"', "<quoted>"),
        ("etag", f'"{SECRET}"', "<quoted>"),
        ("content-length", "12345", "<token>"),
        ("x-request-id", SECRET, "<token>"),
        ("x-note", "some text", "<text>"),
        ("x-note", "", "<empty>"),
        ("location", f"/reset/{SECRET}", "<path>"),
        ("location", f"HTTPS://shop.example/{SECRET}", "<https url>"),
        ("location", "http://shop.example/", "<http url>"),
        (
            "set-cookie",
            f"id={SECRET}; path=/; SECURE; max-age=60; expires=Sun, 22 Nov 2026 13:00:00 GMT",
            "id=...; Path=/; Secure; Max-Age=60; Expires=<date>",
        ),
        ("x-frame-options", "\x00DENY\xe9", "\\x00DENY\\xe9"),
    ],
)
def test_a_value_shows_as_intent_or_as_a_form(header: str, value: str, data: str) -> None:
    """Policies are reported as they stand, what changes or is secret is masked, all else is a
    form.
    """
    assert shape(header, value) == data


WRAPS = (
    ("set-cookie", "sid={}; Path=/"),
    ("set-cookie", "sid=a{}; HttpOnly"),
    ("content-security-policy", "default-src 'self'; script-src 'nonce-{}'"),
    ("reporting-endpoints", 'main="https://r.example/c?k={}"'),
    ("nel", '{{"report_to": "https://u:{}@r.example"}}'),
    ("www-authenticate", 'Digest nonce="{}"'),
    ("content-type", "multipart/form-data; boundary={}"),
    ("location", "https://shop.example/reset?token={}"),
    ("authorization", "Bearer {}"),
    ("x-auth-token", "{}"),
    ("etag", '"{}"'),
    ("x-kong-request-id", "{}"),
)


@given(
    st.sampled_from(WRAPS),
    st.text("0123456789abcdefABCDEF", min_size=16, max_size=32).filter(
        lambda text: any(char.isdigit() for char in text)
    ),
)
def test_secrets_never_show(wrap: tuple[str, str], secret: str) -> None:
    """Cookie values, nonces, tokens, queries, users and ids never come through."""
    header, form = wrap

    assert secret not in shape(header, form.format(secret))


@given(st.text(max_size=40), st.text(max_size=200))
def test_any_text_has_a_shape(header: str, value: str) -> None:
    """No value raises, and every shape is visible ASCII of bounded length."""
    data = shapes(header.lower(), [value.encode("utf-8")])[0]

    assert all(char == "\t" or " " <= char <= "~" for char in data)
    assert len(data) <= MAX_VALUE + 4


@given(
    st.sampled_from([header for header, _ in WRAPS] + ["server", "vary", "expires", "x-note"]),
    st.text(st.characters(max_codepoint=255), max_size=60),
)
def test_the_shape_of_a_shape_is_the_same(header: str, value: str) -> None:
    """What was written down may be shaped again without change."""
    assert shape(header, shape(header, value)) == shape(header, value)


def test_lines_beyond_the_cap_are_one() -> None:
    """A header with very many lines keeps the first ones."""
    data = shapes("vary", [b"a"] * 100)

    assert data == ("a",) * MAX_LINES + OTHER


@pytest.mark.parametrize(
    ("media", "found"),
    [
        ("text/html; charset=utf-8", "html"),
        ("application/xhtml+xml", "html"),
        ("Application/JSON", "api"),
        ("application/problem+json", "api"),
        ("text/javascript", "script"),
        ("text/css", "style"),
        ("image/svg+xml", "image"),
        ("font/woff2", "font"),
        ("application/pdf", "other"),
        ("", "none"),
    ],
)
def test_responses_have_classes(media: str, found: str) -> None:
    """The class follows from the media type."""
    assert content_class(media) == found


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("/", "/"),
        ("/api/v1/getItems", "/api/v1/getItems"),
        ("/static/app.css", "/static/app.css"),
        ("/page-2/404.html", "/page-2/404.html"),
        ("/users/4711/orders", "/users/.../orders"),
        (f"/reset/{SECRET}", "/reset/..."),
        ("/invite/kXj3Ab9Q", "/invite/..."),
        ("/u/jane@shop.example", "/u/..."),
        ("/a/%2e%2e/b", "/a/.../b"),
        ("/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "/..."),
    ],
)
def test_paths_lose_what_looks_like_an_id(sent: str, kept: str) -> None:
    """Words stay, so that routes match as before; everything else is blotted out."""
    assert path(sent) == kept


def test_cookies_keep_name_and_attributes() -> None:
    """The value is dropped, unknown attributes may be pieces of it, a random part of the name
    goes too.
    """
    assert cookie(f"wp_{'a1' * 16}={SECRET}; a;{SECRET}; SameSite=Lax") == ("...", "SameSite=Lax")
    assert cookie("csrftoken=x; Path=/") == ("csrftoken", "Path=/")


def test_names_are_spelled_one_way() -> None:
    """The table's spelling, whatever the wire says."""
    assert [display_name(name) for name in ("x-xss-protection", "ETAG".lower(), "x-own-thing")] == [
        "X-XSS-Protection",
        "ETag",
        "X-Own-Thing",
    ]
    assert [host(name) for name in ("Shop.Example:80", "a b")] == ["shop.example:80", "unknown"]
