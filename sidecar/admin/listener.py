"""The admin and health listeners: aiohttp's application runner with our error responses."""

from __future__ import annotations

from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from sidecar.admin.access import OWN_HEADERS


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
