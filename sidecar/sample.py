"""A small service with the usual faults, and the CDN that its page loads a script from."""

from __future__ import annotations

import asyncio
from typing import TypeVar

from aiohttp import web

_Response = TypeVar("_Response", bound=web.StreamResponse)

_PAGE = """\
<!doctype html>
<html lang=en>
<title>Sample shop</title>
<h1>Sample shop</h1>
<p>A page as many services send it: tea for <b id=price>?</b>, in stock: <b id=stock>?</b>.</p>
<script>document.getElementById("price").textContent = "4 euros"</script>
<script src="{cdn}/stock.js"></script>
</html>
"""


def cdn() -> web.Application:
    """Another origin, with one script that the sample service's page needs."""
    app = web.Application()

    async def script(_request: web.Request) -> web.Response:
        text = 'document.getElementById("stock").textContent = "12"\n'
        return web.Response(text=text, content_type="text/javascript")

    app.router.add_get("/stock.js", script)
    return app


def service(cdn: str) -> web.Application:
    """A service with revealing names, a weak cookie, no CSP, a 500 and more; `cdn`: an origin."""
    app = web.Application()

    async def home(_request: web.Request) -> web.Response:
        response = _faulty(web.Response(text=_PAGE.format(cdn=cdn), content_type="text/html"))
        response.headers.add("Set-Cookie", "sessionid=8c1f2e; Path=/")
        return response

    async def api(_request: web.Request) -> web.Response:
        return _faulty(web.json_response({"items": ["kettle", "teapot"]}))

    async def broken(_request: web.Request) -> web.Response:
        text = "<h1>Internal error in shop.views line 42</h1>\n"
        return _faulty(web.Response(status=500, text=text, content_type="text/html"))

    async def old(_request: web.Request) -> web.Response:
        return _faulty(web.Response(status=302, headers={"Location": "/"}))

    async def stream(request: web.Request) -> web.StreamResponse:
        response = _faulty(web.StreamResponse(headers={"Content-Type": "text/event-stream"}))
        await response.prepare(request)
        for tick in range(5):
            await response.write(f"data: tick {tick}\n\n".encode())
            await asyncio.sleep(0.5)
        return response

    app.router.add_get("/", home)
    app.router.add_get("/api/items", api)
    app.router.add_get("/broken", broken)
    app.router.add_get("/old", old)
    app.router.add_get("/stream", stream)
    return app


def _faulty(response: _Response) -> _Response:
    response.headers["Server"] = "SampleShop/1.4.2 (Python)"
    response.headers["X-Powered-By"] = "shop-framework 0.9"
    return response
