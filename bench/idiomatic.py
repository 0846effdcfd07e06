"""A reverse proxy as aiohttp's users write it: an application, a catch-all route, a session.

Run as a script by the benchmark; must not know the benchmark. Streams both bodies,
passes end-to-end headers on, sets and removes response headers from a JSON file.
"""

import argparse
import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import uvloop
from aiohttp import web
from multidict import CIMultiDict

HOP_BY_HOP = {
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
LOOPS = {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
UPSTREAM = web.AppKey("upstream", str)
SESSION = web.AppKey("session", aiohttp.ClientSession)
SET = web.AppKey("set", dict[str, str])
REMOVE = web.AppKey("remove", list[str])


def end_to_end(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """The headers without those that belong to one hop (RFC 9110 section 7.6.1)."""
    return CIMultiDict((k, v) for k, v in headers.items() if k.lower() not in HOP_BY_HOP)


async def relay(request: web.Request) -> web.StreamResponse:
    """Ask upstream, change the response's headers, stream the response on."""
    headers = end_to_end(CIMultiDict(request.headers))
    headers["X-Forwarded-For"] = request.remote or ""
    headers["X-Forwarded-Proto"] = request.scheme
    headers["X-Forwarded-Host"] = request.host
    async with request.app[SESSION].request(
        request.method,
        request.app[UPSTREAM] + request.path_qs,
        headers=headers,
        data=request.content if request.can_read_body else None,
        allow_redirects=False,
    ) as upstream:
        response = web.StreamResponse(
            status=upstream.status,
            reason=upstream.reason,
            headers=end_to_end(CIMultiDict(upstream.headers)),
        )
        response.headers.update(request.app[SET])
        for name in request.app[REMOVE]:
            response.headers.popall(name, None)
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def strip_server(_request: web.Request, response: web.StreamResponse) -> None:
    """Undo the Server header that aiohttp adds of its own accord."""
    response.headers.popall("Server", None)


async def hold_session(app: web.Application) -> AsyncIterator[None]:
    """One client session for the life of the application."""
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0), auto_decompress=False
    ) as session:
        app[SESSION] = session
        yield


def main() -> None:
    """Serve until ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--rules", type=Path, required=True)
    parser.add_argument("--loop", choices=LOOPS, required=True)
    args = parser.parse_args()

    app = web.Application(client_max_size=0)
    app[UPSTREAM] = args.upstream
    rules = json.loads(args.rules.read_text())
    app[SET], app[REMOVE] = rules["set"], rules["remove"]
    app.cleanup_ctx.append(hold_session)
    app.on_response_prepare.append(strip_server)
    app.router.add_route("*", "/{path:.*}", relay)
    web.run_app(
        app,
        host="127.0.0.1",
        port=args.port,
        access_log=None,
        print=None,
        loop=LOOPS[args.loop](),
    )


if __name__ == "__main__":
    main()
