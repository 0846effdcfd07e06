"""Large bodies pass from socket to socket inside the kernel: splice(2), where the system has it.

The loop asks a protocol for room before it reads: that is when what has come is moved on, so
neither transport is bypassed for longer than one call. The first bytes of a body and its last, and
whatever the target has no room for, take the ordinary way.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeAlias, TypeGuard

if TYPE_CHECKING:
    from sidecar.proxy.downstream import Downstream
    from sidecar.proxy.upstream import Connection

WORTH: Final = 131_072
"""Bytes that must be left of a body for a splice to cost less than it saves."""

TAIL: Final = 16_384
"""The last bytes of a body are read, so that its end is seen where every body's is."""

PIECE: Final = 262_144
"""Bytes that are moved at once, and at most wait for a target that turns out to be full."""

PIECES: Final = 4
"""So many are moved before another connection has its turn."""

_READ: Final = 16_384
"""Bytes of what is read all the same."""


Owner: TypeAlias = "Downstream | Connection"
"""A connection whose body is moved on; what else it is for the loop, it stays."""


class Pipe:
    """A pipe that is empty between two calls, so that one serves all bodies of a process."""

    def __init__(self) -> None:
        self._out, self._in = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        with suppress(OSError):  # too many pipes of this user are large: it stays at 64 KiB
            fcntl.fcntl(self._in, fcntl.F_SETPIPE_SZ, PIECE)
        self._flags = os.SPLICE_F_MOVE | os.SPLICE_F_NONBLOCK
        self.read = memoryview(bytearray(_READ))
        """What one connection reads, until its protocol has been called."""

    def move(self, source: int, target: int, most: int) -> tuple[int, bytes]:
        """Move what the socket `source` has to `target`, both by their descriptors.

        Returns how many bytes were taken, and those that `target` did not take. An error of either
        socket is left to its transport, which meets it next.
        """
        try:
            taken = left = os.splice(source, self._in, min(most, PIECE), flags=self._flags)
        except OSError:
            return 0, b""
        with suppress(OSError):
            while left:
                left -= os.splice(self._out, target, left, flags=self._flags)
        rest = b""
        while len(rest) < left:
            rest += os.read(self._out, left - len(rest))
        return taken, rest

    def close(self) -> None:
        """Give the descriptors back."""
        os.close(self._out)
        os.close(self._in)


class Splice(asyncio.BufferedProtocol):
    """Stands in for `owner` at `source`, its transport, while most of a body goes to `target`.

    `alive` is called whenever bytes have passed. The target's transport says for each byte that
    it keeps that it is full, so that nothing is read before all has left.
    """

    def __init__(
        self,
        pipe: Pipe,
        owner: Owner,
        source: asyncio.Transport,
        target: asyncio.Transport,
        alive: Callable[[], None],
    ) -> None:
        self._pipe, self._owner, self._alive = pipe, owner, alive
        self._source, self._target = source, target
        self._from = source.get_extra_info("socket").fileno()
        self._to = target.get_extra_info("socket").fileno()
        self._limits = target.get_write_buffer_limits()
        target.set_write_buffer_limits(0)
        source.set_protocol(self)

    def end(self) -> None:
        """Give the transports back."""
        if not self._source.is_closing():
            self._source.set_protocol(self._owner)
        if not self._target.is_closing():
            low, high = self._limits
            self._target.set_write_buffer_limits(high, low)

    # What the loop calls.

    def get_buffer(self, sizehint: int) -> memoryview:
        """Asyncio's protocol: `source` is readable. It must not be paused or closed from here."""
        for _ in range(PIECES):
            if not self._move():
                break
        return self._pipe.read

    def _move(self) -> bool:
        """Move a piece; whether there may be another."""
        owner, target = self._owner, self._target
        most = owner.left() - TAIL
        # A transport that closes may have closed its descriptor, whose number is another's then.
        if most <= 0 or owner.waits() or target.is_closing() or target.get_write_buffer_size():
            return False
        taken, rest = self._pipe.move(self._from, self._to, most)
        if not taken:
            return False
        owner.passed(taken)
        self._alive()
        target.write(rest)
        return True

    def buffer_updated(self, nbytes: int) -> None:
        """Asyncio's protocol."""
        self._owner.data_received(bytes(self._pipe.read[:nbytes]))

    def eof_received(self) -> bool | None:
        """Asyncio's protocol."""
        return self._owner.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        """Asyncio's protocol."""
        self._owner.connection_lost(exc)

    def pause_writing(self) -> None:
        """Asyncio's protocol."""
        self._owner.pause_writing()

    def resume_writing(self) -> None:
        """Asyncio's protocol."""
        self._owner.resume_writing()


def splice(
    pipe: Pipe | None,
    owner: Owner,
    source: asyncio.Transport | None,
    target: asyncio.Transport | None,
    alive: Callable[[], None],
) -> Splice | None:
    """Begin to splice what is left of a body; None where that is not worth it, or cannot be."""
    if pipe is None or owner.left() < WORTH or not (_plain(source) and _plain(target)):
        return None
    return Splice(pipe, owner, source, target, alive)


def new_pipe() -> Pipe | None:
    """A pipe for a process; None where there is no splice(2), or no descriptor left."""
    if not hasattr(os, "splice"):
        return None
    try:
        return Pipe()
    except OSError:
        return None


def _plain(transport: asyncio.Transport | None) -> TypeGuard[asyncio.Transport]:
    """Open, and its bytes are the socket's: no TLS."""
    return (
        transport is not None
        and not transport.is_closing()
        and transport.get_extra_info("ssl_object") is None
    )
