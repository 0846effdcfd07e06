"""Clients distinguished without keeping their addresses."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets


class Clients:
    """Clients by a hash that this process alone can make.

    An IPv6 network of 64 bits counts as one client: a host may take any address in its own (RFC
    4291 section 2.5.1, RFC 8981), so a forger of reports would be as many clients as it likes.
    """

    __slots__ = ("_salt",)

    def __init__(self) -> None:
        self._salt = secrets.token_bytes(16)

    def __call__(self, address: str) -> bytes:
        """The client at this address, in 8 bytes; other text counts as it is written."""
        text = _network(address) if ":" in address else address
        data = text.encode("utf-8", "replace")
        return hashlib.blake2b(data, digest_size=8, key=self._salt).digest()


def _network(address: str) -> str:
    try:
        parsed = ipaddress.IPv6Address(address.partition("%")[0])
    except ValueError:
        return address
    return str(parsed.ipv4_mapped or int(parsed) >> 64)
