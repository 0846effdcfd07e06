"""The upstream's side, case by case, whole and byte by bytes, each followed by a canary.

The runner over `BAD` and `GOOD`, and truncation by each kind of body.
"""

from __future__ import annotations

import pytest

from tests.wire.origin import Line, Script
from tests.wire.requests_refused import get
from tests.wire.responses import BAD, GOOD, Good, ok
from tests.wire.stage import Stage, read_responses
from tests.wire.test_requests import ways


def play(raw: bytes, *, bytewise: bool = False, ends: bool = False, reset: bool = False) -> Script:
    async def script(line: Line) -> None:
        await line.send(raw, bytewise=bytewise)
        if reset:
            line.reset()
        elif ends:
            line.writer.close()

    return script


@ways(BAD, lambda case: case)
def test_bad(stage: Stage, case: bytes, bytewise: bool) -> None:
    """A response that could be read in two ways, or hurts the client, becomes our 502 with the
    policy applied.
    """
    stage.origin.script = play(case, bytewise=bytewise)

    replies = stage.talk(get(), responses=1)

    assert [reply.status for reply in replies] == [502]
    assert replies[0].values("x-policy") == ["on"]
    assert replies[0].body == b"502 Bad Gateway\n"
    assert len(stage.origin.requests) == 1
    stage.canary()


@ways(GOOD, lambda case: case.raw)
def test_good(stage: Stage, case: Good, bytewise: bool) -> None:
    """The client gets the upstream's response, hop-by-hop lines aside, and no byte of anything
    behind it.
    """
    stage.origin.script = play(case.raw, bytewise=bytewise, ends=case.ends)
    with stage.connect() as client:
        client.sendall(get(method=case.method.encode()))
        reply = read_responses(client, method=case.method)[0]
        connections = stage.origin.connections
        if reply.values("connection") != ["close"]:
            client.sendall(get(target=b"/canary/same"))
            assert read_responses(client)[0].body == b"GET /canary/same 0"

    assert (reply.status, reply.body, tuple(reply.interim), reply.whole) == (
        case.status,
        case.body,
        case.interim,
        True,
    )
    assert reply.values("x-policy") == ["on"]
    assert [line for line in reply.headers if line in case.has] == list(case.has)
    assert not set(case.lacks) & {name.lower() for name, _ in reply.headers}
    if not case.reused and not case.ends:
        assert stage.origin.connections > connections
    stage.canary()


CUT = {
    "length": ok(b"Content-Length: 10", body=b"hello"),
    "chunked, between chunks": ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
    "chunked, inside a chunk": ok(b"Transfer-Encoding: chunked", body=b"a\r\nhello"),
    "chunked, before the last CRLF": ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n0\r\n"),
    "chunked, bad size": ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\nzz\r\n"),
    "chunked, 2^63 bytes": ok(
        b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n8000000000000000\r\n"
    ),
    "chunked, bare LF": ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\n0\r\n\r\n"),
    "chunked, spill": ok(b"Transfer-Encoding: chunked", body=b"5\r\nhelloXX\r\n0\r\n\r\n"),
    "chunked, endless extension": ok(
        b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n1;" + b"a" * 2_000_000
    ),
}


@pytest.mark.parametrize("version", [b"HTTP/1.1", b"HTTP/1.0"])
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
@pytest.mark.parametrize("raw", CUT.values(), ids=[f"2.4 {name}" for name in CUT])
def test_cut_inside_a_body(stage: Stage, raw: bytes, reset: bool, version: bytes) -> None:
    """A client can tell that the response is not whole, and nothing follows it."""
    stage.origin.script = play(raw, ends=True, reset=reset)

    reply = stage.talk(get(version=version))[0]

    if reply.status == 200:  # the fault may also be known before the head has left
        assert not reply.whole
        assert b"hello".startswith(reply.body)
    else:
        assert reply.status == 502
    stage.canary()


def test_reset_inside_a_body_until_close(stage: Stage) -> None:
    """Where only the end of the connection ends the body, the upstream's reset reaches the
    client as a reset.
    """
    stage.origin.script = play(ok(body=b"hello" * 1000), reset=True)

    replies = stage.talk(get())

    assert replies == [] or replies[0].status == 502 or not replies[0].whole
    stage.canary()


@pytest.mark.parametrize(
    ("raw", "reset"),
    [
        (b"", False),
        (b"", True),
        (b"HTTP/1.1 200 OK\r\nX: y\r\n", False),
        (b"HTTP/1.1 2", True),
        (b"HTTP/1.1 103 E\r\n\r\n", False),
    ],
    ids=[
        "2.4 nothing",
        "2.4 nothing, reset",
        "2.4 inside the head",
        "2.4 inside the status line, reset",
        "2.3 103 then the end",
    ],
)
def test_end_before_a_head(stage: Stage, raw: bytes, reset: bool) -> None:
    """An upstream that ends before its response's head is whole gets the client a 502, and the
    request is not sent again.
    """
    stage.origin.script = play(raw, ends=True, reset=reset)

    replies = stage.talk(get(method=b"POST"), method="POST")

    assert [reply.status for reply in replies] == [502]
    assert len(stage.origin.requests) == 1
    stage.canary()
