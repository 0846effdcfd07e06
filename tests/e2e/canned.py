"""A service of bytes: what arrives is kept as it stood on the wire, what is answered was written by
the test.
"""

import re
import socket
import threading
from contextlib import suppress
from typing import Self

from tests.e2e import wire
from tests.patience import PATIENCE


class Canned:
    """Serves `response` (which may say `Connection: close`; None = nothing, for ever) to every
    request on one loopback address, between `open` and `close`.

    `requests` holds what arrived: head lines in order, and the body.
    """

    def __init__(
        self, response: bytes | None = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
    ) -> None:
        self.response = response
        self.requests: list[tuple[tuple[bytes, ...], bytes]] = []
        self.address: wire.Address = ("127.0.0.1", 0)
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self.open()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def url(self) -> str:
        """As `--upstream` takes it."""
        return f"http://127.0.0.1:{self.address[1]}"

    def open(self) -> None:
        """Listen; a second time at the same address."""
        listener = socket.create_server(self.address)
        self.address = listener.getsockname()
        self._open.append(listener)
        self._run(self._accept, listener)

    def close(self) -> None:
        """Refuse connections, and end those that stand."""
        for held in self._open:
            with suppress(OSError):
                held.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(PATIENCE)
        for held in self._open:
            held.close()
        self._open.clear()
        self._threads.clear()

    def _run(self, work: object, held: socket.socket) -> None:
        thread = threading.Thread(target=work, args=(held,), daemon=True)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):
            while True:
                connection = listener.accept()[0]
                self._open.append(connection)
                self._run(self._serve, connection)

    def _serve(self, connection: socket.socket) -> None:
        held = b""
        with connection, suppress(OSError):
            while piece := connection.recv(65536):
                held += piece
                while (found := _request(held)) is not None:
                    head, body, held = found
                    self.requests.append((tuple(head.split(b"\r\n")), body))
                    if self.response is not None:
                        connection.sendall(self.response)
                        if b"\r\nConnection: close\r\n" in self.response:
                            return


def _request(held: bytes) -> tuple[bytes, bytes, bytes] | None:
    """Head, body and what follows, when a whole request is held."""
    head, end, rest = held.partition(b"\r\n\r\n")
    sized = re.search(rb"\r\ncontent-length: *(\d+)", head, re.IGNORECASE)
    size = int(sized[1]) if sized else 0
    return (head, rest[:size], rest[size:]) if end and len(rest) >= size else None
