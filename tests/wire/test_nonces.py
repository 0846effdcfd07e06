"""The nonce on the wire: the service's, the client's and the header's are one, of each exchange
another.

What passes in which header of a request and a response.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.wire.origin import Line
from tests.wire.responses import sized
from tests.wire.stage import Stage, talk

RULE = "header: Content-Security-Policy, action: set, value: \"script-src 'nonce-{request}'\""
POLICY = f"""version: 1
mode: enforce
rules:
  csp: {{{RULE}}}
routes:
  - {{name: reported, match: {{path: /told}}, mode: report-only}}
  - {{name: tried, match: {{path: /tried}}, mode: trial}}
  - {{name: plain, match: {{path: /plain}}, rules: {{csp: {{value: "script-src 'self'"}}}}}}
"""
NONCE = re.compile(r"'nonce-([A-Za-z0-9_-]{22})'")


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A pair under a policy with a nonce."""
    with Stage(policy=POLICY).running() as made:
        yield made
        assert made.complaints == []


def get(path: str = "/", *lines: str, method: str = "GET") -> bytes:
    """One request."""
    return "\r\n".join((f"{method} {path} HTTP/1.1", "Host: a", *lines, "", "")).encode()


def given(stage: Stage) -> list[str]:
    """What the service received last."""
    return stage.origin.requests[-1].values("x-csp-nonce")


def test_one_nonce_of_each_exchange(stage: Stage) -> None:
    """The service's header and the client's hold the same, and no two exchanges do."""
    nonces = []
    with stage.connect() as client:
        for _ in range(3):
            (value,) = talk(client, get())[0].values("content-security-policy")
            found = NONCE.findall(value)
            assert found == given(stage)
            nonces += found
    assert len(set(nonces)) == 3


@pytest.mark.parametrize(
    ("path", "header"),
    [("/told", None), ("/tried", "content-security-policy-report-only")],
)
def test_before_enforce(stage: Stage, path: str, header: str | None) -> None:
    """The service is given a nonce, and its response leaves with the trial's header at most."""
    reply = stage.talk(get(path))[0]
    (nonce,) = given(stage)
    assert reply.values("content-security-policy") == reply.values("cache-control") == []
    if header:
        assert NONCE.findall(reply.values(header)[0]) == [nonce]


def test_a_route_without_a_nonce(stage: Stage) -> None:
    """Its service is sent none."""
    assert stage.talk(get("/plain"))[0].values("content-security-policy") == ["script-src 'self'"]
    assert given(stage) == []


@pytest.mark.parametrize("name", ["X-CSP-Nonce", "x-csp-nonce", "X_CSP_Nonce", "X-CSP_Nonce"])
@pytest.mark.parametrize("path", ["/", "/plain"])
def test_what_a_client_says(stage: Stage, name: str, path: str) -> None:
    """Its own nonce never reaches the service, on any route; nor can it have ours dropped."""
    stage.talk(get(path, f"{name}: evil", f"Connection: {name}"))
    assert b"evil" not in stage.origin.requests[-1].raw
    assert len(given(stage)) == (path == "/")


def test_head_and_our_own_responses(stage: Stage) -> None:
    """They carry a nonce of their own like any other response."""
    with stage.connect() as client:
        reply = talk(client, get(method="HEAD"), method="HEAD")[0]
    assert NONCE.findall(reply.values("content-security-policy")[0]) == given(stage)
    for request in (b"GET / HTTP/1.1\r\n\r\n", b"\x00\r\n\r\n", get(method="TRACE")):
        refused = stage.talk(request)[0]
        assert NONCE.search(refused.values("content-security-policy")[0])
        assert refused.values("cache-control") == ["no-store"]


def test_304_and_1xx(stage: Stage) -> None:
    """A 304 leaves without any policy, and an interim response as the service sent it."""

    async def script(line: Line) -> None:
        own = b"Content-Security-Policy: default-src 'self'\r\n"
        early = b"HTTP/1.1 103 Early Hints\r\n%b\r\n" % own
        await line.send(early + b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\n%b\r\n' % own)

    stage.origin.script = script
    try:
        reply = stage.talk(get())[0]
    finally:
        stage.origin.forget()
    assert (reply.status, reply.interim) == (304, [103])
    assert reply.values("content-security-policy") == reply.values("cache-control") == []


def test_a_retry_keeps_the_nonce(stage: Stage) -> None:
    """A kept connection that had died unused: the nonce of the second attempt is the response's."""

    async def once(line: Line) -> None:
        line.reset() if len(stage.origin.requests) == 1 else await line.send(sized())

    stage.origin.script = once
    with stage.connect() as client:
        talk(client, get("/canary/x"))
        stage.origin.requests.clear()
        (value,) = talk(client, get())[0].values("content-security-policy")
    assert len(stage.origin.requests) == 2
    assert {*NONCE.findall(value)} == {
        nonce for request in stage.origin.requests for nonce in request.values("x-csp-nonce")
    }
    stage.origin.forget()


def test_a_service_that_writes_the_policy_itself(stage: Stage) -> None:
    """It may use the nonce that it was given: its line counts as the rule's value."""

    async def script(line: Line) -> None:
        assert line.request is not None
        (nonce,) = line.request.values("x-csp-nonce")
        own = f"Content-Security-Policy: script-src 'nonce-{nonce}'\r\nCache-Control: private\r\n"
        await line.send(f"HTTP/1.1 200 OK\r\n{own}Content-Length: 0\r\n\r\n".encode())

    stage.origin.script = script
    before = len(stage.events.lines)
    try:
        reply = stage.talk(get())[0]
    finally:
        nonces = given(stage)
        stage.origin.forget()
    assert NONCE.findall(reply.values("content-security-policy")[0]) == nonces
    assert len(stage.events.lines) == before


def test_no_event_holds_a_nonce(stage: Stage) -> None:
    """Events name the placeholder, which is the policy's own word."""
    (nonce,) = NONCE.findall(stage.talk(get())[0].values("content-security-policy")[0])
    event = json.loads(stage.events.lines[-1])
    assert event["changes"][0]["after"] == ["script-src 'nonce-{request}'"]
    assert nonce not in "".join(stage.events.lines)


@pytest.mark.parametrize(
    ("setting", "sent"),
    [("X-My-Nonce", "x-my-nonce"), ("off", None), ("X-CSP-Nonce", "x-csp-nonce")],
)
def test_the_setting(setting: str, sent: str | None) -> None:
    """The header's name can be chosen, and its sending be switched off; a client's own is
    dropped all the same.
    """
    with Stage({"forwarding": {"nonce": setting}}, policy=POLICY).running() as stage:
        name = "X-CSP-Nonce" if setting == "off" else setting
        stage.talk(get("/", f"{name}: evil"))
        received = stage.origin.requests[-1]
    assert b"evil" not in received.raw
    assert (sent is None) == (b"nonce" not in received.raw.lower())
    assert sent is None or len(received.values(sent)) == 1
