"""Pages of a route in trial are read as they pass: whatever carries them, in every worker, and
nothing else changes.
"""

from __future__ import annotations

import gzip
import itertools
from typing import Any

import pytest

from tests.e2e import wire
from tests.e2e.canned import Canned
from tests.e2e.conftest import Start
from tests.e2e.processes import until
from tests.e2e.running import Sidecar
from tests.portion import by_default

POLICY = """\
version: 1
owner: web@example.com
expected: nothing breaks
rollback: sidecar rollback
mode: trial
rules:
  csp: {header: Content-Security-Policy, action: set, value: "default-src 'self'"}
"""
BROWSER = (
    (
        "User-Agent",
        (
            "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
            " Chrome/156.0.0.0 Safari/537.36"
        ),
    ),
    ("Sec-Fetch-Dest", "document"),
)
HTML = b"<!doctype html><script>go()</script><img src=//cdn.test/a.png>"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n"
PACKED = gzip.compress(HTML)
FORMS = {
    "length": HEAD + b"Content-Length: %d\r\n\r\n" % len(HTML) + HTML,
    "chunked": (
        HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n5\r\n"
        + HTML[:5]
        + b"\r\n%x\r\n" % len(HTML[5:])
        + HTML[5:]
        + b"\r\n0\r\n\r\n"
    ),
    "until close": HEAD + b"Connection: close\r\n\r\n" + HTML,
    "gzip": HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED,
}


def held(sidecar: Sidecar) -> dict[str, Any]:
    """The inventory of the default route."""
    reported: dict[str, Any] = (
        sidecar.ask("/api/pages").json()["routes"].get("default", {"read": 0})
    )
    return reported


@pytest.mark.parametrize(
    ("form", "workers"),
    by_default(itertools.product(FORMS, (1, 2)), {("chunked", 2), ("gzip", 1)}.__contains__),
)
def test_a_page_is_read_as_it_passes(start: Start, form: str, workers: int):
    """Each page load once; body bytes leave as they came."""
    with Canned(FORMS[form]) as service:
        sidecar = start(POLICY, service.url, workers=workers)
        for _ in range(4):
            passed = sidecar.get("/page?token=secret", *BROWSER)
            assert passed.body == (PACKED if form == "gzip" else HTML)
        until(lambda: held(sidecar)["read"] == 4, "four pages were read")
        reported = held(sidecar)

    assert [(it["kind"], it["text"], it["loads"], it["pages"]) for it in reported["inline"]] == [
        ("script", "go()", 4, ["/page"])
    ]
    assert [(it["directive"], it["url"]) for it in reported["urls"]] == [
        ("img-src", "http://cdn.test/a.png")
    ]
    assert "secret" not in str(reported)


def test_what_is_no_page_load_is_not_read(start: Start):
    """A HEAD, a 304, an image and a rule in report-only leave nothing; a page after them does."""
    with Canned(FORMS["length"]) as service:
        sidecar = start(POLICY, service.url)
        with wire.Line(sidecar.listen) as line:
            line.send(wire.request("HEAD", "/head", BROWSER))
            line.response(head_only=True)
        sidecar.get("/image", BROWSER[0], ("Sec-Fetch-Dest", "image"))
        service.response = b"HTTP/1.1 304 Not Modified\r\nContent-Type: text/html\r\n\r\n"
        sidecar.get("/unchanged", *BROWSER)
        service.response = FORMS["length"]
        sidecar.get("/page", *BROWSER)
        until(lambda: held(sidecar)["read"], "the page was read")

        assert held(sidecar)["read"] == 1
        assert held(sidecar)["inline"][0]["pages"] == ["/page"]
        sidecar.put(POLICY.replace("mode: trial", "mode: report-only"))
        sidecar.get("/page", *BROWSER)
        assert held(sidecar) == {"read": 0}
