"""Cookie rules: attributes demanded of Set-Cookie lines by name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.policy.making import judged

LOCKED = {"Secure": True, "HttpOnly": True, "SameSite": "Lax"}


def cookies(*lines: bytes) -> list[tuple[bytes, bytes]]:
    """Set-Cookie lines with another header between."""
    return (
        [(b"set-cookie", line) for line in lines[:1]]
        + [(b"X-A", b"1")]
        + [(b"Set-Cookie", line) for line in lines[1:]]
    )


@pytest.mark.parametrize(
    ("rule", "before", "after"),
    [
        (
            {"cookie": "sid", "attributes": LOCKED},
            [b"sid=1; Path=/"],
            [b"sid=1; Path=/; Secure; HttpOnly; SameSite=Lax"],
        ),
        (
            {"cookie": "s*", "attributes": {"HttpOnly": True}},
            [b"sid=1", b"other=2", b"s=3;httponly"],
            [b"sid=1; HttpOnly", b"other=2", b"s=3;httponly"],
        ),
        (
            {"cookie": "sid", "attributes": {"HttpOnly": False}},
            [b"sid=1; HttpOnly; Path=/"],
            [b"sid=1; Path=/"],
        ),
        ({"cookie": "*", "attributes": {"HttpOnly": True}}, [b"csrftoken=1"], [b"csrftoken=1"]),
        (
            {"cookie": "csrftoken", "attributes": {"HttpOnly": True}},
            [b"csrftoken=1"],
            [b"csrftoken=1; HttpOnly"],
        ),
        (
            {"cookie": "__Host-*", "attributes": {"Secure": True, "Path": "/", "Domain": False}},
            [b"__Host-a=1; path=/x; Domain=a.example"],
            [b"__Host-a=1; path=/; Secure"],
        ),
        (
            {"cookie": "sid", "attributes": {"Path": "/app"}},
            [b"sid=1", b"sid"],
            [b"sid=1; Path=/app", b"sid"],
        ),
        (
            {"cookie": "*", "attributes": {"HttpOnly": True}},
            [b"no name", b"=x"],
            [b"no name; HttpOnly", b"=x; HttpOnly"],
        ),
        (
            {"cookie": "sid", "attributes": LOCKED},
            [b"sid=\xff\xfe; path=/"],
            [b"sid=\xff\xfe; path=/; Secure; HttpOnly; SameSite=Lax"],
        ),
    ],
)
def test_lines_get_the_attributes_that_are_demanded(
    rule: dict[str, Any], before: list[bytes], after: list[bytes]
):
    """Values, order and other cookies stay as they are, byte for byte."""
    decision = judged(rule, *cookies(*before))

    assert decision.fields == cookies(*after)
    assert decision.changed is (before != after)


def test_require_only_judges():
    """The finding has no change to make."""
    decision = judged(
        {"cookie": "sid", "action": "require", "attributes": LOCKED}, (b"Set-Cookie", b"sid=1")
    )

    assert [(finding.kind, finding.after, finding.made) for finding in decision.findings] == [
        ("mismatch", None, False)
    ]


def test_no_cookie_no_finding():
    """A response that sets none is right."""
    assert judged({"cookie": "sid", "attributes": LOCKED}, (b"X-A", b"1")).findings == ()
