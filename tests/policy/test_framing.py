"""Pages in frames of pages in frames: what a request names, and what has to be remembered."""

from __future__ import annotations

from typing import Any

import pytest

from sidecar.policy.rules.fetch import Fetch
from tests.policy.making import facts, plan

SAME = {"header": "X-Frame-Options", "action": "set", "value": "SAMEORIGIN"}
AGENT = (
    b"User-Agent",
    b"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36",
)
OUTER = ("/outer", "cross-site", "iframe", "https://partner.example/")
SITE = "https://shop.test"


def outcomes(*visits: tuple[str, str, str, str], rule: dict[str, Any] = SAME) -> list[str]:
    """What the breakage test says of each request: path, site, destination, Referer ("" = none).

    Requests for data carry a cookie.
    """
    made = plan({"it": rule}, mode="report-only")
    route = made.routes[-1]
    ((index, breakage_test),) = route.breakage_tests
    ((_, _, watcher),) = route.watchers
    found = []
    for path, site, dest, referer in visits:
        mode = "cors" if dest == "empty" else "navigate"
        named = {"Site": site, "Mode": mode, "Dest": dest}
        request: Any = [
            (f"Sec-Fetch-{name}".encode(), value.encode()) for name, value in named.items()
        ]
        if referer:
            request.append((b"Referer", referer.encode()))
        if dest == "empty":
            request.append((b"Cookie", b"session=1"))
        situation = facts(
            request=[AGENT, *request], path=path, host="shop.test", client="192.0.2.1"
        )
        fetch = Fetch(situation)
        assert not watcher.watch(situation, fetch)
        found.append(breakage_test(situation, fetch))
    assert index == 0
    return found


@pytest.mark.parametrize(
    ("inner", "expected"),
    [
        (("/inner", "same-origin", "iframe", f"{SITE}/outer?x=1"), "break"),
        (("/inner", "same-origin", "iframe", f"{SITE}/other"), "safe"),
        (("/inner", "same-origin", "iframe", f"{SITE}/"), "open"),
        (("/inner", "same-origin", "iframe", ""), "open"),
    ],
)
def test_a_page_in_a_strangers_frame_frames_another(
    inner: tuple[str, str, str, str], expected: str
):
    """Every ancestor counts (CSP3 section 6.4.2), and a request names only the nearest."""
    assert outcomes(OUTER, inner) == ["break", expected]


def test_it_goes_on_inwards_and_ends_in_a_window_of_its_own():
    """What stands in such a page stands in it too; opened by itself, the page frames its own as
    before.
    """
    inner = ("/inner", "same-origin", "iframe", f"{SITE}/outer")
    innermost = ("/innermost", "same-origin", "iframe", f"{SITE}/inner")
    window = ("/outer", "none", "document", "")
    assert outcomes(OUTER, inner, innermost, window, inner) == [
        "break",
        "break",
        "break",
        "safe",
        "safe",
    ]


LAX = {"cookie": "session", "attributes": {"SameSite": "Lax"}}


@pytest.mark.parametrize(
    ("visits", "expected"),
    [
        ([OUTER, ("/api", "same-origin", "empty", f"{SITE}/outer")], "break"),
        ([OUTER, ("/api", "same-origin", "empty", f"{SITE}/shop")], "safe"),
        ([OUTER, ("/api", "same-origin", "empty", "")], "open"),
        ([("/api", "same-origin", "empty", "")], "safe"),
        (
            [
                OUTER,
                ("/worker.js", "same-origin", "worker", f"{SITE}/outer"),
                ("/api", "same-origin", "empty", f"{SITE}/worker.js"),
            ],
            "open",
        ),
        (
            [
                OUTER,
                ("/worker.js", "same-origin", "worker", f"{SITE}/shop"),
                ("/api", "same-origin", "empty", f"{SITE}/worker.js"),
            ],
            "safe",
        ),
        (
            [
                OUTER,
                ("/inner", "same-origin", "iframe", f"{SITE}/outer"),
                ("/api", "same-origin", "empty", f"{SITE}/inner"),
            ],
            "break",
        ),
        (
            [
                OUTER,
                ("/outer", "same-origin", "document", ""),
                ("/api", "same-origin", "empty", f"{SITE}/outer"),
            ],
            "safe",
        ),
    ],
)
def test_in_a_strangers_frame_no_request_is_same_site(
    visits: list[tuple[str, str, str, str]], expected: str
):
    """A cookie with SameSite is not sent there, not even to the page's own host (RFC 6265bis
    section 5.2.1).
    """
    assert outcomes(*visits, rule=LAX)[-1] == expected
