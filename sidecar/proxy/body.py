"""A request's body between the client's connection and its reader, with a bound on what waits."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sidecar.proxy.waiter import Waiter

BUFFER: Final = 262_144
"""Bytes that wait for a slow upstream before the client is no longer read: more than one read."""


class Body:
    """`whole` when all has arrived, `received` bytes so far; `resume` is called at room again."""

    __slots__ = ("_error", "_full", "_pieces", "_resume", "_size", "_waiter", "received", "whole")

    def __init__(self, resume: Callable[[], None]) -> None:
        self._resume = resume
        self._pieces: list[bytes] = []
        self._size = self.received = 0
        self._waiter: Waiter | None = None
        self._error: Exception | None = None
        self._full = self.whole = False

    @property
    def over(self) -> bool:
        """Nothing is left to take, now or later."""
        return self.whole and not self._pieces

    @property
    def waiting(self) -> bool:
        """Bytes wait to be taken."""
        return bool(self._pieces)

    def push(self, piece: bytes, *, last: bool) -> bool:
        """More has arrived; returns whether the client must not be read until `resume`."""
        if piece:
            self._pieces.append(piece)
            self._size += len(piece)
            self.received += len(piece)
        self.whole = last
        self._full = self._size > BUFFER and not last
        if piece or last:
            self._wake()
        return self._full

    def set_exception(self, error: Exception) -> None:
        """It will not come to its end: who reads it gets this error."""
        self._error = error
        self._wake()

    def take(self) -> bytes:
        """What is at hand, b"" when nothing."""
        pieces = self._pieces
        if not pieces:
            return b""
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._size = 0
        if self._full:
            self._full = False
            self._resume()
        return data

    async def some(self, waiter: Waiter) -> bytes:
        """What is at hand, waiting for `waiter` until there is something; b"" at the end. Raises
        what `set_exception` was given.
        """
        if self._error is None and not self._pieces and not self.whole:
            self._waiter = waiter
            await waiter
        if self._error is not None:
            raise self._error
        return self.take()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None:
            waiter.set_result(None)
