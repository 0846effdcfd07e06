"""What comes before its turn: 100-continue, responses ahead of a request's body, and the end of a
connection ahead of its request.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable

import pytest
import uvloop

from sidecar.proxy.upload import CONTINUE_AFTER
from tests.patience import PATIENCE
from tests.wire.origin import Line, reset_at_close
from tests.wire.requests_refused import SMUGGLED, get, post
from tests.wire.responses import ok, sized
from tests.wire.stage import MovedLoop, Stage, read_responses
from tests.wire.test_sequences import targets

Loop = Callable[[], asyncio.AbstractEventLoop]
both_loops = pytest.mark.parametrize(
    "loop", [MovedLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)

UPLOAD = post(b"Expect: 100-continue", b"Content-Length: 5")


def _uploads(stage: Stage, client: socket.socket) -> None:
    """The body follows when 100 has come, which the clock brings once the upstream has the head;
    then the response.
    """
    client.sendall(UPLOAD)
    stage.until(lambda: stage.origin.early is None)
    stage.forward(CONTINUE_AFTER + 0.1)
    assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
    client.sendall(b"hello")
    assert read_responses(client, method="POST")[0].body == b"POST /x 5"


def test_continue_end_to_end(stage: Stage) -> None:
    """2.3 Expect: the upstream's 100 reaches the client once, and then the body reaches the
    upstream.
    """

    async def early(line: Line) -> None:
        await line.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        stage.origin.early = None

    stage.origin.early = early
    with stage.connect() as client:
        _uploads(stage, client)
    assert stage.origin.requests[0].values("expect") == ["100-continue"]


def test_continue_for_an_upstream_that_says_nothing(stage: Stage) -> None:
    """2.3 Expect: a client is not blocked by an upstream that ignores its expectation."""

    async def early(_: Line) -> None:
        stage.origin.early = None

    stage.origin.early = early
    with stage.connect() as client:
        _uploads(stage, client)


def test_client_that_does_not_wait(stage: Stage) -> None:
    """2.3 Expect: a body that comes without waiting goes on at once."""
    with stage.connect() as client:
        client.sendall(UPLOAD + b"hello")
        received = client.recv(4096)
        assert received.startswith(b"HTTP/1.1 200 "), "no 100 Continue, which comes after a second"


def test_continue_for_a_client_that_does_not_wait(stage: Stage) -> None:
    """2.3 Expect: the upstream's 100 passes, once, though the body is here already."""

    async def early(line: Line) -> None:
        await line.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 2)

    stage.origin.early = early
    (reply,) = stage.talk(UPLOAD + b"hello", method="POST")
    assert (reply.status, reply.interim) == (200, [100])


@pytest.mark.parametrize(
    "request_",
    [UPLOAD, post(b"Content-Length: 500000", body=b"x" * 1000 + SMUGGLED)],
    ids=["2.3 instead of 100", "2.1 inside the body"],
)
def test_early_response(stage: Stage, request_: bytes) -> None:
    """A response ahead of the body is relayed; neither connection carries another request."""

    async def early(line: Line) -> None:
        await line.send(sized(start=b"HTTP/1.1 401 U\r\n"))
        stage.origin.early = None

    stage.origin.early = early
    replies = stage.talk(request_, method="POST", responses=2)
    assert [(reply.status, reply.body) for reply in replies] == [(401, b"hi")]
    assert replies[0].values("connection") == ["close"]
    connections = stage.origin.connections
    stage.canary()
    assert stage.origin.connections > connections
    assert targets(stage) == []


def test_no_continue_inside_a_response(stage: Stage) -> None:
    """2.3 Expect: once the final response has begun, no 100 is sent into it, however long it
    takes.
    """

    async def early(line: Line) -> None:
        await line.send(
            ok(b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n", start=b"HTTP/1.1 401 U\r\n")
        )
        await go.wait()
        await line.send(b"0\r\n\r\n")

    go = asyncio.Event()
    stage.origin.early = early
    with stage.connect() as client:
        client.sendall(UPLOAD)
        head = b""
        while not head.endswith(b"2\r\nhi\r\n"):
            head += client.recv(4096)
        stage.forward(CONTINUE_AFTER + 0.1)
        stage.loop.call_soon_threadsafe(go.set)
        (reply,) = read_responses(client, method="POST", responses=2, rest=head)
    assert (reply.status, reply.body, reply.interim, reply.whole) == (401, b"hi", [], True)


@pytest.mark.parametrize("pause", [0, 0.001, 0.004])
def test_early_response_and_close(stage: Stage, pause: float) -> None:
    """2.4 Upstream responds early and closes: the 413 arrives though a megabyte is on its way,
    at whatever moment.
    """

    async def early(line: Line) -> None:
        await asyncio.sleep(pause)
        await line.send(sized(start=b"HTTP/1.1 413 T\r\n"))
        line.writer.close()

    for _ in range(20):
        stage.origin.early = early
        replies = stage.talk(post(b"Content-Length: 1000000", body=b"x" * 1_000_000), method="POST")
        assert [(reply.status, reply.body) for reply in replies] == [(413, b"hi")]
    stage.canary()


def test_refused_upload_is_read_to_its_end(stage: Stage) -> None:
    """2.4 Lingering close: a client that looks at no response before it has sent all of 20 MB gets
    its 413; no byte meets a closed connection.
    """
    with stage.connect() as client:
        client.sendall(post(b"Content-Length: 20000000", body=b"x" * 20_000_000))
        (reply,) = read_responses(client, method="POST")
    assert (reply.status, reply.values("connection")) == (413, ["close"])
    stage.canary()


@both_loops
@pytest.mark.parametrize("large", [False, True], ids=["read", "spliced"])
def test_early_response_and_reset(loop: Loop, large: bool) -> None:
    """2.4 Upstream responds early and closes: what it said arrives, though our writing fails before
    we read it.
    """
    still = threading.Event()
    length = 1_000_000 if large else 100_000
    with (
        socket.create_server(("127.0.0.1", 0)) as listening,
        Stage(
            upstream=f"http://127.0.0.1:{listening.getsockname()[1]}", loop_factory=loop
        ).running() as stage,
        stage.connect() as client,
    ):
        client.sendall(post(b"Content-Length: %d" % length, body=b"first"))
        upstream, _ = listening.accept()
        received = b""
        while not received.endswith(b"first"):
            received += upstream.recv(65_536)
        stage.loop.call_soon_threadsafe(still.wait, PATIENCE)
        client.sendall(b"x" * 65_536)
        upstream.sendall(sized(start=b"HTTP/1.1 413 T\r\n"))
        reset_at_close(upstream)
        upstream.close()
        still.set()
        (reply,) = read_responses(client, method="POST")
    assert (reply.status, reply.body) == (413, b"hi")


@both_loops
@pytest.mark.parametrize("reset", [False, True], ids=["end", "reset"])
def test_end_before_the_request(loop: Loop, reset: bool) -> None:
    """2.4 Premature close: every client gets a 502 of an upstream that ends connections at once."""
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def end_all() -> None:
            with contextlib.suppress(OSError):
                while True:
                    upstream, _ = listening.accept()
                    if reset:
                        reset_at_close(upstream)
                    upstream.close()

        ending = threading.Thread(target=end_all, daemon=True)
        ending.start()
        url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with Stage(upstream=url, loop_factory=loop).running() as stage:
            for request in (get(), post(b"Content-Length: 5", body=b"hello"), UPLOAD) * 20:
                assert [reply.status for reply in stage.talk(request)] == [502]
            assert stage.complaints == []
        listening.shutdown(socket.SHUT_RDWR)
        ending.join(PATIENCE)
        assert not ending.is_alive()
