"""Large bodies on the way through the kernel: whole, in order, and nobody else's.

Bodies of known length, large enough to be spliced, with every end that one can come to, on both
loops.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import uvloop

from sidecar.proxy.splice import PIECE, PIECES, TAIL, WORTH, Pipe
from tests.wire.origin import Line
from tests.wire.requests_refused import get, post
from tests.wire.responses import ok
from tests.wire.stage import MovedLoop, Stage, read_responses, send, talk
from tests.wire.test_drain import drain
from tests.wire.test_responses import play
from tests.wire.test_sequences import targets

pytestmark = pytest.mark.skipif(not hasattr(os, "splice"), reason="a system without splice(2)")

BIG = 3 << 20
FIRST = 65_536
"""Bytes of a response that are read at once with its head; of a request, more."""
MIB = 1 << 20
HALF = BIG // 2
SIZES = sorted(
    {
        around + step
        for around in (FIRST + WORTH, 4 * FIRST + WORTH, 4 * FIRST + PIECE * PIECES + TAIL)
        for step in (-1, 0, 1)
    }
)
NOISE = random.Random(1).randbytes(BIG + 1 + 64 * 1009)


def body_of(size: int, number: int = 0) -> bytes:
    """A body that is like no other, and nowhere like itself."""
    return NOISE[number * 1009 :][:size]


def response(size: int, number: int = 0) -> bytes:
    return ok(b"Content-Length: %d" % size, body=body_of(size, number))


def upload(size: int, number: int = 0, target: bytes = b"/x") -> bytes:
    return post(b"Content-Length: %d" % size, body=body_of(size, number), target=target)


@pytest.fixture(
    scope="module", params=[MovedLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"]
)
def both_loops(request: pytest.FixtureRequest) -> Iterator[Stage]:
    settings = {
        "timeouts": {"response": "20s", "idle": "20s", "header": "20s", "body_idle": "20s"},
        "limits": {"body": "16MiB"},
    }
    with Stage(settings, loop_factory=request.param).running() as stage:
        yield stage


@pytest.fixture
def stage(both_loops: Stage) -> Iterator[Stage]:
    """A pair without a past, whose pipe must be empty in the end."""
    both_loops.settle()
    both_loops.origin.forget()
    both_loops.complaints.clear()
    yield both_loops
    both_loops.canary()
    pipe = both_loops.plane._context.pipe
    assert pipe is not None
    with pytest.raises(BlockingIOError):
        os.read(pipe._out, 1)


@pytest.fixture
def spliced(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Bytes that have gone into the pipe, and out of it, by calls."""
    counts: list[int] = []
    splice = os.splice

    def counted(source: int, target: int, count: int, flags: int = 0) -> int:
        counts.append(splice(source, target, count, flags=flags))
        return counts[-1]

    monkeypatch.setattr(os, "splice", counted)
    return counts


@pytest.mark.parametrize("size", SIZES)
def test_downloads_of_any_size(stage: Stage, size: int) -> None:
    """A response arrives whole, and so does the next one on the same connections."""
    left = [size, 5, size]

    async def script(line: Line) -> None:
        await line.send(response(left.pop(0)))

    stage.origin.script = script
    before = stage.origin.connections
    with stage.connect() as client:
        client.sendall(get(target=b"/1") + get(target=b"/2") + get(target=b"/3"))
        replies = read_responses(client, responses=3)
    assert [reply.body for reply in replies] == [body_of(size), body_of(5), body_of(size)]
    assert stage.origin.connections <= before + 1


@pytest.mark.parametrize("size", SIZES)
def test_uploads_of_any_size(stage: Stage, size: int) -> None:
    """A request's body arrives whole, and the requests behind it are their own."""
    with stage.connect() as client:
        raw = upload(size, 1) + upload(size, 2, b"/2") + get(target=b"/3")
        sender = threading.Thread(target=send, args=(client, raw), daemon=True)
        sender.start()
        replies = read_responses(client, method="POST", responses=3)
    wanted = [b"POST /x %d" % size, b"POST /2 %d" % size, b"GET /3 0"]
    assert [reply.body for reply in replies] == wanted
    assert [each.body for each in stage.origin.requests] == [
        body_of(size, 1),
        body_of(size, 2),
        b"",
    ]


def test_most_of_a_body_is_never_read(stage: Stage, spliced: list[int]) -> None:
    """What is behind the first read passes through the pipe, in both directions."""
    stage.origin.script = play(response(BIG))
    assert stage.talk(get())[0].body == body_of(BIG)
    assert sum(spliced) > BIG
    stage.origin.script = None
    spliced.clear()
    with stage.connect() as client:
        assert talk(client, upload(BIG), method="POST")[0].body == b"POST /x %d" % BIG
    assert sum(spliced) > BIG


@pytest.mark.parametrize("framing", ["chunked", "until close"])
def test_bodies_without_a_length_are_read(stage: Stage, spliced: list[int], framing: str) -> None:
    """Without a length the end must be looked for."""
    body = body_of(BIG)
    raw = {
        "chunked": ok(b"Transfer-Encoding: chunked", body=b"%x\r\n%b\r\n0\r\n\r\n" % (BIG, body)),
        "until close": ok(body=body),
    }[framing]
    stage.origin.script = play(raw, ends=framing == "until close")
    assert stage.talk(get())[0].body == body
    assert spliced == []


def test_many_bodies_share_the_pipe(stage: Stage) -> None:
    """Bodies of many connections, read and sent slowly or fast, both ways, stay apart."""

    async def script(line: Line) -> None:
        assert line.request is not None
        number = int(line.request.target[1:])
        assert line.request.body in (b"", body_of(HALF, number))
        await line.send(response(HALF, number))

    def ask(number: int) -> bool:
        with stage.connect() as client:
            if number % 3 == 0:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
            target = b"/%d" % number
            raw = get(target=target) if number % 2 else upload(HALF, number, target)
            sender = threading.Thread(target=send, args=(client, raw), daemon=True)
            sender.start()
            (reply,) = read_responses(client, method="GET" if number % 2 else "POST")
        return reply.body == body_of(HALF, number)

    stage.origin.script = script
    with ThreadPoolExecutor(12) as pool:
        assert all(pool.map(ask, range(12)))


@pytest.mark.parametrize("read", [0, 1, FIRST + WORTH, HALF])
def test_the_client_goes_in_the_middle_of_a_response(stage: Stage, read: int) -> None:
    """The upstream's connection ends with it, and nothing of the body is left for another."""

    async def script(line: Line) -> None:
        await line.send(response(BIG)[:-1])
        await line.reader.read()

    stage.origin.script = script
    client = stage.connect()
    client.sendall(get())
    stage.until(lambda: stage.telemetry.in_flight.n == 1)
    while read > 0:
        read -= len(client.recv(min(read, 65_536)))
    aborts = stage.telemetry.aborts.n
    client.close()
    stage.until(lambda: not stage.telemetry.in_flight.n)
    assert stage.telemetry.aborts.n == aborts + 1
    assert stage.talk(get(target=b"/canary/1"))[0].body == b"GET /canary/1 0"


@pytest.mark.parametrize("reset", [False, True])
@pytest.mark.parametrize("sent", [FIRST + WORTH, HALF, BIG - TAIL, BIG - 1])
def test_the_upstream_goes_in_the_middle_of_a_response(
    stage: Stage, sent: int, reset: bool
) -> None:
    """The client can see that the body is not whole, and the loss is counted."""
    stage.origin.script = play(response(BIG)[: sent - BIG], ends=True, reset=reset)
    counted = stage.count("sidecar_upstream_errors_total", "truncated")
    (reply,) = stage.talk(get())
    assert not reply.whole
    assert body_of(BIG).startswith(reply.body)
    if not reset:
        assert len(reply.body) == sent
    stage.until(lambda: stage.count("sidecar_upstream_errors_total", "truncated") == counted + 1)


@pytest.mark.parametrize("sent", [FIRST + WORTH, HALF, BIG - 1])
def test_the_client_goes_in_the_middle_of_an_upload(stage: Stage, sent: int) -> None:
    """The upstream gets no whole request, and its connection is not used again."""
    with stage.connect() as client:
        client.sendall(upload(BIG)[: sent - BIG])
        stage.until(lambda: stage.telemetry.in_flight.n == 1)
    stage.until(lambda: not stage.telemetry.in_flight.n)
    stage.until(lambda: bool(stage.origin.errors))
    assert stage.origin.requests == []
    assert stage.origin.errors[0].startswith("incomplete")


def test_the_upstream_goes_in_the_middle_of_an_upload(stage: Stage) -> None:
    """The client gets 502, though it has not sent all."""

    async def early(line: Line) -> None:
        for _ in range(20):
            await line.reader.read(65_536)
        line.reset()

    stage.origin.early = early
    with stage.connect() as client:
        sender = threading.Thread(target=send, args=(client, upload(BIG)), daemon=True)
        sender.start()
        (reply,) = read_responses(client, method="POST")
        assert reply.status == 502
        client.shutdown(socket.SHUT_RDWR)
        sender.join(5)


def test_a_response_before_the_end_of_an_upload(stage: Stage) -> None:
    """It reaches the client, the rest of the body goes nowhere, and the connection ends."""

    async def early(line: Line) -> None:
        for _ in range(20):
            await line.reader.read(65_536)
        await line.send(ok(b"Content-Length: 2", body=b"no"))
        await line.reader.read()

    stage.origin.early = early
    with stage.connect() as client:
        client.sendall(upload(BIG)[:HALF])
        (reply,) = read_responses(client, method="POST")
        assert (reply.status, reply.body) == (200, b"no")
        assert reply.values("connection") == ["close"]
        with contextlib.suppress(ConnectionError):
            client.sendall(b"x" * 65_536)
            assert client.recv(1) == b""


def test_both_ways_at_once(stage: Stage) -> None:
    """A service that responds while it is still being sent to: both bodies pass whole."""
    seen: list[bytes] = []

    async def early(line: Line) -> None:
        await line.send(response(BIG, 1)[:-TAIL])
        body = await line.reader.readexactly(BIG - 65_536)
        seen.append(body)
        await line.send(response(BIG, 1)[-TAIL:])
        line.writer.close()

    stage.origin.early = early
    raw = upload(BIG, 2)
    with stage.connect() as client:
        sender = threading.Thread(target=send, args=(client, raw), daemon=True)
        sender.start()
        (reply,) = read_responses(client, method="POST")
        assert reply.body == body_of(BIG, 1)
    assert seen[0] in body_of(BIG, 2)


def test_bytes_behind_a_body_are_not_passed_on(stage: Stage) -> None:
    """What the upstream sends beyond the length is nobody's, and ends its connection."""
    stage.origin.script = play(response(BIG) + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
    with stage.connect() as client:
        client.sendall(get(target=b"/1"))
        (reply,) = read_responses(client)
        assert reply.body == body_of(BIG)
        client.sendall(get(target=b"/canary/2"))
        assert read_responses(client)[0].body == b"GET /canary/2 0"
    assert targets(stage) == ["/1"]


def test_a_slow_reader_holds_back_the_upstream(stage: Stage) -> None:
    """What we hold for a client that does not read is bounded, and arrives when it does."""
    body = NOISE * 6
    stage.origin.script = play(ok(b"Content-Length: %d" % len(body), body=body))
    with stage.connect() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)
        client.sendall(get())
        stage.until(lambda: any(one.writing_paused for one in stage.plane._listener.open))

        async def measure() -> int:
            for _ in range(200):
                await asyncio.sleep(0)
            (one,) = stage.plane._listener.open
            assert one.transport is not None
            return one.transport.get_write_buffer_size()

        assert stage.call(measure()) <= 2 * PIECE
        (reply,) = read_responses(client)
    assert reply.body == body


def test_the_process_ends_in_the_middle_of_a_body() -> None:
    """A drain lets a body come to its end."""
    with Stage({"timeouts": {"drain": "60s"}}).running() as stage:
        go = asyncio.Event()

        async def script(line: Line) -> None:
            raw = response(BIG)
            await line.send(raw[:HALF])
            await go.wait()
            await line.send(raw[HALF:])

        stage.origin.script = script
        with stage.connect() as client:
            client.sendall(get())
            client.recv(1, socket.MSG_PEEK)
            ended = drain(stage)
            stage.until(lambda: stage.plane.draining)
            stage.loop.call_soon_threadsafe(go.set)
            (reply,) = read_responses(client)
            assert reply.body == body_of(BIG)
            assert client.recv(1) == b""
        ended.result(5)


def test_an_abort_in_the_middle_of_a_body() -> None:
    """An end at once closes the pipe, and the client can see that its body is cut."""
    with Stage().running() as stage:
        stage.origin.script = play(response(BIG)[:-HALF])
        with stage.connect() as client:
            client.sendall(get())
            client.recv(1, socket.MSG_PEEK)
            stage.loop.call_soon_threadsafe(stage.plane.abort)
            assert not read_responses(client)[0].whole
        assert stage.plane._context.pipe is None
        assert stage.complaints == []


@pytest.mark.parametrize("way", ["down", "up"])
def test_a_body_that_goes_on_is_in_time(way: str) -> None:
    """Clocks for a silent peer start again with each spliced piece, and end a body at rest."""
    with Stage(
        {"timeouts": {"idle": "20s", "body_idle": "20s", "response": "20s"}}
    ).running() as stage:
        go: asyncio.Queue[int] = asyncio.Queue()

        async def script(line: Line) -> None:
            raw = response(BIG)
            for at in range(0, BIG, MIB):
                await go.get()
                await line.send(raw[at : at + MIB])
            await line.reader.read()

        taken = 0

        async def take(line: Line) -> None:
            nonlocal taken
            while data := await line.reader.read(65_536):
                taken += len(data)

        if way == "down":
            stage.origin.script = script
        else:
            stage.origin.early = take
        raw = upload(BIG)
        with stage.connect() as client:
            client.sendall(get() if way == "down" else raw[:MIB])
            for step in range(2):
                if way == "down":
                    stage.loop.call_soon_threadsafe(go.put_nowait, 1)
                    left = MIB
                    while left > 1000:
                        left -= len(client.recv(min(left, 65_536)))
                else:
                    if step:
                        client.sendall(raw[step * MIB : (step + 1) * MIB])
                    stage.until(lambda sent=(step + 1) * MIB: taken > sent - 100_000)
                stage.forward(15)
            assert stage.telemetry.in_flight.n == 1
            with stage.flying():
                if way == "down":
                    assert not stage.telemetry.aborts.n
                    while True:
                        try:
                            if not client.recv(65_536):
                                break
                        except ConnectionError:
                            break
                else:
                    assert read_responses(client, method="POST")[0].status == 408


def test_the_pipe_gives_back_what_the_target_does_not_take() -> None:
    """Nothing is left in it for the next body, and an error of the target loses nothing."""
    pipe = Pipe()
    sources, targets_ = socket.socketpair(), socket.socketpair()
    for one in (*sources, *targets_):
        one.setblocking(False)
    body = body_of(65_536)
    sources[0].send(body)
    with contextlib.suppress(BlockingIOError):
        while True:
            targets_[0].send(bytes(65_536))
    taken, rest = pipe.move(sources[1].fileno(), targets_[0].fileno(), 60_000)
    assert (taken, rest) == (len(rest), body[:taken])
    targets_[1].close()
    more, rest = pipe.move(sources[1].fileno(), targets_[0].fileno(), 60_000)
    assert rest == body[taken : taken + more]
    with pytest.raises(BlockingIOError):
        os.read(pipe._out, 1)
    pipe.close()
    for one in (*sources, targets_[0]):
        one.close()
