"""Breakage tests of CORS, of what browsers show and keep, and of double submits in bodies."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.policy.browsers import storage
from sidecar.policy.browsers.storage import Clearing
from sidecar.policy.rules.fetch import Fetch, Outcome
from tests.policy.making import facts, plan

AGENT = (
    b"User-Agent",
    (
        b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0"
        b" Safari/537.36"
    ),
)
ORIGIN = {"header": "Access-Control-Allow-Origin", "action": "remove"}
PARTNER = {
    "header": "Access-Control-Allow-Origin",
    "action": "set",
    "value": "https://partner.example",
}
STAR = PARTNER | {"value": "*"}
CREDENTIALS = {"header": "Access-Control-Allow-Credentials", "action": "remove"}
METHODS = {"header": "Access-Control-Allow-Methods", "action": "set", "value": "GET, PUT"}
HEADERS = {"header": "Access-Control-Allow-Headers", "action": "set", "value": "x-a"}
SAVE = {"header": "Content-Disposition", "action": "set", "value": "attachment"}
SHOW = {"header": "Content-Disposition", "action": "remove"}
STORE = {"header": "Cache-Control", "action": "set", "value": "no-store"}
HIDE = {"cookie": "csrf", "attributes": {"HttpOnly": True}}


def fields(text: str) -> list[tuple[bytes, bytes]]:
    """Header lines from `name: value | name: value`."""
    pairs = (line.partition(": ") for line in text.split(" | ") if line)
    return [(name.encode(), value.encode()) for name, _, value in pairs]


def outcome(rule: dict[str, Any], request: str, response: str = "", **more: Any) -> Outcome:
    """What the rule's breakage test says of a browser's request with these headers."""
    situation = facts(*fields(response), request=[AGENT, *fields(request)], **more)
    breakage_test = plan({"it": rule}, mode="report-only").routes[-1].rules[0].breakage_test
    assert breakage_test
    return breakage_test(situation, Fetch(situation))


CORS = (
    "Origin: https://a.example | Sec-Fetch-Site: cross-site | Sec-Fetch-Mode: cors |"
    " Sec-Fetch-Dest: empty"
)
PLAIN = "Origin: https://a.example"
FORM = (
    "Origin: https://a.example | Sec-Fetch-Site: cross-site | Sec-Fetch-Mode: navigate |"
    " Sec-Fetch-Dest: document"
)
ANY, NAMED = "Access-Control-Allow-Origin: *", "Access-Control-Allow-Origin: https://a.example"
WITH = f"{NAMED} | Access-Control-Allow-Credentials: true"


@pytest.mark.parametrize(
    ("rule", "request_", "response", "expected"),
    [
        (ORIGIN, CORS, ANY, "break"),
        (ORIGIN, PLAIN, ANY, "break"),
        (ORIGIN, CORS, "", "safe"),
        (ORIGIN, CORS, "Access-Control-Allow-Origin: https://b.example", "safe"),
        (STAR | {"value": "https://A.example"}, CORS, NAMED, "break"),
        (ORIGIN, FORM, ANY, "safe"),
        (ORIGIN, "Cookie: a=1", ANY, "safe"),
        (ORIGIN, "Origin: https://shop.example", ANY, "safe"),
        (PARTNER, CORS, ANY, "break"),
        (PARTNER, CORS.replace("a.example", "partner.example"), ANY, "safe"),
        (PARTNER | {"action": "default"}, CORS, ANY, "safe"),
        (STAR, CORS, NAMED, "safe"),
        (STAR, f"{CORS} | Cookie: sid=1", WITH, "break"),
        (CREDENTIALS, f"{CORS} | Cookie: sid=1", WITH, "break"),
        (STAR, CORS, WITH, "open"),
        (CREDENTIALS, CORS, WITH, "open"),
        (CREDENTIALS, f"{CORS} | Cookie: sid=1", NAMED, "safe"),
        (ORIGIN | {"header": [ORIGIN["header"], "X-Odd"]}, CORS, ANY, "break"),
        (ORIGIN | {"header": [ORIGIN["header"], CREDENTIALS["header"]]}, CORS, WITH, "break"),
    ],
)
def test_what_other_origins_may_read_no_longer_breaks(
    rule: dict[str, Any], request_: str, response: str, expected: str
):
    """Fetch section 4.10: the origin of a CORS request against the value that would stand."""
    assert outcome(rule, request_, response) == expected


@pytest.mark.parametrize(
    ("rule", "method", "asked", "response", "expected"),
    [
        (METHODS, "OPTIONS", "Access-Control-Request-Method: DELETE", "GET, DELETE", "break"),
        (METHODS, "OPTIONS", "Access-Control-Request-Method: DELETE", "GET", "safe"),
        (METHODS, "OPTIONS", "Access-Control-Request-Method: PUT", "PUT", "safe"),
        (METHODS, "OPTIONS", "Access-Control-Request-Method: put", "put", "break"),
        (METHODS, "OPTIONS", "Access-Control-Request-Method: POST", "PUT", "safe"),
        (METHODS, "DELETE", "", "", "break"),
        (METHODS, "POST", "", "", "safe"),
        (METHODS | {"value": "*"}, "OPTIONS", "Access-Control-Request-Method: PUT", "PUT", "safe"),
        (
            HEADERS,
            "OPTIONS",
            "Access-Control-Request-Method: GET | Access-Control-Request-Headers: x-b",
            "x-b",
            "break",
        ),
        (
            HEADERS,
            "OPTIONS",
            "Access-Control-Request-Method: GET | Access-Control-Request-Headers: X-A",
            "x-a, x-b",
            "safe",
        ),
        (HEADERS, "GET", "", "", "irrelevant"),
    ],
)
def test_a_preflight_asks_for_methods_and_headers(
    rule: dict[str, Any], method: str, asked: str, response: str, expected: str
):
    """Fetch section 4.8: what was allowed and would be no longer."""
    own = f"{rule['header']}: {response}"
    request = f"{CORS} | {asked}" if asked else CORS
    assert outcome(rule, request, own, method=method) == expected


def test_a_program_saves_a_file_by_its_name_too():
    """curl -J and a file manager are no browsers, and the name is lost to them."""
    for own, expected in (("attachment", "irrelevant"), ("attachment; filename=a", "open")):
        situation = facts((b"Content-Disposition", own.encode()), request=[(b"User-Agent", b"x/1")])
        breakage_test = plan({"it": SHOW}, mode="report-only").routes[-1].rules[0].breakage_test
        assert breakage_test
        assert breakage_test(situation, Fetch(situation)) == expected


def test_a_preflight_that_is_refused_today_breaks_nothing():
    """Its status is none of success (Fetch section 4.8)."""
    asked = f"{CORS} | Access-Control-Request-Method: DELETE"
    found = [outcome(ORIGIN, asked, ANY, method="OPTIONS", status=status) for status in (403, 204)]
    assert found == ["safe", "break"]


OWN = "Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: cors | Sec-Fetch-Dest: empty"
WINDOW = "Sec-Fetch-Site: none | Sec-Fetch-Mode: navigate | Sec-Fetch-Dest: document"
IMAGE = "Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: no-cors | Sec-Fetch-Dest: image"
PASSED_ON = "Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: navigate | Sec-Fetch-Dest: empty"
BY_WORKER = (
    "Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: cors | Sec-Fetch-Dest: empty | Referer:"
    " https://shop.test/sw.js?v=2"
)
OVER_HTTP = "Upgrade-Insecure-Requests: 1"


@pytest.mark.parametrize(
    ("rule", "request_", "response", "status", "expected"),
    [
        (SAVE, WINDOW, "Content-Type: text/html", 200, "break"),
        (SAVE, WINDOW, "", 200, "break"),
        (SAVE, WINDOW, "Content-Type: application/pdf", 200, "break"),
        (SAVE, WINDOW, "Content-Type: image/svg+xml", 200, "break"),
        (SAVE, OVER_HTTP, "Content-Type: text/html", 200, "break"),
        (SAVE, WINDOW, "Content-Type: text/csv", 200, "safe"),
        (SAVE, WINDOW, "Content-Type: application/zip", 200, "safe"),
        (
            SAVE,
            WINDOW,
            "Content-Type: text/html | Content-Disposition: Attachment",
            200,
            "safe",
        ),
        (
            SAVE,
            WINDOW,
            "Content-Type: text/csv | Content-Disposition: attachment; filename=a",
            200,
            "open",
        ),
        (SAVE, PASSED_ON, "Content-Type: text/html", 200, "break"),
        (SAVE, BY_WORKER, "Content-Type: text/html", 200, "open"),
        (SAVE, BY_WORKER, "Content-Type: application/json", 200, "safe"),
        (SAVE, WINDOW, "Content-Type: text/html", 302, "safe"),
        (SAVE, IMAGE, "Content-Type: image/png", 200, "safe"),
        (
            SAVE,
            OWN,
            "Content-Type: text/csv | Content-Disposition: inline; filename=a",
            200,
            "open",
        ),
        (SHOW, OWN, "Content-Type: text/csv | Content-Disposition: attachment", 200, "safe"),
        (SHOW, WINDOW, "Content-Type: text/html | Content-Disposition: download", 200, "break"),
        (SHOW, WINDOW, "Content-Type: text/html | Content-Disposition: filename=a", 200, "open"),
        (SHOW, WINDOW, "Content-Type: text/html | Content-Disposition: attachment", 200, "break"),
        (SHOW, WINDOW, "Content-Type: text/html", 200, "safe"),
    ],
)
def test_a_page_that_would_be_saved_is_a_break(
    rule: dict[str, Any], request_: str, response: str, status: int, expected: str
):
    """RFC 6266 section 4.2, on what browsers show in a window."""
    assert outcome(rule, request_, response, status=status) == expected


@pytest.mark.parametrize(
    ("method", "request_", "status", "expected"),
    [
        ("POST", WINDOW, 200, "break"),
        ("POST", OVER_HTTP, 200, "break"),
        ("POST", WINDOW, 422, "break"),
        ("POST", WINDOW, 204, "safe"),
        ("POST", WINDOW, 303, "safe"),
        ("POST", IMAGE, 200, "safe"),
        ("GET", WINDOW, 200, "open"),
        ("GET", WINDOW, 404, "safe"),
        ("GET", IMAGE, 200, "safe"),
    ],
)
def test_the_result_of_a_form_is_lost_by_no_store(
    method: str, request_: str, status: int, expected: str
):
    """RFC 9111 section 5.2.2.5: the back button would ask to send the form again."""
    assert outcome(STORE, request_, method=method, status=status) == expected


@pytest.mark.parametrize(
    "own",
    ['ETag: "1"', "Last-Modified: x", "Cache-Control: no-store", "Content-Disposition: attachment"],
)
def test_a_page_that_may_be_asked_for_again(own: str):
    """A validator is made for that, what is not stored today is asked for, and a file is saved."""
    assert outcome(STORE, WINDOW, own) == "safe"


@pytest.mark.parametrize(
    ("request_", "own", "expected"),
    [
        (WINDOW, "Cache-Control: no-store", "open"),
        (WINDOW, "Cache-Control: max-age=60 | Last-Modified: x", "safe"),
        (IMAGE, "Cache-Control: no-store", "safe"),
        (IMAGE, 'Cache-Control: no-store | ETag: "1"', "open"),
        (IMAGE, 'Cache-Control: no-cache | ETag: "1"', "safe"),
    ],
)
def test_what_is_stored_only_with_the_rule(request_: str, own: str, expected: str):
    """Only `no-store` keeps browsers from showing on the way back what they stored, and from asking
    whether what a validator names has changed.
    """
    assert outcome(STORE | {"value": "no-cache"}, request_, own) == expected


def _visit(
    clearing: Clearing, cookie: str, response: str = "", **more: Any
) -> tuple[Outcome, bool]:
    """What the rule says of one response, and whether the request had shown a break."""
    situation = facts(*fields(response), request=[AGENT, *fields(f"Cookie: {cookie}")], **more)
    returned = clearing.watch(situation, Fetch(situation))
    return clearing(situation, Fetch(situation)), returned


def test_a_cookie_that_comes_back_would_have_been_cleared():
    """Clear Site Data section 3.1: the visitor goes on with what would be gone."""
    clearing = Clearing('"cookies"')
    assert _visit(clearing, "sid=1", client="a") == ("unknown", False)
    assert _visit(clearing, "sid=1", client="b") == ("unknown", False)
    assert _visit(clearing, "sid=1", client="a") == ("unknown", True)


@pytest.mark.parametrize(
    ("host", "returned"),
    [
        ("www.shop.example:8443", True),
        ("SHOP.example", True),
        ("other.example", False),
        ("10.0.0.1", False),
        ("[::1]:80", False),
    ],
)
def test_a_cookie_is_cleared_on_the_hosts_of_its_domain(host: str, returned: bool):
    """Clear Site Data section 4.2.2: on the registered domain, and on no other."""
    clearing = Clearing('"cookies"')
    _visit(clearing, "theme=dark", host="shop.example")
    assert _visit(clearing, "theme=dark", host=host)[1] is returned


def test_a_cookie_that_is_set_anew_is_not_missed():
    """What the response sets or ends itself is not lost by the rule."""
    clearing = Clearing('"cookies"')
    assert _visit(clearing, "sid=1", "Set-Cookie: sid=; Max-Age=0") == ("safe", False)
    assert _visit(clearing, "sid=1") == ("unknown", False)
    assert _visit(clearing, "sid=1", "Set-Cookie: sid=2") == ("safe", False)


@pytest.mark.parametrize(
    ("value", "more", "expected"),
    [
        ('"cache"', {}, "safe"),
        ('"storage"', {}, "open"),
        ('"clientHints"', {}, "open"),
        ('"*"', {"scheme": "http"}, "safe"),
        ('"cookies"', {"scheme": "http", "host": "127.0.0.1:8000"}, "unknown"),
    ],
)
def test_what_else_is_cleared(value: str, more: dict[str, Any], expected: str):
    """Stores of scripts cannot be seen; outside of secure contexts nothing is cleared."""
    assert _visit(Clearing(value), "sid=1", **more)[0] == expected


def test_the_memory_of_cleared_cookies_is_bounded(monkeypatch: pytest.MonkeyPatch):
    """The oldest are forgotten."""
    monkeypatch.setattr("sidecar.policy.browsers.storage.REMEMBERED", 2)
    clearing = Clearing('"cookies"')
    for number in range(4):
        _visit(clearing, f"sid={number}")
    assert [_visit(clearing, f"sid={number}")[1] for number in (0, 3)] == [False, True]


def test_every_route_watches_what_a_rule_would_clear():
    """The cookie comes back on other routes."""
    rule = {"header": "Clear-Site-Data", "action": "set", "value": '"cookies"'}
    routes = [{"name": "logout", "match": {"path": "/logout"}, "rules": {"clear": rule}}]
    made = plan({}, mode="report-only", routes=routes)
    assert [[entry[:2] for entry in route.watchers] for route in made.routes] == [
        [("logout", "clear")]
    ] * 2


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"name=x&csrf=0123%2B456789", "break"),
        (b'{"csrf": "0123+456789"}', "break"),
        (b"csrf=other", "safe"),
    ],
)
def test_a_double_submit_may_stand_in_the_body(body: bytes, expected: str):
    """What a script sends with the cookie's value, it has read, and HttpOnly would blind it."""
    request = f"{OWN} | Cookie: csrf=0123+456789"
    assert outcome(HIDE, request, method="POST", body=body) == expected


def test_a_form_may_hold_a_cookies_value_without_a_script():
    """The service itself may have written it into a hidden field."""
    request = f"{WINDOW} | Cookie: csrf=0123+456789"
    assert outcome(HIDE, request, method="POST", body=b"csrf=0123%2B456789") == "open"


@pytest.mark.parametrize(
    ("value", "own", "expected"),
    [
        ("private", "Cache-Control: no-cache | Last-Modified: x", "open"),
        ("private", "Cache-Control: max-age=60 | Expires: x", "open"),
        ("must-revalidate", "Cache-Control: no-store | Last-Modified: x", "open"),
        ("private", "Cache-Control: no-cache", "safe"),
        ("private", "Cache-Control: public | Last-Modified: x", "safe"),
        ("private", "Last-Modified: x", "safe"),
    ],
)
def test_how_long_a_stored_response_is_used(value: str, own: str, expected: str):
    """RFC 9111 section 4.2.2: where nothing says how long, browsers guess by Last-Modified."""
    assert outcome(STORE | {"value": value}, WINDOW, own) == expected


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ("Pragma: no-cache | Last-Modified: x", "open"),
        ("Pragma: no-cache | Cache-Control: max-age=60", "open"),
        ("Pragma: no-cache | Cache-Control: no-cache | Last-Modified: x", "safe"),
        ("Pragma: no-cache", "safe"),
        ("Pragma: x | Last-Modified: x", "safe"),
    ],
)
def test_pragma_may_be_all_that_has_browsers_ask_again(own: str, expected: str):
    """Chromium obeys `Pragma: no-cache` in responses."""
    assert outcome({"header": "Pragma", "action": "remove"}, WINDOW, own) == expected


def test_a_cache_control_of_the_service_is_read_once(monkeypatch: pytest.MonkeyPatch):
    """To read it again for each response would cost more than all else that is judged."""
    rule, own = STORE | {"value": "private"}, "Cache-Control: max-age=61 | Expires: x"
    assert outcome(rule, WINDOW, own) == "open"
    page = facts(*fields(own), request=[AGENT, *fields(WINDOW)])
    monkeypatch.setattr(storage, "parse_cache", None)
    assert storage.pragma_test(page, Fetch(page)) == "safe"


def test_bodies_are_read_where_a_rule_looks_for_cookies():
    """No other route pays for it, and neither does a rule that enforces."""
    assert plan({"it": HIDE}, mode="report-only").routes[-1].reads_body
    assert not plan({"it": HIDE}, mode="enforce").routes[-1].reads_body
    assert not plan({"it": STORE}, mode="report-only").routes[-1].reads_body


NOSNIFF = {"header": "X-Content-Type-Options", "action": "set", "value": "nosniff"}
DENY = {"header": "X-Frame-Options", "action": "set", "value": "DENY"}
NO_CSP = {"header": "Content-Security-Policy", "action": "remove"}
LIFTED = "Content-Security-Policy: frame-ancestors a.test | X-Frame-Options: DENY | "
AHEAD = "Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: no-cors | Sec-Fetch-Dest: empty"
BY_PAGE = "Sec-Fetch-Site: same-origin | Sec-Fetch-Mode: cors | Sec-Fetch-Dest: empty"


@pytest.mark.parametrize(
    ("rule", "request_", "response", "expected"),
    [
        (NOSNIFF, AHEAD, "Content-Type: text/plain", "open"),
        (NOSNIFF, BY_WORKER, "Content-Type: application/octet-stream", "open"),
        (NOSNIFF, BY_WORKER, "", "open"),
        (NOSNIFF, BY_WORKER, "Content-Type: application/json", "safe"),
        (NOSNIFF, AHEAD, "Content-Type: text/html", "open"),
        (NOSNIFF, AHEAD, "Content-Type: application/javascript", "safe"),
        (NOSNIFF, AHEAD, "Content-Type: image/png", "safe"),
        (NOSNIFF, f"{AHEAD} | Sec-Purpose: prefetch", "Content-Type: text/html", "safe"),
        (NOSNIFF, AHEAD.replace("same-origin", "cross-site"), "Content-Type: text/html", "open"),
        (NOSNIFF, BY_PAGE, "Content-Type: text/plain", "safe"),
        (NOSNIFF, PASSED_ON, "", "break"),
        (NOSNIFF, PASSED_ON, "Content-Type: text/html", "safe"),
        (DENY, PASSED_ON, "Content-Type: text/html", "open"),
        (DENY, PASSED_ON, "Content-Disposition: attachment", "data"),
        (DENY, BY_WORKER, "Content-Type: text/html", "open"),
        (DENY, BY_WORKER, "Content-Type: application/json", "data"),
        (DENY, AHEAD, "Content-Type: text/html", "unknown"),
        (NO_CSP, PASSED_ON, f"{LIFTED}Content-Type: text/html", "open"),
    ],
)
def test_a_service_worker_hides_what_a_response_is_for(
    rule: dict[str, Any], request_: str, response: str, expected: str
):
    """Its own fetch has the destination "empty"; so has what is fetched ahead."""
    assert outcome(rule, request_, response) == expected


@pytest.mark.parametrize(
    ("path", "response", "expected"),
    [
        ("/setup.bin", "Content-Type: text/plain", "open"),
        ("/robots.txt", "Content-Type: text/plain", "safe"),
        ("/list", "Content-Type: text/plain | Content-Disposition: attachment", "safe"),
    ],
)
def test_plain_text_that_may_be_none(path: str, response: str, expected: str):
    """Browsers save what is sent as text/plain and is none, and show it under `nosniff`."""
    assert outcome(NOSNIFF, WINDOW, response, path=path) == expected
