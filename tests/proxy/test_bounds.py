"""The policy's own bound on request bodies, over real sockets."""

from collections.abc import Callable
from functools import cache

import pytest

from tests.e2e import wire
from tests.e2e.conftest import Start
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar

POLICY = """\
version: 1
mode: {mode}
max-body: 1KiB
rules:
  nosniff: {{header: X-Content-Type-Options, action: set, value: nosniff}}
routes:
  - {{name: wide, match: {{path: /upload}}, max-body: 8KiB}}
"""
CHUNKED = [("Transfer-Encoding", "chunked")]


@pytest.fixture(scope="module")
def bounded(begin: Start, shop: Service) -> Callable[[str], Sidecar]:
    """The sidecar in a mode."""
    return cache(lambda mode: begin(POLICY.format(mode=mode), shop.url))


def post(address: wire.Address, target: str, size: int, *, chunked: bool) -> wire.Response:
    """Send a body of so many bytes."""
    if not chunked:
        return wire.ask(address, wire.request("POST", target, [], b"x" * size))
    head = wire.request("POST", target, CHUNKED)
    return wire.ask(address, head + b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size))


@pytest.mark.parametrize(
    ("target", "size", "chunked", "refused"),
    [
        ("/other", 1024, False, False),
        ("/other", 1025, False, True),
        ("/upload", 8192, False, False),
        ("/upload", 8193, False, True),
        ("/upload", 8192, True, False),
        ("/upload", 8193, True, True),
    ],
)
def test_enforced_bounds(
    bounded: Callable[[str], Sidecar], target: str, size: int, chunked: bool, refused: bool
):
    """One byte more than the route allows is 413, with the policy applied, however the body is
    framed.
    """
    response = post(bounded("enforce").listen, target, size, chunked=chunked)

    assert (response.status == 413) is refused
    assert response.value("X-Content-Type-Options") == "nosniff"


@pytest.mark.parametrize("chunked", [False, True])
def test_report_only_tells(bounded: Callable[[str], Sidecar], chunked: bool):
    """In report-only the request passes, and is reported and counted once."""
    sidecar = bounded("report-only")
    before = sidecar.metric("sidecar_would_reject_requests_total", reason="body_too_large")
    since = len(sidecar.events())
    response = post(sidecar.listen, "/", 5000, chunked=chunked)

    assert response.status != 413
    sidecar.event("request.would_reject", since, reason="body_too_large")
    assert (
        sidecar.metric("sidecar_would_reject_requests_total", reason="body_too_large") == before + 1
    )
