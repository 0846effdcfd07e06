"""A WebSocket client: on each connection a message, its answer, the next message, as fast as they
come.

Run as a script by the benchmark; knows one loopback port and prints one line as wrk's script does.
A proxy that does not open the tunnel is an error.
"""

import argparse
import asyncio
import json
import time

import uvloop

try:
    from bench.sink import ANSWER, ASKED, MESSAGE
except ImportError:  # as a script
    from sink import ANSWER, ASKED, MESSAGE

HANDSHAKE = (
    "GET /messages HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
)
ASK = b"\x82\xfe" + MESSAGE.to_bytes(2, "big") + bytes(4) + bytes(MESSAGE)
"""A binary message; its mask is zero, which changes nothing."""
assert len(ASK) == ASKED


class Talk(asyncio.Protocol):
    """One connection."""

    def __init__(self, counts: list[int], port: int) -> None:
        self.counts, self.port = counts, port
        self.open = False
        self.got = 0
        self.head = b""
        self.ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Ask for the tunnel."""
        self.transport = transport
        transport.write(HANDSHAKE.format(self.port).encode())

    def data_received(self, data: bytes) -> None:
        """Count answers, and ask again."""
        if not self.open:
            self.head += data
            if b"\r\n\r\n" in self.head:
                if self.head.startswith(b"HTTP/1.1 101"):
                    self.open = True
                    self.ready.set_result(None)
                else:
                    self.ready.set_exception(ConnectionError(repr(self.head[:30])))
            return
        self.got += len(data)
        if self.got >= len(ANSWER):
            self.got -= len(ANSWER)
            self.counts[0] += 1
            self.transport.write(ASK)

    def connection_lost(self, _error: Exception | None) -> None:
        """An answer that never comes."""
        self.counts[1] += 1
        if not self.ready.done():
            self.ready.set_exception(ConnectionError("closed"))


async def talk(port: int, connections: int, seconds: float) -> dict[str, int]:
    """All connections at once; what wrk would say of it."""
    counts = [0, 0]
    loop = asyncio.get_running_loop()
    talks = [
        (await loop.create_connection(lambda: Talk(counts, port), "127.0.0.1", port))[1]
        for _ in range(connections)
    ]
    await asyncio.gather(*(each.ready for each in talks))
    begun = time.perf_counter()
    for each in talks:
        each.transport.write(ASK)
    await asyncio.sleep(seconds)
    took = time.perf_counter() - begun
    answered, lost = counts
    for each in talks:
        each.transport.abort()
    return {
        "requests": answered,
        "bytes": answered * len(ANSWER),
        "microseconds": int(took * 1e6),
        "errors": lost,
    }


def main() -> None:
    """Read the command line, talk, print the figures."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--connections", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    args = parser.parse_args()
    print("RESULT", json.dumps(uvloop.run(talk(args.port, args.connections, args.seconds))))


if __name__ == "__main__":
    main()
