"""Which connections have something to read: asked of the kernel once in a turn of the loop, for
all of them.
"""

from __future__ import annotations

import asyncio
import select


class Unread:
    """Descriptors, and which of them had bytes, an end or an error when it was first asked in this
    turn of the loop.

    What comes later in the turn is not seen: as little as what comes while a request is on its way.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._poll = getattr(select, "epoll", select.poll)()  # one system call for any number
        self._asked = False
        self._found: set[int] = set()

    def add(self, descriptor: int) -> None:
        """Ask for this one too, until it is closed."""
        self._poll.register(descriptor, select.POLLIN)

    def read(self, descriptor: int) -> None:
        """What was there has been read."""
        self._found.discard(descriptor)

    def has(self, descriptor: int) -> bool:
        """Whether there is something to read."""
        if not self._asked:
            self._asked = True
            self._loop.call_soon(self._forget)
            self._found = {found for found, _ in self._poll.poll(0)}
        return descriptor in self._found

    def now(self, descriptor: int) -> bool:
        """The same, asked anew."""
        return any(found == descriptor for found, _ in self._poll.poll(0))

    def _forget(self) -> None:
        self._asked = False
