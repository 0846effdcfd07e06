"""Faults in time: who stalls, vanishes or floods, on either side, and what is left behind.

Timeouts, limits, disconnects and back-pressure.
"""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.patience import PATIENCE
from tests.wire.origin import Line
from tests.wire.requests_refused import SMUGGLED, chunked, get, post
from tests.wire.responses import ok, sized
from tests.wire.stage import Stage, read_responses, send, talk
from tests.wire.test_responses import play

TIGHT = {
    "timeouts": {
        "header": "60s",
        "body_idle": "60s",
        "connect": "60s",
        "response": "60s",
        "idle": "60s",
        "upstream_idle": "1h",
    },
    "limits": {"requests": 4, "connections": 8, "upstream_connections": 2, "body": "4MiB"},
}


@pytest.fixture(scope="module")
def tight_stage() -> Iterator[Stage]:
    with Stage(TIGHT).running() as stage:
        yield stage


@pytest.fixture
def tight(tight_stage: Stage) -> Stage:
    tight_stage.settle()
    tight_stage.origin.forget()
    return tight_stage


async def stall(line: Line) -> None:
    await line.reader.read()


def ended(client: socket.socket) -> bool:
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


# Slow clients.


@pytest.mark.parametrize(
    "start",
    [b"G", b"GET /x HTTP/1.1\r\nHo", b"\r\nGET"],
    ids=["one byte", "inside a line", "behind an empty line"],
)
def test_header_stalls(tight: Stage, start: bytes) -> None:
    """2.5 Slowloris: a head that is not whole within timeouts.header is a 408, and the
    connection ends.
    """
    with tight.connect() as client:
        client.sendall(start)
        with tight.flying():
            (reply,) = read_responses(client, responses=2)
    assert (reply.status, reply.values("connection"), reply.values("x-policy")) == (
        408,
        ["close"],
        ["on"],
    )
    tight.canary()


def test_header_drips(tight: Stage) -> None:
    """2.5 Slowloris: bytes that drip do not move the deadline."""
    request = get(b"X-A: " + b"a" * 1000)
    with tight.connect() as client:
        for sent in range(100):
            if select.select([client], [], [], 0)[0]:
                break
            client.sendall(request[sent : sent + 1])
            tight.forward(1)
        assert [reply.status for reply in read_responses(client)] == [408]
    assert 50 <= sent <= 70, "a byte a second, and the deadline is at sixty"


def test_header_stalls_on_the_second_request(tight: Stage) -> None:
    """2.5 Slowloris: the deadline holds for each request of a connection."""
    with tight.connect() as client:
        assert talk(client, get())[0].status == 200
        client.sendall(b"GET /2")
        with tight.flying():
            assert [reply.status for reply in read_responses(client)] == [408]


@pytest.mark.parametrize("first", [b"", get()], ids=["new", "kept"])
def test_idle_connection(tight: Stage, first: bytes) -> None:
    """2.5 A connection without a request is closed without a word."""
    with tight.connect() as client:
        if first:
            talk(client, first)
        with tight.flying():
            assert ended(client)


@pytest.mark.parametrize(
    "request_",
    [post(b"Content-Length: 50", body=b"hello"), chunked(b"5\r\nhello\r\n")],
    ids=["length", "chunked"],
)
def test_body_stalls(tight: Stage, request_: bytes) -> None:
    """2.5 Slow body: a body that stalls is a 408, and the upstream never sees the request whole."""
    with tight.connect() as client:
        client.sendall(request_)
        with tight.flying():
            replies = read_responses(client, method="POST", responses=2)
    assert [reply.status for reply in replies] == [408]
    tight.canary()
    assert [request.method for request in tight.origin.requests] == ["GET"]


def test_client_stops_reading(tight: Stage) -> None:
    """2.5 Slow reader: a client that does not read is cut after timeouts.idle, and the upstream
    is let go.
    """
    tight.origin.script = play(ok(b"Content-Length: 50000000", body=b"x" * 50_000_000))
    aborts = tight.count("sidecar_client_aborts_total")
    with tight.connect() as client:
        client.sendall(get())
        tight.until(lambda: tight.telemetry.in_flight.n == 1)
        with tight.flying():
            tight.settle()
    assert tight.count("sidecar_client_aborts_total") == aborts + 1
    tight.canary()


@pytest.mark.parametrize(
    ("request_", "lines", "size"),
    [
        (get(), (b"Content-Length: 400000",), 400_000),
        (get(), (), 400_000),
        (get(b"Connection: close"), (b"Content-Length: 100000",), 100_000),
    ],
    ids=["by its length, spliced", "until close", "closing, all of it written"],
)
def test_client_reads_slowly(
    tmp_path: Path, request_: bytes, lines: tuple[bytes, ...], size: int
) -> None:
    """2.5 Slow reader: a client that reads on gets all, however long it takes."""
    with Stage(TIGHT, listen=f"unix:{tmp_path}/in").running() as stage, stage.connect() as client:
        stage.origin.script = play(ok(*lines, body=b"x" * size), ends=True)
        stage.until(lambda: len(stage.plane._listener.open) == 1)
        (connection,) = stage.plane._listener.open
        transport = connection.transport
        _small(transport)
        client.sendall(request_)
        stage.until(lambda: transport.get_write_buffer_size() > 50_000)
        received = _slowly(stage, client, transport)
        while received.count(b"x") < size:
            received += _more(client)


def _small(transport: asyncio.Transport) -> None:
    """Let the system keep little for who reads: the rest waits with us."""
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)


def _slowly(stage: Stage, reader: socket.socket, transport: asyncio.Transport) -> bytes:
    """Read so that something leaves in each of a few minutes, and never all that waits."""
    received = b""
    for _ in range(4):
        before = transport.get_write_buffer_size()
        while transport.get_write_buffer_size() >= before:
            received += _more(reader)
        stage.forward(50)
    assert transport.get_write_buffer_size(), "what waits has not left meanwhile"
    return received


def test_upstream_reads_slowly(tmp_path: Path) -> None:
    """2.5 Big upload: an upstream that reads on gets all, however long it takes."""
    size = 600_000
    with (
        socket.socket(socket.AF_UNIX) as listening,
        Stage(TIGHT, upstream=f"unix:{tmp_path}/out").running() as stage,
        stage.connect() as client,
    ):
        listening.bind(f"{tmp_path}/out")
        listening.listen()
        listening.settimeout(PATIENCE)
        client.sendall(chunked(b"1\r\ny\r\n"))
        upstream, _ = listening.accept()
        upstream.settimeout(PATIENCE)
        received = b""
        while not received.endswith(b"y\r\n"):
            received += _more(upstream)
        (connection,) = stage.plane._listener.open
        transport = connection._exchange._upstream.transport
        _small(transport)
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (size, b"x" * size)
        writing = threading.Thread(target=send, args=(client, body), daemon=True)
        writing.start()
        stage.until(lambda: transport.get_write_buffer_size() > 50_000)
        received = _slowly(stage, upstream, transport)
        while not received.endswith(b"0\r\n\r\n"):
            received += _more(upstream)
        writing.join(PATIENCE)
        upstream.sendall(sized())
        upstream.close()
        assert read_responses(client, method="POST")[0].body == b"hi"
    assert received.count(b"x") == size


def test_body_that_goes_wrong_behind_its_response(tight: Stage) -> None:
    """2.1 Chunk size syntax: what is wrong with a body while the response is on its way cuts that,
    and is counted.
    """

    async def early(line: Line) -> None:
        await line.send(ok(b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n"))
        await line.reader.read()

    tight.origin.early = early
    before = tight.count("sidecar_rejected_requests_total", "framing")
    with tight.connect() as client:
        client.sendall(chunked(b"1\r\nx\r\n"))
        begun = b""
        while not begun.endswith(b"hi\r\n"):
            begun += client.recv(4096)
        client.sendall(b"zz\r\n")
        (reply,) = read_responses(client, method="POST", rest=begun)
    assert (reply.status, reply.body, reply.whole) == (200, b"hi", False)
    assert tight.count("sidecar_rejected_requests_total", "framing") == before + 1
    tight.canary()


# Slow upstreams.


def test_no_response(tight: Stage) -> None:
    """2.4 Hang: no head within timeouts.response is a 504 with the policy applied."""
    tight.origin.script = stall
    before = tight.count("sidecar_upstream_errors_total", "response_timeout")
    with tight.flying():
        (reply,) = tight.talk(get())
    assert (reply.status, reply.values("x-policy")) == (504, ["on"])
    assert tight.count("sidecar_upstream_errors_total", "response_timeout") == before + 1
    tight.canary()


@pytest.mark.parametrize(
    "request_", [get(), post(b"Content-Length: 1", body=b"x")], ids=["GET", "POST"]
)
def test_head_of_the_response_drips(tight: Stage, request_: bytes) -> None:
    """2.4 Hang: no piece of a head starts the deadline anew, also on a new connection."""
    go, gone = asyncio.Event(), asyncio.Event()

    async def script(line: Line) -> None:
        await line.send(b"HTTP/1.1 103 E\r\n\r\nHTTP/1.1 200 OK\r\nX-A:")
        await go.wait()
        await line.send(b"b\r\n")
        gone.set()
        await line.reader.read()

    tight.origin.script = script
    tight.loop.call_soon_threadsafe(tight.plane._context.pool.close)
    with tight.connect() as client:
        client.sendall(request_)
        assert client.recv(4096) == b"HTTP/1.1 103 E\r\n\r\n"
        tight.forward(55)
        tight.loop.call_soon_threadsafe(go.set)
        tight.until(gone.is_set)
        tight.forward(8)
        assert [reply.status for reply in read_responses(client, method="POST")] == [504]


def test_no_response_to_an_upload(tight: Stage) -> None:
    """2.4 Hang: the response deadline starts at the end of the request's body."""
    tight.origin.script = stall
    with tight.connect() as client:
        client.sendall(post(b"Content-Length: 10"))
        for _ in range(10):
            tight.forward(20)
            assert not select.select([client], [], [], 0)[0], "not while the body is on its way"
            client.sendall(b"x")
        with tight.flying():
            assert [reply.status for reply in read_responses(client, method="POST")] == [504]


@pytest.mark.parametrize(
    "raw",
    [
        ok(b"Content-Length: 10", body=b"hello"),
        ok(b"Transfer-Encoding: chunked", body=b"5\r\nhello\r\n"),
        ok(body=b"hello"),
    ],
    ids=["length", "chunked", "until close"],
)
def test_body_of_the_response_stalls(tight: Stage, raw: bytes) -> None:
    """2.4 Hang: a response that stalls is cut so that the client sees it."""

    async def script(line: Line) -> None:
        await line.send(raw)
        await line.reader.read()

    tight.origin.script = script
    with tight.flying():
        replies = tight.talk(get())
    assert replies == [] or not replies[0].whole
    tight.canary()


def test_stream_that_lives(tight: Stage) -> None:
    """2.4 Server-sent events: each piece arrives as it is sent, and pieces keep the stream alive
    beyond any deadline.
    """
    go = asyncio.Queue[None]()

    async def script(line: Line) -> None:
        await line.send(ok(b"Content-Type: text/event-stream", b"Transfer-Encoding: chunked"))
        for _ in range(8):
            await go.get()
            await line.send(b"9\r\ndata: x\n\n\r\n")
        await go.get()
        await line.send(b"0\r\n\r\n")

    tight.origin.script = script
    with tight.connect() as client:
        client.sendall(get())
        arrived = b""
        while not arrived.endswith(b"\r\n\r\n"):
            arrived += _more(client)
        for number in range(8):
            tight.forward(40)
            tight.loop.call_soon_threadsafe(go.put_nowait, None)
            while arrived.count(b"data: x\n\n") == number:
                arrived += _more(client)
        tight.loop.call_soon_threadsafe(go.put_nowait, None)
        while not arrived.endswith(b"0\r\n\r\n"):
            arrived += _more(client)


def _more(client: socket.socket) -> bytes:
    piece = client.recv(4096)
    assert piece, "the stream lives until the service ends it"
    return piece


def test_refused(tight: Stage) -> None:
    """2.4 Connect refused: 502 at once, counted by its reason; the client may come again."""
    with socket.socket() as held, contextlib.ExitStack() as stack:
        held.bind(("127.0.0.1", 0))  # and never listening
        stage = stack.enter_context(
            Stage(TIGHT, upstream=f"http://127.0.0.1:{held.getsockname()[1]}").running()
        )
        (reply,) = stage.talk(get())
        assert (reply.status, reply.values("x-policy")) == (502, ["on"])
        assert reply.values("retry-after") == ["1"]
        assert stage.count("sidecar_upstream_errors_total", "refused") == 1
        assert stage.call(stage.plane.upstream_reachable()) is False
    assert tight.call(tight.plane.upstream_reachable()) is True


def test_dns() -> None:
    """2.4 DNS failure: 502, counted by its reason."""
    with Stage(
        {"timeouts": {"connect": "60s"}}, upstream="http://no-such-name.invalid:80"
    ).running() as stage:
        assert stage.talk(get())[0].status == 502
        assert stage.count("sidecar_upstream_errors_total", "dns") == 1


def test_black_hole() -> None:
    """2.4 A connect that hangs is a 504 after timeouts.connect."""
    with socket.socket() as full, contextlib.ExitStack() as kept:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for _ in range(4):  # fill the backlog: nothing accepts
            waiting = kept.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        black_hole = f"http://127.0.0.1:{full.getsockname()[1]}"
        with Stage(TIGHT, upstream=black_hole).running() as stage, stage.flying():
            assert stage.talk(get())[0].status == 504
            assert stage.count("sidecar_upstream_errors_total", "connect_timeout") == 1


def test_total() -> None:
    """2.4 timeouts.total ends an exchange that is otherwise alive."""

    async def script(line: Line) -> None:
        await line.send(ok(b"Transfer-Encoding: chunked"))
        with contextlib.suppress(ConnectionError):
            while True:
                await asyncio.sleep(1)
                await line.send(b"1\r\nx\r\n")

    with Stage({"timeouts": {"total": "10m", "idle": "5m"}}).running() as stage:
        stage.origin.script = script
        with stage.flying():
            (reply,) = stage.talk(get())
        assert (reply.status, reply.whole) == (200, False)
        assert stage.count("sidecar_upstream_errors_total", "total_timeout") == 1


def test_total_counts_the_wait() -> None:
    """2.4 timeouts.total is that of the whole exchange, also where it waited for a connection."""
    go = asyncio.Event()

    async def first(line: Line) -> None:
        await go.wait()
        await line.send(sized())

    timeouts = {"total": "10m", "connect": "1h", "response": "1h"}
    with (
        Stage({"timeouts": timeouts, "limits": {"upstream_connections": 1}}).running() as stage,
        stage.connect() as one,
    ):
        stage.origin.script = first
        one.sendall(get())
        stage.until(lambda: bool(stage.origin.requests))
        stage.forward(300)
        with stage.connect() as other:
            other.sendall(get())
            stage.until(lambda: stage.telemetry.in_flight.n == 2)
            stage.origin.script = stall
            stage.forward(299)
            stage.loop.call_soon_threadsafe(go.set)
            assert read_responses(one)[0].status == 200
            stage.until(lambda: len(stage.origin.requests) == 2)
            stage.forward(302)
            assert [reply.status for reply in read_responses(other)] == [504]
        assert stage.count("sidecar_upstream_errors_total", "total_timeout") == 1


# Limits.


def test_pool_is_full() -> None:
    """2.4 Pool exhaustion: who waits too long for a connection gets 503 with Retry-After; those
    who have one are served.
    """
    timeouts = {"connect": "10s", "response": "60s"}
    with Stage({"timeouts": timeouts, "limits": {"upstream_connections": 2}}).running() as stage:
        go = asyncio.Event()

        async def slow(line: Line) -> None:
            await go.wait()
            await line.send(sized())

        stage.origin.script = slow
        with contextlib.ExitStack() as stack:
            clients = [stack.enter_context(stage.connect()) for _ in range(4)]
            for number, client in enumerate(clients, 1):
                client.sendall(get())
                stage.until(lambda number=number: stage.telemetry.in_flight.n == number)
            stage.forward(11)
            late = [read_responses(client)[0] for client in clients[2:]]
            stage.loop.call_soon_threadsafe(go.set)
            served = [read_responses(client)[0] for client in clients[:2]]
        assert [reply.status for reply in (*served, *late)] == [200, 200, 503, 503]
        assert late[0].values("retry-after") == ["1"]
        stage.settle()
        stage.canary()


def test_waiting_for_the_pool(tight: Stage) -> None:
    """2.4 Pool exhaustion: who waits gets the next free connection."""
    go = asyncio.Event()

    async def slow(line: Line) -> None:
        await go.wait()
        await line.send(sized())

    tight.origin.script = slow
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(tight.connect()) for _ in range(4)]
        for client in clients:
            client.sendall(get())
        tight.until(lambda: tight.telemetry.in_flight.n == 4)
        tight.loop.call_soon_threadsafe(go.set)
        assert [read_responses(client)[0].status for client in clients] == [200] * 4


def test_requests_in_flight() -> None:
    """2.5 One request more than limits.requests is a 503 at once, while the others are waited
    for; then room comes back.
    """
    with Stage({"limits": {"requests": 4}}).running() as stage:
        stage.origin.script = stall
        with contextlib.ExitStack() as stack:
            for _ in range(4):
                stack.enter_context(stage.connect()).sendall(get())
            stage.until(lambda: stage.telemetry.in_flight.n == 4)
            (reply,) = stage.talk(get())
            assert (reply.status, reply.values("retry-after")) == (503, ["1"])
            stage.until(lambda: stage.telemetry.in_flight.n == 4)
        stage.settle()
        stage.canary()


def test_connections(tight: Stage) -> None:
    """2.5 Connection flood: connections above the limit are closed at once, the others serve,
    and room comes back.
    """
    before = tight.count("sidecar_rejected_requests_total", "connections")
    with contextlib.ExitStack() as stack:
        kept = [stack.enter_context(tight.connect()) for _ in range(8)]
        assert talk(kept[0], get())[0].status == 200
        assert ended(stack.enter_context(tight.connect()))
        assert talk(kept[1], get())[0].status == 200
    tight.settle()
    tight.canary()
    assert tight.count("sidecar_rejected_requests_total", "connections") == before + 1


def test_body_limit_of_a_chunked_request(tight: Stage) -> None:
    """2.5 Big upload: a chunked body above limits.body is a 413, and the upstream never sees it
    whole.
    """
    piece = b"10000\r\n" + b"x" * 65_536 + b"\r\n"
    with tight.connect() as client:
        send(client, chunked(piece * 65 + b"0\r\n\r\n"))
        replies = read_responses(client, method="POST")
        with tight.flying():
            replies += read_responses(client, method="POST")
    assert [reply.status for reply in replies] == [413]
    tight.settle()
    tight.canary()
    assert [request.method for request in tight.origin.requests] == ["GET"]


def test_body_limit_before_continue(tight: Stage) -> None:
    """2.5 Big upload: 413 comes instead of 100, and at once."""
    with tight.connect() as client:
        client.sendall(post(b"Content-Length: 5000000", b"Expect: 100-continue"))
        (reply,) = read_responses(client, method="POST", responses=2)
    assert (reply.status, reply.interim) == (413, [])


# Clients that go.


@pytest.mark.parametrize("phase", ["waiting", "upload", "download"])
def test_client_disconnects(tight: Stage, phase: str) -> None:
    """2.5 Client disconnect: the upstream's connection is closed and not used again; it is no
    upstream error.
    """
    reached, gone = threading.Event(), threading.Event()

    async def script(line: Line) -> None:
        if phase == "download":
            await line.send(ok(b"Content-Length: 1000"))
        reached.set()
        try:
            await line.reader.read()
        finally:
            gone.set()

    tight.origin.script = tight.origin.early = script
    aborts = tight.count("sidecar_client_aborts_total")
    errors = sum(
        tight.count("sidecar_upstream_errors_total", reason) for reason in ("closed", "truncated")
    )
    with tight.connect() as client:
        client.sendall(post(b"Content-Length: 10", body=b"x") if phase == "upload" else get())
        assert reached.wait(PATIENCE)
        if phase == "download":
            assert client.recv(4096)
    assert gone.wait(PATIENCE)
    tight.settle()
    tight.origin.forget()
    tight.canary()
    assert tight.count("sidecar_client_aborts_total") == aborts + 1
    assert (
        sum(
            tight.count("sidecar_upstream_errors_total", reason)
            for reason in ("closed", "truncated")
        )
        == errors
    )


def test_half_closed_client(stage: Stage) -> None:
    """2.5 Half-closed client: taken as gone, as nginx does; nothing hangs."""
    with stage.connect() as client:
        client.sendall(get())
        client.shutdown(socket.SHUT_WR)
        with contextlib.suppress(ConnectionError):
            client.recv(4096)
    stage.settle()
    stage.canary()


def test_nothing_is_left(stage: Stage) -> None:
    """After all kinds of ends no request, connection, task or deadline is left."""
    for data in (
        get(),
        post(b"Content-Length: 5", body=b"hello"),
        chunked(b"5\r\nhello\r\n0\r\n\r\n"),
        b"\0",
        get(b"Connection: close") + SMUGGLED,
    ):
        stage.talk(data, method="POST")
    stage.settle()

    def left() -> list[str]:
        names = [repr(task.get_coro()) for task in asyncio.all_tasks(stage.loop)]
        return [
            name
            for name in names
            if "sidecar" in name or "Downstream" in name or "Exchange" in name
        ]

    stage.until(lambda: not left())
    assert dict(stage.plane._context.deadlines._entries) == {}
    assert stage.plane._context.deadlines.timed == set()


def test_an_idle_process_is_not_woken(stage: Stage):
    """The timer of the deadlines runs while something has one, not for ever."""
    timer = lambda: stage.plane._context.deadlines._timer  # noqa: E731 - asked again and again
    with stage.connect() as client:
        stage.until(lambda: timer() is not None)
        assert talk(client, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")[0].status == 200
        stage.forward(1)
        assert timer() is not None
    stage.until(lambda: timer() is None)
    stage.canary()
