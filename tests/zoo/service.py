"""Every origin of every site, in one server of this process: plain HTTP and HTTPS, told apart by
host name.
"""

from __future__ import annotations

import asyncio
import ssl
import threading
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from aiohttp import web

from tests.zoo.site import Asked, Page, Scheme, Site

SHARED = {"cdn": "cdn.test", "api": "api.test", "other": "other.test"}
"""Hosts that all sites use; a site's own part of them stands below a folder of its name."""


class Service:
    """The server; `plain` and `secure` are its ports."""

    plain: int
    secure: int

    def __init__(self, sites: Iterable[Site], certificate: Path, key: Path) -> None:
        self._sites = {site.name: site for site in sites}
        self._own: dict[str, str] = {}
        self._tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._tls.load_cert_chain(certificate, key)
        self._arrived: dict[str, Counter[str]] = {name: Counter() for name in self._sites}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()

    async def _start(self) -> None:
        self._runner = web.ServerRunner(web.Server(self._serve))
        await self._runner.setup()
        ports = []
        for tls in (None, self._tls):
            site = web.TCPSite(self._runner, "127.0.0.1", 0, ssl_context=tls)
            await site.start()
            server = site._server
            assert isinstance(server, asyncio.Server)
            ports.append(int(server.sockets[0].getsockname()[1]))
        self.plain, self.secure = ports

    def close(self) -> None:
        """End the server and its thread."""
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def arrivals(self, site: Site) -> dict[str, int]:
        """How many requests have arrived for each place of a site."""
        return dict(self._arrived[site.name])  # in one step, while the other thread counts on

    def reached_at(self, site: Site, url: str) -> None:
        """Say at which URL browsers reach a site."""
        self._own[site.name] = url

    def origin(self, scheme: Scheme, host: str) -> str:
        """The origin of a shared host, as a site of this scheme uses it."""
        return (
            f"https://{host}:{self.secure}" if scheme == "https" else f"http://{host}:{self.plain}"
        )

    def filled(self, site: Site, text: str) -> str:
        """A text with the URLs of this site in place of the placeholders."""
        other = self.origin(site.scheme, SHARED["other"])
        urls = {
            "%SITE%": self._own.get(site.name, ""),
            "%OTHER-ORIGIN%": other,
            "%PLAIN%": f"http://{site.host}:{self.plain}",
            "%SUB%": f"http://sub.{site.host}:{self.plain}",
        }
        urls |= {
            f"%{word.upper()}%": f"{self.origin(site.scheme, host)}/{site.name}"
            for word, host in SHARED.items()
        }
        for word, url in urls.items():
            text = text.replace(word, url)
        return text

    def _place(self, request: web.BaseRequest) -> tuple[Site | None, str]:
        host = request.host.partition(":")[0]
        for word, shared in SHARED.items():
            if host == shared:
                name, _, path = request.path.removeprefix("/").partition("/")
                return self._sites.get(name), f"{word}:/{path}"
        if host.startswith("sub."):
            return (
                self._sites.get(host.removeprefix("sub.").removesuffix(".test")),
                f"sub:{request.path}",
            )
        return self._sites.get(host.removesuffix(".test")), request.path

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        site, place = self._place(request)
        if site is None:
            return web.Response(status=404)
        made = site.places.get(place)
        asked = Asked(
            request.method,
            request.path,
            {name.lower(): value for name, value in request.headers.items()},
            request.cookies,
            await _form(request),
        )
        self._arrived[site.name][place] += 1
        page = (
            Page("not found", "text/plain", 404)
            if made is None
            else made
            if isinstance(made, Page)
            else made(asked)
        )
        if page.status == 101:
            return await _spoken(request, self.filled(site, str(page.body)))
        body = self.filled(site, page.body).encode() if isinstance(page.body, str) else page.body
        response = (_Untyped if page.type is None else web.StreamResponse)(status=page.status)
        for name, value in page.headers:
            response.headers.add(name, self.filled(site, value))
        if page.type is not None:
            response.headers["Content-Type"] = page.type
        response.content_length = len(body)
        await response.prepare(request)
        await response.write(body)
        await response.write_eof()
        return response


async def _spoken(request: web.BaseRequest, text: str) -> web.StreamResponse:
    """A WebSocket over which one text goes."""
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    await socket.send_str(text)
    await socket.close()
    return socket


class _Untyped(web.StreamResponse):
    """A response without Content-Type, which aiohttp would add."""

    async def _write_headers(self) -> None:
        self.headers.popall("Content-Type", None)
        await super()._write_headers()


async def _form(request: web.BaseRequest) -> Mapping[str, str]:
    if request.method != "POST" or "urlencoded" not in request.headers.get("Content-Type", ""):
        return {}
    return {name: value for name, value in (await request.post()).items() if isinstance(value, str)}
