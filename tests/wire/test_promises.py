"""Promises that hold across cases: one revision for each request, no secrets reported, series that
do not grow, no loops.

What is asked of many requests at once.
"""

from __future__ import annotations

import asyncio
import json
import random

import pytest

from tests.e2e.processes import free_port
from tests.wire.origin import Line
from tests.wire.requests_refused import REFUSED, chunked, get, post
from tests.wire.responses import sized
from tests.wire.stage import Stage, active_for, read_responses
from tests.wire.test_responses import play

TWO = (
    "version: 1\nmode: enforce\nrules:\n  a: {{header: X-A, action: set, value: '{0}'}}\n  b:"
    " {{header: X-B, action: set, value: '{0}'}}\n"
)


def test_one_revision_for_each_request() -> None:
    """2.6 Reload race: a thousand swaps under load, and every response carries one revision's
    headers, none a mix.
    """
    with Stage(policy=TWO.format(0)).running() as stage:

        async def client(responses: list[tuple[bytes, bytes]]) -> None:
            reader, writer = await asyncio.open_connection(*stage.address)
            for _ in range(150):
                writer.write(get())
                head = await reader.readuntil(b"\r\n\r\n")
                await reader.readexactly(8)
                lines = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:] if line)
                responses.append((lines[b"X-A"], lines[b"X-B"]))
            writer.close()

        async def swap() -> None:
            snapshots = [
                active_for(TWO.format(number), stage.telemetry, f"r{number}")
                for number in range(10)
            ]
            for number in range(1000):
                stage.active = snapshots[number % 10]
                await asyncio.sleep(0)

        async def both() -> list[tuple[bytes, bytes]]:
            responses: list[tuple[bytes, bytes]] = []
            await asyncio.gather(swap(), *(client(responses) for _ in range(4)))
            return responses

        responses = stage.call(both())
        assert len(responses) == 600
        assert all(one == other for one, other in responses)
        assert len(set(responses)) > 3
        assert stage.complaints == []


def test_revision_of_a_request_in_flight(stage: Stage) -> None:
    """A request that began under a revision ends under it, however late its response comes."""
    held = asyncio.Event()

    async def script(line: Line) -> None:
        await held.wait()
        await line.send(sized())

    stage.origin.script = script
    old = stage.active
    try:
        with stage.connect() as client:
            client.sendall(get())
            stage.until(lambda: bool(stage.origin.requests))
            stage.active = active_for(
                "version: 1\nmode: enforce\nrules:\n  mark: {header: X-Policy, action: set, value:"
                " new}\n",
                stage.telemetry,
                "r2",
            )
            stage.loop.call_soon_threadsafe(held.set)
            assert read_responses(client)[0].values("x-policy") == ["on"]
            client.sendall(get(target=b"/canary/x"))
            assert read_responses(client)[0].values("x-policy") == ["new"]
    finally:
        stage.active = old
        stage.telemetry.activated(old.plan, "r1")


def test_report_only_changes_no_octet() -> None:
    """In report-only the response is the upstream's, byte for byte, while the violation is
    counted and reported.
    """
    raw = sized(b"x-b: 1", b"X-A: caf\xe9", b"Set-Cookie: a=b", b"Set-Cookie: a=c", b"Server: s")
    policy = (
        "version: 1\nmode: report-only\nrules:\n  mark: {header: X-Policy, action: set, value:"
        " 'on'}\n  gone: {header: Server, action: remove}\n"
    )
    with Stage(policy=policy).running() as stage:
        stage.origin.script = play(raw)
        with stage.connect() as client:
            client.sendall(get())
            received = b""
            while len(received) < len(raw):
                received += client.recv(4096)
        assert received == raw
        assert (
            stage.count("sidecar_violations_total", "default", "mark", "missing", "report-only")
            == 1
        )
        assert [json.loads(line)["event"] for line in stage.events.lines] == ["header.would_change"]


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
def test_status_line_without_a_reason(stage: Stage, version: bytes) -> None:
    """RFC 9112 section 4: the space behind the status leaves also where the service sent none."""
    stage.origin.script = play(sized(start=version + b" 103\r\n\r\n" + version + b" 200\r\n"))
    with stage.connect() as client:
        client.sendall(get(b"Connection: close"))
        received = b""
        while data := client.recv(4096):
            received += data
    assert received.startswith(b"HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 \r\nContent-Length: 2\r\n")


SECRET = b"s3cr3t-marker"


def test_no_secret_is_reported(stage: Stage) -> None:
    """2.6 Secrets in logs: what clients and upstreams send in cookies, queries, credentials,
    bodies and broken lines is in no line.
    """
    stage.events.lines.clear()
    stage.origin.script = play(sized(b"Set-Cookie: id=" + SECRET, b"X-Key: " + SECRET))
    stage.talk(
        get(
            b"Cookie: id=" + SECRET,
            b"Authorization: Bearer " + SECRET,
            target=b"/x?token=" + SECRET,
        )
    )
    stage.talk(post(b"Content-Length: 13", body=SECRET), method="POST")
    for line in (
        b"Cookie : " + SECRET,
        SECRET + b"\0: x",
        b"X: \x01" + SECRET,
        b"Content-Length: " + SECRET,
        b"Transfer-Encoding: " + SECRET,
        b"Host: " + SECRET,
    ):
        stage.talk(get(line))
    stage.talk(get(target=b"/#" + SECRET))
    stage.talk(get(method=SECRET))
    stage.talk(chunked(SECRET + b"\r\n"), method="POST")
    for raw in (
        b"HTTP/1.1 200 OK\r\nX : " + SECRET + b"\r\n\r\n",
        SECRET + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + SECRET + b"\r\n\r\n",
    ):
        stage.origin.script = play(raw)
        stage.talk(get())
    data = stage.events.lines + stage.complaints
    assert len(data) > 12
    assert not [line for line in data if SECRET.decode() in line]


def test_lines_are_json(stage: Stage) -> None:
    """2.6 Log injection: whatever the request's bytes, each line reported is one JSON object."""
    stage.events.lines.clear()
    rng = random.Random(7)
    quick = [raw for raw, status in REFUSED.values() if len(raw) < 5000 and status != 408]
    for raw in rng.sample(quick, 40):
        stage.talk(raw)
    stage.talk(get(b"User-Agent: \x1b[31m\xe2\x80\xa8" + b"a" * 20_000, target=b"/%0a%0d\\u2028"))
    assert stage.events.lines
    for line in stage.events.lines:
        assert "\n" not in line
        assert isinstance(json.loads(line), dict)


def test_series_do_not_grow(stage: Stage) -> None:
    """2.6 Metrics cardinality: methods, paths and hosts of any kind make no new series."""
    stage.talk(get())
    stage.talk(b"\0")
    before = stage.telemetry.metrics.render().count(b"\n")
    for number in range(40):
        stage.talk(
            get(
                target=b"/%d" % number,
                host=b"Host: h%d" % number,
                method=random.Random(number).choice([b"PROPFIND", b"LINK", b"BREW", b"M-SEARCH"]),
            )
        )
    assert stage.telemetry.metrics.render().count(b"\n") == before


def test_loop() -> None:
    """2.3 Via: a proxy that asks itself ends with a 508, not in a storm."""
    port = free_port()
    with Stage(upstream=f"http://127.0.0.1:{port}", listen=f"127.0.0.1:{port}").running() as stage:
        (reply,) = stage.talk(get())
        assert (reply.status, reply.values("x-policy")) == (508, ["on"])
        assert stage.count("sidecar_rejected_requests_total", "loop") == 1


@pytest.mark.parametrize(
    ("setting", "sent"), [("pass", "a"), ("rewrite", None), ("www.example", "www.example")]
)
def test_host(setting: str, sent: str | None) -> None:
    """The upstream gets the client's Host, its own, or a fixed one; the client's is reported in
    X-Forwarded-Host.
    """
    with Stage({"forwarding": {"host": setting}}).running() as stage:
        stage.talk(get())
        (seen,) = stage.origin.requests
        assert seen.values("host") == [sent or f"127.0.0.1:{stage.origin.port}"]
        assert seen.values("x-forwarded-host") == ["a"]


def test_trusted_peer() -> None:
    """Through the socket: a trusted peer's chain, scheme and request id are believed."""
    with Stage({"forwarding": {"trusted": ["127.0.0.0/8"]}}).running() as stage:
        stage.talk(
            get(
                b"X-Forwarded-For: 6.6.6.6, 198.51.100.1",
                b"X-Forwarded-Proto: https",
                b"X-Request-ID: abc",
            )
        )
        (seen,) = stage.origin.requests
        assert seen.values("x-forwarded-for") == ["198.51.100.1, 127.0.0.1"]
        assert (seen.values("x-forwarded-proto"), seen.values("x-request-id")) == (
            ["https"],
            ["abc"],
        )


def test_head_is_answered_without_a_body(stage: Stage) -> None:
    """Our own response to HEAD has the length of its body and not the body, also when the
    request is refused.
    """
    for raw in (get(method=b"HEAD", host=b"Host: a b"), get(b"Expect: x", method=b"HEAD")):
        with stage.connect() as client:
            client.sendall(raw)
            received = b""
            while data := client.recv(4096):
                received += data
        assert received.endswith(b"\r\n\r\n")
        assert b"\r\nContent-Length: 1" in received or b"\r\nContent-Length: 2" in received
