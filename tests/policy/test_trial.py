"""Trial: browsers' report-only headers are added, and nothing else changes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings

from sidecar.policy.browsers.trial import added
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.rules.conditions import Facts
from tests.policy.making import POLICIES, SITUATIONS, facts, judged, plan
from tests.portion import examples

CSP = "Content-Security-Policy"
PAGE = (b"Content-Type", b"text/html")


def report_only(
    rule: dict[str, Any], *fields: tuple[bytes, bytes], **more: Any
) -> list[tuple[str, str]]:
    """What a trial of one rule adds, with KEY in the place of its key."""
    route = plan({"it": rule}, mode="trial").routes[-1]
    key = next(iter(route.trials.values()), "-")
    lines = added(decide(route, facts(PAGE, *fields, **more)).report_only)
    return [(name.decode(), value.decode().replace(key, "KEY")) for name, value in lines]


OPEN = "* data: blob: filesystem: mediastream: 'unsafe-inline' 'unsafe-eval' 'unsafe-hashes'"
REPORT = "report-uri /.well-known/sidecar/reports/KEY"
ENDPOINT = ("Reporting-Endpoints", 'sidecar-KEY="/.well-known/sidecar/reports/KEY"')


@pytest.mark.parametrize(
    ("rule", "service", "expected"),
    [
        pytest.param(
            {"action": "set", "value": "img-src 'self'"},
            [],
            [f"img-src 'self'; {REPORT}"],
            id="set",
        ),
        pytest.param(
            {"action": "set", "value": "img-src 'self'"},
            ["img-src *"],
            [f"img-src 'self'; {REPORT}"],
            id="set over the service's",
        ),
        pytest.param(
            {"action": "set", "value": "img-src 'self'"}, ["img-src 'self'"], [], id="already so"
        ),
        pytest.param(
            {"action": "default", "value": "img-src 'self'"},
            ["img-src *"],
            [],
            id="default leaves the service's",
        ),
        pytest.param(
            {"action": "append", "value": "img-src 'self'"},
            ["img-src *"],
            [f"img-src 'self'; {REPORT}"],
            id="append adds its own only",
        ),
        pytest.param(
            {"action": "merge", "value": "img-src 'self'"},
            ["font-src a.test"],
            [f"font-src {OPEN}; img-src 'self'; {REPORT}"],
            id="merge",
        ),
        pytest.param(
            {"action": "set", "value": "script-src 'self' a.test; base-uri 'self'"},
            ["default-src 'self'; base-uri 'self'"],
            [f"script-src {OPEN} 'report-sample'; base-uri {OPEN}; {REPORT}"],
            id="no news where the service's own stops as much",
        ),
        pytest.param(
            {"action": "append", "value": "script-src 'unsafe-inline' 'nonce-abcd'"},
            ["script-src 'unsafe-inline'"],
            [f"script-src 'unsafe-inline' 'nonce-abcd' 'report-sample'; {REPORT}"],
            id="a nonce switches off what the service's own allows",
        ),
        pytest.param(
            {"action": "set", "value": "default-src 'self'"},
            ["default-src 'self'; img-src *"],
            [f"default-src 'self' 'report-sample'; {REPORT}"],
            id="the service's own allows more of what falls back",
        ),
        pytest.param(
            {"action": "set", "value": "default-src 'none'"},
            [],
            [f"default-src 'report-sample'; {REPORT}"],
            id="a sample is asked for",
        ),
        pytest.param(
            {"action": "set", "value": "script-src 'self' 'report-sample'; report-to mine"},
            [],
            [f"script-src 'self' 'report-sample'; {REPORT}"],
            id="the destination is ours",
        ),
        pytest.param(
            {"action": "set", "value": "img-src a.test, font-src b.test"},
            [],
            [f"img-src a.test; {REPORT}", f"font-src b.test; {REPORT}"],
            id="two policies",
        ),
        pytest.param({"action": "set", "value": "sandbox"}, [], [], id="sandbox cannot report"),
    ],
)
def test_what_csp_would_be_written_is_reported_only(
    rule: dict[str, Any], service: list[str], expected: list[str]
):
    """The header says what would stand after the action, with the trial's own destination."""
    lines = [(CSP.encode(), value.encode()) for value in service]
    assert report_only({"header": CSP} | rule, *lines) == [
        (f"{CSP}-Report-Only", value) for value in expected
    ]


def test_upgrade_insecure_requests_is_tried_by_a_policy_that_reports_http():
    """`upgrade-insecure-requests` does nothing in report-only: a second policy reports what is
    loaded over http.
    """
    found = report_only(
        {"header": CSP, "action": "set", "value": "img-src *; upgrade-insecure-requests"}
    )
    assert [name for name, _ in found] == [f"{CSP}-Report-Only"] * 2
    assert found[0][1] == f"img-src *; {REPORT}"
    assert found[1][1].startswith("default-src https: ")
    assert found[1][1].endswith(REPORT)


@pytest.mark.parametrize("action", ["set", "merge"])
def test_what_the_service_upgrades_already_is_not_tried(action: str):
    """Its pages load nothing over http, but browsers report of an address before they upgrade it:
    so http: is allowed where
    https: is.
    """
    value = "img-src https://a.test; connect-src wss: https:; upgrade-insecure-requests"
    rule = {"header": CSP, "action": action, "value": value}

    found = report_only(rule, (CSP.encode(), b"object-src 'none'; upgrade-insecure-requests"))
    assert len(found) == 1
    assert "default-src https:" not in found[0][1]
    assert "img-src http://a.test; connect-src ws: http:; " in found[0][1] + "; "


@pytest.mark.parametrize(
    ("header", "value", "reporting"),
    [
        ("Cross-Origin-Embedder-Policy", "require-corp", 'require-corp;report-to="sidecar-KEY"'),
        ("Cross-Origin-Opener-Policy", "same-origin", 'same-origin;report-to="sidecar-KEY"'),
        (
            "Integrity-Policy",
            "blocked-destinations=(script)",
            "blocked-destinations=(script), endpoints=(sidecar-KEY)",
        ),
    ],
)
def test_headers_of_the_reporting_api_name_our_endpoint(header: str, value: str, reporting: str):
    """On https the header goes along with its endpoint; on http, where browsers would deliver
    nothing, it does not.
    """
    rule = {"header": header, "action": "set", "value": value}
    assert report_only(rule, scheme="https") == [(f"{header}-Report-Only", reporting), ENDPOINT]
    assert report_only(rule, scheme="http") == []


def test_the_service_s_own_single_report_only_header_stays_alone():
    """Where only one report-only line can stand, the service's stands and ours waits."""
    rule = {"header": "Cross-Origin-Opener-Policy", "action": "set", "value": "same-origin"}
    own = (b"Cross-Origin-Opener-Policy-Report-Only", b'same-origin; report-to="x"')
    assert report_only(rule, own, scheme="https") == []
    assert judged(rule, own, mode="trial", scheme="https").report_only[0].state == "waiting"


def test_the_service_s_own_csp_report_only_line_stays_beside_ours():
    """Browsers apply each CSP line by itself, so ours is one more."""
    own = (f"{CSP}-Report-Only".encode(), b"img-src *; report-uri /own")
    decision = judged(
        {"header": CSP, "action": "set", "value": "img-src a.test"}, own, mode="trial"
    )
    assert decision.fields[0] == own
    assert len(decision.fields) == 2


def test_frame_options_are_tried_as_frame_ancestors():
    """X-Frame-Options has no report-only form; the CSP directive that replaced it has."""
    assert report_only({"header": "X-Frame-Options", "action": "set", "value": "DENY"}) == [
        (f"{CSP}-Report-Only", f"frame-ancestors 'none'; {REPORT}")
    ]


@pytest.mark.parametrize(
    ("value", "frames"),
    [
        ("camera=(self), geolocation=(self)", "'self' blob: about:"),
        ("camera=(), geolocation=(self)", "about:"),
        (
            'camera=(self "https://a.example"), usb=(self "https://a.example" "https://b.example")',
            "'self' blob: about: https://a.example",
        ),
        ("camera=*", None),
    ],
)
def test_a_permissions_policy_asks_for_frames_too(value: str, frames: str | None):
    """What a frame is refused no browser reports: frames of origins that lose a feature are
    reported themselves, the page's own too where the page itself loses one.
    """
    rule = {"header": "Permissions-Policy", "action": "set", "value": value}
    header = "Content-Security-Policy-Report-Only"
    found = [line for line in report_only(rule, scheme="https") if line[0] == header]
    assert found == ([] if frames is None else [(header, f"frame-src {frames}; {REPORT}")])


@pytest.mark.parametrize(
    ("framing", "added"), [(b"DENY", "'none'"), (b"sameorigin", "'self'"), (b"ALLOWALL", None)]
)
def test_frames_that_the_own_policy_lets_in_are_reported(framing: bytes, added: str | None):
    """The service's own `frame-ancestors` would go, and X-Frame-Options count again."""
    own = [(CSP.encode(), b"frame-ancestors https://a.example"), (b"X-Frame-Options", framing)]
    rule = {"header": CSP, "action": "set", "value": "object-src 'none'"}
    found = [value for _, value in report_only(rule, *own)]
    expected = [f"object-src 'none'; {REPORT}"]
    assert found == expected + ([f"frame-ancestors {added}; {REPORT}"] if added else [])


def test_a_lost_upgrade_is_said():
    """The service's own `upgrade-insecure-requests` would go: the header goes along, and its
    silence is no proof.
    """
    own = (CSP.encode(), b"upgrade-insecure-requests")
    states = []
    for value in ("default-src 'self'", "default-src 'self'; upgrade-insecure-requests"):
        rule = {"header": CSP, "action": "set", "value": value}
        route = plan({"it": rule}, mode="trial").routes[-1]
        states += [one.state for one in decide(route, facts(PAGE, own)).report_only]
    assert states == ["upgraded", "carried"]


@pytest.mark.parametrize(
    ("own", "value", "state"),
    [
        ('ch-width=(self "https://a.test")', "camera=()", "granted"),
        ('ch-width=(self "https://a.test")', "camera=(), ch-width=*", "carried"),
        ("ch-width=(self), camera=()", "camera=(), usb=()", "carried"),
        ("unload=(self)", "camera=()", "granted"),
        ("geolocation=*", "camera=()", "carried"),
    ],
)
def test_what_a_permissions_policy_alone_gives(own: str, value: str, state: str):
    """Who needs it, no browser says: client hints for other origins, `unload` handlers."""
    rule = {"header": "Permissions-Policy", "action": "set", "value": value}
    route = plan({"it": rule}, mode="trial").routes[-1]
    lines = (PAGE, (b"Permissions-Policy", own.encode()))
    (one,) = decide(route, facts(*lines, scheme="https")).report_only
    assert one.state == state


@pytest.mark.parametrize(
    ("own", "value", "state"),
    [
        ("sandbox allow-scripts", "object-src 'none'", "granted"),
        ("sandbox allow-same-origin", "object-src 'none'", "carried"),
        ("sandbox allow-scripts", "object-src 'none'; sandbox allow-scripts", "carried"),
    ],
)
def test_a_lost_sandbox_is_said(own: str, value: str, state: str):
    """A page that had no origin would have one: who counts on that, no browser says."""
    rule = {"header": CSP, "action": "set", "value": value}
    route = plan({"it": rule}, mode="trial").routes[-1]
    (one,) = decide(route, facts(PAGE, (CSP.encode(), own.encode()))).report_only
    assert one.state == state


@pytest.mark.parametrize(
    ("own", "together"),
    [
        (((b"Cross-Origin-Opener-Policy", b"same-origin"),), True),
        (((b"Cross-Origin-Opener-Policy", b'Same-Origin; report-to="a"'),), True),
        (((b"Cross-Origin-Opener-Policy", b"same-origin-allow-popups"),), False),
        ((), False),
        (
            (
                (b"Cross-Origin-Opener-Policy", b"same-origin"),
                (b"Cross-Origin-Opener-Policy-Report-Only", b"same-origin"),
            ),
            False,
        ),
    ],
)
def test_coep_is_tried_together_with_the_services_own_coop(
    own: tuple[tuple[bytes, bytes], ...], together: bool
):
    """With COEP beside it, COOP parts a page from those without COEP, and reports that by its own
    report-only header.
    """
    rule = {"header": "Cross-Origin-Embedder-Policy", "action": "set", "value": "require-corp"}
    route = plan({"it": rule}, mode="trial").routes[-1]
    (one,) = decide(route, facts(PAGE, *own, scheme="https")).report_only
    assert (b"Cross-Origin-Opener-Policy-Report-Only" in dict(one.lines)) is together


@pytest.mark.parametrize("value", ["credentialless", "require-corp"])
def test_what_is_loaded_without_cookies_is_tried_as_a_policy(value: str):
    """COEP's own report-only header says nothing of it where CORP allows the load."""
    rule = {"header": "Cross-Origin-Embedder-Policy", "action": "set", "value": value}
    route = plan({"it": rule}, mode="trial").routes[-1]
    (one,) = decide(route, facts(PAGE, scheme="https")).report_only
    policy = dict(one.lines).get(b"Content-Security-Policy-Report-Only", b"")
    assert (b"img-src 'self'" in policy) is (value == "credentialless")


def test_what_is_blocked_today_leaves_the_schemes_that_are_named():
    """`*` has only the usual ones: a frame of an app's own scheme would be reported for nothing."""
    rule = {"header": CSP, "action": "set", "value": "frame-src 'self' myapp:"}
    route = plan({"it": rule}, mode="trial").routes[-1]
    (one,) = decide(
        route, facts(PAGE, (CSP.encode(), b"frame-src 'self' myapp:; img-src *"))
    ).report_only
    assert b" myapp:;" in one.lines[0][1]


@pytest.mark.parametrize("share", ["1%", "100%"])
def test_a_share_of_clients_is_tried(share: str):
    """A trial is of the share of clients that the rule names."""
    rule = {"header": CSP, "action": "set", "value": "img-src a.test", "share": share}
    assert len(report_only(rule, client="192.0.2.1")) == (share == "100%")


@settings(max_examples=examples(200))
@given(POLICIES, SITUATIONS)
def test_a_trial_only_adds(resolved: Resolved, situation: Facts):
    """Whatever the policy, every line of the service leaves as it came and in its place;
    report-only lines follow.
    """
    route = compile_policy(resolved, override="trial").route(
        situation.host, situation.method, situation.path
    )
    fields = route.judge(situation).fields(situation.fields)
    assert fields[: len(situation.fields)] == situation.fields
    names = {name for name, _ in fields[len(situation.fields) :]}
    assert all(name.endswith(b"-Report-Only") or name == b"Reporting-Endpoints" for name in names)


@pytest.mark.parametrize(("scheme", "state"), [("https", "carried"), ("http", "silent")])
def test_links_that_are_upgraded_are_not_reported(scheme: str, state: str):
    """Over plain http, `upgrade-insecure-requests` turns the site's own links to https, and no
    browser says so: what else it upgrades is still reported.
    """
    rule = {"header": CSP, "action": "set", "value": "upgrade-insecure-requests"}
    (header,) = judged(rule, mode="trial", scheme=scheme).report_only
    assert (header.state, len(header.lines)) == (state, 1)
