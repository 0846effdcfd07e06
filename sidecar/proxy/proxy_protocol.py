"""The PROXY protocol: before its request, a trusted proxy says in whose name a connection comes.

`ProxyHeaderReader` is a connection's protocol until its header has been read. The connection then
begins as any other, with TLS where the listener has it. No byte is asked for that belongs to what
follows the header, so nothing is left over to hand on. Source: The PROXY protocol, versions 1 and 2
(haproxy.org, doc/proxy-protocol.txt).
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import re
import socket
import ssl
import struct
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from sidecar.proxy.downstream import FIRST_REQUEST, Downstream
from sidecar.proxy.faults import ClientGone, Refused

if TYPE_CHECKING:
    from sidecar.proxy.listener import Listener

V1_MAX: Final = 107
"""Bytes of the longest line of version 1, its end included (section 2.1)."""

V2_MAX: Final = 4096
"""Bytes of a header of version 2 that are read; the specification's own fields need 536."""

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_FIXED: Final = 16
_SHORTEST: Final = len(b"PROXY UNKNOWN\r\n")
_V1 = re.compile(
    r"PROXY TCP([46]) ([0-9A-Fa-f:.]+) ([0-9A-Fa-f:.]+) (0|[1-9]\d{0,4}) (0|[1-9]\d{0,4})"
)
_LOCAL, _PROXY = 0x20, 0x21
_ADDRESSES: Final = {0x00: 0, 0x11: 12, 0x21: 36, 0x31: 216}
"""Bytes of the addresses by family and transport: none, TCP over IPv4 and IPv6, Unix stream."""

_TLV_SSL, _CLIENT_SSL = 0x20, 0x01
_late: Final = partial(Refused, 0, "header_timeout")
_hurried: Final = partial(ClientGone, "the process ends")


class BadHeader(Exception):  # noqa: N818  (a peer's fault, not ours)
    """What came is no header of the PROXY protocol; the text says why."""


class ProxiedClient(NamedTuple):
    """The client as the proxy names it: its address, the port it asked, whether it spoke TLS."""

    address: str
    port: int
    tls: bool


class HeaderReader:
    """Reads one header. `missing` bytes are to be read next, at most; 0 = the header is complete.

    `source` is None for a connection that the proxy makes for itself (LOCAL) or whose client it
    does not know (UNKNOWN).
    """

    def __init__(self) -> None:
        self.missing = _SHORTEST
        self.source: ProxiedClient | None = None
        self._data = b""

    @property
    def started(self) -> bool:
        """A byte has come."""
        return bool(self._data)

    def feed(self, data: bytes) -> None:
        """Read on; takes at most `missing` bytes.

        Raises:
            BadHeader: as soon as no header can begin so.
        """
        head = self._data = self._data + data
        if head[:1] == b"P":
            self._version_1(head)
        elif head.startswith(_SIGNATURE[: len(head)]):
            self._version_2(head)
        else:
            raise BadHeader("no header of the PROXY protocol")

    def _version_1(self, head: bytes) -> None:
        """Section 2.1. A line ends at its first CR, so two bytes at once never pass its end."""
        if not head.startswith(b"PROXY "[: len(head)]):
            raise BadHeader("no header of the PROXY protocol")
        line, end, behind = head.partition(b"\r")
        if b"\n" in line or behind not in (b"", b"\n"):
            raise BadHeader("the line does not end in CRLF")
        if behind:
            self.missing = 0
            self.source = _line(line)
            return
        if len(head) >= V1_MAX:
            raise BadHeader(f"a line of more than {V1_MAX} bytes")
        self.missing = 1 if end else min(max(_SHORTEST - len(head), 2), V1_MAX - len(head))

    def _version_2(self, head: bytes) -> None:
        """Section 2.2."""
        if len(head) < _FIXED:
            self.missing = _FIXED - len(head)
            return
        command, family, size = struct.unpack_from("!BBH", head, len(_SIGNATURE))
        if command not in (_LOCAL, _PROXY):
            raise BadHeader("unknown version or command")
        if _FIXED + size > V2_MAX:
            raise BadHeader(f"a header of more than {V2_MAX} bytes")
        self.missing = _FIXED + size - len(head)
        if self.missing or command == _LOCAL:
            return
        if family not in _ADDRESSES:
            raise BadHeader("unknown address family")
        body = head[_FIXED:]
        room = _ADDRESSES[family]
        if len(body) < room:
            raise BadHeader("too short for its addresses")
        tls = _over_tls(body[room:]) if family else False
        if family in (0x11, 0x21):
            address = ipaddress.ip_address(body[: 4 if family == 0x11 else 16])
            port = struct.unpack_from("!H", body, room - 2)[0]
            self.source = ProxiedClient(str(address), port, tls)


def _line(line: bytes) -> ProxiedClient | None:
    text = line.decode("latin-1")
    if text == "PROXY UNKNOWN" or text.startswith("PROXY UNKNOWN "):
        return None
    found = _V1.fullmatch(text)
    if found is None:
        raise BadHeader("not PROXY, TCP4 or TCP6, two addresses and two ports")
    family = ipaddress.IPv4Address if found[1] == "4" else ipaddress.IPv6Address
    try:
        client, _ = family(found[2]), family(found[3])
    except ValueError:
        raise BadHeader("no address of its family") from None
    if max(int(found[4]), int(found[5])) > 65535:
        raise BadHeader("no port")
    return ProxiedClient(str(client), int(found[5]), tls=False)


def _over_tls(extensions: bytes) -> bool:
    """Whether an extension says that the client spoke TLS (section 2.2.6); others are skipped."""
    tls = False
    while extensions:
        if len(extensions) < 3:
            raise BadHeader("an extension is cut")
        kind, size = struct.unpack_from("!BH", extensions)
        value, extensions = extensions[3 : 3 + size], extensions[3 + size :]
        if len(value) < size:
            raise BadHeader("an extension is cut")
        if kind == _TLV_SSL:
            if size < 5:
                raise BadHeader("an extension is cut")
            tls = bool(value[0] & _CLIENT_SSL)
    return tls


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
