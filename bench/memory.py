"""Resident memory: idle, of each idle connection, while bodies stream through slow readers, over
very many requests.

Holds the slow service and the slow clients, as plain threads.
"""

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .load import throughput
from .origin import size_in_bytes
from .peers import Peer
from .process import Cores, resident_bytes
from .rounds import PAGE, Contender, contender

BODY = "32m"
"""One body; under the sidecar's default limit on request bodies."""
STREAMS = 8
"""How many at once each way."""
READ_RATE = 16 << 20
"""Bytes a second that a slow reader takes: far less than the other side offers."""
SETTLED = 200
"""Connections opened first, for what is allocated once."""
CHUNK = 64 << 10
SAMPLE_SECONDS = 0.02
HEAD = (
    "HTTP/1.1 200 OK\r\nServer: bench\r\nX-Powered-By: bench\r\n"
    "Content-Type: text/html\r\nContent-Length: {}\r\n\r\n"
)


@dataclass(frozen=True, slots=True)
class Footprint:
    """Bytes resident, of the proxy and its children."""

    idle: int
    streaming: int
    """Highest while streaming."""
    requests: int
    early: int
    """After a tenth of the requests."""
    late: int
    """After all of them."""


def take(link: socket.socket, size: int, rate: int) -> None:
    """Read ``size`` bytes at ``rate`` a second. Raises ConnectionError when they end early."""
    begin, got = time.monotonic(), 0
    while got < size:
        chunk = link.recv(min(CHUNK, size - got))
        if not chunk:
            raise ConnectionError(f"body ended after {got} of {size} bytes")
        got += len(chunk)
        time.sleep(max(0.0, begin + got / rate - time.monotonic()))


def take_head(link: socket.socket) -> str:
    """Read up to the end of a message's head, and no byte of its body. Empty at end of file."""
    got = b""
    while not got.endswith(b"\r\n\r\n"):
        byte = link.recv(1)
        if not byte:
            return ""
        got += byte
    return got.decode("latin-1")


def length(head: str) -> int:
    """The Content-Length of a head; 0 without one."""
    for line in head.split("\r\n")[1:]:
        name, _, value = line.partition(":")
        if name.lower() == "content-length":
            return int(value)
    return 0


def give(link: socket.socket, size: int) -> None:
    """Write ``size`` bytes as fast as they are taken."""
    piece = bytes(CHUNK)
    for start in range(0, size, CHUNK):
        link.sendall(piece[: size - start])


def serve(link: socket.socket) -> None:
    """One connection of the slow service: bodies come out fast and go in slowly."""
    with link:
        while head := take_head(link):
            take(link, length(head), READ_RATE)
            path = head.split(" ")[1]
            size = size_in_bytes(path.lstrip("/")) if head.startswith("GET ") else 0
            link.sendall(HEAD.format(size).encode())
            give(link, size)


def serve_quietly(link: socket.socket) -> None:
    """``serve``, for whom a proxy that hangs up is no event."""
    try:
        serve(link)
    except OSError:
        link.close()


def accept(listener: socket.socket) -> None:
    """Serve each connection in a thread of its own until the listener is shut."""
    while True:
        try:
            link, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=serve_quietly, args=(link,), daemon=True).start()


@contextmanager
def slow_service() -> Iterator[int]:
    """The service with slow readers, on a port of its own; yields the port."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, args=(listener,), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def download(port: int) -> None:
    """Ask for one body and read it slowly. Raises ConnectionError when it is cut short."""
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(f"GET /{BODY} HTTP/1.1\r\nHost: bench\r\n\r\n".encode())
        head = take_head(link)
        if length(head) != size_in_bytes(BODY):
            raise ConnectionError(f"answered {head[:40]!r}, {length(head)} bytes")
        take(link, length(head), READ_RATE)


def upload(port: int) -> None:
    """Send one body as fast as it is taken. Raises ConnectionError when it is refused."""
    size = size_in_bytes(BODY)
    with socket.create_connection(("127.0.0.1", port)) as link:
        link.sendall(f"POST /up HTTP/1.1\r\nHost: bench\r\nContent-Length: {size}\r\n\r\n".encode())
        give(link, size)
        head = take_head(link)
        if not head.startswith("HTTP/1.1 200"):
            raise ConnectionError(f"answered {head[:40]!r}")


def held(each: Contender, connections: int) -> float:
    """Bytes resident for each of so many connections that had their page and stay, idle."""
    before, links = 0, []
    ask = f"GET /{PAGE.size} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()
    try:
        for at in range(SETTLED + connections):
            if at == SETTLED:
                before = resident_bytes(each.pid)
            link = socket.create_connection(("127.0.0.1", each.port), timeout=10)
            links.append(link)
            link.sendall(ask)
            take(link, length(take_head(link)), 1 << 30)
        return (resident_bytes(each.pid) - before) / connections
    finally:
        for link in links:
            link.close()


def stream(each: Contender, bytes_each_way: int) -> int:
    """Stream so many bytes both ways at once; returns the highest resident memory seen."""
    bodies = bytes_each_way // size_in_bytes(BODY)
    with ThreadPoolExecutor(2 * STREAMS) as pool:
        pending = {pool.submit(way, each.port) for _ in range(bodies) for way in (download, upload)}
        peak = 0
        while pending:
            done, pending = wait(pending, timeout=SAMPLE_SECONDS)
            for future in done:
                future.result()
            peak = max(peak, resident_bytes(each.pid))
    return peak


def footprint(
    peer: Peer, folder: Path, origin: int, cores: Cores, requests: int, bytes_each_way: int
) -> Footprint:
    """Start the peer twice, before the slow service and before the fast one. Raises Unfit."""
    with slow_service() as slow, contender(peer, folder, slow, cores) as each:
        idle = resident_bytes(each.pid)
        streaming = stream(each, bytes_each_way)
    done, early = 0.0, 0
    with contender(peer, folder, origin, cores) as each:
        while done < requests:
            done += throughput(each.pid, each.port, PAGE, 1, each.folder).requests
            early = early or (resident_bytes(each.pid) if done >= requests / 10 else 0)
        return Footprint(idle, streaming, int(done), early, resident_bytes(each.pid))
