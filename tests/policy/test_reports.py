"""Browser reports: attacker's text in, closed words and capped texts out."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.policy.browsers.reports import (
    DISPOSITIONS,
    MAX_REPORTS,
    TYPES,
    WORDS,
    BrowserReport,
    read_reports,
)
from sidecar.policy.csp.table import DIRECTIVES
from sidecar.policy.headers.fields import FEATURES

CSP = "application/csp-report"
API = "application/reports+json"


def test_report_uri_form():
    """One object with hyphenated keys, as `report-uri` posts it (CSP Level 3 section 5.2)."""
    data = {
        "csp-report": {
            "document-uri": "https://shop.example/cart?token=secret",
            "effective-directive": "script-src-elem",
            "blocked-uri": "https://evil.example/x.js?stolen=secret",
            "disposition": "report",
            "original-policy": "default-src 'self'",
        }
    }

    assert read_reports(json.dumps(data).encode(), CSP) == (
        BrowserReport(
            "csp-violation",
            "script-src-elem",
            "report",
            "https://evil.example/x.js",
            "/cart",
            noise=False,
            origin="https://shop.example",
        ),
    )


def test_reporting_api_form():
    """A list with camel-case bodies, as `report-to` posts it (Reporting API section 3)."""
    data = [
        {
            "type": "csp-violation",
            "url": "https://shop.example/",
            "body": {
                "effectiveDirective": "img-src",
                "blockedURL": "inline",
                "disposition": "enforce",
            },
        },
        {
            "type": "coep",
            "url": "https://shop.example/a",
            "body": {"disposition": "reporting", "blockedURL": "chrome-extension://abc/x"},
        },
        {"type": "made-up", "body": {}},
        {"type": "coop"},
    ]

    assert read_reports(json.dumps(data).encode(), API) == (
        BrowserReport(
            "csp-violation",
            "img-src",
            "enforce",
            "inline",
            "/",
            noise=False,
            origin="https://shop.example",
        ),
        BrowserReport(
            "coep",
            "other",
            "reporting",
            "chrome-extension://abc/x",
            "/a",
            noise=True,
            origin="https://shop.example",
        ),
        BrowserReport("other", "other", "other", "", "", noise=False),
    )


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[",
        b"null",
        b"3",
        b'"x"',
        b"[1,2]",
        b"{}",
        b'{"csp-report": 1}',
        b"[" * 100_000,
        b"\xff",
    ],
)
@pytest.mark.parametrize("media", [CSP, API])
def test_nonsense_is_no_report(data: bytes, media: str):
    """What cannot be read counts for nothing and harms nothing."""
    assert read_reports(data, media) == ()


@pytest.mark.parametrize("text", ["\x1b]0;a\x07", "\u202eevil", "\x9b2J", "\x00"])
def test_what_is_reported_can_be_printed(text: str):
    """No report reaches an operator's terminal with control characters."""
    url = f"https://{text}a.test/{text}b"
    body = {"blocked-uri": url, "document-uri": url, "source-file": url, "script-sample": text}
    (report,) = read_reports(json.dumps({"csp-report": body}).encode(), CSP)
    texts = (report.blocked, report.document, report.source, report.origin, report.sample)

    assert all(reported.isprintable() for reported in texts)


def test_a_post_holds_so_many_reports():
    """The rest of an endless list is not looked at."""
    assert len(read_reports(json.dumps([{"body": {}}] * 1000).encode(), API)) == MAX_REPORTS


@given(st.text(), st.text(), st.text(), st.text())
def test_labels_are_closed(kind: str, directive: str, disposition: str, blocked: str):
    """Whatever a report says, what is counted comes from closed lists and what is reported is
    short, without query.
    """
    data = [
        {
            "type": kind,
            "body": {
                "effectiveDirective": directive,
                "disposition": disposition,
                "blockedURL": blocked,
                "documentURL": blocked,
            },
        }
    ]

    (report,) = read_reports(json.dumps(data).encode(), API)

    assert report.type in TYPES
    assert report.directive in {*DIRECTIVES, *FEATURES, *WORDS, "other"}
    assert report.disposition in DISPOSITIONS
    assert len(report.blocked) <= 120
    assert "?" not in report.blocked


@pytest.mark.parametrize(
    ("blocked", "source", "noise"),
    [
        ("chrome-extension://abc/x.js", "", True),
        ("inline", "chrome-extension", True),
        ("https://a.test/x.js", "moz-extension://abc/content.js", True),
        ("data", "", False),
        ("blob", "https://shop.test/app.js", False),
        ("about", "", False),
    ],
)
def test_noise_is_what_extensions_cause(blocked: str, source: str, noise: bool):
    """An extension may stand in what was blocked or in its source, as a bare word too; the
    site's own data: and blob: are no noise.
    """
    data = {
        "csp-report": {
            "document-uri": "https://shop.test/",
            "blocked-uri": blocked,
            "source-file": source,
        }
    }

    assert read_reports(json.dumps(data).encode(), CSP)[0].noise is noise


def test_a_sample_and_its_place_are_kept():
    """The first characters of inline code, on one line, and where it stands."""
    data = {
        "csp-report": {
            "document-uri": "https://shop.test/p?q",
            "blocked-uri": "inline",
            "script-sample": "a\nb" + "c" * 60,
            "source-file": "https://shop.test/p?q",
            "line-number": 7,
        }
    }
    (report,) = read_reports(json.dumps(data).encode(), CSP)

    assert (report.sample, report.source, report.line, report.origin) == (
        "a b" + "c" * 37,
        "https://shop.test/p",
        7,
        "https://shop.test",
    )


@pytest.mark.parametrize(
    ("kind", "body", "named"),
    [
        ("coep", {"type": "corp", "destination": "image"}, "corp"),
        ("coep", {"type": "navigation"}, "navigation"),
        ("coop", {"type": "access-to-coop-page-from-openee"}, "access-to-coop-page-from-openee"),
        ("integrity-violation", {"destination": "script"}, "script"),
        ("permissions-policy-violation", {"featureId": "camera"}, "camera"),
    ],
)
def test_what_stands_in_the_place_of_a_directive(kind: str, body: dict[str, str], named: str):
    """For COEP and COOP the kind of violation, and not what was loaded."""
    data = [{"type": kind, "url": "https://shop.example/", "body": body}]
    (found,) = read_reports(json.dumps(data).encode(), API)
    assert found.directive == named


def test_webkit_posts_the_body_of_the_reporting_api_as_a_csp_report():
    """So it does for `report-to`: one report alone, of the older type."""
    body = {
        "documentURL": "https://shop.test/cart",
        "effectiveDirective": "script-src-elem",
        "blockedURL": "inline",
        "disposition": "report",
    }
    data = json.dumps({"type": "csp-violation", "url": "https://shop.test/cart", "body": body})
    (report,) = read_reports(data.encode(), "application/csp-report")
    assert (report.type, report.directive, report.blocked, report.origin) == (
        "csp-violation",
        "script-src-elem",
        "inline",
        "https://shop.test",
    )


def test_a_part_of_the_browser_is_no_script():
    """Firefox names itself where it loads the page's icon: the page is what asked for it."""
    body = {
        "document-uri": "https://shop.test/",
        "effective-directive": "img-src",
        "blocked-uri": "https://shop.test/favicon.ico",
        "source-file": "resource",
    }
    (report,) = read_reports(json.dumps({"csp-report": body}).encode(), "application/csp-report")
    assert report.source == ""
