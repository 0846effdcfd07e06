"""Other roads than plain TCP: TLS on either side, Unix sockets, reports, descriptors that run out.

Certificates made for the test, and what changes when they do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.certificates import certificate
from tests.e2e.processes import free_port
from tests.patience import PATIENCE
from tests.wire.origin import Origin, reset_at_close
from tests.wire.requests_refused import chunked, get, post
from tests.wire.responses import ok, sized
from tests.wire.stage import Stage, read_responses, talk
from tests.wire.test_early import Loop, both_loops
from tests.wire.test_responses import play


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    path = tmp_path_factory.mktemp("certificates")
    for name in ("one.test", "two.test"):
        certificate(path, name)
    yield path


def secure(stage: Stage, trusted: Path) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(trusted))
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context.wrap_socket(stage.connect(), server_hostname="127.0.0.1")


def test_tls_listener(folder: Path, tmp_path: Path) -> None:
    """The data listener speaks TLS, tells the upstream so, and new connections get a certificate
    that has changed.
    """
    shutil.copy(folder / "one.test.pem", tmp_path / "c.pem")
    shutil.copy(folder / "one.test.key", tmp_path / "k.pem")
    settings = {"tls": {"certificate": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem")}}
    policy = (
        "version: 1\nmode: enforce\nrules:\n  hsts: {header: Strict-Transport-Security, action:"
        " set, value: max-age=1}\n"
    )
    with Stage(settings, policy=policy).running() as stage:
        with secure(stage, folder / "one.test.pem") as client:
            assert client.selected_alpn_protocol() == "http/1.1"
            reply = talk(client, get(b"X-Forwarded-Proto: http"))[0]
            assert reply.values("strict-transport-security") == ["max-age=1"]
            assert stage.origin.requests[0].values("x-forwarded-proto") == ["https"]

            shutil.copy(folder / "two.test.pem", tmp_path / "c.pem")
            with pytest.raises(ssl.SSLError):  # the pair does not match: the old one stays
                stage.plane.reload_tls()
            secure(stage, folder / "one.test.pem").close()
            shutil.copy(folder / "two.test.key", tmp_path / "k.pem")
            stage.plane.reload_tls()
            with secure(stage, folder / "two.test.pem") as renewed:
                assert talk(renewed, get())[0].status == 200
            assert talk(client, get())[0].status == 200


def test_a_certificate_is_followed(folder: Path, tmp_path: Path) -> None:
    """New files are served without an order; a pair that does not match leaves the old one in
    force.
    """
    shutil.copy(folder / "one.test.pem", tmp_path / "c.pem")
    shutil.copy(folder / "one.test.key", tmp_path / "k.pem")
    settings = {"tls": {"certificate": str(tmp_path / "c.pem"), "key": str(tmp_path / "k.pem")}}
    data: list[object] = []
    with Stage(settings).running() as stage:
        stage.telemetry.watch(lambda event: data.append(event["event"]))
        shutil.copy(folder / "two.test.pem", tmp_path / "c.pem")
        stage.until(lambda: "tls.rejected" in data)
        secure(stage, folder / "one.test.pem").close()
        shutil.copy(folder / "two.test.key", tmp_path / "k.pem")
        stage.until(lambda: "tls.reloaded" in data)
        secure(stage, folder / "two.test.pem").close()


def test_large_bodies_over_tls(folder: Path) -> None:
    """Bodies pass whole through TLS in both directions, and a refused upload's response arrives."""
    settings = {
        "tls": {"certificate": str(folder / "one.test.pem"), "key": str(folder / "one.test.key")},
        "limits": {"body": "8MiB"},
    }
    body = os.urandom(1 << 20) * 5
    with Stage(settings).running() as stage:
        stage.origin.script = play(ok(b"Content-Length: %d" % len(body), body=body))
        with secure(stage, folder / "one.test.pem") as client:
            client.sendall(post(b"Content-Length: %d" % len(body), body=body))
            assert read_responses(client, method="POST")[0].body == body
        with secure(stage, folder / "one.test.pem") as client:
            client.sendall(post(b"Content-Length: 99999999", body=b"x" * 50_000))
            assert read_responses(client, method="POST")[0].status == 413


def test_end_of_a_response_over_tls(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A response that ends with its connection ends at once, with TLS's word for it."""
    monkeypatch.setattr("sidecar.proxy.downstream.LINGER_PAUSE", 1e6)
    settings = {
        "tls": {"certificate": str(folder / "one.test.pem"), "key": str(folder / "one.test.key")}
    }
    with Stage(settings).running() as stage:
        stage.origin.script = play(ok(body=b"hi"), ends=True)
        context = ssl.create_default_context(cafile=str(folder / "one.test.pem"))
        with context.wrap_socket(
            stage.connect(), server_hostname="127.0.0.1", suppress_ragged_eofs=False
        ) as client:
            assert [reply.body for reply in talk(client, get())] == [b"hi"]


def test_bad_handshakes(folder: Path) -> None:
    """What is no TLS, stalls in its handshake or breaks off ends without a word, and others are
    served.
    """
    settings = {
        "tls": {"certificate": str(folder / "one.test.pem"), "key": str(folder / "one.test.key")},
        "timeouts": {"header": "60s"},
    }
    with Stage(settings).running() as stage:
        for start in (get(), b"\x16\x03\x01\x02\x00", b"", os.urandom(300)):
            with stage.connect() as client:
                client.sendall(start)
                with contextlib.suppress(ConnectionError), stage.flying():
                    while client.recv(4096):
                        pass
        with secure(stage, folder / "one.test.pem") as client:
            assert talk(client, get())[0].status == 200
        assert stage.complaints == []


def over_tls(folder: Path, **tls: str) -> Stage:
    """A stage whose origin speaks TLS and wants a client certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "one.test.pem", folder / "one.test.key")
    context.load_verify_locations(folder / "two.test.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    port = free_port()
    return Stage(
        {"tls": tls},
        upstream=f"https://127.0.0.1:{port}",
        origin=Origin(options={"ssl": context, "port": port}),
    )


def test_https_upstream(folder: Path) -> None:
    """An https upstream is verified against our authorities and shown our certificate; its
    responses pass as others do.
    """
    client = {
        "upstream_certificate": str(folder / "two.test.pem"),
        "upstream_key": str(folder / "two.test.key"),
    }
    with over_tls(folder, upstream_ca=str(folder / "one.test.pem"), **client).running() as stage:
        for _ in range(3):
            assert (
                stage.talk(chunked(b"5\r\nhello\r\n0\r\n\r\n"), method="POST")[0].body
                == b"POST /x 5"
            )
        assert stage.origin.connections == 1
    with over_tls(
        folder, upstream_ca=str(folder / "one.test.pem"), upstream_name="one.test", **client
    ).running() as stage:
        assert stage.talk(get())[0].status == 200


@pytest.mark.parametrize(
    "tls",
    [
        {},
        {"upstream_ca": "two.test.pem"},
        {"upstream_ca": "one.test.pem", "upstream_name": "other.test"},
    ],
    ids=["system", "another", "name"],
)
def test_https_upstream_that_is_not_trusted(folder: Path, tls: dict[str, str]) -> None:
    """An upstream whose certificate is not right is a 502, counted as tls; nothing of the
    request reaches it.
    """
    right = {
        key: str(folder / value) if value.endswith(".pem") else value for key, value in tls.items()
    }
    with over_tls(folder, **right).running() as stage:
        assert stage.talk(get(b"Cookie: secret=1"))[0].status == 502
        assert stage.count("sidecar_upstream_errors_total", "tls") == 1
        assert stage.origin.requests == []


@both_loops
def test_early_response_and_reset_over_tls(folder: Path, loop: Loop) -> None:
    """2.4 Upstream responds early and closes: what it said is read before more is written, as
    nothing can be read when writing has failed.
    """
    still = threading.Event()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "one.test.pem", folder / "one.test.key")
    settings = {"tls": {"upstream_ca": str(folder / "one.test.pem")}}
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = f"https://127.0.0.1:{listening.getsockname()[1]}"
        with (
            Stage(settings, upstream=url, loop_factory=loop).running() as stage,
            stage.connect() as client,
        ):
            client.sendall(post(b"Content-Length: 1000000", body=b"first"))
            plain, _ = listening.accept()
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            upstream = context.wrap_socket(plain, server_side=True)
            received = b""
            while not received.endswith(b"first"):
                received += upstream.recv(65_536)
            (connection,) = stage.plane._listener.open

            def more() -> None:  # of the body, ahead of what the upstream has said
                still.wait(PATIENCE)
                connection.data_received(b"x" * 200_000)

            stage.loop.call_soon_threadsafe(more)
            upstream.sendall(sized(start=b"HTTP/1.1 413 T\r\n"))
            reset_at_close(upstream)
            os.close(upstream.detach())
            still.set()
            (reply,) = read_responses(client, method="POST")
    assert (reply.status, reply.body) == (413, b"hi")


def test_unix_sockets(tmp_path: Path) -> None:
    """Upstream and listener may be Unix sockets."""
    origin = Origin(options={"path": tmp_path / "up"})
    with Stage(
        origin=origin, upstream=f"unix:{tmp_path}/up", listen=f"unix:{tmp_path}/in"
    ).running() as stage:
        assert stage.bound == f"unix:{tmp_path}/in"
        assert stage.call(stage.plane.upstream_reachable())
        assert stage.talk(get())[0].body == b"GET /x 0"
        assert origin.requests[0].values("x-forwarded-for") == ["unknown"]
        assert origin.requests[0].values("forwarded") == ['for=unknown;host="a";proto=http']


# Browser reports.

REPORTS = b"/.well-known/sidecar/reports"


@pytest.fixture(scope="module")
def reporting() -> Iterator[Stage]:
    taken: list[tuple[bytes, str]] = []
    with Stage(
        {"reports": {"enabled": True, "body": "1KiB"}},
        reports=lambda key, body, media, client, agent: taken.append((body, media)),
    ).running() as stage:
        stage.taken = taken
        yield stage


@pytest.mark.parametrize(
    "media", [b"application/csp-report", b"application/reports+json; charset=utf-8"]
)
def test_report(reporting: Stage, media: bytes) -> None:
    """2.6 Report endpoint: a report is handed on, answered 204, and never reaches the upstream."""
    reporting.taken.clear()
    request = post(
        b"Content-Type: " + media, b"Content-Length: 2", body=b"{}", target=REPORTS + b"?a=b"
    )
    (reply,) = reporting.talk(request, method="POST")
    assert (reply.status, reply.values("x-policy")) == (204, ["on"])
    assert reporting.taken == [(b"{}", media.partition(b";")[0].decode())]
    assert reporting.origin.requests == []


def test_report_of_a_client_that_waits(reporting: Stage) -> None:
    """2.3 Expect: who waits for 100 before a report gets it."""
    reporting.taken.clear()
    lines = b"Content-Type: application/csp-report", b"Content-Length: 2", b"Expect: 100-continue"
    with reporting.connect() as client:
        client.sendall(post(*lines, target=REPORTS))
        assert client.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.sendall(b"{}")
        assert [reply.status for reply in read_responses(client, method="POST")] == [204]
    assert reporting.taken == [(b"{}", "application/csp-report")]


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get(target=REPORTS), 405),
        (post(b"Content-Length: 2", body=b"{}", target=REPORTS), 415),
        (post(b"Content-Type: text/plain", b"Content-Length: 2", body=b"{}", target=REPORTS), 415),
        (
            post(
                b"Content-Type: application/csp-report",
                b"Content-Length: 5000",
                body=b"x" * 5000,
                target=REPORTS,
            ),
            413,
        ),
        (
            post(
                b"Content-Type: application/csp-report",
                b"Transfer-Encoding: chunked",
                body=b"1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n",
                target=REPORTS,
            ),
            413,
        ),
    ],
    ids=["GET", "no type", "wrong type", "too large", "too large, chunked"],
)
def test_report_refused(reporting: Stage, request_: bytes, status: int) -> None:
    """2.6 Report endpoint: wrong method, type or size is refused and not handed on."""
    reporting.taken.clear()
    (reply,) = reporting.talk(request_, method=request_.partition(b" ")[0].decode())
    assert reply.status == status
    assert reporting.taken == []
    assert reporting.origin.requests == []


def test_report_path_without_collection(stage: Stage) -> None:
    """Without report collection the path is the service's own."""
    assert stage.talk(get(target=REPORTS))[0].body == b"GET " + REPORTS + b" 0"


# The process.


DESCRIPTORS = """
import os, resource
from tests.wire.stage import Stage
stage = Stage({"limits": {"connections": 5000}, "timeouts": {"idle": "500ms", "header": "500ms", "connect": "500ms"}})
with stage.running():
    stage.canary()
    used = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + 60, used + 60))
    clients = []
    try:
        while len(clients) < 200:
            clients.append(stage.connect())
    except OSError:
        pass
    for client in clients:
        client.close()
    stage.settle()
    stage.complaints.clear()
    stage.canary()  # waits in line: asyncio takes up accepting again after a second
print("recovered")
"""  # noqa: E501


def test_descriptors_run_out() -> None:
    """2.5 FD exhaustion: the process lives through it and serves again."""
    done = subprocess.run(
        [sys.executable, "-c", DESCRIPTORS],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.stdout == "recovered\n", done.stderr


FLOODED = """
import resource
resource.setrlimit(resource.RLIMIT_NOFILE, (100, 100))
import uvloop
from tests.wire.stage import Stage
many = {"limits": {"connections": 5000}}
with Stage(many, loop_factory=uvloop.new_event_loop).running() as stage:
    print(stage.address[1], flush=True)
    input()
    with open("/dev/null"):
        print(int(stage.telemetry.connections.n))
"""


def test_clients_leave_descriptors() -> None:
    """2.5 Connection flood: clients leave descriptors to health and admin."""
    with (
        subprocess.Popen(
            [sys.executable, "-c", FLOODED],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as child,
        contextlib.ExitStack() as clients,
    ):
        assert child.stdout is not None
        address = ("127.0.0.1", int(child.stdout.readline()))
        opened = [
            clients.enter_context(socket.create_connection(address, timeout=PATIENCE))
            for _ in range(200)
        ]
        for client in opened[25:]:
            with contextlib.suppress(ConnectionError):
                assert client.recv(1) == b""
        assert child.communicate("\n", timeout=PATIENCE)[0] == "25\n"
