"""What the upstream learns about the client: X-Forwarded-*, Forwarded (RFC 7239), Via, the request
id, and the nonce.

A claim of a peer that is not in the trusted networks is dropped. The chain of a trusted one is
believed from the right, up to the first untrusted peer, and written anew; its claims of other
names, such as X-Forwarded-Prefix and X-Real-IP, pass as they came.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.requests import Request
from sidecar.settings import Forwarding

_PORT = re.compile(rb"[0-9]{1,5}")
_ENDS: Final = tuple(f"{number:03x}" for number in range(0x1000))
"""The last digits of request ids, behind digits that stay for 4,096 requests."""
_ID = re.compile(rb"[!-~]{1,128}")
_NAME = re.compile(rb"[A-Za-z0-9._~:\[\]-]{1,262}")
_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}
"""What proxies say, Traefik of a WebSocket's handshake too, and the scheme of the request."""
_REWRITTEN = frozenset(
    {
        b"forwarded",
        b"x-forwarded-for",
        b"x-forwarded-proto",
        b"x-forwarded-host",
        b"x-forwarded-port",
    }
)
"""Lower-case names of the claims that are read and written anew."""


class ClientOrigin:
    """Who asks, as far as trusted proxies tell.

    `client` is an address, or "unknown" behind a Unix socket; `lines` are header lines for the
    upstream, with their ends.
    """

    __slots__ = ("client", "lines", "request_id", "scheme")

    def __init__(self, client: str, scheme: str, request_id: str, lines: bytes) -> None:
        self.client, self.scheme, self.request_id, self.lines = client, scheme, request_id, lines


KNOWN = 4096
"""Addresses of which is known whether they are trusted: proxies send the same in every request."""


class Peer:
    """The other end of a client connection, with the lines that are the same for its requests."""

    __slots__ = ("_host", "_lines", "address", "port", "scheme", "trusted")

    def __init__(self, address: str, port: int, scheme: str, *, trusted: bool) -> None:
        self.address, self.port, self.scheme, self.trusted = address, port, scheme, trusted
        self._host: str | None = None
        self._lines = b""

    def lines(self, host: str) -> bytes:
        """What is said of an untrusted peer's request; made again when it names another host."""
        if host != self._host:
            self._host = host
            self._lines = _lines_alone(self.address, self.scheme, host, self.port)
        return self._lines


class Forwarder:
    """The forwarding setting at work. `pseudonym` names this process in Via and ends loops."""

    def __init__(self, setting: Forwarding) -> None:
        self._trusts = among(setting.trusted)
        self._id_name = setting.request_id.encode("ascii")
        self.id_key = self._id_name.lower()
        self._read = _REWRITTEN | {self.id_key}
        self.host = None if setting.host in ("pass", "rewrite") else setting.host.encode("ascii")
        self.rewrite = setting.host == "rewrite"
        self._nonce_name = b"" if setting.nonce == "off" else setting.nonce.encode("ascii")
        self.nonce_key = self._nonce_name.lower() or b"x-csp-nonce"
        """Lower-case name of the lines that no client may send."""
        self._via = setting.via
        self.pseudonym = f"sidecar-{os.urandom(6).hex()}".encode("ascii")
        self._id_prefix = os.urandom(8).hex()
        self._id_start = self._id_name + b": "
        self._id_block, self._made = "", 0
        self._via_alone = tuple(
            self._via_line([], http10=http10) if self._via else b"" for http10 in (False, True)
        )

    def peer(self, address: str, port: int, scheme: str) -> Peer:
        """The noun for a new connection."""
        trusted = self._trusts(address)
        return Peer(address.partition("%")[0] or "unknown", port, scheme, trusted=trusted)

    def origin(self, peer: Peer, request: Request) -> ClientOrigin:
        """Who asks, and the lines that tell the upstream.

        Raises:
            Refused: 508 when the request has passed this process before.
        """
        client, scheme, request_id = peer.address, peer.scheme, ""
        if not (request.claimed and peer.trusted):
            lines = peer.lines(request.host)
        else:
            claims, others = request.claims(self._read)
            chain = self._chain(claims, peer.address)
            client = chain[0]
            scheme = _claimed_scheme(claims) or scheme
            host = _last(claims, b"x-forwarded-host", _NAME) or request.host
            port = _last(claims, b"x-forwarded-port", _PORT) or str(peer.port)
            lines = _lines(chain, scheme, host, port) + others
            kept = claims.get(self.id_key, ())
            if len(kept) == 1 and _ID.fullmatch(kept[0]):
                request_id = kept[0].decode("ascii")
        request_id = request_id or self.new_id()
        via = self._via_alone[request.http10]
        if request.via and self._via:
            via = self._via_line(request.via, http10=request.http10)
        lines = b"%b%b%b\r\n%b" % (lines, self._id_start, request_id.encode("ascii"), via)
        return ClientOrigin(client, scheme, request_id, lines)

    def nonce_line(self, nonce: bytes) -> bytes:
        """The line that brings the service the nonce of a response; b"" where it is off."""
        return b"%b: %b\r\n" % (self._nonce_name, nonce) if self._nonce_name else b""

    def new_id(self) -> str:
        """A request id that no other process makes."""
        number = self._made = self._made + 1
        low = number & 0xFFF
        if not low or not self._id_block:
            self._id_block = f"{self._id_prefix}{number >> 12:09x}"
        return self._id_block + _ENDS[low]

    def _chain(self, claims: dict[bytes, list[bytes]], peer: str) -> list[str]:
        """Client first, peer last: the claimed hops from the right, to the first untrusted one."""
        if b"x-forwarded-for" in claims:
            said = b",".join(claims[b"x-forwarded-for"]).decode("latin-1")
            hops = [hop.strip() for hop in said.split(",")]
        else:
            hops = _forwarded_values(claims, "for")
        chain = [peer]
        for hop in reversed(hops):
            address = _address(hop)
            if address is None:
                break
            chain.insert(0, address)
            if not self._trusts(address):
                break
        return chain

    def _via_line(self, before: list[bytes], *, http10: bool) -> bytes:
        if any(self.pseudonym in value for value in before):
            raise Refused(508, "loop")
        own = b"%b %b" % (b"1.0" if http10 else b"1.1", self.pseudonym)
        return b"Via: %b\r\n" % b", ".join([*filter(None, before), own])


def among(names: Sequence[str]) -> Callable[[str], bool]:
    """Whether an address is in one of these networks; what is no address is in none."""
    networks = tuple(ipaddress.ip_network(name) for name in names)

    def within(address: str) -> bool:
        if not networks:
            return False
        try:
            parsed = ipaddress.ip_address(address.partition("%")[0])
        except ValueError:
            return False
        if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        return any(parsed in network for network in networks)

    return lru_cache(KNOWN)(within)


Timing: TypeAlias = Callable[[str, float, float], bytes]
"""The line for a client's address, from the seconds that the upstream took to its head, and that
all took; b"" = none.
"""


def server_timing(networks: Sequence[str]) -> Timing | None:
    """Where a response's time went, for clients that may know (Server Timing section 2)."""
    if not networks:
        return None
    within = among(networks)

    def line(client: str, upstream: float, total: float) -> bytes:
        if not within(client):
            return b""
        own = max(total - upstream, 0.0)
        return b"Server-Timing: upstream;dur=%.2f, sidecar;dur=%.2f\r\n" % (
            upstream * 1000,
            own * 1000,
        )

    return line


def new_nonce() -> bytes:
    """128 random bits in base64url, which CSP (Level 3 section 2.3.1) and templates take as is."""
    return secrets.token_urlsafe(16).encode("ascii")


@lru_cache(KNOWN)
def _lines_alone(address: str, scheme: str, host: str, port: int) -> bytes:
    """Of a peer that nobody stands before: the same address opens many connections."""
    return _lines([address], scheme, host, str(port))


def _lines(chain: list[str], scheme: str, host: str, port: str) -> bytes:
    hops = [f'for="[{hop}]"' if ":" in hop else f"for={hop}" for hop in chain]
    hops[-1] += f';host="{host}";proto={scheme}' if host else f";proto={scheme}"
    data = f"X-Forwarded-For: {', '.join(chain)}\r\nX-Forwarded-Proto: {scheme}\r\n"
    if host:
        data += f"X-Forwarded-Host: {host}\r\n"
    if port != "0":  # as behind a Unix socket
        data += f"X-Forwarded-Port: {port}\r\n"
    return f"{data}Forwarded: {', '.join(hops)}\r\n".encode("ascii")


def _address(hop: str) -> str | None:
    """The address of a hop, without port and zone: RFC 7239 section 6 knows no zone, and Python
    takes any text for one.
    """
    text = hop.strip('"').partition("%")[0]
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address)


def _claimed_scheme(claims: dict[bytes, list[bytes]]) -> str | None:
    if b"x-forwarded-proto" in claims:
        last = claims[b"x-forwarded-proto"][-1].decode("latin-1").rpartition(",")[2]
        found = last.strip().lower()
    else:
        found = (_forwarded_values(claims, "proto") or [""])[-1].lower()
    return _SCHEMES.get(found)


def _last(claims: dict[bytes, list[bytes]], key: bytes, grammar: re.Pattern[bytes]) -> str | None:
    value = claims.get(key, [b""])[-1].rpartition(b",")[2].strip()
    return value.decode("ascii") if grammar.fullmatch(value) else None


def _forwarded_values(claims: dict[bytes, list[bytes]], parameter: str) -> list[str]:
    """One parameter of each element of Forwarded (RFC 7239 section 4), in order; "" = missing."""
    found = []
    for element in b",".join(claims.get(b"forwarded", [])).decode("latin-1").split(","):
        pairs = dict(pair.strip().partition("=")[::2] for pair in element.lower().split(";"))
        found.append(pairs.get(parameter, "").strip('"'))
    return found
