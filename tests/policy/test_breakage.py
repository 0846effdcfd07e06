"""Breakage tests: what a rule would have broken, read from Fetch Metadata."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from sidecar.policy.browsers.cookie_breakage import CookieTest
from sidecar.policy.rules.fetch import Fetch
from tests.policy.making import facts, plan

AGENT = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
    b" Safari/537.36"
)
DENY = {"header": "X-Frame-Options", "action": "set", "value": "DENY"}
SAME = DENY | {"value": "SAMEORIGIN"}
ANCESTORS = {
    "header": "Content-Security-Policy",
    "action": "set",
    "value": "frame-ancestors 'self'",
}
CORP = {"header": "Cross-Origin-Resource-Policy", "action": "set", "value": "same-site"}
NOSNIFF = {"header": "X-Content-Type-Options", "action": "set", "value": "nosniff"}
LAX = {"cookie": "s*", "attributes": {"SameSite": "Lax"}}
STRICT = {"cookie": "s*", "attributes": {"SameSite": "Strict"}}
SECURE = {"cookie": "s[id]?", "attributes": {"Secure": True}}


def outcome(
    rule: dict[str, Any],
    sent: str,
    *fields: tuple[bytes, bytes],
    also: Sequence[tuple[bytes, bytes]] = (),
    **more: Any,
) -> str:
    """What the rule's breakage test says of a request; `sent` is `site mode dest cookie`, - for
    what is not sent; `also` are other lines of it.
    """
    names = (b"Sec-Fetch-Site", b"sec-fetch-mode", b"SEC-FETCH-DEST", b"Cookie")
    request = [
        (name, value.replace("_", " ").encode())
        for name, value in zip(names, sent.split(), strict=False)
        if value != "-"
    ]
    request += also
    situation = facts(
        *fields, request=[(b"User-Agent", AGENT), (b"Length6-is-14ch", b"x"), *request], **more
    )
    breakage_test = plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test
    return breakage_test(situation, Fetch(situation))


@pytest.mark.parametrize(
    ("rule", "sent", "expected"),
    [
        (DENY, "cross-site navigate iframe", "break"),
        (DENY, "same-origin navigate frame", "break"),
        (DENY, "none navigate document", "safe"),
        (DENY, "- - iframe", "unknown"),
        (DENY, "cross-site", "unknown"),
        (SAME, "same-origin navigate iframe", "safe"),
        (SAME, "same-site navigate embed", "break"),
        (ANCESTORS, "cross-site navigate object", "break"),
        (ANCESTORS, "same-origin navigate iframe", "safe"),
        (CORP, "cross-site no-cors image", "break"),
        (CORP, "same-site no-cors image", "safe"),
        (CORP | {"value": "same-origin"}, "same-site no-cors image", "break"),
        (CORP, "cross-site cors empty", "safe"),
        (CORP, "cross-site no-cors empty", "open"),
        (CORP, "-", "unknown"),
        (LAX, "cross-site navigate document sid=1", "safe"),
        (LAX, "cross-site cors empty sid=1", "break"),
        (LAX, "cross-site cors empty other=1", "safe"),
        (LAX, "same-site cors empty sid=1", "safe"),
        (LAX, "- - - a=1;_sid=1", "unknown"),
        (LAX, "cross-site cors empty", "safe"),
        (STRICT, "cross-site navigate document sid=1", "break"),
        (SECURE, "cross-site cors empty s[id]?=1", "safe"),
    ],
)
def test_a_browser_tells_what_would_have_broken(rule: dict[str, Any], sent: str, expected: str):
    """What is not sent is unknown, never safe: over http browsers say nothing."""
    scheme = "http" if expected == "unknown" else "https"
    assert outcome(rule, sent, scheme=scheme) == expected


@pytest.mark.parametrize(
    ("agent", "scheme", "expected"),
    [
        (AGENT, "https", "irrelevant"),
        (AGENT, "http", "unknown"),
        (AGENT.replace(b"Chrome/156", b"Chrome/79"), "https", "unknown"),
        (
            b"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0",
            "https",
            "irrelevant",
        ),
    ],
)
def test_who_only_calls_itself_a_browser(agent: bytes, scheme: str, expected: str):
    """Over https every browser of today sends Fetch Metadata; who does not is a program."""
    situation = facts(request=[(b"User-Agent", agent)], scheme=scheme)
    breakage_test = plan({"it": DENY}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test
    assert breakage_test(situation, Fetch(situation)) == expected


@pytest.mark.parametrize(
    ("dest", "media", "status", "expected"),
    [
        ("script", b"text/javascript; charset=utf-8", 200, "safe"),
        ("worker", b"text/plain", 200, "break"),
        ("style", b"TEXT/CSS", 200, "safe"),
        ("style", None, 200, "break"),
        ("style", b"text/plain", 200, "safe"),
        ("script", b"text/plain", 404, "safe"),
        ("image", b"text/plain", 200, "break"),
        ("audio", b"text/plain", 200, "break"),
        ("video", b"video/mp4", 200, "safe"),
        ("image", b"image/png", 200, "safe"),
        ("document", None, 200, "break"),
        ("document", b"text/html", 200, "safe"),
        ("document", b"html", 200, "break"),
        ("iframe", b"unknown/unknown", 200, "break"),
        ("document", None, 404, "break"),
        ("document", None, 302, "safe"),
        ("document", None, 204, "safe"),
        ("script", b"text/javascript1.5", 200, "safe"),
        ("script", b"text/livescript", 200, "safe"),
        ("-", b"text/plain", 200, "irrelevant"),
    ],
)
def test_nosniff_breaks_what_was_sniffed_before(
    dest: str, media: bytes | None, status: int, expected: str
):
    """Fetch section 3.6 and ORB: scripts and styles by their type, pages without one, images of
    other origins with a page's type.
    """
    fields = [(b"X-A", b"1")] + ([(b"Content-type", media)] if media else [])

    assert outcome(NOSNIFF, f"cross-site no-cors {dest}", *fields, status=status) == expected


def test_a_style_sheet_of_another_type_may_be_in_use():
    """Of the page's own origin it is taken in quirks mode, which requests do not tell."""
    assert outcome(NOSNIFF, "same-origin no-cors style", (b"Content-Type", b"text/plain")) == "open"


def test_a_module_and_a_script_with_crossorigin_look_alike():
    """Of another type the module was refused before, the script was not."""
    sent, kind = "same-origin cors script", (b"Content-Type", b"text/plain")
    assert outcome(NOSNIFF, sent, kind) == "open"


def test_a_download_without_a_type_is_saved_as_before():
    """It is not shown, whatever it holds."""
    saved = (b"Content-Disposition", b"attachment; filename=list.csv")
    assert outcome(NOSNIFF, "none navigate document", saved) == "safe"


@pytest.mark.parametrize(
    ("media", "status", "method", "expected"),
    [
        (b"image/png", 404, "GET", "break"),
        (b"text/html", 404, "GET", "safe"),
        (b"text/plain", 200, "POST", "break"),
    ],
)
def test_an_image_shows_whatever_its_status(media: bytes, status: int, method: str, expected: str):
    """Browsers draw the image of a 404; any other error response shows nothing."""
    sent, kind = "cross-site no-cors image", (b"Content-Type", media)
    assert outcome(CORP, sent, kind, status=status, method=method) == expected


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (AGENT, "safe"),
        (b"Mozilla/5.0 (Windows NT 10.0; WOW64; Trident/7.0; rv:11.0) like Gecko", "open"),
        (b"curl/8.5.0", "irrelevant"),
    ],
)
def test_an_old_engine_says_so(agent: bytes, expected: str):
    """Edge's mode for Internet Explorer obeys X-UA-Compatible."""
    rule = {"header": "X-UA-Compatible", "action": "remove"}
    situation = facts(request=[(b"User-Agent", agent)])
    breakage_test = plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test
    assert breakage_test(situation, Fetch(situation)) == expected


def test_a_ping_needs_no_response():
    """Nobody reads what comes back to `<a ping>`; to a script's own fetch somebody may, and
    `sendBeacon` looks like one.
    """
    ping = [(b"Content-Type", b"text/ping")]
    assert outcome(CORP, "cross-site no-cors empty", method="POST", also=ping) == "safe"
    assert outcome(CORP, "cross-site no-cors empty", method="POST") == "open"


@pytest.mark.parametrize(
    ("origin", "cookie", "expected"),
    [
        ("https://shop.example", "sid=1", "safe"),
        ("https://shop.example:8443", "sid=1", "safe"),
        ("https://away.test", "sid=1", "break"),
        ("https://www.shop.example", "sid=1", "open"),
        ("https://away.test", "other=1", "irrelevant"),
        ("", "sid=1", "irrelevant"),
        ("null", "sid=1", "break"),
    ],
)
def test_a_socket_that_is_opened_elsewhere(origin: str, cookie: str, expected: str):
    """Its handshake has no Fetch Metadata, but always an Origin."""
    line = [(b"Origin", origin.encode())] if origin else []
    situation = facts(request=[(b"User-Agent", AGENT), (b"Cookie", cookie.encode()), *line])
    breakage_test = plan({"it": LAX}, mode="report-only").routes[-1].rules[0].breakage_test
    assert isinstance(breakage_test, CookieTest)
    assert breakage_test.of_socket(situation, Fetch(situation)) == expected


@pytest.mark.parametrize(
    ("rule", "sent"),
    [
        (CORP, "cross-site no-cors image"),
        (SAME, "cross-site navigate iframe"),
        (STRICT, "cross-site navigate document sid=1"),
    ],
)
def test_a_request_that_came_home_is_open(rule: dict[str, Any], sent: str):
    """By way of another site and back: Fetch Metadata speaks of the whole way, the rule of its
    beginning, and Referer may tell of that.
    """
    names = (b"Sec-Fetch-Site", b"Sec-Fetch-Mode", b"Sec-Fetch-Dest", b"Cookie")
    request = [(b"User-Agent", AGENT)]
    request += zip(names, (word.encode() for word in sent.split()), strict=False)
    breakage_test = plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test
    for home, expected in (("https://shop.test/", "open"), ("https://shop.test.evil/", "break")):
        situation = facts(request=[*request, (b"Referer", home.encode())], host="shop.test")
        assert breakage_test(situation, Fetch(situation)) == expected


@pytest.mark.parametrize(
    ("media", "expected"), [(b"image/png", "safe"), (b"image/svg+xml", "break")]
)
def test_an_svg_in_an_object_is_framed(media: bytes, expected: str):
    """It is a document of its own; other images are drawn by the page."""
    kind = (b"Content-Type", media)
    assert outcome(DENY, "same-origin navigate object", kind) == expected


@pytest.mark.parametrize(
    ("status", "field"), [(204, b"X-A: 1"), (200, b"Content-Disposition: attachment")]
)
def test_a_frame_that_shows_nothing_is_not_framed(status: int, field: bytes):
    """An answer without content and a download leave the frame as it is."""
    name, _, value = field.partition(b": ")
    assert outcome(DENY, "cross-site navigate iframe", (name, value), status=status) == "safe"


def test_a_secure_cookie_on_plain_http_is_no_proof():
    """Secure is never written over http: a cookie that only lives there keeps working. What only
    leads to https needs it there.
    """
    assert outcome(SECURE, "- - - s[id]?=1", scheme="http") == "open"
    moved = (b"Location", b"https://shop.test/")
    assert outcome(SECURE, "- - - s[id]?=1", moved, scheme="http", status=301) == "safe"
    assert outcome(SECURE, "cross-site cors empty other=1", scheme="https") == "safe"


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (b"sid=1; Path=/; Domain=shop.test", "open"),
        (b"sid=1; Path=/domain=1", "safe"),
        (b"lang=en; Domain=shop.test", "safe"),
    ],
)
def test_a_cookie_of_a_domain_goes_to_other_hosts_too(cookie: bytes, expected: str):
    """Their requests do not pass here."""
    rule = {"cookie": "sid", "attributes": {"Secure": True}}
    assert outcome(rule, "none navigate document", (b"Set-Cookie", cookie)) == expected


@pytest.mark.parametrize(
    ("sent", "cookie", "expected"),
    [
        ("cross-site navigate iframe", b"sid=1; SameSite=None; Secure", "open"),
        ("cross-site cors empty", b"sid=1; samesite=none; Secure", "open"),
        ("cross-site navigate document", b"sid=1; SameSite=None; Secure", "safe"),
        ("same-origin cors empty", b"sid=1; SameSite=None; Secure", "safe"),
        ("cross-site no-cors image", b"sid=1; Secure", "safe"),
        ("cross-site navigate iframe", b"other=1; SameSite=None; Secure", "safe"),
    ],
)
def test_a_cookie_that_is_set_inside_another_site(sent: str, cookie: bytes, expected: str):
    """With SameSite browsers would not store it there, and a script may read it there at once."""
    assert outcome(LAX, sent, (b"Set-Cookie", cookie)) == expected


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        (b"sid=1; Secure", "safe"),
        (b"sid=1; SameSite=Lax; Secure", "safe"),
        (b"sid=1; SameSite=None; Secure", "break"),
        (b"sid=1; Partitioned; Secure", "break"),
        (b"__Secure-sid=1; Secure", "break"),
        (b"other=1; SameSite=None; Secure", "safe"),
    ],
)
def test_a_cookie_that_browsers_refuse_without_secure(cookie: bytes, expected: str):
    """Taking Secure away makes a cookie that is gone."""
    rule = {"cookie": "*sid", "attributes": {"Secure": False}}
    assert outcome(rule, "none navigate document", (b"Set-Cookie", cookie)) == expected


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [(b"sid=1; HttpOnly", "safe"), (b"__Http-sid=1; Secure; HttpOnly", "break")],
)
def test_a_cookie_that_browsers_refuse_without_httponly(cookie: bytes, expected: str):
    """So they do by the prefix of its name."""
    rule = {"cookie": "*sid", "attributes": {"HttpOnly": False}}
    assert outcome(rule, "none navigate document", (b"Set-Cookie", cookie)) == expected


def test_what_no_request_shows_of_a_cookie_the_response_tells_that_sets_it():
    """Until then, requests that carry it are counted."""
    said = []
    for rule in (
        {"cookie": "sid", "attributes": {"HttpOnly": True, "SameSite": "Lax"}},
        {"cookie": "sid", "attributes": {"Path": "/app"}},
    ):
        test = plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test
        assert isinstance(test, CookieTest)
        for sent, line in (("a=1", b"a=1"), ("sid=1", b"a=1"), ("", b"sid=1"), ("sid=1", b"a=1")):
            request = [(b"User-Agent", AGENT), (b"Cookie", sent.encode())]
            situation = facts((b"Set-Cookie", line), request=request)
            test(situation, Fetch(situation))
            said.append(test.history())
    assert said == ["", "carried", "set", ""] * 2


@pytest.mark.parametrize("rule", [DENY, CORP, NOSNIFF, LAX, ANCESTORS])
def test_what_is_no_browser_says_nothing(rule: dict[str, Any]):
    """curl, probes and service clients are never counted as safe."""
    situation = facts(request=[(b"User-Agent", b"curl/8.5.0"), (b"Cookie", b"sid=1")])
    breakage_test = plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test
    assert breakage_test(situation, Fetch(situation)) == "irrelevant"


@pytest.mark.parametrize(
    ("ancestors", "referer", "expected"),
    [
        ("*", "https://a.test/page", "safe"),
        ("https://a.test", "https://a.test/page", "open"),
        ("https://a.test", "https://b.test/page", "break"),
        ("https://a.test", "http://a.test/page", "break"),
        ("https://*.a.test", "https://x.a.test/", "open"),
        ("https://*.a.test", "https://a.test/", "break"),
        ("a.test:8443", "https://a.test:8443/", "open"),
        ("a.test", "https://a.test:8443/", "break"),
        ("https:", "https://b.test/", "open"),
        ("https://a.test", "", "open"),
    ],
)
def test_frame_ancestors_with_hosts_are_held_against_the_embedding_page(
    ancestors: str, referer: str, expected: str
):
    """CSP3 section 6.4.2: the embedding page's origin, as the request tells it. Who frames that
    page, no request tells.
    """
    request = [
        (b"Sec-Fetch-Site", b"cross-site"),
        (b"Sec-Fetch-Mode", b"navigate"),
        (b"Sec-Fetch-Dest", b"iframe"),
    ]
    situation = facts(request=[*request, *([(b"Referer", referer.encode())] if referer else [])])
    breakage_test = (
        plan({"it": ANCESTORS | {"value": f"frame-ancestors {ancestors}"}}, mode="report-only")
        .routes[-1]
        .rules[0]
        .breakage_test
    )
    assert breakage_test
    assert breakage_test(situation, Fetch(situation)) == expected


def test_frame_options_are_overruled_by_the_service_s_own_ancestors():
    """Browsers ignore X-Frame-Options where frame-ancestors stands, and on redirects."""
    assert (
        outcome(
            DENY, "cross-site navigate iframe", (b"Content-Security-Policy", b"frame-ancestors *")
        )
        == "safe"
    )
    assert outcome(DENY, "cross-site navigate iframe", status=302) == "safe"


@pytest.mark.parametrize(
    ("sent", "media", "also", "expected"),
    [
        ("same-origin cors empty", b"application/json", (), "data"),
        ("cross-site cors empty", b"application/json", (), "data"),
        ("same-origin cors empty", b"text/html", (), "data"),
        ("same-origin no-cors empty", b"text/html", (), "unknown"),
        ("same-origin same-origin empty", b"text/html", (), "unknown"),
        ("same-origin no-cors empty", b"text/css", (), "data"),
        ("same-origin no-cors empty", b"text/html", ((b"Sec-Purpose", b"prefetch"),), "data"),
    ],
)
def test_what_pages_fetch_is_framed_by_nobody(
    sent: str, media: bytes, also: tuple[tuple[bytes, bytes], ...], expected: str
):
    """Unless a service worker fetched a page to show it later; one fetched ahead says so."""
    assert outcome(DENY, sent, (b"Content-Type", media), also=also) == expected


def test_a_double_submit_reads_the_cookie():
    """A cookie's value in another request header was put there by a script that HttpOnly would
    blind.
    """
    rule = {"cookie": "csrf", "attributes": {"HttpOnly": True}}
    request = [
        (b"User-Agent", AGENT),
        (b"Cookie", b"csrf=0123456789"),
        (b"X-CSRFToken", b"0123456789"),
    ]
    situation = facts(request=request)
    breakage_test = plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test
    assert breakage_test(situation, Fetch(situation)) == "break"


HIDDEN = {"Secure": True, "HttpOnly": True, "SameSite": "Lax"}


@pytest.mark.parametrize(
    ("pattern", "cookie", "expected"),
    [
        ("sid", b"sid=1; Path=/; httponly", "safe"),
        ("sid", b"sid=1; Path=/", "open"),
        ("sid", b"sid=httponly; Path=/", "open"),
        ("sid", b"other=1; Path=/", "safe"),
        ("sid", b"sid=; Max-Age=0; Path=/", "safe"),
        ("sid", b"sid=; Max-Age=-1", "safe"),
        ("sid", b"sid=1; Max-Age=0; Max-Age=x", "open"),
        ("sid", b"sid=1; Expires=Thu, 01 Jan 1970 00:00:00 GMT", "open"),
        ("sid", b"sid=\x01", "safe"),
        ("*", b"csrftoken=1", "safe"),
        ("csrftoken", b"csrftoken=1", "open"),
    ],
)
def test_a_cookie_that_scripts_may_read_today(pattern: str, cookie: bytes, expected: str):
    """Only HttpOnly that is new may break: not of cookies that have it, that browsers delete or
    refuse, or that a rule on many cookies spares.
    """
    rule = {"cookie": pattern, "attributes": HIDDEN}
    assert outcome(rule, "none navigate document", (b"Set-Cookie", cookie)) == expected


@pytest.mark.parametrize(
    ("attributes", "sent", "cookie", "expected"),
    [
        ({"HttpOnly": True}, "- - - sid=1", b"sid=1; HttpOnly", "safe"),
        ({"HttpOnly": True}, "- - - -", b"sid=1; HttpOnly", "safe"),
        ({"HttpOnly": True}, "- - - sid=1", b"sid=1", "open"),
        (HIDDEN | {"Secure": False}, "- - - sid=1", b"sid=1; HttpOnly", "unknown"),
    ],
)
def test_what_scripts_may_read_is_seen_over_plain_http_too(
    attributes: dict[str, Any], sent: str, cookie: bytes, expected: str
):
    """HttpOnly needs no Fetch Metadata, as SameSite does."""
    rule = {"cookie": "sid", "attributes": attributes}
    assert outcome(rule, sent, (b"Set-Cookie", cookie), scheme="http") == expected


def test_a_cookie_that_crosses_sites_is_gone_whatever_is_set():
    """That a response sets a readable cookie hides no break."""
    rule = {"cookie": "sid", "attributes": HIDDEN}
    sent = "cross-site no-cors image sid=1"
    assert outcome(rule, sent, (b"Set-Cookie", b"sid=1")) == "break"


def test_who_is_no_browser_runs_no_scripts():
    """A cookie that is set for a program alone is read by no script."""
    rule = {"cookie": "sid", "attributes": {"HttpOnly": True}}
    situation = facts((b"Set-Cookie", b"sid=1"), request=[(b"User-Agent", b"curl/8.5.0")])
    breakage_test = plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test
    assert breakage_test(situation, Fetch(situation)) == "irrelevant"


def test_two_cookie_lines_are_one():
    """HTTP/2 clients split them."""
    situation = facts(request=[(b"cookie", b"a=1"), (b"cookie", b"sid=1")], scheme="http")

    assert Fetch(situation).cookie == b"a=1; sid=1"


@pytest.mark.parametrize(
    "rule",
    [
        DENY | {"action": "require"},
        {"header": "X-Frame-Options", "action": "remove"},
        DENY | {"value": "ALLOW-FROM x"},
        ANCESTORS | {"value": "default-src 'self'; upgrade-insecure-requests"},
        ANCESTORS | {"action": "default", "value": "default-src 'self'"},
        CORP | {"value": "cross-origin"},
        NOSNIFF | {"value": "x"},
        {"header": "Referrer-Policy", "action": "set", "value": "no-referrer"},
        LAX | {"action": "require"},
    ],
)
def test_where_requests_tell_nothing_there_is_no_breakage_test(rule: dict[str, Any]):
    """No guess is made."""
    assert plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test is None


UPGRADING = (b"Content-Security-Policy", b"object-src 'none'; Upgrade-Insecure-Requests")


def test_a_policy_of_framing_alone_may_end_an_upgrade():
    """It replaces the service's own policy: whether a page asks for http: addresses is not seen."""
    assert outcome(ANCESTORS, "none navigate document", UPGRADING) == "open"
    assert outcome(ANCESTORS, "cross-site navigate iframe", UPGRADING) == "break"
    kept = ANCESTORS | {"action": "append"}
    assert outcome(kept, "none navigate document", UPGRADING) == "safe"


def test_only_rules_that_are_reported_are_asked():
    """An enforced rule breaks for real, and its requests would not be seen again."""
    rules = {"data": DENY | {"mode": "report-only"}, "made": CORP, "off": NOSNIFF | {"mode": "off"}}

    assert [index for index, _ in plan(rules).routes[-1].breakage_tests] == [0]
