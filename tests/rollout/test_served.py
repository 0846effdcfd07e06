"""The inventory of served pages: what it knows of a route, in bounded memory."""

from __future__ import annotations

import pytest

from sidecar.policy.browsers.pages import read_page
from sidecar.rollout.served_pages import (
    ENOUGH,
    ENOUGH_OF_ROUTE,
    MAX_PATHS,
    MAX_PIECES,
    MAX_SIGNS,
    MAX_TEXT,
    ServedPages,
)
from tests.policy.making import plan

CSP = {"header": "Content-Security-Policy", "action": "set", "value": "default-src 'self'"}


class Harness:
    """An inventory of one route in trial."""

    def __init__(self) -> None:
        self.now = 100.0
        self.served = ServedPages(lambda: self.now)
        self.served.activated(plan({"csp": CSP}, mode="trial"))

    def serve(self, html: str, path: str = "/", client: str = "a", times: int = 1) -> None:
        """Pages that were read."""
        page = read_page(html.encode(), "utf-8", f"https://shop.example{path}")
        for _ in range(times):
            self.served.add("default", path, client, page)


@pytest.fixture
def harness() -> Harness:
    """An empty one."""
    return Harness()


@pytest.mark.parametrize(
    ("html", "directive", "sample", "known"),
    [
        ("<script>\n  go('a')\n</script>", "script-src-elem", "go('a')", True),
        ("<script>\n  go('a')\n</script>", "script-src-elem", "   go('a') ", True),
        (f"<script>{' ' * 30}{'a' * 40}</script>", "script-src-elem", " " * 30 + "a" * 10, True),
        (f"<script>{'a' * 60}</script>", "script-src-elem", "a" * 40, True),
        (f"<script>{'a' * 60}</script>", "script-src-elem", "a" * 39, False),
        ("<script>a</script>", "script-src", "a", True),
        ("<script>a</script>", "default-src", "a", True),
        ("<script>a</script>", "style-src-elem", "a", False),
        ("<p onclick=a>", "script-src-attr", "a", True),
        ("<p style=a:b>", "style-src-attr", "a:b", True),
        ("<script>a</script>", "script-src-elem", "", False),
    ],
)
def test_a_sample_is_found_in_the_page_that_holds_it(
    harness: Harness, html: str, directive: str, sample: str, known: bool
):
    """As Chromium quotes it, and as the others do; by the family of the directive."""
    harness.serve(html)

    assert harness.served.quoted("default", directive, sample) is known
    assert not harness.served.quoted("other", directive, sample)


@pytest.mark.parametrize(
    ("directive", "url", "known"),
    [
        ("script-src-elem", "https://cdn.test/a.js", True),
        ("script-src", "https://cdn.test/a.js", True),
        ("default-src", "https://cdn.test/a.js", True),
        ("script-src-elem", "http://cdn.test/a.js", True),
        ("img-src", "https://cdn.test/a.js", False),
        ("script-src-elem", "https://cdn.test/b.js", False),
        ("img-src", "data:", True),
        ("frame-src", "https://other.test", True),
        ("frame-src", "https://other", False),
        ("frame-src", "https://other.test/gadget", False),
    ],
)
def test_a_blocked_address_is_found_in_the_page_that_loads_it(
    harness: Harness, directive: str, url: str, known: bool
):
    """Scheme aside, which a proxy before us may change; by the family of the directive. Of a
    frame its origin is enough.
    """
    harness.serve(
        "<script src=//cdn.test/a.js?v=1></script><img src=data:image/gif,>"
        "<iframe src=//other.test/widget></iframe>"
    )

    assert harness.served.linked("default", directive, url) is known


def test_absence_says_something_only_of_a_page_that_was_read(harness: Harness):
    """So often of its own address, or so many of its route."""
    harness.serve("", "/a", times=ENOUGH - 1)
    assert not harness.served.knows("default", "/a")
    harness.serve("", "/a")
    assert harness.served.knows("default", "/a")
    assert not harness.served.knows("default", "/b")
    harness.serve("", "/a", times=ENOUGH_OF_ROUTE)
    assert harness.served.knows("default", "/b")


def test_pieces_are_counted(harness: Harness):
    """Page loads, clients, first and last seen, pages; the most frequent first."""
    harness.serve("<script>a</script>", "/a", "x")
    harness.now += 5
    harness.serve("<script>a</script><script>b</script>", "/b", "y", times=2)
    reported = harness.served.data()["default"]

    assert reported["read"] == 3
    assert [
        (it["text"], it["loads"], it["clients"], it["first"], it["last"], it["pages"])
        for it in reported["inline"]
    ] == [("a", 3, 2, 100.0, 105.0, ["/a", "/b"]), ("b", 2, 1, 105.0, 105.0, ["/b"])]
    assert reported["inline"][0]["hash"] == read_page(b"<script>a</script>").inline[0].hash


def test_memory_is_bounded_and_what_comes_again_stays(harness: Harness):
    """Pages whose code differs on each load, and long ones, on ever other addresses."""
    harness.serve("<script>kept</script><img src=/kept.png>", times=5)
    for number in range(MAX_PIECES + 50):
        harness.serve(f"<script>{number}</script><img src=/{number}.png>", f"/{number}")
    for number in range(40):
        harness.serve(f"<script>{number}{'a' * 60_000}</script>")
    reported = harness.served.data()["default"]

    assert len(reported["inline"]) <= MAX_PIECES
    assert len(reported["urls"]) <= MAX_PIECES
    assert sum(len(it["text"]) for it in reported["inline"]) <= MAX_TEXT
    assert reported["inline"][0]["text"] == "kept"
    assert harness.served.quoted("default", "script-src-elem", "kept")
    assert not harness.served.quoted("default", "script-src-elem", "1")
    assert reported["dropped"]
    assert MAX_PATHS >= ENOUGH_OF_ROUTE


def test_a_route_that_leaves_its_trial_is_forgotten(harness: Harness):
    """Only what is in trial is held."""
    harness.serve("<script>a</script>")
    harness.served.activated(plan({"csp": CSP}, mode="trial"))
    assert harness.served.data()
    harness.served.activated(plan({"csp": CSP}, mode="report-only"))
    harness.serve("<script>a</script>")
    assert harness.served.data() == {}


def test_what_was_looked_for_is_found_in_what_came_later(harness: Harness):
    """Nothing is searched twice for the same text, and no answer is older than what is held."""
    harness.serve("<script>go()</script>")
    assert not harness.served.named("default", "cdn.example")
    harness.serve("<script>load('cdn.example')</script>")
    harness.serve("<script>again('cdn.example')</script>", times=2)
    assert harness.served.named("default", "cdn.example")
    for number in range(MAX_PIECES):  # the first gives way, the second stays
        harness.serve(f"<script>{number}</script>")
    assert harness.served.named("default", "cdn.example")
    for number in range(2 * MAX_PIECES):
        harness.serve(f"<script>new {number}</script>", times=3)
    assert not harness.served.named("default", "cdn.example")


def test_an_address_that_gave_way_is_not_linked(harness: Harness):
    """What is no longer held stands in no page; of a frame's address its origin is enough."""
    harness.serve("<iframe src=https://cdn.example/a></iframe>")
    for known in ("https://cdn.example/a", "https://cdn.example", "http://cdn.example"):
        assert harness.served.linked("default", "frame-src", known)
    assert not harness.served.linked("default", "frame-src", "https://cdn.example/")
    for number in range(MAX_PIECES + 50):
        harness.serve(f"<img src=https://{number}.example/>")
    assert not harness.served.linked("default", "frame-src", "https://cdn.example/a")


def test_names_in_code_are_held_in_bounded_memory(harness: Harness):
    """Code may hold what visitors write. Beyond the bound it counts that a frame is given some
    feature.
    """
    for number in range(5):
        given = ",".join(f"{{allow:'f{number}-{at}'}}" for at in range(150))
        harness.serve(f"<script>make('iframe',{given})</script>")
    harness.serve(f"<script>make('iframe',{{allow:'{'a' * 5_000}'}})</script>")
    found = harness.served.signs("default")

    assert len(found) <= MAX_SIGNS
    assert "gives" in found
    assert max(map(len, found)) < 100
