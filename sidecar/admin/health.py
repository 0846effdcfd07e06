"""Probes and metrics: read-only, no secrets, may be bound to the pod's address."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from sidecar.admin.access import with_own_headers
from sidecar.telemetry import Telemetry

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
        from sidecar.telemetry import exposition, protobuf  # with the first scrape

        await refresh()
        found = telemetry.metrics
        found.settle()
        if found.native and protobuf.wanted(",".join(request.headers.getall("Accept", ()))):
            data, kind = await asyncio.to_thread(found.render_delimited), protobuf.CONTENT_TYPE
        else:
            data, kind = await asyncio.to_thread(found.render), exposition.CONTENT_TYPE
        return web.Response(body=data, headers={"Content-Type": kind})

    app.router.add_get("/livez", livez)
    app.router.add_get("/healthz", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", metrics)
