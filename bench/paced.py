"""A constant-rate HTTP client (open loop): the next request is due whether or not the last is done.

Latency runs from the moment a request was due, so that a stall is paid by every
request that it held up. Run as a script by the benchmark; knows one loopback port
and prints one JSON object: p50, p99, worst (ms), achieved (1/s), lost.
"""

import argparse
import gc
import json
import math
import select
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

WARM_SECONDS = 0.5
GRACE_SECONDS = 2.0


@dataclass(slots=True, eq=False)
class Exchange:
    """One connection and the response that it is waiting for."""

    port: int
    link: socket.socket = field(init=False)
    due: float = 0.0
    got: bytearray = field(default_factory=bytearray)

    def __post_init__(self) -> None:
        """Connect."""
        self.dial()

    def dial(self) -> None:
        """A fresh connection."""
        self.link = socket.create_connection(("127.0.0.1", self.port))
        self.link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def fileno(self) -> int:
        """For select()."""
        return self.link.fileno()

    def send(self, request: bytes, due: float) -> None:
        """Send a request that was due at ``due``; it fits any socket buffer."""
        self.due = due
        self.got.clear()
        self.link.sendall(request)

    def receive(self) -> bool:
        """Take what has come; True at the end of the response. Raises ConnectionError."""
        chunk = self.link.recv(1 << 18)
        if not chunk:
            raise ConnectionError("closed before the end of a response")
        self.got += chunk
        return complete(self.got)


def complete(got: bytes | bytearray) -> bool:
    """Whether a whole response with a Content-Length is there. Raises ConnectionError if not a
    200.
    """
    end = got.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = bytes(got[:end]).lower()
    if not head.startswith(b"http/1.1 200"):
        raise ConnectionError(f"answered {head[:20]!r}")
    length = head.partition(b"\ncontent-length:")[2].partition(b"\r")[0]
    return len(got) >= end + 4 + int(length)


def percentile(values: Sequence[float], share: float) -> float:
    """Nearest rank: the smallest value that at least ``share`` of all do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(len(ordered) * share) - 1)]


def offer(
    exchanges: Iterable[Exchange],
    request: bytes,
    rate: float,
    seconds: float,
    warm: float = WARM_SECONDS,
) -> list[float]:
    """Offer ``int(rate * seconds)`` requests; returns the seconds taken by each that was answered.

    Those due in the ``warm`` seconds before are sent too, and left out of what is returned.
    """
    idle, waiting = deque(exchanges), set[Exchange]()
    took: list[float] = []
    begin = now = time.perf_counter()
    uncounted, total, sent = int(rate * warm), int(rate * warm) + int(rate * seconds), 0
    counted, due, give_up = begin + uncounted / rate, begin, begin + total / rate + GRACE_SECONDS
    while (sent < total or waiting) and now < give_up:
        while idle and sent < total and due <= now:
            exchange = idle.popleft()
            exchange.send(request, due)
            waiting.add(exchange)
            sent += 1
            due = begin + sent / rate
        pause = due - now if idle and sent < total else GRACE_SECONDS
        # select() takes microseconds where poll and epoll take milliseconds.
        ready, _, _ = select.select(waiting, (), (), max(0.0, pause))
        now = time.perf_counter()
        for exchange in ready:
            try:
                if not exchange.receive():
                    continue
                if exchange.due >= counted:
                    took.append(now - exchange.due)
            except ConnectionError:
                exchange.dial()
            waiting.discard(exchange)
            idle.append(exchange)
    return took


def main() -> None:
    """Read the command line, offer the load, print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    gc.disable()  # a collection here would be reported as the proxy's latency
    request = f"GET {args.path} HTTP/1.1\r\nHost: 127.0.0.1:{args.port}\r\n\r\n".encode()
    exchanges = [Exchange(args.port) for _ in range(args.connections)]
    took = offer(exchanges, request, args.rate, args.seconds)
    milliseconds = [1000 * each for each in took] or [float("inf")]
    figures = {
        "p50": percentile(milliseconds, 0.50),
        "p99": percentile(milliseconds, 0.99),
        "worst": max(milliseconds),
        "achieved": len(took) / args.seconds,
        "lost": int(args.rate * args.seconds) - len(took),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
