"""The service for uploads and WebSocket: takes bodies of any length, answers each message with one
as long.

Run as a script by the benchmark with the port to listen on. It must be cheaper than any proxy
before it, so it reads into one buffer, looks at as few bytes as it can, and answers with bytes made
beforehand. GET of any path is a page of one KiB, as the other service has it.
"""

import asyncio
import base64
import hashlib
import sys

import uvloop

MESSAGE = 128
"""Bytes of a WebSocket message, RFC 6455: from the client it has a mask of four bytes and eight
in all before it.
"""
ASKED = 8 + MESSAGE
ANSWER = b"\x82\x7e" + MESSAGE.to_bytes(2, "big") + bytes(MESSAGE)
HEAD = b"HTTP/1.1 200 OK\r\nServer: bench\r\nX-Powered-By: bench\r\nContent-Type: text/html\r\n"
PAGE = HEAD + b"Content-Length: 1024\r\n\r\n" + b"x" * 1024
TAKEN = HEAD + b"Content-Length: 2\r\n\r\nok"
LAST_CHUNK = b"\r\n0\r\n\r\n"
BUFFER = bytearray(1 << 18)
"""One for all: what is read is looked at before another connection reads."""


def accepted(key: bytes) -> bytes:
    """The head that opens a WebSocket (RFC 6455 section 4.2.2)."""
    digest = hashlib.sha1(key + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
    )


def field(head: bytes, name: bytes) -> bytes:
    """A header's value, in lower case but for keys; empty without it."""
    at = head.lower().find(b"\r\n" + name + b":")
    return head[at + len(name) + 3 :].partition(b"\r\n")[0].strip() if at >= 0 else b""


class Sink(asyncio.BufferedProtocol):
    """One connection: a head, then its body, then the next head; or messages."""

    def __init__(self) -> None:
        self.head = b""
        self.left = 0
        """Bytes of the body that are still to come."""
        self.tail: bytes | None = None
        """In a chunked body: its last bytes so far."""
        self.messages = False
        self.part = 0
        """Bytes of a message that is not whole yet."""

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Keep where to write."""
        self.transport = transport

    def get_buffer(self, sizehint: int) -> bytearray:
        """Where the loop reads to."""
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Take what came."""
        if self.left > nbytes:
            self.left -= nbytes
        else:
            self.take(bytes(memoryview(BUFFER)[:nbytes]))

    def take(self, data: bytes) -> None:
        """Whatever is not the middle of a body."""
        if self.messages:
            whole, self.part = divmod(self.part + len(data), ASKED)
            self.transport.write(ANSWER * whole)
        elif self.left:
            rest, self.left = data[self.left :], 0
            self.answer(TAKEN, rest)
        elif self.tail is not None:
            self.tail = (self.tail + data)[-len(LAST_CHUNK) :]
            if self.tail == LAST_CHUNK:
                self.tail = None
                self.transport.write(TAKEN)
        else:
            self.head += data
            head, end, rest = self.head.partition(b"\r\n\r\n")
            if end:
                self.head = b""
                self.begin(head + b"\r\n", rest)

    def begin(self, head: bytes, rest: bytes) -> None:
        """A request's head is whole."""
        if field(head, b"upgrade").lower() == b"websocket":
            self.transport.write(accepted(field(head, b"sec-websocket-key")))
            self.messages = True
        elif field(head, b"transfer-encoding"):
            self.tail = b""
            self.take(rest)
            return
        elif (length := int(field(head, b"content-length") or 0)) > len(rest):
            self.left = length - len(rest)
            return
        else:
            self.answer(TAKEN if length else PAGE, rest[length:])
            return
        if rest:
            self.take(rest)

    def answer(self, response: bytes, rest: bytes) -> None:
        """One response; what came behind its request is the next."""
        self.transport.write(response)
        if rest:
            self.take(rest)


async def main() -> None:
    """Serve until ended."""
    server = await asyncio.get_running_loop().create_server(
        Sink, "127.0.0.1", int(sys.argv[1]), backlog=4096
    )
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
