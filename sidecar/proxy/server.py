"""The data plane as one thing: listening, draining, stopping."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from sidecar.proxy.certificates import load_pair, marks, refused, server_context
from sidecar.proxy.context import Context, Reports, bounds_of, by_route
from sidecar.proxy.deadlines import Deadlines, tick_for
from sidecar.proxy.forwarding import Forwarder, server_timing
from sidecar.proxy.http1.requests import RequestReader
from sidecar.proxy.listener import Listener
from sidecar.proxy.pool import Pool
from sidecar.proxy.proxy_protocol import ProxyHeaderReader
from sidecar.proxy.splice import new_pipe
from sidecar.settings import Settings
from sidecar.telemetry import Telemetry

if TYPE_CHECKING:
    from sidecar.revisions import Active

BACKLOG = 1024
CERTIFICATE_LOOK = 1.0
"""Seconds between two looks at the certificate's files."""


# malloc.h of glibc, mallopt(3).
_TRIM_THRESHOLD: Final = -1
_TOP_PAD: Final = -2
_MMAP_THRESHOLD: Final = -3

KEPT: Final = 32 << 20
"""Free bytes at the top of the heap that stay ours."""
STEP: Final = 1 << 20
"""Bytes that the heap grows by at least."""
MAPPED: Final = 32 << 20
"""From so many bytes on an allocation is mapped alone, and given back when it is freed."""


def keep_freed_memory() -> bool:
    """Keep what bodies free for the next ones; False where there is no glibc (musl, macOS), whose
    allocators differ.

    glibc gives the top of the heap back to the system at each free of 128 KiB and asks for it again
    for the next body; with large bodies that costs as much as carrying them.
    """
    if not sys.platform.startswith("linux"):
        return False
    process = ctypes.CDLL(None)
    if not hasattr(process, "gnu_get_libc_version"):
        return False
    bounds = ((_TRIM_THRESHOLD, KEPT), (_TOP_PAD, STEP), (_MMAP_THRESHOLD, MAPPED))
    return all(process.mallopt(what, size) == 1 for what, size in bounds)


class DataPlane:
    """The proxy of one process.

    Build it inside the running loop; set `active`, then `start`, then `drain` for an orderly end,
    or `abort` for one at once.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry, *, reports: Reports) -> None:
        loop = asyncio.get_running_loop()
        deadlines = Deadlines(loop, tick_for(settings.timeouts))
        self._settings = settings
        try:
            self._tls = server_context(settings.tls) if settings.tls.certificate else None
        except OSError as error:
            raise refused(error, settings) from error
        self._follower: asyncio.Task[None] | None = None
        self._servers: list[asyncio.Server] = []
        pool = Pool(settings, loop, deadlines, telemetry.emit)
        forwarder = Forwarder(settings.forwarding)
        host = pool.authority if forwarder.rewrite else forwarder.host
        self._context = Context(
            loop=loop,
            settings=settings,
            bounds=bounds_of(settings),
            telemetry=telemetry,
            deadlines=deadlines,
            pool=pool,
            forwarder=forwarder,
            requests=RequestReader(
                settings.limits, forwarder.id_key, host, pool.authority, forwarder.nonce_key
            ),
            reports=reports,
            pipe=new_pipe(),
            timing=server_timing(settings.debug.server_timing),
        )
        self._context.routed = by_route(self._context)
        self._listener = Listener(self._context)

    @property
    def active(self) -> Active:
        """What requests are served under from now on; those under way keep what they began with."""
        return self._context.active

    @active.setter
    def active(self, value: Active) -> None:
        self._context.active = value

    @property
    def draining(self) -> bool:
        """Responses say Connection: close; may be set before `drain` is called."""
        return self._context.draining

    @draining.setter
    def draining(self, value: bool) -> None:
        self._context.drain(draining=value)

    async def start(self, *, reuse_port: bool = False) -> list[str]:
        """Listen at settings.listen; returns what was bound as "host:port", or "unix:/path".

        Raises:
            OSError: when it cannot be bound.
        """
        loop, listen = self._context.loop, self._settings.listen
        keep_freed_memory()
        if self._tls is not None:
            self._follower = loop.create_task(self._follow_certificate())
        made: Callable[[], asyncio.BaseProtocol] = self._listener
        tls = self._tls
        if self._settings.forwarding.proxy_protocol == "required":
            made, tls = partial(ProxyHeaderReader, self._listener, tls), None
        handshake = self._settings.timeouts.header if tls else None
        options: dict[str, Any] = {
            "ssl": tls,
            "ssl_handshake_timeout": handshake,
            "backlog": BACKLOG,
        }
        if listen.startswith("unix:"):
            self._servers.append(await loop.create_unix_server(made, listen[5:], **options))
            return [listen]
        host, _, port = listen.rpartition(":")
        server = await loop.create_server(
            made, host.strip("[]"), int(port), reuse_port=reuse_port or None, **options
        )
        self._servers.append(server)
        self._listener.port = server.sockets[0].getsockname()[1]
        # Connections take it over; both loops set TCP_NODELAY themselves.
        for bound in server.sockets:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        return [_name(bound) for bound in server.sockets]

    async def drain(self) -> None:
        """End in order.

        No more connections are taken, idle ones are closed, WebSockets are closed with 1001,
        requests in flight finish within timeouts.drain; then the rest is cut where the client can
        see it.
        """
        self.draining = self._listener.closing = True
        for server in self._servers:
            server.close()
        for connection in self._listener.open:
            if connection.tunnel is not None:
                connection.tunnel.close()
            else:
                connection.end_soon()
        try:
            async with asyncio.timeout(self._settings.timeouts.drain):
                await self._listener.emptied()
        except TimeoutError:
            pass
        self.abort()
        if self._context.telemetry.spans is not None:
            with suppress(TimeoutError):  # a collector that does not respond holds up nothing
                await asyncio.wait_for(asyncio.to_thread(self._context.telemetry.spans.close), 2.0)

    def abort(self) -> None:
        """End now; every connection is cut."""
        self.draining = True
        if self._follower is not None:
            self._follower.cancel()
        for server in self._servers:
            server.close()
        for connection in tuple(self._listener.open):
            connection.reset()
        self._context.pool.close()
        self._context.deadlines.close()
        if (pipe := self._context.pipe) is not None:
            self._context.pipe = None
            pipe.close()

    async def upstream_reachable(self) -> bool:
        """Whether the upstream takes a connection within timeouts.connect."""
        return await self._context.pool.reachable()

    def reload_tls(self) -> None:
        """Read the certificate files again; connections that stand keep the old one.

        Raises: OSError, ssl.SSLError: when they cannot be read or do not match; the old ones stay
            in force.
        """
        if self._tls is not None:
            tls = self._settings.tls
            server_context(tls)  # a pair that does not match would be half loaded
            assert tls.certificate is not None
            load_pair(self._tls, tls.certificate, tls.key)

    async def _follow_certificate(self) -> None:
        """Take the files whenever they change; a pair that does not match is reported once, and
        tried again when it changes.
        """
        telemetry, seen = self._context.telemetry, marks(self._settings.tls)
        while True:
            await asyncio.sleep(CERTIFICATE_LOOK)
            now = await asyncio.to_thread(marks, self._settings.tls)
            if now == seen:
                continue
            seen = now
            try:
                self.reload_tls()
            except OSError as error:  # ssl.SSLError is one
                telemetry.emit(
                    "tls.rejected",
                    level="error",
                    certificate=self._settings.tls.certificate,
                    detail=str(error)[:200],
                )
            else:
                telemetry.emit("tls.reloaded", certificate=self._settings.tls.certificate)


def _name(bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
