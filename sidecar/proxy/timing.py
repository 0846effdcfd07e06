"""Where the time of a response went, for clients that may know.

Source: W3C Server Timing section 2.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from sidecar.proxy.forwarding import among

Timing: TypeAlias = Callable[[str, float, float], bytes]
"""The line for a client's address, from the seconds that the upstream took to its head, and that
all took; b"" = none.
"""


def server_timing(networks: Sequence[str]) -> Timing | None:
    """The setting at work; None = off."""
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
