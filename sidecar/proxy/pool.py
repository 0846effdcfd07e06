"""Connections to the upstream: opened when needed, kept while fresh, never more than the limit."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import urlsplit

from sidecar.proxy.certificates import client_context, refused
from sidecar.proxy.deadlines import Deadlines
from sidecar.proxy.faults import UpstreamFailed
from sidecar.proxy.http1.responses import ResponseReader
from sidecar.proxy.names import Resolver, is_name
from sidecar.proxy.upstream import Connection
from sidecar.settings import Settings

_pool_full = partial(UpstreamFailed, 503, "pool_full")
_EXHAUSTED = frozenset(
    {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}
)

PATIENCE: Final = 0.25
"""Share of timeouts.connect that the resolver has, and a connect before it is asked again."""


class Pool:
    """The connections to one upstream. `authority` is its name for a Host line.

    `_open` counts places: connections in use, kept, or being opened. A place or a connection that
    comes free goes to who waits longest, past those who ask just then.
    """

    def __init__(
        self,
        settings: Settings,
        loop: asyncio.AbstractEventLoop,
        deadlines: Deadlines,
        emit: Callable[..., Any] = lambda *_, **__: None,
    ) -> None:
        self._loop = loop
        self._deadlines = deadlines
        self._limits = settings.limits
        self._reader = ResponseReader(settings.limits)
        self._connect_timeout = settings.timeouts.connect
        self._fresh_for = settings.timeouts.upstream_idle
        self._idle: list[Connection] = []
        self._waiting: deque[asyncio.Future[Connection | None]] = deque()
        self._open = 0
        self._evicting: asyncio.TimerHandle | None = None
        self._parts = urlsplit(settings.upstream)
        try:
            self._tls = client_context(settings.tls) if self._parts.scheme == "https" else None
        except OSError as error:
            raise refused(error, settings) from error
        self._server_name = settings.tls.upstream_name or self._parts.hostname
        self._port = self._parts.port or (443 if self._tls else 80)
        host = self._parts.hostname or ""
        self._emit = emit
        self._names = (
            Resolver(loop, host, settings.upstream_dns_age, self._moved, self._unresolved)
            if host and is_name(host)
            else None
        )
        self._made: set[Connection] = set()
        """Those that are open. No weak references: a compiled class has none."""
        self.authority = (self._parts.netloc or "localhost").encode(
            "idna" if not self._parts.netloc.isascii() else "ascii"
        )

    async def acquire(self, *, fresh: bool = False) -> Connection:
        """A connection for one request, kept or new; `fresh` takes only a new one.

        Raises: UpstreamFailed: 503 when the limit held for timeouts.connect; 502 or 504 when
            connecting failed.
        """
        if not fresh and (kept := self.take(self._loop.time())) is not None:
            return kept
        if not self._waiting:
            if self._open < self._limits.upstream_connections:
                self._open += 1
                return await self._fill()
            if self._idle:
                self._idle.pop(0).abort()  # a new one is wanted in its place
                return await self._fill()
        handed = await self._turn()
        if handed is not None:
            if not fresh and handed.usable():
                return handed
            handed.abort()
        return await self._fill()

    def take(self, now: float) -> Connection | None:
        """A kept connection, if no earlier request waits for it; `now` by the loop's clock."""
        if self._waiting:
            return None
        # The youngest first: the others grow old and are dropped. None is used near the service's
        # own idle limit.
        oldest = now - self._fresh_for
        while self._idle:
            connection = self._idle.pop()
            if connection.idle_since >= oldest and connection.usable():
                return connection
            connection.abort()
            self._open -= 1
        return None

    def release(self, connection: Connection, now: float, *, clean: bool) -> None:
        """Give a connection back: `clean` when request and response ended as they should."""
        if not clean or not connection.keep_alive:
            connection.abort()
            self._free_place()
            return
        connection.release(now)
        if not (self._waiting and self._hand(connection)):
            self._idle.append(connection)
            if self._evicting is None:
                self._evicting = self._loop.call_later(self._fresh_for, self._evict)

    def close(self) -> None:
        """Close what is kept."""
        if self._names is not None:
            self._names.close()
        if self._evicting is not None:
            self._evicting.cancel()
        while self._idle:
            self._idle.pop().abort()
            self._open -= 1

    async def reachable(self) -> bool:
        """Whether the upstream takes a connection."""
        try:
            connection = await self._connect()
        except UpstreamFailed:
            return False
        connection.abort()
        return True

    def _evict(self) -> None:
        oldest = self._loop.time() - self._fresh_for
        while self._idle and self._idle[0].idle_since <= oldest:
            self._idle.pop(0).abort()
            self._open -= 1
        self._evicting = self._loop.call_later(self._fresh_for, self._evict) if self._idle else None

    async def _turn(self) -> Connection | None:
        """Wait in line for a connection, or for the place of one (None)."""
        waiting: asyncio.Future[Connection | None] = self._loop.create_future()
        self._waiting.append(waiting)
        try:
            return await self._deadlines.wait(waiting, self._connect_timeout, _pool_full)
        except BaseException:
            if waiting in self._waiting:
                self._waiting.remove(waiting)
            elif waiting.done() and not waiting.cancelled() and waiting.exception() is None:
                # The turn came as we were called away.
                handed = waiting.result()
                if handed is None:
                    self._free_place()
                else:
                    self.release(handed, self._loop.time(), clean=True)
            raise

    def _hand(self, connection: Connection | None) -> bool:
        while self._waiting:
            waiting = self._waiting.popleft()
            if not waiting.done():
                waiting.set_result(connection)
                return True
        return False

    def _free_place(self) -> None:
        if not self._hand(None):
            self._open -= 1

    async def _fill(self) -> Connection:
        """Connect, into a place that is already counted."""
        # A task of its own: who waits here need not be one, and asyncio's timeout asks for one.
        connecting = self._loop.create_task(self._connect())
        try:
            connection = await connecting
        except BaseException:
            connecting.add_done_callback(_discard)
            self._free_place()
            raise
        if connection.transport.is_closing():  # the service ended it before it was asked
            self._free_place()
            raise UpstreamFailed(502, "closed")
        return connection

    async def _connect(self) -> Connection:
        make = partial(Connection, self._limits, self._reader)
        parts = self._parts
        try:
            async with asyncio.timeout(self._connect_timeout):
                if parts.scheme == "unix":
                    return (await self._loop.create_unix_connection(make, parts.path))[1]
                if self._names is not None:
                    return await self._connect_name(self._names, make)
                return await self._connect_to((parts.hostname or "",), make)
        except OSError as error:
            raise _failed(error) from None

    async def _connect_name(self, names: Resolver, make: Callable[[], Connection]) -> Connection:
        """Connect by name. Where that fails or dawdles, the name may have moved: ask again."""
        patience = self._connect_timeout * PATIENCE
        addresses = await names.addresses(patience)
        first = self._loop.create_task(self._connect_to(addresses, make))
        try:
            await asyncio.wait({first}, timeout=patience)
            if not _connected(first):
                found = await names.anew(patience)
                if not set(found) <= set(addresses) and not _connected(first):
                    first.cancel()
                    first.add_done_callback(_discard)
                    return await self._connect_to(found, make)
            return await first
        except BaseException:
            first.cancel()
            first.add_done_callback(_discard)
            raise

    async def _connect_to(
        self, addresses: tuple[str, ...], make: Callable[[], Connection]
    ) -> Connection:
        """Connect to the first address that takes it; raises what the last one failed with."""
        failure: OSError = OSError("no address")
        for address in addresses:
            try:
                _, connection = await self._loop.create_connection(
                    make,
                    address,
                    self._port,
                    ssl=self._tls,
                    server_hostname=self._server_name if self._tls else None,
                )
            except OSError as error:
                failure = error
            else:
                connection.address = address
                if not connection.transport.is_closing():
                    connection.lost = self._made.discard
                    self._made.add(connection)
                return connection
        raise failure

    def _moved(self, old: tuple[str, ...], new: tuple[str, ...]) -> None:
        """Connections to addresses that the name no longer has end with the response they carry."""
        self._emit("upstream.moved", host=self._parts.hostname, before=old, after=new)
        for connection in tuple(self._made):
            if connection.address not in new:
                connection.keep_alive = False

    def _unresolved(self, error: OSError) -> None:
        self._emit(
            "upstream.unresolved",
            level="warning",
            host=self._parts.hostname,
            detail=error.strerror or str(error),
        )


def _connected(connecting: asyncio.Task[Connection]) -> bool:
    return connecting.done() and connecting.exception() is None


def _discard(connecting: asyncio.Task[Connection]) -> None:
    """Who wanted the connection was called away as it came."""
    if not connecting.cancelled() and connecting.exception() is None:
        connecting.result().abort()


def _failed(error: OSError) -> UpstreamFailed:
    if isinstance(error, TimeoutError):
        return UpstreamFailed(504, "connect_timeout")
    if isinstance(error, ssl.SSLError):
        return UpstreamFailed(502, "tls", error.reason or "")
    if isinstance(error, socket.gaierror):
        return UpstreamFailed(502, "dns")
    if isinstance(error, ConnectionRefusedError | FileNotFoundError):
        return UpstreamFailed(502, "refused")
    return UpstreamFailed(
        503 if error.errno in _EXHAUSTED else 502, "unreachable", error.strerror or ""
    )
