"""A site under audit on loopback: plain and TLS listeners that send exactly the bytes they were
given.
"""

import contextlib
import socketserver
import ssl
import subprocess
import threading
from dataclasses import dataclass, field
from pathlib import Path

from tests.patience import PATIENCE

HOST = "127.0.0.1"


def response(*lines: str, status: str = "200 OK", body: bytes = b"") -> bytes:
    """The bytes of a response with these header lines, and the framing that they need."""
    head = [
        f"HTTP/1.1 {status}",
        *lines,
        f"Content-Length: {len(body)}",
        "Connection: close",
        "",
        "",
    ]
    return "\r\n".join(head).encode("latin-1") + body


@dataclass
class Authority:
    """A certificate authority of our own, a certificate that it signed for loopback, and one
    that nobody vouches for.
    """

    folder: Path

    def make(self) -> "Authority":
        """Make the keys and certificates with the openssl command."""
        key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
        names = ("-addext", f"subjectAltName=DNS:localhost,IP:{HOST}")
        self._openssl(
            "req",
            "-x509",
            *key,
            "-subj",
            "/CN=audit test authority",
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-addext",
            "keyUsage=critical,keyCertSign",
        )
        self._openssl(
            "req",
            "-x509",
            *key,
            "-subj",
            "/CN=audit test",
            *names,
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-keyout",
            "good.key",
            "-out",
            "good.pem",
        )
        self._openssl(
            "req",
            "-x509",
            *key,
            "-subj",
            "/CN=nobody",
            *names,
            "-keyout",
            "bad.key",
            "-out",
            "bad.pem",
        )
        return self

    def _openssl(self, *words: str) -> None:
        subprocess.run(
            ("openssl", *words), cwd=self.folder, check=True, capture_output=True, timeout=PATIENCE
        )

    @property
    def file(self) -> str:
        """The authority's own certificate."""
        return str(self.folder / "ca.pem")

    def context(self, name: str) -> ssl.SSLContext:
        """TLS for a listener that shows the certificate `good` or `bad`."""
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        made.load_cert_chain(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        return made


@dataclass
class Listener:
    """One listener: `responses` by (method and path), or by path alone; anything else is a 404."""

    context: ssl.SSLContext | None = None
    responses: dict[str, bytes] = field(default_factory=dict)
    asked: list[bytes] = field(default_factory=list)

    def start(self) -> "Listener":
        """Listen on a free port of loopback."""
        listener = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                with contextlib.suppress(
                    OSError
                ):  # the client goes away where it does not trust the certificate
                    listener.serve(self.request)

        self._server = socketserver.ThreadingTCPServer((HOST, 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def stop(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def serve(self, connection) -> None:
        connection.settimeout(PATIENCE)
        if self.context:
            connection = self.context.wrap_socket(connection, server_side=True)
        head = b""
        while b"\r\n\r\n" not in head and (piece := connection.recv(65536)):
            head += piece
        self.asked.append(head)
        method, _, rest = head.decode("latin-1").partition(" ")
        path = rest.partition(" ")[0]
        data = self.responses.get(
            f"{method} {path}", self.responses.get(path, response(status="404 Not Found"))
        )
        connection.sendall(data)
        connection.close()

    @property
    def scheme(self) -> str:
        return "https" if self.context else "http"

    def url(self, path: str = "/", host: str = HOST) -> str:
        """An address of this listener."""
        return f"{self.scheme}://{host}:{self.port}{path}"


@dataclass
class Site:
    """One host over http and https, the same host with a bad certificate, and a port where
    nobody listens.
    """

    authority: Authority
    http: Listener
    https: Listener
    bad: Listener
    closed: int

    def clear(self) -> None:
        """Forget all responses."""
        for listener in (self.http, self.https, self.bad):
            listener.responses.clear()
            listener.asked.clear()
