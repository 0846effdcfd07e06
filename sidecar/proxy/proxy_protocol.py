"""The header of the PROXY protocol: in whose name a proxy opened this connection.

The reader never asks for a byte that belongs to what follows the header, so nothing is left over to
hand on. Source: The PROXY protocol, versions 1 and 2 (haproxy.org, doc/proxy-protocol.txt).
"""

from __future__ import annotations

import ipaddress
import re
import struct
from typing import Final, NamedTuple

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
"""Bytes of the addresses by family and transport: unspecified, TCP over IPv4 and IPv6, Unix
stream.
"""

_TLV_SSL, _CLIENT_SSL = 0x20, 0x01


class BadHeader(Exception):  # noqa: N818  (a peer's fault, not ours)
    """What came is no header of the PROXY protocol; the text says why."""


class ProxiedClient(NamedTuple):
    """The client as the proxy names it: its address, the port it connected to, and whether it
    spoke TLS to the proxy.
    """

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
        """Section 2.1. The line ends at its first CR, so two bytes at a time never go past its
        end.
        """
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
        if family == 0x11:
            address: ipaddress.IPv4Address | ipaddress.IPv6Address = ipaddress.IPv4Address(body[:4])
            self.source = ProxiedClient(str(address), struct.unpack_from("!H", body, 10)[0], tls)
        elif family == 0x21:
            address = ipaddress.IPv6Address(body[:16])
            self.source = ProxiedClient(str(address), struct.unpack_from("!H", body, 34)[0], tls)


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
    """Whether an extension says that the client spoke TLS (section 2.2.6); the others are
    skipped.
    """
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
