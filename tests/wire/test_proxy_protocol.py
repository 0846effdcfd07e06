"""The PROXY protocol on the data listener: real sockets, TLS, and HAProxy in front."""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from sidecar.policy.terms import PolicyError
from sidecar.runtime.settings_file import layered
from tests.certificates import certificate
from tests.e2e.processes import Child, free_port, until
from tests.patience import PATIENCE
from tests.proxy.test_proxy_protocol import IPV4, tlv, v2
from tests.wire.requests_refused import get
from tests.wire.stage import Stage, read_responses, send, talk

V1 = b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 8443\r\n"
INTRODUCED: dict[str, Any] = {"proxy_protocol": "required", "trusted": ["127.0.0.0/8"]}


@pytest.fixture(scope="module")
def shared() -> Iterator[Stage]:
    with Stage({"forwarding": INTRODUCED, "timeouts": {"header": "60s"}}).running() as stage:
        yield stage


@pytest.fixture
def introduced(shared: Stage) -> Stage:
    """A listener that demands the header, with nothing recorded."""
    shared.origin.forget()
    shared.complaints.clear()
    return shared


def reached(stage: Stage, name: str) -> list[str]:
    return stage.origin.requests[-1].values(name)


def ended(client: socket.socket) -> bool:
    """The connection ends without a byte."""
    try:
        return client.recv(1) == b""
    except ConnectionError:
        return True


@pytest.mark.parametrize("bytewise", [False, True])
@pytest.mark.parametrize("header", [V1, v2(IPV4[:10] + b"\x20\xfb")], ids=["v1", "v2"])
def test_the_client_is_who_the_header_names(
    introduced: Stage, header: bytes, bytewise: bool
) -> None:
    """The upstream hears of the client's address and port; two requests at once are both served,
    wherever the bytes are cut.
    """
    with introduced.connect() as client:
        send(client, header + get() + get(), bytewise=bytewise)
        assert [reply.status for reply in read_responses(client, responses=2)] == [200, 200]
    assert reached(introduced, "x-forwarded-for") == ["203.0.113.9"]
    assert reached(introduced, "x-forwarded-port") == ["8443"]
    assert introduced.complaints == []


@pytest.mark.parametrize("cut", range(1, len(V1) + 3))
def test_every_cut(introduced: Stage, cut: int) -> None:
    """A header that comes in two pieces, and a request that begins in the first."""
    data = V1 + get()
    with introduced.connect() as client:
        client.sendall(data[:cut])
        time.sleep(0)  # another turn for the loop's thread
        client.sendall(data[cut:])
        assert read_responses(client)[0].status == 200
    assert reached(introduced, "x-forwarded-for") == ["203.0.113.9"]


def test_claims_are_the_clients(introduced: Stage) -> None:
    """The proxy vouches for the connection, not for what the client says in it: forwarding
    headers are judged by the client's address.
    """
    claims = (b"X-Forwarded-For: 6.6.6.6", b"X-Forwarded-Proto: https")
    with introduced.connect() as client:
        assert talk(client, V1 + get(*claims))[0].status == 200
    assert reached(introduced, "x-forwarded-for") == ["203.0.113.9"]
    assert reached(introduced, "x-forwarded-proto") == ["http"]
    with introduced.connect() as client:
        assert (
            talk(client, V1.replace(b"203.0.113.9", b"127.0.0.9") + get(*claims))[0].status == 200
        )
    assert reached(introduced, "x-forwarded-for") == ["6.6.6.6, 127.0.0.9"]


@pytest.mark.parametrize(
    "header", [b"PROXY UNKNOWN\r\n", v2(b"", command=0x20, family=0)], ids=["UNKNOWN", "LOCAL"]
)
def test_the_proxys_own_connection(introduced: Stage, header: bytes) -> None:
    """A connection in nobody's name is the proxy's own."""
    with introduced.connect() as client:
        assert talk(client, header + get())[0].status == 200
    assert reached(introduced, "x-forwarded-for") == ["127.0.0.1"]


def test_tls_at_the_proxy(introduced: Stage) -> None:
    """A header that says that the client spoke TLS makes its requests https."""
    with introduced.connect() as client:
        assert talk(client, v2(IPV4 + tlv(0x20, b"\x01" + bytes(4))) + get())[0].status == 200
    assert reached(introduced, "x-forwarded-proto") == ["https"]


@pytest.mark.parametrize(
    "data", [get(), V1[:20] + b"\r\n" + get(), v2(IPV4, command=0x22)], ids=["none", "v1", "v2"]
)
def test_malformed(introduced: Stage, data: bytes) -> None:
    """No header, or a wrong one: the connection ends without a byte, is counted and logged, and
    nothing reaches the upstream.
    """
    before = introduced.count("sidecar_rejected_requests_total", "proxy_header")
    with introduced.connect() as client:
        send(client, data)
        assert ended(client)
    assert introduced.count("sidecar_rejected_requests_total", "proxy_header") == before + 1
    assert '"reason": "proxy_header"' in introduced.events.lines[-1]
    assert introduced.origin.requests == []
    introduced.settle()
    assert introduced.complaints == []


def test_a_header_that_breaks_off(introduced: Stage) -> None:
    """A header cut by the end of the connection is counted; a probe that only connects is not."""
    before = introduced.count("sidecar_rejected_requests_total", "proxy_header")
    introduced.connect().close()
    introduced.settle()
    assert introduced.count("sidecar_rejected_requests_total", "proxy_header") == before
    with introduced.connect() as client:
        client.sendall(V1[:9])
        client.shutdown(socket.SHUT_WR)
        assert ended(client)
    assert introduced.count("sidecar_rejected_requests_total", "proxy_header") == before + 1


def test_a_header_that_does_not_come(introduced: Stage) -> None:
    """The header has timeouts.header to come."""
    with introduced.connect() as client:
        client.sendall(V1[:9])
        with introduced.flying():
            assert ended(client)
    assert introduced.count("sidecar_rejected_requests_total", "header_timeout") >= 1


def test_strangers() -> None:
    """Who is not in the trusted networks is cut off before a byte of theirs is read, even with a
    right header.
    """
    setting = {"proxy_protocol": "required", "trusted": ["10.0.0.0/8"]}
    with Stage({"forwarding": setting}).running() as stage, stage.connect() as client:
        send(client, V1 + get())
        assert ended(client)
        assert stage.count("sidecar_rejected_requests_total", "proxy_untrusted") == 1
        assert stage.origin.requests == []


def test_connections_are_bounded() -> None:
    """Connections whose header has not come count among limits.connections."""
    with Stage({"forwarding": INTRODUCED, "limits": {"connections": 1}}).running() as stage:
        with stage.connect() as first:
            stage.until(lambda: stage.telemetry.connections.n == 1)
            with stage.connect() as second:
                assert ended(second)
            assert talk(first, V1 + get())[0].status == 200
        stage.settle()
        assert stage.complaints == []


def test_drain() -> None:
    """While the process ends, a connection without its header is closed, and one that has it
    gets its response.
    """
    with Stage({"forwarding": INTRODUCED}).running() as stage:
        with stage.connect() as silent, stage.connect() as late:
            stage.until(lambda: stage.telemetry.connections.n == 2)
            late.sendall(V1)
            stage.until(lambda: any(hasattr(held, "peer") for held in stage.plane._listener.open))
            drained = asyncio.run_coroutine_threadsafe(stage.plane.drain(), stage.loop)
            late.sendall(get())
            assert read_responses(late)[0].status == 200
            assert ended(silent)
        drained.result(PATIENCE)
        assert stage.complaints == []


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"forwarding": {"proxy_protocol": "required"}}, "nobody is trusted"),
        ({"forwarding": INTRODUCED, "listen": "unix:/tmp/in"}, "Unix socket"),
        ({"forwarding": {"proxy_protocol": "optional"}}, "optional"),
    ],
)
def test_settings(settings: dict[str, Any], word: str) -> None:
    """The header is demanded of trusted networks only, and there is no guessing whether one
    comes.
    """
    with pytest.raises(PolicyError) as refused:
        layered(settings, {}, {})
    assert word in str(refused.value)


def test_off_as_yaml_reads_it() -> None:
    """`off` is a word, whatever a reader of YAML makes of it."""
    assert (
        layered({"forwarding": {"proxy_protocol": False}}, {}, {}).forwarding.proxy_protocol
        == "off"
    )


# TLS behind the header.


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    return certificate(tmp_path_factory.mktemp("certificates"), "one.test")


@pytest.fixture(scope="module")
def secured(pair: tuple[Path, Path]) -> Iterator[Stage]:
    settings = {
        "forwarding": INTRODUCED,
        "tls": {"certificate": str(pair[0]), "key": str(pair[1])},
        "timeouts": {"header": "60s"},
    }
    with Stage(settings).running() as stage:
        yield stage


@pytest.mark.parametrize("bytewise", [False, True])
def test_tls_behind_the_header(secured: Stage, pair: tuple[Path, Path], bytewise: bool) -> None:
    """The header comes in the clear before the client's handshake, also in one piece with its
    first bytes.
    """
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    context = ssl.create_default_context(cafile=str(pair[0]))
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with secured.connect() as client:
        first = V1
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                send(client, first + outgoing.read(), bytewise=bytewise)
                first = b""
                incoming.write(client.recv(65_536))
        tls.write(get())
        client.sendall(outgoing.read())
        while True:
            try:
                assert tls.read().startswith(b"HTTP/1.1 200")
                break
            except ssl.SSLWantReadError:
                incoming.write(client.recv(65_536))
    assert reached(secured, "x-forwarded-for") == ["203.0.113.9"]
    assert reached(secured, "x-forwarded-proto") == ["https"]


def test_a_bad_handshake_behind_the_header(secured: Stage) -> None:
    """What is no TLS behind a right header ends, and leaves nothing behind."""
    with secured.connect() as client:
        send(client, V1 + get())
        while not ended(client):
            pass
    secured.settle()
    secured.until(lambda: not secured.plane._listener.open)
    assert secured.complaints == []


# HAProxy in front.


@pytest.mark.skipif(
    shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="haproxy is not installed"
)
@pytest.mark.parametrize("word", ["send-proxy", "send-proxy-v2", "send-proxy-v2-ssl"])
@pytest.mark.parametrize("tls", [False, True], ids=["http", "https"])
def test_haproxy(
    introduced: Stage, pair: tuple[Path, Path], tmp_path: Path, word: str, tls: bool
) -> None:
    """The client that connects to HAProxy from 127.0.0.7 is the client; with v2-ssl its TLS is
    known too.
    """
    port, pem = free_port(), tmp_path / "site.pem"
    pem.write_text(pair[0].read_text() + pair[1].read_text())
    bind = f"127.0.0.1:{port}" + (f" ssl crt {pem}" if tls else "")
    (tmp_path / "haproxy.cfg").write_text(
        "defaults\n    mode tcp\n    timeout connect 5s\n    timeout client 30s\n    timeout"
        f" server 30s\nfrontend site\n    bind {bind}\n    default_backend service\nbackend"
        f" service\n    server sidecar 127.0.0.1:{introduced.address[1]} {word} check"
        " check-send-proxy\n"
    )
    child = Child(
        ["/usr/sbin/haproxy", "-db", "-f", str(tmp_path / "haproxy.cfg")], tmp_path / "run"
    )
    try:
        until(lambda: child.returncode is not None or _accepts(port), "haproxy listens")
        plain = socket.create_connection(("127.0.0.1", port), 8, source_address=("127.0.0.7", 0))
        context = ssl.create_default_context(cafile=str(pair[0]))
        with context.wrap_socket(plain, server_hostname="127.0.0.1") if tls else plain as client:
            assert talk(client, get())[0].status == 200, child.stderr.read_text()
    finally:
        child.ask_to_end()
        child.end()
    assert reached(introduced, "x-forwarded-for") == ["127.0.0.7"]
    assert reached(introduced, "x-forwarded-port") == [str(port)]
    scheme = "https" if tls and word.endswith("ssl") else "http"
    assert reached(introduced, "x-forwarded-proto") == [scheme]


def _accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 0.5).close()
    except OSError:
        return False
    return True
