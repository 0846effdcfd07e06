"""The admin and health listeners: aiohttp's application runner with our error responses, and what
the health listener serves: read-only, without secrets, it may be bound to the pod's address.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sidecar.admin.access import OWN_HEADERS, with_own_headers
from sidecar.telemetry import Telemetry


class _Protocol(RequestHandler):
    """aiohttp would name itself, repeat the offending line and log it with a traceback."""

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """A few words of our own; the connection ends."""
        if request.writer.output_size > 0:
            raise ConnectionError("the response has begun already")
        if exc is not None and status >= 500:
            self.log_exception("admin request failed", exc_info=exc)
        headers = OWN_HEADERS | {"Server": "sidecar"}
        response = web.Response(status=status, text=f"{status}\n", headers=headers)
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs one application on our protocol."""

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        made.__class__ = _Server  # keeps the handler, factory and settings that aiohttp made
        return made


async def listen(app: web.Application, address: str) -> tuple[web.AppRunner, str]:
    """Serve an application at HOST:PORT or unix:PATH; returns the runner and the bound address."""
    runner = Runner(app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=30.0)
    await runner.setup()
    if address.startswith("unix:"):
        await web.UnixSite(runner, address.removeprefix("unix:")).start()
        return runner, address
    host, _, port = address.rpartition(":")
    await web.TCPSite(runner, host.strip("[]"), int(port)).start()
    return runner, f"{host}:{runner.addresses[0][1]}"


Readiness: TypeAlias = Awaitable[dict[str, str]]
"""Why no traffic should come, by check; "" = it should."""


def health_app(
    ready: Callable[[], Readiness], telemetry: Telemetry, refresh: Callable[[], Awaitable[None]]
) -> web.Application:
    """The application of the health listener."""
    app = web.Application()
    app.on_response_prepare.append(with_own_headers)
    add_health(app, ready, telemetry, refresh)
    return app


def add_health(
    app: web.Application,
    ready: Callable[[], Readiness],
    telemetry: Telemetry,
    refresh: Callable[[], Awaitable[None]],
) -> None:
    """Add the paths (/healthz is a common name of /livez); `refresh` updates the metrics."""

    async def livez(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        checks = await ready()
        lines = [f"[-] {name}: {why}\n" if why else f"[+] {name}\n" for name, why in checks.items()]
        return web.Response(text="".join(lines), status=503 if any(checks.values()) else 200)

    async def metrics(request: web.Request) -> web.Response:
        from sidecar.telemetry import exposition  # with the first scrape

        await refresh()
        found = telemetry.metrics
        found.settle()
        accept = ",".join(request.headers.getall("Accept", ()))
        messages = found.native and exposition.wants_messages(accept)
        data = await asyncio.to_thread(found.render, messages=messages)
        kind = exposition.MESSAGES if messages else exposition.TEXT
        return web.Response(body=data, headers={"Content-Type": kind})

    app.router.add_get("/livez", livez)
    app.router.add_get("/healthz", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
