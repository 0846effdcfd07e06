"""Who can tell whether a rule breaks the site, and which browsers report."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.browsers.support import reports
from sidecar.policy.browsers.witness import replacing, witnesses
from sidecar.policy.rules.fetch import engine_of
from tests.policy.making import policy

CHROME = (
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
    b" HeadlessChrome/156.0.0.0 Safari/537.36"
)
FIREFOX = b"Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"
SAFARI = (
    b"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko)"
    b" Version/26.0 Safari/605.1.15"
)
IPHONE = (
    b"Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like"
    b" Gecko) CriOS/156.0 Mobile/15E148 Safari/604.1"
)


def kinds(rule: dict[str, Any]) -> list[str]:
    """The kinds of witness of one complete rule."""
    return [witness.kind for witness in witnesses(policy({"it": rule}).routes[-1].rules[0].rule)]


@pytest.mark.parametrize(
    ("header", "action", "value", "expected"),
    [
        ("Server", "remove", None, ["harmless"]),
        (["Server", "X-Powered-By"], "remove", None, ["harmless"]),
        ("Server", "set", "web", ["harmless"]),
        ("X-Kong-Request-Id", "remove", None, ["nobody"]),
        ("X-B3-TraceId", "remove", None, ["nobody"]),
        ("Liferay-Portal", "remove", None, ["nobody"]),
        ("X-LiteSpeed-Purge", "remove", None, ["nobody"]),
        ("X-Atmosphere-tracking-id", "remove", None, ["nobody"]),
        ("Reporting-Endpoints", "set", 'x="/reports"', ["harmless"]),
        ("Reporting-Endpoints", "remove", None, ["nobody"]),
        ("X-XSS-Protection", "set", "0", ["harmless"]),
        ("X-XSS-Protection", "set", "1; mode=block", ["nobody"]),
        ("Strict-Transport-Security", "set", "max-age=300", ["nobody"]),
        ("Strict-Transport-Security", "require", None, ["harmless"]),
        ("Content-Security-Policy", "set", "default-src 'self'", ["browsers"]),
        ("Content-Security-Policy", "set", "default-src 'self'; sandbox", ["browsers", "nobody"]),
        ("Content-Security-Policy", "set", "sandbox", ["nobody"]),
        ("Content-Security-Policy", "set", "frame-ancestors 'none'; report-uri /x", ["proxy"]),
        ("Content-Security-Policy", "set", "upgrade-insecure-requests", ["browsers"]),
        ("Content-Security-Policy", "remove", None, ["proxy"]),
        ("X-Frame-Options", "set", "DENY", ["proxy"]),
        ("X-Content-Type-Options", "set", "nosniff", ["proxy"]),
        ("Cross-Origin-Resource-Policy", "set", "same-origin", ["proxy"]),
        ("X-Content-Type-Options", "remove", None, ["nobody"]),
        ("Cross-Origin-Resource-Policy", "set", "cross-origin", ["harmless"]),
        ("Cross-Origin-Opener-Policy", "set", "same-origin", ["browsers"]),
        ("Cross-Origin-Opener-Policy", "set", "unsafe-none", ["harmless"]),
        ("Cross-Origin-Embedder-Policy", "set", "require-corp", ["browsers"]),
        ("Permissions-Policy", "set", "camera=()", ["browsers"]),
        ("Permissions-Policy", "set", "camera=(), gamepad=()", ["browsers", "nobody"]),
        ("Permissions-Policy", "set", "fullscreen=(self)", ["browsers"]),
        ("Permissions-Policy", "set", "fullscreen=()", ["nobody"]),
        ("Permissions-Policy", "set", 'autoplay=(self "https://a.test"), usb=()', ["browsers"]),
        ("Permissions-Policy", "set", "gamepad=(self)", ["nobody"]),
        ("Permissions-Policy", "set", "fullscreen=*, interest-cohort=()", ["proxy"]),
        ("Permissions-Policy", "default", "interest-cohort=()", ["harmless"]),
        ("Integrity-Policy", "set", "blocked-destinations=(script)", ["browsers"]),
        ("Referrer-Policy", "set", "no-referrer", ["nobody"]),
        ("Referrer-Policy", "set", "no-referrer, strict-origin-when-cross-origin", ["proxy"]),
        ("Cache-Control", "set", "no-store", ["proxy"]),
        ("Cache-Control", "set", "no-cache, private", ["harmless"]),
        ("Cache-Control", "set", "private, must-revalidate", ["proxy"]),
        ("Pragma", "remove", None, ["proxy"]),
        ("X-UA-Compatible", "remove", None, ["proxy"]),
        ("Feature-Policy", "remove", None, ["proxy"]),
        ("Content-Security-Policy-Report-Only", "set", "default-src *", ["harmless"]),
        (
            *("Content-Security-Policy-Report-Only", "set"),
            *("require-trusted-types-for 'script'", ["nobody"]),
        ),
        ("Cache-Control", "set", "max-age=3600", ["nobody"]),
        ("Access-Control-Allow-Origin", "remove", None, ["proxy"]),
        ("Access-Control-Allow-Methods", "set", "GET", ["proxy"]),
        ("Access-Control-Expose-Headers", "remove", None, ["nobody"]),
        ("Access-Control-Max-Age", "set", "5", ["harmless"]),
        ("Content-Disposition", "set", "attachment", ["proxy"]),
        ("Clear-Site-Data", "set", '"cache"', ["proxy", "nobody"]),
        ("Clear-Site-Data", "set", '"prefetchCache"', ["proxy"]),
        ("Clear-Site-Data", "set", '"clientHints"', ["proxy", "nobody"]),
        ("Clear-Site-Data", "set", '"cookies"', ["proxy", "nobody"]),
        ("Clear-Site-Data", "set", '"*"', ["proxy", "nobody", "nobody", "nobody"]),
        ("X-Custom", "set", "1", ["nobody"]),
    ],
)
def test_each_rule_has_its_witness(
    header: Any, action: str, value: str | None, expected: list[str]
):
    """By header and value; one that nothing is known of has nobody."""
    assert (
        kinds({"header": header, "action": action} | ({} if value is None else {"value": value}))
        == expected
    )


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"SameSite": "Lax"}, ["proxy"]),
        ({"Secure": True}, ["proxy"]),
        ({"HttpOnly": True}, ["proxy"]),
        ({"Secure": True, "HttpOnly": True, "SameSite": "Strict"}, ["proxy", "proxy", "proxy"]),
        ({"Domain": False}, ["nobody"]),
        ({"Partitioned": False}, ["nobody"]),
        ({"HttpOnly": False}, ["proxy"]),
        ({"Secure": False}, ["proxy"]),
    ],
)
def test_each_attribute_of_a_cookie_has_its_witness(
    attributes: dict[str, Any], expected: list[str]
):
    """What one attribute shows says nothing of another."""
    assert kinds({"cookie": "s", "attributes": attributes}) == expected


@pytest.mark.parametrize(
    ("value", "ladder"),
    [("max-age=600", True), ("max-age=0", False), ('max-age="0"; includeSubDomains', False)],
)
def test_the_way_to_hsts_is_a_ladder(value: str, ladder: bool):
    """A max-age alone is not to be waited for; one of 0 is the way back, and needs no ladder."""
    rule = {"header": "Strict-Transport-Security", "action": "set", "value": value}
    (found,) = witnesses(policy({"it": rule}).routes[-1].rules[0].rule)
    assert ("ladder" in found.next) is ladder


@pytest.mark.parametrize(
    ("agent", "expected"),
    [
        (CHROME, ("chromium", 156)),
        (FIREFOX, ("firefox", 153)),
        (SAFARI, ("safari", 26)),
        (IPHONE, ("safari", 18)),
        (b"curl/8.5.0", None),
        (b"", None),
        (b"kube-probe/1.33", None),
        (
            (
                b"Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
                b" Chrome/156.0.0.0"
            ),
            None,
        ),
    ],
)
def test_engines_are_told_by_their_user_agent(agent: bytes, expected: tuple[str, int] | None):
    """Browsers on iOS are WebKit whatever their name; what is no browser has no engine."""
    assert engine_of(agent) == expected


@given(st.binary(max_size=300))
def test_any_user_agent_is_read(agent: bytes):
    """Whatever is sent, there is an engine or none."""
    engine_of(b"Mozilla/5.0 " + agent)


@pytest.mark.parametrize(
    ("header", "engine", "version", "expected"),
    [
        (b"content-security-policy", "firefox", 140, True),
        (b"permissions-policy", "chromium", 120, True),
        (b"permissions-policy", "chromium", 119, False),
        (b"permissions-policy", "safari", 26, False),
        (b"cross-origin-opener-policy", "firefox", 153, False),
        (b"cross-origin-opener-policy", "safari", 26, False),
        (b"integrity-policy", "firefox", 152, False),
        (b"integrity-policy", "firefox", 153, True),
        (b"x-frame-options", "safari", 26, False),
        (b"x-unknown", "chromium", 156, False),
    ],
)
def test_what_browsers_report(header: bytes, engine: Any, version: int, expected: bool):
    """The dated table: by header, engine and version."""
    assert reports(header, engine, version) is expected


@pytest.mark.parametrize(
    ("header", "action", "value", "asked"),
    [
        ("Cross-Origin-Opener-Policy", "set", "unsafe-none", True),
        ("Cross-Origin-Opener-Policy", "set", "same-origin-allow-popups", True),
        ("Cross-Origin-Opener-Policy", "set", "same-origin; report-to=x", False),
        ("Cross-Origin-Opener-Policy", "default", "unsafe-none", False),
        ("Cross-Origin-Embedder-Policy", "set", "unsafe-none", True),
        ("Cross-Origin-Embedder-Policy", "set", "credentialless", False),
        ("Referrer-Policy", "set", "strict-origin-when-cross-origin", False),
        ("X-Frame-Options", "set", "DENY", False),
        ("Reporting-Endpoints", "set", 'x="/reports"', True),
    ],
)
def test_what_the_services_own_line_gave_is_asked_for(
    header: str, action: str, value: str, asked: bool
):
    """Isolation or reports are lost where a line that gives them is replaced, and nobody sees who
    needs them.
    """
    rule = policy({"it": {"header": header, "action": action, "value": value}})

    assert (replacing(rule.routes[-1].rules[0].rule) is not None) == asked
