"""The header of the PROXY protocol, byte by byte. Source: haproxy.org, doc/proxy-protocol.txt."""

from __future__ import annotations

import ipaddress
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.proxy_protocol import V1_MAX, V2_MAX, BadHeader, HeaderReader, ProxiedClient

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
BEHIND = b"GET / HTTP/1.1\r\n"
IPV4 = bytes([203, 0, 113, 9, 10, 0, 0, 1]) + struct.pack("!HH", 4711, 443)
IPV6 = (
    ipaddress.IPv6Address("2001:db8::9").packed
    + ipaddress.IPv6Address("fd00::1").packed
    + struct.pack("!HH", 4711, 443)
)


def v2(body: bytes, *, command: int = 0x21, family: int = 0x11, size: int | None = None) -> bytes:
    return (
        SIGNATURE + struct.pack("!BBH", command, family, len(body) if size is None else size) + body
    )


def tlv(kind: int, value: bytes) -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def read(data: bytes, sizes: list[int] | None = None) -> tuple[ProxiedClient | None, int]:
    """What a reader makes of a stream that comes in pieces of these sizes; the second number is
    how much it took.
    """
    reader, at, step = HeaderReader(), 0, 0
    while reader.missing:
        size = sizes[step % len(sizes)] if sizes else reader.missing
        piece = data[at : at + min(size, reader.missing)]
        if not piece:
            raise EOFError
        reader.feed(piece)
        at, step = at + len(piece), step + 1
    return reader.source, at


CLIENT4, CLIENT6 = (
    ProxiedClient("203.0.113.9", 443, False),
    ProxiedClient("2001:db8::9", 443, False),
)
LONGEST = b"PROXY UNKNOWN " + b"f" * (V1_MAX - 16) + b"\r\n"
RIGHT = {
    "v1 IPv4": (b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\r\n", CLIENT4),
    "v1 IPv6": (b"PROXY TCP6 2001:DB8::9 fd00::1 4711 443\r\n", CLIENT6),
    "v1 shortest": (b"PROXY TCP4 1.1.1.1 1.1.1.1 0 0\r\n", ProxiedClient("1.1.1.1", 0, False)),
    "v1 unknown": (b"PROXY UNKNOWN\r\n", None),
    "v1 unknown with more": (b"PROXY UNKNOWN ffff::1 whatever it says\r\n", None),
    "v1 longest": (LONGEST, None),
    "v2 IPv4": (v2(IPV4), CLIENT4),
    "v2 IPv6": (v2(IPV6, family=0x21), CLIENT6),
    "v2 Unix": (v2(bytes(216), family=0x31), None),
    "v2 unspecified": (v2(b"", family=0), None),
    "v2 unspecified with more": (v2(b"\x01", family=0), None),
    "v2 local": (v2(b"", command=0x20, family=0), None),
    "v2 local, block discarded": (v2(b"\xff" * 7, command=0x20, family=0xEE), None),
    "v2 extensions": (v2(IPV4 + tlv(0x05, b"id-1") + tlv(0x04, b"") + tlv(0xEA, b"x")), CLIENT4),
    "v2 TLS": (v2(IPV4 + tlv(0x20, b"\x01" + bytes(4))), ProxiedClient("203.0.113.9", 443, True)),
    "v2 no TLS": (v2(IPV4 + tlv(0x20, b"\x00" + bytes(4))), CLIENT4),
    "v2 largest": (v2(IPV4 + tlv(0x04, bytes(V2_MAX - 16 - 12 - 3))), CLIENT4),
}
WRONG = {
    "a request": BEHIND * 3,
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03abcdef",
    "lower case": b"proxy TCP4 203.0.113.9 10.0.0.1 4711 443\r\n",
    "no family": b"PROXY  203.0.113.9 10.0.0.1 4711 443\r\n",
    "unknown family": b"PROXY TCP5 203.0.113.9 10.0.0.1 4711 443\r\n",
    "UDP": b"PROXY UDP4 203.0.113.9 10.0.0.1 4711 443\r\n",
    "UNKNOWNX": b"PROXY UNKNOWNX\r\n",
    "two spaces": b"PROXY TCP4 203.0.113.9  10.0.0.1 4711 443\r\n",
    "space at the end": b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443 \r\n",
    "no port": b"PROXY TCP4 203.0.113.9 10.0.0.1 4711\r\n",
    "large port": b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 65536\r\n",
    "leading zero in a port": b"PROXY TCP4 203.0.113.9 10.0.0.1 04711 443\r\n",
    "leading zero": b"PROXY TCP4 203.0.113.09 10.0.0.1 4711 443\r\n",
    "256": b"PROXY TCP4 256.0.113.9 10.0.0.1 4711 443\r\n",
    "families crossed": b"PROXY TCP4 2001:db8::9 fd00::1 4711 443\r\n",
    "families mixed": b"PROXY TCP6 2001:db8::9 10.0.0.1 4711 443\r\n",
    "a zone": b"PROXY TCP6 fe80::9%eth0 fd00::1 4711 443\r\n",
    "a name": b"PROXY TCP4 client.example 10.0.0.1 4711 443\r\n",
    "bare LF": b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\n" + BEHIND,
    "bare CR": b"PROXY TCP4 203.0.113.9 10.0.0.1 4711 443\rX",
    "no end": b"PROXY UNKNOWN " + b"f" * V1_MAX,
    "one byte too long": LONGEST[:-2] + b"f\r\n",
    "v2 signature cut": SIGNATURE[:11] + b"\r" + bytes(4),
    "version 1 in v2": v2(IPV4, command=0x11),
    "version 3": v2(IPV4, command=0x31),
    "unknown command": v2(IPV4, command=0x22),
    "v2 UDP": v2(IPV4, family=0x12),
    "v2 unknown family": v2(IPV4, family=0x41),
    "v2 no transport": v2(IPV4, family=0x10),
    "v2 too short": v2(IPV4[:-1]),
    "v2 too large": v2(b"", size=V2_MAX - 15),
    "v2 largest size": v2(b"", size=65535),
    "v2 extension cut": v2(IPV4 + b"\x05\x00"),
    "v2 extension too long": v2(IPV4 + b"\x05\x00\x02x"),
    "v2 TLS too short": v2(IPV4 + tlv(0x20, b"\x01")),
}


@pytest.mark.parametrize(("data", "source"), RIGHT.values(), ids=RIGHT)
def test_right(data: bytes, source: ProxiedClient | None) -> None:
    """A header says who the client is, takes no byte of what follows it, and says the same
    wherever it is cut.
    """
    assert read(data + BEHIND) == (source, len(data))
    for cut in range(1, min(len(data), 250)):
        assert read(data + BEHIND, [cut, len(data)]) == (source, len(data))
    assert read(data + BEHIND, [1]) == (source, len(data))


@pytest.mark.parametrize("data", WRONG.values(), ids=WRONG)
def test_wrong(data: bytes) -> None:
    """What is no header is refused, wherever it is cut."""
    for sizes in (None, [1], [2, 9]):
        with pytest.raises(BadHeader):
            read(data, sizes)


@pytest.mark.parametrize("data", [data for data, _ in RIGHT.values()], ids=RIGHT)
def test_incomplete(data: bytes) -> None:
    """No beginning of a header is a header."""
    for end in range(min(len(data), 250)):
        with pytest.raises(EOFError):
            read(data[:end])


@given(data=st.binary(max_size=200), sizes=st.lists(st.integers(1, 50), min_size=1, max_size=5))
def test_any_bytes(data: bytes, sizes: list[int]) -> None:
    """Any bytes are a header, the beginning of one, or refused; never more than the bound is
    asked for.
    """
    for start in (b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11\x00"):
        try:
            _, taken = read(start + data, sizes)
            assert taken <= V2_MAX
        except (BadHeader, EOFError):
            pass
