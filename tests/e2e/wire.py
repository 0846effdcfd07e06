"""Raw HTTP/1.1 over sockets: header lines as they stand on the wire, bodies as bytes.

Blocking, with one deadline for every read, so that nothing hangs.
"""

import json
import re
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

from tests.patience import PATIENCE

Address = tuple[str, int]
UNSTABLE = (b"date", b"connection", b"keep-alive")
"""Header lines that may differ between two responses: the clock's, and each hop's own."""


@dataclass(frozen=True, slots=True)
class Response:
    """One response. `lines` are its head's lines in order, the status line first; `body` is
    unchunked.
    """

    status: int
    lines: tuple[bytes, ...]
    body: bytes

    @property
    def stable(self) -> tuple[bytes, ...]:
        """The head without the lines that no two responses share."""
        return tuple(line for line in self.lines if line.partition(b":")[0].lower() not in UNSTABLE)

    def values(self, name: str) -> list[str]:
        """Every value of a header, in order."""
        found = (line.partition(b":") for line in self.lines[1:])
        return [
            value.strip().decode("latin-1")
            for key, _, value in found
            if key.lower() == name.lower().encode()
        ]

    def value(self, name: str) -> str | None:
        """A header's one value; None = absent; it must not be repeated."""
        values = self.values(name)
        assert len(values) < 2, f"{name} is repeated: {values}"
        return values[0] if values else None

    def json(self) -> Any:
        """The body as data."""
        return json.loads(self.body)


def request(
    method: str, target: str, headers: Iterable[tuple[str, str]] = (), body: bytes | None = None
) -> bytes:
    """A request's bytes. A Host is added when none is given, Content-Length when there is a
    body.
    """
    fields = list(headers)
    if not any(name.lower() == "host" for name, _ in fields):
        fields.insert(0, ("Host", "shop.example"))
    if body is not None and not any(name.lower() == "transfer-encoding" for name, _ in fields):
        fields.append(("Content-Length", str(len(body))))
    head = "".join(f"{name}: {value}\r\n" for name, value in fields)
    return f"{method} {target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + (body or b"")


class Line:
    """One connection; responses are read in order."""

    def __init__(self, address: Address) -> None:
        self.socket = socket.create_connection(address, timeout=PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._held = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Write all of it."""
        self.socket.sendall(data)

    def exchange(self, data: bytes) -> Response:
        """Send one request, read its response."""
        self.send(data)
        return self.response(head_only=data.startswith(b"HEAD "))

    def response(self, *, head_only: bool = False) -> Response:
        """Read one response, interim ones passed over."""
        lines = self.head()
        while lines[0].split()[1].startswith(b"1") and lines[0].split()[1] != b"101":
            lines = self.head()
        status = int(lines[0].split()[1])
        bodiless = head_only or status in (101, 204, 304)
        return Response(status, lines, b"" if bodiless else self._body(lines))

    def head(self) -> tuple[bytes, ...]:
        """Read one head."""
        return tuple(self.until(b"\r\n\r\n")[:-4].split(b"\r\n"))

    def chunk(self) -> bytes:
        """Read one chunk's data; b"" = the last."""
        size = int(self.until(b"\r\n")[:-2].partition(b";")[0], 16)
        return self.exactly(size + 2)[:-2]

    def until(self, mark: bytes) -> bytes:
        """Read up to and including `mark`."""
        while mark not in self._held:
            self._more()
        found, _, self._held = self._held.partition(mark)
        return found + mark

    def exactly(self, size: int) -> bytes:
        """Read this many bytes."""
        while len(self._held) < size:
            self._more()
        found, self._held = self._held[:size], self._held[size:]
        return found

    def begins(self) -> bool:
        """Wait for the first byte; False = the connection ended without one."""
        try:
            self._more()
        except ConnectionError:
            return False
        return True

    def rest(self) -> bytes:
        """Read to the end of the connection."""
        while piece := self.socket.recv(65536):
            self._held += piece
        found, self._held = self._held, b""
        return found

    def _body(self, lines: tuple[bytes, ...]) -> bytes:
        head = b"\r\n".join(lines[1:]).lower()
        if re.search(rb"^transfer-encoding:\s*chunked\s*$", head, re.MULTILINE):
            body = b""
            while piece := self.chunk():
                body += piece
            return body
        sized = re.search(rb"^content-length:\s*(\d+)", head, re.MULTILINE)
        return self.exactly(int(sized[1])) if sized else self.rest()

    def _more(self) -> None:
        piece = self.socket.recv(65536)
        if not piece:
            raise ConnectionError(f"the connection ended after {self._held[:200]!r}")
        self._held += piece


def ask(address: Address, data: bytes) -> Response:
    """One request on a connection of its own."""
    with Line(address) as line:
        return line.exchange(data)


def get(address: Address, target: str, *headers: tuple[str, str]) -> Response:
    """GET on a connection of its own."""
    return ask(address, request("GET", target, headers))
