"""More than one message on a connection: what may follow what, on either side.

Pipelining, reuse and retries.
"""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.patience import PATIENCE
from tests.wire.origin import Line, echo
from tests.wire.requests_refused import SMUGGLED, chunked, get, post
from tests.wire.responses import ok, sized
from tests.wire.stage import Stage, read_responses, send
from tests.wire.test_responses import play


def targets(stage: Stage) -> list[str]:
    return [
        request.target
        for request in stage.origin.requests
        if not request.target.startswith("/canary")
    ]


@pytest.mark.parametrize("bytewise", [False, True], ids=["whole", "raw"])
def test_pipelining(stage: Stage, bytewise: bool) -> None:
    """2.1 Pipelining: forty requests get forty responses, in order."""
    data = b"".join(get(target=b"/%d" % number) for number in range(40))
    replies = stage.talk(data, bytewise=bytewise, responses=40)
    assert [reply.body for reply in replies] == [b"GET /%d 0" % number for number in range(40)]
    assert targets(stage) == [f"/{number}" for number in range(40)]


def test_pipelining_more_than_is_held(stage: Stage) -> None:
    """2.1 Pipelining: bytes behind a slow response are not read without bound, and none is lost."""
    data = b"".join(get(b"X-Fill: " + b"a" * 4000, target=b"/%d" % number) for number in range(200))
    with stage.connect() as client:
        client.setblocking(True)
        import threading

        writer = threading.Thread(target=send, args=(client, data), daemon=True)
        writer.start()
        replies = read_responses(client, responses=200)
        writer.join(PATIENCE)
    assert [reply.body for reply in replies] == [b"GET /%d 0" % number for number in range(200)]


@pytest.mark.parametrize(
    "bad",
    [
        b"GET /2 HTTP/1.1\r\nHost : a\r\n\r\n",
        post(b"Content-Length: 1", b"Transfer-Encoding: chunked"),
        b"\0",
    ],
    ids=["malformed", "CL.TE", "NUL"],
)
def test_bad_second(stage: Stage, bad: bytes) -> None:
    """2.1 Pipelining: the first response stands, a bad second request is refused, and nothing
    behind it is read.
    """
    replies = stage.talk(get(target=b"/1") + bad + SMUGGLED, responses=3)
    assert [reply.status for reply in replies] == [200, 400]
    assert targets(stage) == ["/1"]
    stage.canary()


def test_nothing_after_close(stage: Stage) -> None:
    """2.1 Pipelining: after Connection: close nothing more is processed."""
    replies = stage.talk(get(b"Connection: close", target=b"/1") + SMUGGLED, responses=2)
    assert [reply.body for reply in replies] == [b"GET /1 0"]
    stage.canary()
    assert targets(stage) == ["/1"]


EVIL = chunked(b"1\r\nx\r\n0\r\nX-First: 1\r\nX-Last: evil\r\n\r\n")


def test_trailer_never_reaches_the_next_request(stage: Stage) -> None:
    """2.1 Trailers: a client that waits may go on, and the next request has none of the
    trailers.
    """
    with stage.connect() as client:
        client.sendall(EVIL)
        assert read_responses(client, method="POST")[0].body == b"POST /x 1"
        client.sendall(get(target=b"/2"))
        assert read_responses(client)[0].body == b"GET /2 0"
    assert stage.origin.requests[1].values("x-last") == []


def test_pipelined_behind_trailers(stage: Stage) -> None:
    """2.1 Trailers: a request pipelined behind a chunked one is served, and no trailer reaches
    it.
    """
    replies = stage.talk(EVIL + get(target=b"/2"), method="POST", responses=2)
    assert [reply.body for reply in replies] == [b"POST /x 1", b"GET /2 0"]
    stage.canary()
    assert targets(stage) == ["/x", "/2"]
    assert stage.origin.requests[1].values("x-last") == []


def test_trailer_behind_a_pipelined_request(stage: Stage) -> None:
    """2.1 Trailers: a chunked request that was itself pipelined leaves no trailer to the next
    one either.
    """
    with stage.connect() as client:
        client.sendall(get(target=b"/1") + EVIL)
        read_responses(client, method="POST", responses=2)
        send(client, get(target=b"/2"))
        read_responses(client)
    assert targets(stage) == ["/1", "/x", "/2"]
    assert [request.values("x-last") for request in stage.origin.requests] == [[]] * len(
        stage.origin.requests
    )


def test_many_chunked_requests_on_one_connection(stage: Stage) -> None:
    """2.1 Trailers: chunked uploads keep their connection."""
    with stage.connect() as client:
        for number in range(20):
            client.sendall(chunked(b"1\r\nx\r\n0\r\n\r\n").replace(b"/x", b"/%d" % number))
            assert read_responses(client, method="POST")[0].body == b"POST /%d 1" % number


@pytest.mark.parametrize("token", [b"h2c", b"foo", b"websocket"])
def test_octets_behind_an_upgrade(stage: Stage, token: bytes) -> None:
    """2.3 Premature or unknown Upgrade: bytes behind it are never taken for a request, however
    they are cut.
    """
    first = get(
        b"Connection: Upgrade",
        b"Upgrade: " + token,
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        target=b"/1",
    )
    hidden = post(b"Content-Length: %d" % len(SMUGGLED), target=b"/2")
    with stage.connect() as client:
        client.sendall(first + hidden)
        stage.until(lambda: targets(stage) == ["/1"])
        send(client, SMUGGLED)
        replies = read_responses(client, responses=3)
    assert [reply.body for reply in replies] == [b"GET /1 0"]
    assert replies[0].values("connection") == ["close"]
    stage.canary()
    assert targets(stage) == ["/1"]


def test_http10_keep_alive(stage: Stage) -> None:
    """2.2 HTTP/1.0: the connection is kept only for a client that asks for it."""
    asked = get(b"Connection: keep-alive", version=b"HTTP/1.0")
    with stage.connect() as client:
        client.sendall(asked + asked)
        replies = read_responses(client, responses=2)
    assert [reply.values("connection") for reply in replies] == [["keep-alive"], ["keep-alive"]]
    assert [
        reply.values("connection") for reply in stage.talk(get(version=b"HTTP/1.0"), responses=2)
    ] == [["close"]]


@pytest.mark.parametrize(
    ("method", "start", "body"),
    [
        (b"GET", b"HTTP/1.1 200 OK\r\n", b"hi"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\n", b""),
        (b"GET", b"HTTP/1.1 304 N\r\n", b""),
    ],
    ids=["GET", "HEAD", "304"],
)
def test_http10_gets_no_chunks_and_no_interim(
    stage: Stage, method: bytes, start: bytes, body: bytes
) -> None:
    """2.2 HTTP/1.0: a chunked response ends with the connection, and a 103 is not passed."""
    chunks = b"2\r\nhi\r\n0\r\n\r\n" if body else b""
    stage.origin.script = play(
        b"HTTP/1.1 103 E\r\n\r\n" + ok(b"Transfer-Encoding: chunked", body=chunks, start=start)
    )
    with stage.connect() as client:
        client.sendall(get(version=b"HTTP/1.0", method=method))
        received = b""
        while data := client.recv(4096):
            received += data
    assert received.startswith(start)
    assert received.endswith(b"\r\n\r\n" + body)
    assert b"ransfer-" not in received


@pytest.mark.parametrize(
    ("values", "status", "passed"),
    [
        ([b"0"], 204, []),
        ([b"5"], 200, ["4"]),
        ([b"5", b"0"], 204, []),
        ([b"5", b"1"], 200, ["4", "0"]),
        ([b"0" * 30], 204, []),
        ([b"9" * 30], 200, ["9" * 18]),
    ],
)
def test_max_forwards(stage: Stage, values: list[bytes], status: int, passed: list[str]) -> None:
    """2.2 Methods: OPTIONS with Max-Forwards: 0 ends here (RFC 9110 section 7.6.2); another is
    passed on, one less.
    """
    lines = b"\r\n".join(b"Max-Forwards: " + value for value in values)
    reply = stage.talk(get(lines, method=b"OPTIONS"), method="OPTIONS")[0]
    assert reply.status == status
    assert [one.values("max-forwards") for one in stage.origin.requests] == [passed] * bool(passed)


@pytest.mark.parametrize("framing", ["length", "chunked"])
def test_body_behind_our_own_response(stage: Stage, framing: str) -> None:
    """2.1 Early response: a body that has not come yet when we respond ourselves is never read as
    requests.
    """
    lines = b"Max-Forwards: 0\r\nContent-Length: %d" % len(SMUGGLED)
    if framing == "chunked":
        lines = b"Max-Forwards: 0\r\nTransfer-Encoding: chunked"
    with stage.connect() as client:
        client.sendall(get(lines, method=b"OPTIONS"))
        (reply,) = read_responses(client, method="OPTIONS")
        send(client, SMUGGLED)
        assert read_responses(client) == []
    assert (reply.status, reply.values("connection")) == (204, ["close"])
    stage.canary()
    assert targets(stage) == []


# The upstream's kept connections.


@pytest.mark.parametrize("method", [b"GET", b"HEAD", b"OPTIONS", b"DELETE", b"POST", b"PUT"])
def test_service_that_reads_no_body(stage: Stage, method: bytes) -> None:
    """2.1 CL.0: a body that a service may take for a request ends that connection, so that the
    response to it meets nobody.
    """
    data = post(b"Content-Length: %d" % len(SMUGGLED), body=SMUGGLED).replace(b"POST", method)
    assert stage.talk(data, method=method.decode())[0].status == 200
    connections = stage.origin.connections
    stage.canary()
    assert (stage.origin.connections > connections) == (method not in (b"POST", b"PUT"))


def _dies_when_reused(line: Line):
    async def script(again: Line) -> None:
        if again is line:
            line.writer.close()
        else:
            await again.send(echo(again.request))

    return script


@pytest.mark.parametrize(
    ("method", "status", "sent"),
    [("GET", 200, 2), ("HEAD", 200, 2), ("DELETE", 200, 2), ("POST", 502, 1), ("PATCH", 502, 1)],
)
def test_retry(stage: Stage, method: str, status: int, sent: int) -> None:
    """2.4 Premature close: a bodiless idempotent request on a kept connection goes once more, on
    a new one; no other does.
    """

    async def first(line: Line) -> None:
        await line.send(echo(line.request))
        stage.origin.script = _dies_when_reused(line)

    stage.origin.script = first
    stage.talk(get(target=b"/warm"))
    retries = stage.count("sidecar_upstream_retries_total")

    reply = stage.talk(get(method=method.encode()), method=method)[0]

    assert reply.status == status
    assert targets(stage) == ["/warm"] + ["/x"] * sent
    assert stage.count("sidecar_upstream_retries_total") - retries == sent - 1
    stage.canary()


def test_no_retry_with_a_body(stage: Stage) -> None:
    """2.4 Premature close: PUT with a body is not sent again."""

    async def first(line: Line) -> None:
        await line.send(echo(line.request))
        stage.origin.script = _dies_when_reused(line)

    stage.origin.script = first
    stage.talk(get(target=b"/warm"))
    replies = stage.talk(
        post(b"Content-Length: 1", body=b"x").replace(b"POST", b"PUT"), method="PUT"
    )
    assert [reply.status for reply in replies] == [502]
    assert targets(stage) == ["/warm", "/x"]


def test_no_retry_on_a_new_connection(stage: Stage) -> None:
    """2.4 Premature close: on a new connection even a GET is sent once."""

    async def close(line: Line) -> None:
        line.writer.close()

    stage.settle()
    stage.origin.script = close
    stage.call(_forget_kept(stage))
    assert [reply.status for reply in stage.talk(get())] == [502]
    assert targets(stage) == ["/x"]


async def _forget_kept(stage: Stage) -> None:
    stage.plane._context.pool.close()


@pytest.mark.parametrize("delay", [0.0, 0.001, 0.003])
def test_unasked_response(stage: Stage, delay: float) -> None:
    """2.4 Extra bytes: a response that nobody asked for, which comes with another or behind it,
    never answers anybody.
    """
    sent = threading.Event()

    async def script(line: Line) -> None:
        await line.send(sized())
        await asyncio.sleep(delay)
        await line.send(sized(b"X-Evil: 1", start=b"HTTP/1.1 299 E\r\n"))
        sent.set()

    stage.origin.script = script
    for _ in range(10):
        sent.clear()
        assert stage.talk(get())[0].body == b"hi"
        assert sent.wait(PATIENCE)
        stage.canary()


def test_unasked_responses_while_the_loop_is_busy(stage: Stage) -> None:
    """2.4 Extra bytes: a response that nobody asked for, which comes while other requests are
    served, is seen before a kept connection is used.
    """
    go = asyncio.Event()

    async def script(line: Line) -> None:
        await go.wait()
        await line.send(sized())

    async def turn() -> list[bool]:
        pool, now = stage.plane._context.pool, stage.loop.time()
        first = pool.take(now)
        for writer in stage.origin.writers:
            writer.write(sized())
        second = pool.take(now)
        assert first is not None
        pool.release(first, now, clean=False)
        return [second is None, first.speaks()]

    stage.call(_forget_kept(stage))
    stage.origin.script = script
    with stage.connect() as one, stage.connect() as other:
        for client in (one, other):
            client.sendall(get())
        stage.until(lambda: len(stage.origin.requests) == 2)
        stage.loop.call_soon_threadsafe(go.set)
        for client in (one, other):
            assert read_responses(client)[0].body == b"hi"
        assert stage.call(turn()) == [True, False]
    stage.canary()


@pytest.mark.parametrize("delay", [0.0, 0.0005, 0.002])
def test_close_race(stage: Stage, delay: float) -> None:
    """2.4 Close race: an upstream that closes just behind its response costs no GET, and no POST
    is sent twice.
    """

    async def script(line: Line) -> None:
        await line.send(echo(line.request))
        await asyncio.sleep(delay)
        line.writer.close()

    stage.origin.script = script
    with stage.connect() as client:
        for number in range(150):
            client.sendall(get(target=b"/%d" % number))
            assert read_responses(client)[0].body == b"GET /%d 0" % number
    stage.call(_forget_kept(stage))  # the next test's POST would meet the last one's end
