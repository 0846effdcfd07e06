"""WebSockets through the tunnel, with a real client and a real server library.

Conformance of what passes, and the handshake's edges on raw sockets.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import threading
from collections.abc import Iterator

import pytest
from websockets.exceptions import ConnectionClosed, ConnectionClosedError, InvalidStatus
from websockets.frames import Opcode
from websockets.sync.client import ClientConnection, connect
from websockets.sync.server import ServerConnection, serve

from tests.patience import PATIENCE
from tests.wire.origin import Line
from tests.wire.requests_refused import SMUGGLED, get
from tests.wire.stage import POLICY, Stage, active_for, read_responses

KEY = b"dGhlIHNhbXBsZSBub25jZQ=="
HANDSHAKE = (
    b"Connection: keep-alive, Upgrade",
    b"Upgrade: WebSocket",
    b"Sec-WebSocket-Version: 13",
    b"Sec-WebSocket-Key: " + KEY,
)
ACCEPT = base64.b64encode(hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest())


def _serve(socket: ServerConnection) -> None:
    """Echo; a message 'close N' closes with that code, 'fragments' responses in three."""
    with contextlib.suppress(ConnectionClosed):
        _response(socket)


def _response(socket: ServerConnection) -> None:
    for message in socket:
        if isinstance(message, str) and message.startswith("close "):
            socket.close(int(message[6:]), "as asked")
        elif message == "fragments":
            socket.send(iter(["a" * 10, "", "b" * 10]))
        elif message == "ping":
            assert socket.ping().wait(PATIENCE)
            socket.send("pong seen")
        else:
            socket.send(message)


@pytest.fixture(scope="module")
def tunnel_stage() -> Iterator[Stage]:
    with serve(
        _serve,
        "127.0.0.1",
        0,
        max_size=1 << 22,
        select_subprotocol=lambda _, offered: "chat" if "chat" in offered else None,
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = server.socket.getsockname()[1]
        settings = {"timeouts": {"tunnel_idle": "60s"}, "limits": {"tunnels": 2}}
        with Stage(settings, upstream=f"http://127.0.0.1:{port}").running() as stage:
            yield stage
            assert stage.complaints == []
        server.shutdown()


def _open(stage: Stage, **options: object) -> ClientConnection:
    host, port = stage.address
    return connect(f"ws://{host}:{port}/socket?x=%20", max_size=1 << 22, **options)


@pytest.mark.parametrize("compression", [None, "deflate"])
@pytest.mark.parametrize(
    "message",
    ["text", b"bytes", "", "x" * (1 << 20), os.urandom(1 << 20)],
    ids=["text", "raw", "empty", "1 MiB text", "1 MiB bytes"],
)
def test_messages(tunnel_stage: Stage, message: str | bytes, compression: str | None) -> None:
    """Messages of any kind and size pass both ways, with permessage-deflate negotiated end to
    end or not.
    """
    with _open(tunnel_stage, compression=compression) as client:
        client.send(message)
        assert client.recv(timeout=PATIENCE) == message
        assert [extension.name for extension in client.protocol.extensions] == (
            ["permessage-deflate"] if compression else []
        )


def test_fragments_and_control_frames(tunnel_stage: Stage) -> None:
    """Fragments stay fragments both ways, and pings are answered by the other end, not by us."""
    with _open(tunnel_stage, compression=None) as client:
        client.send(iter(["one ", "two ", "three"]))
        assert client.recv(timeout=PATIENCE) == "one two three"
        client.send("fragments")
        assert [*client.recv_streaming()] == ["a" * 10, "", "b" * 10, ""]
        client.send("ping")
        assert client.recv(timeout=PATIENCE) == "pong seen"
        assert client.ping().wait(PATIENCE)


@pytest.mark.parametrize("code", [1000, 1001, 1003, 1008, 1011, 3000, 4999])
def test_close_codes(tunnel_stage: Stage, code: int) -> None:
    """The server's close code and reason reach the client, and the client's reach the server."""
    with _open(tunnel_stage) as client:
        client.send(f"close {code}")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
        assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "as asked")
    with _open(tunnel_stage) as client:
        client.close(code, "bye")
        assert client.protocol.close_rcvd.code == code


def test_subprotocol_and_policy(tunnel_stage: Stage) -> None:
    """The handshake's own headers pass untouched; a 101 is not judged by the policy."""
    with _open(tunnel_stage, subprotocols=["chat"]) as client:
        assert client.subprotocol == "chat"
        assert client.response.headers.get("X-Policy") is None


def test_swap_in_the_middle(tunnel_stage: Stage) -> None:
    """A hundred changes of policy cost an open tunnel no message; an ordinary response has the
    new policy.
    """
    with _open(tunnel_stage) as client:
        for number in range(100):
            tunnel_stage.active = active_for(
                POLICY.replace("'on'", f"'{number}'"), tunnel_stage.telemetry, f"r{number}"
            )
            client.send(str(number))
            assert client.recv(timeout=PATIENCE) == str(number)
        assert tunnel_stage.talk(get())[0].values("x-policy") == ["99"]


def test_limit(tunnel_stage: Stage) -> None:
    """One tunnel more than the limit is a 503 that says when to come again; the others stand."""
    with _open(tunnel_stage) as one, _open(tunnel_stage) as two:
        with pytest.raises(InvalidStatus) as refused:
            _open(tunnel_stage)
        assert refused.value.response.status_code == 503
        assert refused.value.response.headers["Retry-After"]
        for client in (one, two):
            client.send("still here")
            assert client.recv(timeout=PATIENCE) == "still here"
        assert tunnel_stage.count("sidecar_tunnels_open") == 2
    tunnel_stage.settle()
    assert tunnel_stage.count("sidecar_tunnels_open") == 0


def test_idle(tunnel_stage: Stage) -> None:
    """A tunnel through which nothing passes for timeouts.tunnel_idle is ended."""
    with _open(tunnel_stage, ping_interval=None) as client, tunnel_stage.flying():
        with pytest.raises(ConnectionClosedError):
            client.recv(timeout=PATIENCE)


def test_client_gone(tunnel_stage: Stage) -> None:
    """When the client vanishes, nothing of the tunnel stays."""
    with tunnel_stage.connect() as client:
        client.sendall(get(*HANDSHAKE))
        assert client.recv(4096).startswith(b"HTTP/1.1 101 ")
        assert tunnel_stage.count("sidecar_tunnels_open") == 1
    tunnel_stage.settle()
    assert tunnel_stage.count("sidecar_tunnels_open") == 0


def test_many_small_messages(tunnel_stage: Stage) -> None:
    """Order and count hold for two thousand messages in flight at once."""
    with _open(tunnel_stage) as client:
        for number in range(2000):
            client.send(str(number))
        assert [client.recv(timeout=PATIENCE) for _ in range(2000)] == [
            str(number) for number in range(2000)
        ]


def _upgrade(*lines: bytes, tail: bytes = b""):
    async def script(line: Line) -> None:
        await line.send(
            b"HTTP/1.1 101 Switching Protocols\r\n"
            + b"".join(value + b"\r\n" for value in lines)
            + b"\r\n"
            + tail
        )
        if line.request is not None and b"hold" in tail:
            await line.reader.read()

    return script


GOOD_101 = (b"Connection: upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Accept: " + ACCEPT)


@pytest.mark.parametrize(
    "lines",
    [
        GOOD_101[1:],
        GOOD_101[:2],
        (*GOOD_101[:2], b"Sec-WebSocket-Accept: AAAA"),
        (GOOD_101[0], b"Upgrade: h2c", GOOD_101[2]),
        (*GOOD_101, GOOD_101[2]),
        (GOOD_101[0], b"Upgrade: h2c", *GOOD_101[1:]),
    ],
    ids=[
        "2.3 no Connection",
        "2.3 no Accept",
        "2.3 wrong Accept",
        "2.3 another protocol",
        "2.3 Accept twice",
        "2.3 another protocol first",
    ],
)
def test_wrong_101(stage: Stage, lines: tuple[bytes, ...]) -> None:
    """A 101 that does not answer this handshake is our 502, and no byte becomes a tunnel's."""
    stage.origin.script = _upgrade(*lines)
    replies = stage.talk(get(*HANDSHAKE) + SMUGGLED, responses=2)
    assert [reply.status for reply in replies] == [502]
    stage.canary()
    assert stage.origin.requests[0].target == "/x"
    assert "/smuggled" not in [request.target for request in stage.origin.requests]


def test_octets_around_the_handshake(stage: Stage) -> None:
    """Bytes that either side sent behind its handshake reach the other, in order."""
    got = bytearray()

    async def script(line: Line) -> None:
        await line.send(
            b"HTTP/1.1 101 S\r\n"
            + b"".join(value + b"\r\n" for value in GOOD_101)
            + b"\r\n\x81\x02hi"
        )
        got.extend(await line.reader.readexactly(5))
        await line.send(b"\x88\x00")
        line.writer.close()

    stage.origin.script = script
    with stage.connect() as client:
        client.sendall(get(*HANDSHAKE) + b"early")
        received = b""
        while data := client.recv(4096):
            received += data
    head, _, frames = received.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 S\r\n")
    assert b"\r\nConnection: Upgrade\r\nUpgrade: websocket" in head
    assert (frames, bytes(got)) == (b"\x81\x02hi\x88\x00", b"early")
    (seen,) = stage.origin.requests
    assert (seen.values("connection"), seen.values("upgrade")) == (["Upgrade"], ["websocket"])
    stage.canary()


@pytest.mark.parametrize("status", [200, 400, 426, 503])
def test_declined(stage: Stage, status: int) -> None:
    """A declined upgrade is an ordinary response with the policy applied; what is behind it is
    not answered, and no tunnel opens.
    """
    body = b"HTTP/1.1 %d X\r\nContent-Length: 2\r\nSec-WebSocket-Version: 13\r\n\r\nno" % status

    async def script(line: Line) -> None:
        await line.send(body)

    stage.origin.script = script
    with stage.connect() as client:
        client.sendall(get(*HANDSHAKE) + b"\x81\x05hello" + SMUGGLED)
        replies = read_responses(client, responses=2)
    assert [(reply.status, reply.body) for reply in replies] == [(status, b"no")]
    assert (replies[0].values("x-policy"), replies[0].values("connection")) == (["on"], ["close"])
    stage.canary()
    assert "/smuggled" not in [request.target for request in stage.origin.requests]


def test_unmasked_or_broken_frames_are_the_ends_matter(tunnel_stage: Stage) -> None:
    """A broken frame reaches the server as it is: its own close code comes back."""
    with _open(tunnel_stage, compression=None) as client:
        client.socket.sendall(bytes([0x80 | Opcode.TEXT, 0x80 | 2]) + b"\0\0\0\0" + b"\xff\xff")
        with pytest.raises(ConnectionClosed) as closed:
            client.recv(timeout=PATIENCE)
    assert closed.value.rcvd.code == 1007
