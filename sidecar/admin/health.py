"""Probes and metrics: read-only, no secrets, may be bound to the pod's address.

Lives here: /livez /readyz /metrics. Must not know orders, or what the checks look at.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from sidecar.admin.access import OWN_HEADERS
from sidecar.telemetry import Telemetry

Readiness: TypeAlias = Awaitable[dict[str, str]]
"""What stands against taking traffic, by check: "" = nothing."""


def health_app(
    ready: Callable[[], Readiness], telemetry: Telemetry, refresh: Callable[[], Awaitable[None]]
) -> web.Application:
    """The application of the health listener."""
    app = web.Application()
    app.on_response_prepare.append(_owned)
    add_health(app, ready, telemetry, refresh)
    return app


def add_health(
    app: web.Application,
    ready: Callable[[], Readiness],
    telemetry: Telemetry,
    refresh: Callable[[], Awaitable[None]],
) -> None:
    """Add the three paths (and /healthz, as others call /livez) to an application.

    `refresh` brings the metrics up to date before they are reported.
    """

    async def livez(_request: web.Request) -> web.Response:
        return _response(200, "ok\n")

    async def readyz(_request: web.Request) -> web.Response:
        checks = await ready()
        text = "".join(
            f"[{'-' if against else '+'}] {name}{': ' if against else ''}{against}\n"
            for name, against in checks.items()
        )
        return _response(503 if any(checks.values()) else 200, text)

    async def metrics(_request: web.Request) -> web.Response:
        from sidecar.telemetry.exposition import CONTENT_TYPE  # with the first scrape

        await refresh()
        telemetry.metrics.settle()
        data = await asyncio.to_thread(telemetry.metrics.render)
        return web.Response(
            body=data, headers=OWN_HEADERS | {"Content-Type": CONTENT_TYPE, "Server": "sidecar"}
        )

    for path, handler in (
        ("/livez", livez),
        ("/healthz", livez),
        ("/readyz", readyz),
        ("/metrics", metrics),
    ):
        app.router.add_get(path, handler)


async def _owned(_request: web.Request, response: web.StreamResponse) -> None:
    """What the router refuses (404, 405) is aiohttp's own response, and would name it."""
    for name, value in OWN_HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "sidecar"


def _response(status: int, text: str) -> web.Response:
    return web.Response(status=status, text=text, headers=OWN_HEADERS | {"Server": "sidecar"})
