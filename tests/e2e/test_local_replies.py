"""Responses of the sidecar's own (502, 504, 413, 414, 400): they carry the policy and name no
server.
"""

import re
from collections.abc import Callable, Iterator
from functools import cache

import pytest

from tests.e2e import wire
from tests.e2e.canned import Canned
from tests.e2e.conftest import ENFORCED, POLICY, Start
from tests.e2e.processes import until
from tests.e2e.running import Sidecar

NAMES = re.compile(
    rb"sidecar|aiohttp|python|uvicorn|gunicorn|django|flask|httptools", re.IGNORECASE
)
SETTINGS = {
    "timeouts": {"response": "300ms", "connect": "300ms"},
    "limits": {"body": "1KiB", "target_bytes": "2KiB"},
}
REQUESTS = {
    "a line without a colon": (400, b"GET / HTTP/1.1\r\nHost: shop.example\r\nbad header\r\n\r\n"),
    "no host": (400, b"GET / HTTP/1.1\r\n\r\n"),
    "no HTTP": (400, b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n"),
    "a long body": (413, wire.request("POST", "/", body=b"x" * 1025)),
    "a long target": (414, wire.request("GET", "/" + "x" * 2048)),
}
ANSWERS = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "a NUL": b"HTTP/1.1 200 OK\r\nX-A: a\x00b\r\nContent-Length: 0\r\n\r\n",
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Canned]:
    """The service, which does as it is reported."""
    with Canned() as made:
        yield made


@pytest.fixture(scope="module")
def fronts(begin: Start, upstream: Canned) -> Callable[[str], Sidecar]:
    """Sidecars with short timeouts and low limits, by policy."""
    return cache(lambda policy: begin(policy, upstream.url, **SETTINGS))


@pytest.fixture(params=[POLICY, ENFORCED], ids=["report-only", "enforce"])
def front(request: pytest.FixtureRequest, fronts: Callable[[str], Sidecar]) -> Sidecar:
    """Such a sidecar in either mode."""
    return fronts(request.param)


def check(response: wire.Response, status: int, front: Sidecar) -> None:
    """Judge one response of the sidecar's own."""
    enforced = front.status()["mode"] == "enforce"
    assert response.status == status
    assert response.values("X-Policy-Mark") == (["one"] if enforced else [])
    assert bool(response.values("Content-Security-Policy")) == enforced
    assert response.values("Server") == []
    assert not NAMES.search(b"\n".join((*response.lines, response.body)))
    assert response.value("Content-Length") == str(len(response.body))
    assert response.value("Date")


@pytest.mark.parametrize("case", REQUESTS)
def test_refused_requests_carry_the_policy(front: Sidecar, case: str) -> None:
    """A request that the service never sees is answered under the policy, reported, and counted."""
    status, data = REQUESTS[case]
    rejected, since = front.metric("sidecar_rejected_requests_total"), len(front.events())
    answered = front.metric("sidecar_responses_total", origin="sidecar", status_class="4xx")
    check(wire.ask(front.listen, data), status, front)
    assert front.event("request.rejected", since)["http.response.status_code"] == status
    assert front.metric("sidecar_rejected_requests_total") == rejected + 1
    assert (
        front.metric("sidecar_responses_total", origin="sidecar", status_class="4xx")
        == answered + 1
    )


def test_late_service_is_504(
    front: Sidecar, upstream: Canned, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A service that does not response in time becomes a 504 under the policy."""
    monkeypatch.setattr(upstream, "response", None)
    since, counted = (
        len(front.events()),
        front.metric("sidecar_upstream_errors_total", reason="response_timeout"),
    )
    check(front.get("/"), 504, front)
    assert front.event("upstream.failed", since)["reason"] == "response_timeout"
    assert front.metric("sidecar_upstream_errors_total", reason="response_timeout") == counted + 1


def test_missing_service_is_502(front: Sidecar, upstream: Canned) -> None:
    """A service that is not there becomes a 502 under the policy; when it comes back, so do its
    responses.
    """
    since, counted = (
        len(front.events()),
        front.metric("sidecar_upstream_errors_total", reason="refused"),
    )
    upstream.close()
    try:
        until(lambda: front.get("/").status == 502, "the sidecar notices")
        check(front.get("/"), 502, front)
    finally:
        upstream.open()
    failed = front.event("upstream.failed", since, reason="refused")
    assert (failed["server.address"], failed["server.port"]) == upstream.address
    assert front.metric("sidecar_upstream_errors_total", reason="refused") > counted
    assert (front.get("/").status, front.get("/").body) == (200, b"ok")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/livez", 200), ("GET", "/nothing", 404), ("POST", "/livez", 405)],
)
@pytest.mark.parametrize("name", ["admin", "health"])
def test_control_listeners_name_no_library(
    front: Sidecar, name: str, method: str, path: str, status: int
) -> None:
    """Responses of the admin and health listeners, refusals too, carry our own headers and name
    no library.
    """
    address = front.health if name == "health" else front.admin_address
    response = wire.ask(address, wire.request(method, path, [("Host", "127.0.0.1")]))
    assert response.status == status
    assert response.value("Server") == "sidecar"
    assert response.value("X-Content-Type-Options") == "nosniff"
    assert response.value("Content-Security-Policy") is not None


@pytest.mark.parametrize("case", ANSWERS)
def test_broken_response_is_502(
    front: Sidecar, upstream: Canned, monkeypatch: pytest.MonkeyPatch, case: str
) -> None:
    """A response that cannot be trusted is not passed on: 502 under the policy, reported and
    counted.
    """
    monkeypatch.setattr(upstream, "response", ANSWERS[case])
    since, counted = len(front.events()), front.metric("sidecar_upstream_errors_total")
    check(front.get("/"), 502, front)
    assert front.event("upstream.failed", since)["reason"] in ("invalid_framing", "invalid_header")
    assert front.metric("sidecar_upstream_errors_total") == counted + 1
