"""Streams and tunnels: nothing is held back, and a reload in the middle cuts nothing."""

from itertools import count
from signal import SIGTERM

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.e2e import wire
from tests.e2e.conftest import ENFORCED, POLICY, FrontOf, Start
from tests.e2e.processes import Service
from tests.e2e.running import Sidecar
from tests.patience import PATIENCE
from tests.services import samples

_gates = count()
HALF = wire.request("POST", "/nowhere", [("Content-Length", "1000000")]) + b"half"
HANDSHAKE = wire.request(
    "GET",
    "/ws",
    [
        ("Upgrade", "websocket"),
        ("Connection", "Upgrade"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ],
)


CHROMIUM = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36"


def socket(
    sidecar: Sidecar, path: str = "/ws", protocols: tuple[Subprotocol, ...] | None = None
) -> ClientConnection:
    """A WebSocket through the sidecar."""
    host, port = sidecar.listen
    return connect(f"ws://{host}:{port}{path}", proxy=None, subprotocols=protocols)


def test_events_pass_at_once_and_survive_a_reload(service: Service, front_of: FrontOf) -> None:
    """The first server-sent event arrives before the last is sent; the stream goes on under its
    own revision when another comes in force.
    """
    sidecar = front_of(service.name)
    gate = f"events-{next(_gates)}"
    with wire.Line(sidecar.listen) as line:
        line.send(wire.request("GET", f"/events/{gate}"))
        head = line.head()
        assert line.chunk() == samples.EVENTS[0].encode()
        sidecar.put(ENFORCED)
        assert sidecar.get("/").value("X-Policy-Mark") == "one"
        service.open_gate(gate)
        assert line.chunk() == samples.EVENTS[1].encode()
        assert line.chunk() == b""
    assert not any(b"x-policy-mark" in field.lower() for field in head)
    assert b"text/event-stream" in b"".join(head)


def test_upload_is_not_held_back(front: Sidecar) -> None:
    """The service receives a body while the client is still sending it: its response to half an
    upload arrives.
    """
    with wire.Line(front.listen) as line:
        line.send(HALF)
        assert line.response().status == 404


def test_half_an_upload_leaves_nothing_behind(front: Sidecar) -> None:
    """After an upload that the service answered in the middle, the next request is read as a
    request, not as the rest of that body.
    """
    for _ in range(60):
        with wire.Line(front.listen) as line:
            line.send(HALF)
            line.response()
        with wire.Line(front.listen) as line:
            line.send(HANDSHAKE)
            assert line.head()[0].split()[1] == b"101"


def test_websocket_passes_both_ways(front: Sidecar) -> None:
    """Text, long binary messages, pings and the close code pass a WebSocket both ways, with its
    subprotocol.
    """
    front.put(ENFORCED)
    with socket(front, protocols=(Subprotocol("other"), Subprotocol("echo"))) as tunnel:
        assert tunnel.subprotocol == "echo"
        assert tunnel.ping().wait(PATIENCE)
        for message in ("word", "caf\u00e9", b"\x00\xff" * 200_000, ""):
            tunnel.send(message)
            assert tunnel.recv(5) == message
        assert front.metric("sidecar_tunnels_open") == 1
    assert tunnel.close_code == 1000


def test_a_handshake_tells_of_cookies(front: Sidecar) -> None:
    """A page of another site opened the socket, and a cookie with SameSite would not have come."""
    rule = "  lax: {cookie: sid, attributes: {SameSite: Lax}}\n"
    front.put(f"{POLICY}{rule}")
    sent = {"Origin": "https://away.test", "Cookie": "sid=1", "User-Agent": CHROMIUM}
    asked = HANDSHAKE.removesuffix(b"\r\n")
    for name, value in sent.items():
        asked += f"{name}: {value}\r\n".encode()
    with wire.Line(front.listen) as line:
        line.send(asked + b"\r\n")
        assert line.head()[0].split()[1] == b"101"
    assert front.metric("sidecar_would_break_total", rule="lax", outcome="break") == 1


def test_websocket_survives_reloads(front: Sidecar) -> None:
    """An open WebSocket loses no message over 50 reloads."""
    with socket(front) as tunnel:
        for turn in range(50):
            tunnel.send(f"message {turn}")
            front.put(ENFORCED if turn % 2 else POLICY)
            assert tunnel.recv(5) == f"message {turn}"


@pytest.mark.parametrize("policy", [POLICY, ENFORCED], ids=["report-only", "enforce"])
def test_refused_websocket_is_the_services_response(front: Sidecar, policy: str) -> None:
    """A handshake that the service refuses comes back as its response, under the policy."""
    front.put(policy)
    with pytest.raises(InvalidStatus) as refused, socket(front, "/no-such-socket"):
        pass
    assert refused.value.response.status_code == 403
    assert ("X-Policy-Mark" in refused.value.response.headers) == (policy == ENFORCED)


def test_drain_ends_tunnels_within_their_budget(start: Start, shop: Service) -> None:
    """TERM ends an open WebSocket within the drain time, and the process with exit code 0."""
    sidecar = start(POLICY, shop.url, timeouts={"drain": "500ms"})
    with socket(sidecar) as tunnel:
        tunnel.send("still here")
        assert tunnel.recv(5) == "still here"
        sidecar.signal(SIGTERM)
        with pytest.raises(ConnectionClosed):
            tunnel.recv(10)
        assert sidecar.child.wait() == 0
