"""Wherever the bytes are cut, every request gets its response and every response is read right.

Streams cut at every position, over sockets, the first part read before the next is sent.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from tests.wire.origin import Line
from tests.wire.requests_refused import chunked, get, post
from tests.wire.responses import ok, sized
from tests.wire.stage import Stage, read_responses, send
from tests.wire.test_sequences import targets

STREAMS = {
    "two GETs": [get(target=b"/1"), get(target=b"/2")],
    "an empty line between": [get(target=b"/1") + b"\r\n", get(target=b"/2")],
    "bodies with lengths": [
        post(b"Content-Length: 5", body=b"hello", target=b"/1"),
        post(b"Content-Length: 3", body=b"\r\n\r", target=b"/2"),
    ],
    "chunked bodies": [
        chunked(b'2;a="b"\r\nhi\r\n1\r\n\r\r\n0\r\nX-T: 1\r\n\r\n').replace(b"/x", b"/1"),
        get(target=b"/2"),
        chunked(b"0\r\n\r\n").replace(b"/x", b"/3"),
    ],
}


async def _turns() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


def pieces(data: bytes) -> Iterator[list[bytes]]:
    """The same bytes in two at every cut, in three around it, and in pieces of 1 to 5."""
    for at in range(1, len(data)):
        yield [data[:at], data[at:]]
        yield [data[:at], data[at : at + 1], data[at + 1 :]]
    for size in range(1, 6):
        yield [data[at : at + size] for at in range(0, len(data), size)]


@pytest.mark.parametrize("requests", STREAMS.values(), ids=STREAMS)
def test_every_request_gets_its_response(stage: Stage, requests: list[bytes]) -> None:
    """However pipelined requests are cut, each gets its own response, in order."""
    bodies = {b"/1": 5 if b"hello" in requests[0] else 3 if b"hi" in requests[0] else 0}
    bodies |= {b"/2": 3 if b"Content-Length: 3" in requests[1] else 0, b"/3": 0}
    meant = [raw.split(b" ", 2)[:2] for raw in requests]
    wanted = [b"%b %b %d" % (method, target, bodies[target]) for method, target in meant]
    for parts in pieces(b"".join(requests)):
        with stage.connect() as client:
            for part in parts:
                send(client, part)
                stage.call(_turns())
            replies = read_responses(client, responses=len(requests))
        assert [reply.body for reply in replies] == wanted, parts
    assert set(targets(stage)) == {target.decode() for _, target in meant}
    stage.canary()


RESPONSES = {
    "a length": (sized(b"X-A: 1"), b"hi"),
    "chunks": (
        ok(b"Transfer-Encoding: chunked", body=b"2;e\r\nhi\r\n3\r\n\r\n0\r\n0\r\nX-T: 1\r\n\r\n"),
        b"hi\r\n0",
    ),
    "interim responses": (b"HTTP/1.1 103 E\r\nLink: </a>\r\n\r\n" * 2 + sized(), b"hi"),
    "no body": (ok(start=b"HTTP/1.1 204 N\r\n"), b""),
}


@pytest.mark.parametrize(("raw", "body"), RESPONSES.values(), ids=RESPONSES)
def test_every_response_is_read_right(stage: Stage, raw: bytes, body: bytes) -> None:
    """However the upstream's response is cut, it arrives whole, and the connection carries the
    next one.
    """
    cuts = list(pieces(raw))
    left = iter(cuts)

    async def script(line: Line) -> None:
        for part in next(left):
            await line.send(part)
            await _turns()

    stage.origin.script = script
    with stage.connect() as client:
        for parts in cuts:
            client.sendall(get())
            (reply,) = read_responses(client)
            assert (reply.body, reply.whole) == (body, True), parts
    stage.origin.script = None
    assert len(stage.origin.requests) == len(cuts)
    stage.canary()
