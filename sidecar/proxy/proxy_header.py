"""A connection before its request: a trusted proxy says in whose name it was opened.

`ProxyHeaderReader` is a connection's protocol until its PROXY header has been read. The
connection then begins as any other, with TLS where the listener has it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

from sidecar.proxy.downstream import FIRST_REQUEST, Downstream
from sidecar.proxy.faults import ClientGone, Refused
from sidecar.proxy.proxy_protocol import BadHeader, HeaderReader, ProxiedClient

if TYPE_CHECKING:
    from sidecar.proxy.listener import Listener


def _late() -> Exception:
    return Refused(0, "header_timeout")


def _hurried() -> Exception:
    return ClientGone("the process ends")


class ProxyHeaderReader(asyncio.BufferedProtocol):
    """One connection until its header is complete. Whatever is wrong with it ends it without a
    word, counted.

    The header comes before TLS (section 2 of the specification). No byte behind it is read here, so
    the socket can be handed to a new transport, which makes the handshake with the client.
    """

    tunnel: Final = None

    def __init__(self, listener: Listener, tls: ssl.SSLContext | None) -> None:
        self._listener, self._context, self._tls = listener, listener.context, tls
        self._reader = HeaderReader()
        self._buffer = bytearray()
        self._address = ""
        self._counted = False
        self._handing: asyncio.Task[None] | None = None
        self._transport: asyncio.Transport

    # What the listener asks, as of every open connection.

    def end_soon(self) -> None:
        """The process ends: a moment for the header."""
        if self._handing is None:
            self._context.deadlines.set(self, FIRST_REQUEST, _hurried)

    def reset(self) -> None:
        """End it now."""
        if self._handing is not None:
            self._handing.cancel()
        self._transport.abort()

    def set_exception(self, error: Exception) -> None:
        """A deadline has passed."""
        self._context.deadlines.drop(self)
        if isinstance(error, Refused):
            self._refuse(error.reason)
        else:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Asyncio's protocol; who is not trusted may introduce nobody."""
        context, self._transport = self._context, cast("asyncio.Transport", transport)
        name = transport.get_extra_info("peername")
        self._address = name[0] if isinstance(name, tuple) else ""
        connections = context.telemetry.connections
        connections.n += 1
        self._counted = True
        self._listener.open.add(self)
        if connections.n > self._listener.most:
            self._refuse("connections")
        elif not context.forwarder.peer(self._address, 0, "http").trusted:
            self._refuse("proxy_untrusted")
        else:
            context.deadlines.set(self, context.bounds.header, _late)

    def get_buffer(self, sizehint: int) -> bytearray:
        """Asyncio's protocol: room for what surely belongs to the header, and no more."""
        self._buffer = bytearray(max(1, self._reader.missing))
        return self._buffer

    def buffer_updated(self, nbytes: int) -> None:
        """Asyncio's protocol."""
        if self._handing is not None or self._transport.is_closing():
            return
        try:
            self._reader.feed(bytes(self._buffer[:nbytes]))
        except BadHeader:
            self._refuse("proxy_header")
        else:
            if not self._reader.missing:
                self._hand_over()

    def eof_received(self) -> None:
        """Asyncio's protocol. A probe that only connects has done nothing wrong."""
        if self._reader.started:
            self._refuse("proxy_header")

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's protocol."""
        self._context.deadlines.drop(self)
        self._uncount()
        if self._handing is None:
            self._listener.closed(self)

    # The end of the introduction.

    def _refuse(self, reason: str) -> None:
        self._context.telemetry.request_rejected(reason, status=0, client=self._address)
        self._transport.abort()

    def _hand_over(self) -> None:
        """The same socket under a transport of its own, before this one lets go of it."""
        raw = self._transport.get_extra_info("socket")
        try:
            client = socket.socket(fileno=os.dup(raw.fileno()))
        except OSError:  # no descriptor is left
            self._transport.abort()
            return
        client.setblocking(False)
        self._uncount()
        self._handing = self._context.loop.create_task(self._begin(client, self._reader.source))
        self._transport.abort()

    async def _begin(self, client: socket.socket, source: ProxiedClient | None) -> None:
        try:
            # What fails here is the client's handshake, and asyncio has closed the connection.
            with suppress(OSError):
                await self._context.loop.connect_accepted_socket(
                    lambda: Downstream(self._listener, source),
                    client,
                    ssl=self._tls,
                    ssl_handshake_timeout=self._context.bounds.header if self._tls else None,
                )
        finally:
            self._listener.closed(self)

    def _uncount(self) -> None:
        if self._counted:
            self._counted = False
            self._context.telemetry.connections.n -= 1
