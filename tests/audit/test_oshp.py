"""Coverage of OWASP's recommendation, by meaning."""

import pytest

from sidecar.audit.oshp import coverage, recommended, removed
from sidecar.observed import ObservedResponse
from tests.audit.visits import fields, response

STATED = [(one.header, one.value) for one in recommended()]


def test_the_preset_has_its_thirteen_headers_and_all_names_to_remove():
    """The lists are those of the shipped preset: 13 headers, 87 names and the spelling that
    Kubernetes sends.
    """
    assert (len(recommended()), len(removed())) == (13, 88)


def test_an_response_as_stated_follows_all_of_it():
    """A response that sends every value as it is stated follows 13 of 13 and leaks nothing."""
    page = ObservedResponse(
        "https://shop.example/", 200, fields([("Content-Type", "text/html"), *STATED])
    )

    covered = coverage(page)

    assert (covered.followed, covered.due, covered.leaks) == (13, 13, ())


def test_a_header_without_effect_here_is_not_due():
    """A page need not clear site data, an API response sends no document headers, plain HTTP no
    HSTS.
    """
    bare = [
        ObservedResponse(url, 200, fields([("Content-Type", kind)]))
        for url, kind in (
            ("https://a.example/", "text/html"),
            ("https://a.example/", "application/json"),
            ("http://a.example/", "text/html"),
        )
    ]

    assert [coverage(page).due for page in bare] == [12, 5, 11]


@pytest.mark.parametrize(
    ("header", "value", "state"),
    [
        (
            "Strict-Transport-Security",
            "includeSubDomains; max-age=63072000; preload",
            "as recommended",
        ),
        ("Strict-Transport-Security", "max-age=94608000 ; INCLUDESUBDOMAINS", "as recommended"),
        ("Strict-Transport-Security", "max-age=63072000", "different"),
        ("Strict-Transport-Security", "max-age=0; includeSubDomains", "different"),
        ("Strict-Transport-Security", ["max-age=63072000; includeSubDomains"] * 2, "different"),
        ("X-Frame-Options", "DENY", "as recommended"),
        ("X-Frame-Options", "sameorigin", "different"),
        ("Cache-Control", "max-age=0,no-store", "as recommended"),
        ("Cache-Control", "no-store", "different"),
        ("Cross-Origin-Opener-Policy", 'same-origin; report-to="x"', "as recommended"),
        ("Clear-Site-Data", '"storage", "cookies", "cache"', "as recommended"),
        ("Clear-Site-Data", '"cache"', "different"),
        (
            "Content-Security-Policy",
            (
                "upgrade-insecure-requests; DEFAULT-SRC 'self'; form-action 'self'; base-uri"
                " 'self'; frame-ancestors 'none'; object-src 'none'"
            ),
            "as recommended",
        ),
        ("Content-Security-Policy", "default-src 'self'", "different"),
        (
            "Permissions-Policy",
            dict(STATED)["Permissions-Policy"].replace("sync-xhr=(self)", "sync-xhr=()"),
            "as recommended",
        ),
        ("Permissions-Policy", "camera=()", "different"),
        ("Permissions-Policy", "camera 'none'", "different"),
        ("Referrer-Policy", "same-origin", "different"),
        ("X-Content-Type-Options", None, "absent"),
    ],
)
def test_values_are_compared_by_meaning(header, value, state):
    """Order, case, space and what the recommendation leaves open make no difference; anything
    else does.
    """
    assert state == dict(coverage(response((header, value))).states)[header]


def test_leaking_names_are_reported_in_the_published_spelling():
    """Names are compared without case and reported once."""
    assert coverage(
        response(("x-powered-by", ["a", "b"]), ("$WSEP", ""), ("X-Fine", "1"))
    ).leaks == (
        "X-Powered-By",
        "$wsep",
    )
