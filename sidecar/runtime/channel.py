"""Messages between a parent and its workers: JSON lines over a socket pair."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

_LIMIT = 8 << 20  # a policy text of the largest size fits, and a snapshot of many rules


class Channel:
    """One end of the pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """A channel over a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=_LIMIT))

    def send(self, **message: Any) -> None:
        """Queue one message; a reader that is gone shows in `receive`."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None when the other end is gone."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):
            return None
        if not line.endswith(b"\n"):
            return None
        message = json.loads(line)
        return message if isinstance(message, dict) else None

    def close(self) -> None:
        """Close this end."""
        self._writer.close()
