"""The end of a process, in order: what finishes, what is reported, and what is cut.

Drain and abort with requests, streams and tunnels under way.
"""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import Future

import pytest
import uvloop

from tests.patience import PATIENCE
from tests.wire.origin import Line
from tests.wire.requests_refused import get, post
from tests.wire.responses import ok
from tests.wire.stage import Stage, read_responses, talk
from tests.wire.test_websocket import GOOD_101, HANDSHAKE


def draining(drain: str = "60s") -> Stage:
    return Stage({"timeouts": {"drain": drain}})


def drain(stage: Stage) -> Future[None]:
    return asyncio.run_coroutine_threadsafe(stage.plane.drain(), stage.loop)


def slow(go: asyncio.Event):
    async def script(line: Line) -> None:
        await line.send(ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"))
        await go.wait()
        await line.send(b"5\r\nworld\r\n0\r\n\r\n")

    return script


def refuses(stage: Stage) -> bool:
    try:
        stage.connect().close()
    except OSError:
        return True
    return False


def test_request_in_flight_finishes() -> None:
    """2.6 TERM with requests in flight: the response arrives whole, the connection then ends,
    and no new one is taken.
    """
    with draining().running() as stage:
        go = asyncio.Event()
        stage.origin.script = slow(go)
        with stage.connect() as client:
            client.sendall(get())
            stage.until(lambda: stage.telemetry.in_flight.n == 1)
            ended = drain(stage)
            stage.until(lambda: refuses(stage))
            stage.loop.call_soon_threadsafe(go.set)
            (reply,) = read_responses(client, responses=2)
        assert (reply.body, reply.whole) == (b"helloworld", True)
        ended.result(PATIENCE)
        assert stage.complaints == []


def test_who_keeps_a_connection_after_its_last_response(monkeypatch: pytest.MonkeyPatch) -> None:
    """2.6 Who has sent all, is told that the connection ends and does not end it holds no drain
    up.
    """
    monkeypatch.setattr("sidecar.proxy.downstream.LINGER_PAUSE", 1e6)
    monkeypatch.setattr("sidecar.proxy.downstream.LINGER_SECONDS", 1e6)
    go = asyncio.Event()

    async def late(line: Line) -> None:
        await go.wait()
        await line.send(ok(b"Content-Length: 2", body=b"hi"))

    with draining().running() as stage, stage.connect() as client:
        stage.origin.script = late
        client.sendall(get())
        stage.until(lambda: stage.telemetry.in_flight.n == 1)
        ended = drain(stage)
        stage.until(lambda: refuses(stage))
        stage.loop.call_soon_threadsafe(go.set)
        (reply,) = read_responses(client)
        assert (reply.body, reply.values("connection")) == (b"hi", ["close"])
        ended.result(PATIENCE)


def test_upload_in_flight_finishes() -> None:
    """2.6 A request whose body is still on its way is answered, and its response says that the
    connection ends.
    """
    with draining().running() as stage, stage.connect() as client:
        client.sendall(post(b"Content-Length: 10", body=b"hello"))
        stage.until(lambda: stage.telemetry.in_flight.n == 1)
        ended = drain(stage)
        stage.until(lambda: refuses(stage))
        client.sendall(b"world")
        (reply,) = read_responses(client, method="POST", responses=2)
        client.close()
        assert (reply.body, reply.values("connection")) == (b"POST /x 10", ["close"])
        ended.result(PATIENCE)


def test_draining_is_said_ahead() -> None:
    """2.6 While readiness has fallen and requests are still taken, each response says
    Connection: close.
    """
    with draining().running() as stage:
        with stage.connect() as client:
            assert talk(client, get())[0].values("connection") == []
            stage.plane.draining = True
            assert talk(client, get())[0].values("connection") == ["close"]
            assert client.recv(1) == b""
        assert stage.talk(get())[0].status == 200


def test_idle_connections_end_at_once() -> None:
    """2.6 Connections without a request do not hold a drain up; one whose head has begun is
    still answered.
    """
    with (
        draining().running() as stage,
        stage.connect() as idle,
        stage.connect() as kept,
        stage.connect() as begun,
    ):
        talk(kept, get())
        begun.sendall(b"GET /begun HTTP/1.1\r\n")
        stage.until(lambda: any(connection.begun for connection in stage.plane._listener.open))
        ended = drain(stage)
        assert (idle.recv(1), kept.recv(1)) == (b"", b"")
        begun.sendall(b"Host: a\r\n\r\n")
        assert read_responses(begun)[0].body == b"GET /begun 0"
        begun.close()
        ended.result(PATIENCE)


@pytest.mark.parametrize("how", ["drain", "abort"])
def test_what_does_not_end_is_cut(how: str) -> None:
    """2.6 After timeouts.drain, or at once with abort, the rest is cut so that the client sees
    it.
    """
    with draining("20s").running() as stage:  # before timeouts.idle
        stage.origin.script = slow(asyncio.Event())
        with stage.connect() as client:
            client.sendall(get())
            received = client.recv(4096)
            if how == "drain":
                with stage.flying():
                    drain(stage).result(PATIENCE)
            else:
                stage.loop.call_soon_threadsafe(stage.plane.abort)
            with pytest.raises(ConnectionResetError):
                while piece := client.recv(4096):
                    received += piece
        assert b"\r\n0\r\n" not in received


def tunnel(client: socket.socket) -> bytes:
    client.sendall(get(*HANDSHAKE))
    received = b""
    while b"\r\n\r\n" not in received:
        received += client.recv(4096)
    assert received.startswith(b"HTTP/1.1 101 ")
    return received.partition(b"\r\n\r\n")[2]


@pytest.mark.parametrize(
    "begun",
    [b"", b"\x01", b"\x81\x7e\x00", b"\x81\x05he"],
    ids=["between frames", "inside a head", "inside a long head", "inside a frame"],
)
def test_websocket_hears_1001(begun: bytes) -> None:
    """2.6 WebSocket during drain: the client gets a close frame with 1001 at a frame's edge, and
    its response reaches the service.
    """
    rest = {
        b"": b"",
        b"\x01": b"\x02hi",
        b"\x81\x7e\x00": b"\x80" + b"x" * 128,
        b"\x81\x05he": b"llo",
    }[begun]
    heard = bytearray()
    go = asyncio.Event()

    async def script(line: Line) -> None:
        await line.send(
            b"HTTP/1.1 101 S\r\n"
            + b"".join(value + b"\r\n" for value in GOOD_101)
            + b"\r\n"
            + begun
        )
        await go.wait()
        await line.send(rest + b"\x81\x02no")
        heard.extend(await line.reader.read())

    with draining().running() as stage:
        stage.origin.script = script
        with stage.connect() as client:
            received = tunnel(client)
            while len(received) < len(begun):
                received += client.recv(4096)
            ended = drain(stage)
            stage.until(
                lambda: any(
                    connection.tunnel is not None and connection.tunnel._closing
                    for connection in stage.plane._listener.open
                )
            )
            stage.loop.call_soon_threadsafe(go.set)
            while not received.endswith(b"\x88\x02\x03\xe9"):
                received += client.recv(4096)
            client.sendall(b"\x88\x82\0\0\0\0\x03\xe9")
        ended.result(PATIENCE)
    assert received == begun + rest + b"\x88\x02\x03\xe9"
    assert bytes(heard) == b"\x88\x82\0\0\0\0\x03\xe9"


def test_requests_under_load_are_all_answered() -> None:
    """2.6 TERM under load: every request that was sent on an open connection is answered or its
    connection refused; none is lost.

    On the loop that serves in production: asyncio's own forgets a connection that it accepts as its
    server closes.
    """
    with Stage(loop_factory=uvloop.new_event_loop).running() as stage:

        async def script(line: Line) -> None:
            await asyncio.sleep(0.01)
            await line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi")

        stage.origin.script = script

        answered = 0

        async def one() -> None:
            nonlocal answered
            while True:
                try:
                    reader, writer = await asyncio.open_connection(*stage.address)
                except OSError:
                    return
                try:
                    while True:
                        writer.write(get())
                        head = await reader.readuntil(b"\r\n\r\n")
                        assert await reader.readexactly(2) == b"hi"
                        answered += 1
                        if b"Connection: close" in head:
                            break
                except ConnectionResetError:
                    # never accepted: it stood in the kernel's queue when the listener closed
                    return
                finally:
                    writer.close()

        async def load() -> None:
            clients = [asyncio.create_task(one()) for _ in range(30)]
            while answered < 100:
                await asyncio.sleep(0)
            stage.plane.draining = True
            while answered < 150:
                await asyncio.sleep(0)
            await stage.plane.drain()
            await asyncio.gather(*clients)

        stage.call(load())
