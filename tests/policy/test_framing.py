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


def outcomes(*visits: tuple[str, str, str, str]) -> list[str]:
    """What the breakage test says of each request: path, site, destination, Referer ("" = none)."""
    made = plan({"it": SAME}, mode="report-only")
    route = made.routes[-1]
    ((index, breakage_test),) = route.breakage_tests
    ((_, _, watcher),) = route.watchers
    found = []
    for path, site, dest, referer in visits:
        named = {"Site": site, "Mode": "navigate", "Dest": dest}
        request: Any = [
            (f"Sec-Fetch-{name}".encode(), value.encode()) for name, value in named.items()
        ]
        if referer:
            request.append((b"Referer", referer.encode()))
        world = facts(request=[AGENT, *request], path=path, host="shop.test", client="192.0.2.1")
        fetch = Fetch(world)
        assert not watcher.watch(world, fetch)
        found.append(breakage_test(world, fetch))
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
