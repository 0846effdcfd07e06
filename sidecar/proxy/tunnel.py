"""A WebSocket passes as bytes: after the upstream's 101 both sides are joined, and each waits for
the other.

It knows where frames begin, so that a drain can say 1001 in order. Frames are not judged or
changed.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from functools import partial
from typing import TYPE_CHECKING

from sidecar.proxy.faults import ClientGone
from sidecar.proxy.http1.requests import Request
from sidecar.proxy.http1.responses import Response
from sidecar.proxy.incoming import end_in_time

if TYPE_CHECKING:
    from sidecar.proxy.context import Context
    from sidecar.proxy.downstream import Downstream
    from sidecar.proxy.upstream import Connection

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_GOING_AWAY = b"\x88\x02\x03\xe9"
"""A close frame, unmasked, with 1001 (RFC 6455 sections 5.5.1 and 7.4.1)."""
GRACE = 5.0
"""Seconds in which some of what was written before the end must have left."""

_idle_over = partial(ClientGone, "tunnel idle")


def accepted(request: Request, response: Response) -> bool:
    """Whether a 101 is the response to this request's handshake (RFC 6455 section 4.1)."""
    if not request.websocket or response.upgrade != b"websocket":
        return False
    right = base64.b64encode(
        hashlib.sha1(request.websocket + _GUID, usedforsecurity=False).digest()
    )
    return response.head.values(b"sec-websocket-accept") == [right]


async def websocket(
    context: Context, client: Downstream, upstream: Connection, head: bytes
) -> None:
    """Join both connections until one of them ends, or no byte passes for timeouts.tunnel_idle."""
    tunnel = Tunnel(context, client, upstream)
    context.telemetry.tunnels.n += 1
    try:
        client.write(head)
        tunnel.join()
        if context.draining:
            tunnel.close()
        await tunnel.done
    finally:
        context.telemetry.tunnels.n -= 1
        context.deadlines.drop(tunnel.done)
        tunnel.end()


class Tunnel:
    """Both sides of one upgraded connection. `done` ends with either side."""

    def __init__(self, context: Context, client: Downstream, upstream: Connection) -> None:
        self._context, self._client, self._upstream = context, client, upstream
        self._idle = context.settings.timeouts.tunnel_idle
        self._frames = Frames()
        self._closing = self._said = False
        self.done: asyncio.Future[None] = context.loop.create_future()

    def join(self) -> None:
        """Take both connections over, with what they hold."""
        self._touch()
        from_client = self._client.upgrade(self)
        from_upstream = self._upstream.tunnel(self)
        if from_client:
            self.from_client(from_client)
        if from_upstream:
            self.from_upstream(from_upstream)

    def close(self) -> None:
        """Say 1001 to the client at the next frame's edge; its reply closes the upstream's side."""
        self._closing = True
        if self._frames.between:
            self._say()

    def end(self) -> None:
        """End both connections; what was written still leaves."""
        for transport in (self._client.transport, self._upstream.transport):
            if transport is not None:
                transport.close()
                end_in_time(self._context.loop, transport, GRACE)

    def from_client(self, data: bytes) -> None:
        """Bytes for the upstream."""
        if not self.done.done():
            self._touch()
            self._upstream.transport.write(data)

    def from_upstream(self, data: bytes) -> None:
        """Bytes for the client."""
        if self._said or self.done.done():
            return
        self._touch()
        followed = self._frames.follow(data, stop=self._closing)
        self._client.write(data if followed == len(data) else data[:followed])
        if self._closing and self._frames.between:
            self._say()

    # uvloop raises for what is asked of a connection that has ended.

    def client_full(self) -> None:
        """The client reads too slowly."""
        if not self.done.done():
            self._upstream.transport.pause_reading()

    def client_ready(self) -> None:
        """The client has caught up."""
        if not self.done.done():
            self._upstream.transport.resume_reading()

    def upstream_full(self) -> None:
        """The upstream reads too slowly."""
        if self._client.transport is not None and not self.done.done():
            self._client.transport.pause_reading()

    def upstream_ready(self) -> None:
        """The upstream has caught up."""
        if self._client.transport is not None and not self.done.done():
            self._client.transport.resume_reading()

    def lost(self) -> None:
        """Either connection has ended."""
        if not self.done.done():
            self.done.set_result(None)

    def _say(self) -> None:
        self._said = True
        self._client.write(_GOING_AWAY)

    def _touch(self) -> None:
        self._context.deadlines.set(self.done, self._idle, _idle_over)


class Frames:
    """Where one direction stands between frames (RFC 6455 section 5.2)."""

    __slots__ = ("_head", "_left")

    def __init__(self) -> None:
        self._head = b""
        self._left = 0

    @property
    def between(self) -> bool:
        """No frame is under way."""
        return not self._head and not self._left

    def follow(self, data: bytes, *, stop: bool = False) -> int:
        """Follow bytes; returns how many: all, or with `stop` those up to the end of a frame."""
        at, end = 0, len(data)
        while at < end:
            if self._left:
                step = min(self._left, end - at)
                self._left -= step
                at += step
            else:
                step = min(_head_size(self._head) - len(self._head), end - at)
                self._head += data[at : at + step]
                at += step
                if len(self._head) == _head_size(self._head):
                    self._left = _payload_size(self._head)
                    self._head = b""
            if stop and self.between:
                break
        return at


def _head_size(head: bytes) -> int:
    if len(head) < 2:
        return 2
    length = head[1] & 0x7F
    return 2 + (4 if head[1] & 0x80 else 0) + (2 if length == 126 else 8 if length == 127 else 0)


def _payload_size(head: bytes) -> int:
    length = head[1] & 0x7F
    if length < 126:
        return length
    return int.from_bytes(head[2 : 4 if length == 126 else 10], "big")
