"""What the service's own header makes work, and a rule would take away."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.policy.rules.fetch import Fetch
from tests.policy.making import facts, plan
from tests.policy.test_breakage import outcome

REFERRER = {
    "header": "Referrer-Policy",
    "action": "set",
    "value": "strict-origin-when-cross-origin",
}
REMOVED = {"header": "Referrer-Policy", "action": "remove"}
NO_CSP = {"header": "Content-Security-Policy", "action": "remove"}
VISIT = "none navigate document"


@pytest.mark.parametrize(
    ("rule", "own", "expected"),
    [
        (REFERRER, "no-referrer", "open"),
        (REFERRER, "strict-origin", "safe"),
        (REFERRER, "strict-origin-when-cross-origin", "safe"),
        (REFERRER, "no-referrer-when-downgrade", "open"),
        (REFERRER, "origin-when-cross-origin", "open"),
        (REFERRER, "origin", "open"),
        (REFERRER | {"value": "no-referrer-when-downgrade"}, "origin-when-cross-origin", "open"),
        (REFERRER | {"value": "unsafe-url"}, "origin", "safe"),
        (REFERRER, "no-referrer, unsafe-url", "open"),
        (REFERRER, "unsafe-url, of-tomorrow", "open"),
        (REFERRER | {"value": "unsafe-url"}, "unsafe-url", "safe"),
        (REMOVED, "unsafe-url", "open"),
        (REMOVED, "same-origin", "open"),
    ],
)
def test_a_referer_that_is_told_today(rule: dict[str, Any], own: str, expected: str):
    """Where the service tells more than it then would, nobody sees who needs it; where it hides
    the Referer from other sites, nobody sees who refuses it.
    """
    assert outcome(rule, VISIT, (b"Referrer-Policy", own.encode())) == expected


@pytest.mark.parametrize(
    ("rule", "own", "expected"),
    [
        ({"action": "remove"}, "camera=()", "safe"),
        ({"action": "remove"}, "ch-width=*", "open"),
        ({"action": "set", "value": "interest-cohort=()"}, "unload=(self)", "open"),
        ({"action": "set", "value": "interest-cohort=()"}, "camera=()", "safe"),
    ],
)
def test_what_a_permissions_policy_gives_today(rule: dict[str, Any], own: str, expected: str):
    """Client hints for other origins and `unload` handlers go with the service's own line."""
    line = (b"Permissions-Policy", own.encode())
    assert outcome({"header": "Permissions-Policy"} | rule, VISIT, line) == expected


@pytest.mark.parametrize(
    ("sent", "location", "referer", "expected"),
    [
        ("same-origin navigate document", "https://away.test/", "https://shop.example/a", "open"),
        ("same-origin navigate document", "//away.test/", "https://shop.example/a", "open"),
        ("same-origin navigate document", "/here", "https://shop.example/a", "safe"),
        (
            "same-origin navigate document",
            "https://shop.example/",
            "https://shop.example/a",
            "safe",
        ),
        ("same-origin navigate document", "https://away.test/", "", "safe"),
        ("cross-site navigate document", "https://away.test/", "https://shop.example/a", "safe"),
    ],
)
def test_a_redirect_overrules_the_policy_of_a_page(
    sent: str, location: str, referer: str, expected: str
):
    """Fetch section 4.4: what the page says in a `meta` element no longer counts then."""
    more = [(b"Referer", referer.encode())] if referer else []
    line = (b"Location", location.encode())
    assert outcome(REFERRER, sent, line, also=more, status=302) == expected


@pytest.mark.parametrize(
    ("sent", "referer", "expected"),
    [
        ("same-origin cors script", "", "open"),
        ("same-origin cors script", "https://shop.example/a", "safe"),
        ("same-origin no-cors script", "", "safe"),
        ("cross-site cors script", "", "open"),
        ("cross-site no-cors script", "", "safe"),
        ("-", "", "open"),
        ("-", "http://shop.example/a", "safe"),
    ],
)
def test_a_modules_imports_follow_its_own_policy(sent: str, referer: str, expected: str):
    """Not that of the page, which hides its Referer."""
    more = [(b"Referer", referer.encode())] if referer else []
    line = (b"Content-Type", b"text/javascript")
    assert outcome(REFERRER, sent, line, also=more) == expected


def test_what_a_sheet_loads_follows_its_own_policy():
    """A page that hides its Referer asks for the sheet without one; one browser of many never
    sends any.
    """
    breakage_test = plan({"it": REFERRER}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test

    def asked(referer: str, dest: str = "style") -> str:
        named = {b"Sec-Fetch-Site": "same-origin", b"Sec-Fetch-Mode": "no-cors"}
        named |= {b"Sec-Fetch-Dest": dest} | ({b"Referer": referer} if referer else {})
        situation = facts(request=[(name, value.encode()) for name, value in named.items()])
        return breakage_test(situation, Fetch(situation))

    assert [asked("", "image"), asked("")] == ["safe", "open"]
    assert {asked("https://shop.test/") for _ in range(99)} == {"safe"}
    assert asked("") == "safe"


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("camera 'none'; geolocation 'self'", "safe"),
        ("camera 'none'; ch-ua-arch *", "open"),
        ("camera 'none', CH-UA-Arch https://a.test", "open"),
        ("unload 'self'", "open"),
    ],
)
def test_what_a_feature_policy_gives_today(own: str, expected: str):
    """Chromium still takes client hints for other origins from it."""
    rule = {"header": "Feature-Policy", "action": "remove"}
    assert outcome(rule, VISIT, (b"Feature-Policy", own.encode())) == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("default-src https:", "safe"),
        ("default-src *; Upgrade-Insecure-Requests", "open"),
        ("require-trusted-types-for 'script'", "open"),
        ("require-trusted-types-for 'script'; trusted-types default lit", "open"),
        ("require-trusted-types-for 'script'; trusted-types lit", "safe"),
        ("sandbox allow-scripts", "open"),
        ("sandbox allow-scripts Allow-Same-Origin", "safe"),
    ],
)
def test_addresses_that_are_upgraded_today(own: str, expected: str):
    """Without its policy, a page's http: scripts are refused and its http: forms go in the
    clear; a default policy of Trusted Types, which may rewrite addresses, does not run; and a
    sandboxed page has an origin.
    """
    assert outcome(NO_CSP, VISIT, (b"Content-Security-Policy", own.encode())) == expected


@pytest.mark.parametrize(
    ("sent", "framing", "expected"),
    [
        ("cross-site navigate iframe", b"DENY", "break"),
        ("same-origin navigate iframe", b"DENY", "break"),
        ("same-origin navigate iframe", b"SAMEORIGIN", "safe"),
        ("cross-site navigate iframe", b"ALLOWALL", "safe"),
        ("none navigate document", b"DENY", "safe"),
        ("-", b"DENY", "irrelevant"),
    ],
)
def test_frames_that_the_policy_lets_in_today(sent: str, framing: bytes, expected: str):
    """Without its `frame-ancestors`, X-Frame-Options counts again."""
    own = (b"Content-Security-Policy", b"frame-ancestors https://partner.example")
    assert outcome(NO_CSP, sent, own, (b"X-Frame-Options", framing)) == expected


def test_a_sandbox_of_data_keeps_nothing_from_having_an_origin():
    """Only a page or a frame has one."""
    own = (b"Content-Security-Policy", b"sandbox")
    assert outcome(NO_CSP, "same-origin cors empty", own) == "safe"
