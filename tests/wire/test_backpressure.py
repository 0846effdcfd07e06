"""Back-pressure: whole bodies through slow readers, with bounded memory.

Downloads and uploads larger than any buffer of ours.
"""

from __future__ import annotations

import asyncio
import socket
import threading

import pytest

from tests.patience import PATIENCE
from tests.wire.origin import Line
from tests.wire.requests_refused import chunked, get, post
from tests.wire.responses import ok
from tests.wire.stage import Stage, read_responses, send
from tests.wire.test_responses import play

BIG = 24 << 20


@pytest.mark.parametrize("framing", ["length", "chunked", "until close"])
def test_download_through_a_slow_reader(stage: Stage, framing: str) -> None:
    """2.5 Slow reader: every byte arrives, and what we hold meanwhile is bounded."""
    body = bytes(range(256)) * (BIG // 256)
    raw = {
        "length": ok(b"Content-Length: %d" % BIG, body=body),
        "chunked": ok(b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (BIG, body)),
        "until close": ok(body=body),
    }[framing]
    stage.origin.script = play(raw, ends=framing == "until close")
    with stage.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        client.sendall(get())
        stage.until(lambda: any(one.writing_paused for one in stage.plane._listener.open))
        assert _held(stage) < 2 << 20
        (reply,) = read_responses(client)
    assert (reply.whole, reply.body == body) == (True, True)


def _held(stage: Stage) -> int:
    """Bytes of responses in our hands, the upstream's buffer and the client's, after many turns
    of the loop.
    """

    async def measure() -> int:
        for _ in range(500):
            await asyncio.sleep(0)
        held = 0
        for connection in stage.plane._listener.open:
            held += connection.transport.get_write_buffer_size()
        return held

    return stage.call(measure())


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_upload_to_a_slow_upstream(framing: str) -> None:
    """2.5 Big upload: every byte arrives though the upstream reads slowly, and the client is
    made to wait.
    """
    body = bytes(range(256)) * (BIG // 256)
    with Stage().running() as stage:
        go = asyncio.Event()

        async def early(line: Line) -> None:
            await go.wait()
            stage.origin.early = None

        stage.origin.early = early
        raw = (
            post(b"Content-Length: %d" % BIG, body=body)
            if framing == "length"
            else chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (BIG, body))
        )
        with stage.connect() as client:
            sender = threading.Thread(target=send, args=(client, raw), daemon=True)
            sender.start()
            stage.until(
                lambda: any(not one.transport.is_reading() for one in stage.plane._listener.open)
            )
            assert sender.is_alive()
            stage.loop.call_soon_threadsafe(go.set)
            (reply,) = read_responses(client, method="POST")
        assert reply.body == b"POST /x %d" % BIG
        assert stage.origin.requests[0].body == body


def test_pipelining_without_reading(stage: Stage) -> None:
    """2.5 Slow reader: who asks on and reads nothing fills no memory, and gets every response
    once it reads.
    """
    size, count = 30_000, 600
    stage.origin.script = play(ok(b"Content-Length: %d" % size, body=b"x" * size))
    with stage.connect() as client:
        sender = threading.Thread(target=send, args=(client, get() * count), daemon=True)
        sender.start()
        stage.until(lambda: any(one.writing_paused for one in stage.plane._listener.open))
        assert _held(stage) < 512 << 10
        replies = read_responses(client, responses=count)
        sender.join(PATIENCE)
    assert [len(reply.body) for reply in replies] == [size] * count
