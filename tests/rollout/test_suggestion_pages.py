"""What pages hold, for suggestions: as the sidecar read them, and as they were read just now."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from sidecar.observed import ObservedResponse
from sidecar.policy.browsers.pages import PageElements, read_page
from sidecar.suggest.model import VARIES, PageContents, Terms, from_loads, from_routes
from tests.rollout.suggesting import hash_source

URL = "https://shop.test/cart"


def page(number: int) -> bytes:
    """A page with a script that stays, one that varies, and two that it loads."""
    return (
        f"<script>go()</script>\n<script>n = {number}</script><script src=/app.js></script><script"
        " src=//cdn.test/a.js></script>".encode()
    )


def load(html: bytes) -> ObservedResponse:
    """A page as it is read."""
    return ObservedResponse(URL, 200, ((b"Content-Type", b"text/html; charset=utf-8"),), html)


def clients(held: PageContents) -> dict[str, int | None]:
    """How many clients are known to have got each text."""
    return {one.text: one.clients for one in held.snippets}


def test_two_loads_say_what_varies():
    """What stood in both counts by the cause's numbers; one load says nothing of the next."""
    both = from_loads(load(page(number)) for number in range(2))
    assert clients(both) == {"go()": None, "n = 0": VARIES, "n = 1": VARIES}
    assert clients(from_loads([load(page(0))])) == {"go()": 1, "n = 0": 1}
    assert {one.hash for one in both.snippets} >= {hash_source("go()")}
    assert both.urls == {
        ("script-src-elem", "'self'/app.js"): "/cart",
        ("script-src-elem", "//cdn.test/a.js"): "/cart",
    }


def seen(loads: int, clients: int) -> dict[str, Any]:
    """Numbers as the admin API sends them."""
    return {"loads": loads, "clients": clients, "first": 1.0, "last": 9.0, "pages": ["/cart"]}


NOW = Terms(4, 8.0)


def reported(page: PageElements, loads: dict[str, int]) -> dict[str, Any]:
    """A route as the admin API sends it."""
    inline = [
        dataclasses.asdict(one) | seen(loads.get(one.text, 9), min(loads.get(one.text, 9), 4))
        for one in page.inline
    ]
    urls = [{"directive": by, "url": url} | seen(9, 4) for by, url in page.urls]
    return {"read": 9, "dropped": 0, "inline": inline, "urls": urls}


def test_what_the_sidecar_read_says_what_varies():
    """Texts that were sent once, from a place that sent others too."""
    whole = read_page(page(0) + b"\n<script>once()</script>", "utf-8", URL)
    varied = read_page(b"\n" + page(1).partition(b"\n")[2], "utf-8", URL)
    both = dataclasses.replace(whole, inline=(*whole.inline, varied.inline[0]))
    held = from_routes({"default": reported(both, {"n = 0": 1, "n = 1": 1, "once()": 1})}, NOW)
    assert clients(held) == {"go()": 4, "n = 0": VARIES, "once()": 1, "n = 1": VARIES}
    assert held.urls[("script-src-elem", "//cdn.test/a.js")] == "/cart"


@pytest.mark.parametrize("terms", [Terms(5, 0.0), Terms(1, 9.0)])
def test_an_address_that_few_clients_got_stands_in_no_page(terms: Terms):
    """A search page sends each client its own injection back: that is no page of the site."""
    route = reported(read_page(page(0), "utf-8", URL), {})
    assert from_routes({"default": route}, terms).urls == {}
    assert from_routes({"default": route}, NOW).urls
