"""ASGI: the sidecar as a middleware, outermost around an application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from functools import cached_property
from typing import Any, TypeAlias
from urllib.parse import quote

from sidecar.in_process.exchange import InProcessExchange, InProcessRequest
from sidecar.in_process.host import PolicyWrapper
from sidecar.policy.rules.conditions import RawFields
from sidecar.policy.terms import PolicyError

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]


class Middleware(PolicyWrapper[Application]):
    """An ASGI application around another; made with what `PolicyWrapper` takes."""

    @cached_property
    def _nonce(self) -> bytes:
        """The name of the request header that brings the service its nonce; empty = none."""
        nonce = self.host.settings.forwarding.nonce
        return b"" if nonce == "off" else nonce.lower().encode("ascii")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, WebSocket or lifespan."""
        if scope["type"] == "lifespan":
            await self._lifespan(scope, receive, send)
        elif scope["type"] == "http":
            await self._http(scope, receive, send)
        else:  # what a WebSocket sends is no response; its rejection by the extension is no page
            await self._app(scope, receive, send)

    async def _lifespan(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Start and end with the application; the server learns why a start fails."""
        first = await receive()
        try:
            await asyncio.to_thread(self.host.start)
        except PolicyError as error:
            await send({"type": "lifespan.startup.failed", "message": str(error)})
            return
        pending = [first]

        async def received() -> Message:
            message = pending.pop() if pending else await receive()
            if message["type"] == "lifespan.shutdown":
                await asyncio.to_thread(self.host.stop)
            return message

        await self._app(scope, received, send)

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not self.host.is_running:
            await asyncio.to_thread(self.host.start)
        exchange = InProcessExchange(self.host, self._asked(scope))
        try:
            key = exchange.report
            if key is not None:
                await _respond(send, exchange.reject(await _report(exchange, key, receive)))
            elif exchange.too_large():
                await _respond(send, exchange.own(413))
            else:
                await self._pass(exchange, scope, receive, send)
        finally:
            exchange.end(whole=False)

    async def _pass(
        self, exchange: InProcessExchange, scope: Scope, receive: Receive, send: Send
    ) -> None:
        """Call the application; if it fails before its response, send an error response."""
        started = False

        async def sending(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                sent = [(bytes(name), bytes(value)) for name, value in message.get("headers", ())]
                message = {**message, "headers": exchange.judged(message["status"], sent)}
            elif message["type"] == "http.response.body":
                exchange.passed(message.get("body", b""))
                if not message.get("more_body", False):
                    exchange.end()
            await send(message)

        async def receiving() -> Message:
            message = await receive()
            room = exchange.reads_body - len(exchange.begun)
            if room > 0 and message["type"] == "http.request":
                exchange.begun += message.get("body", b"")[:room]
            return message

        try:
            await self._app(self._given(scope, exchange.nonce), receiving, sending)
        except Exception:
            if not started:
                await _respond(send, exchange.own(500))
            raise

    def _given(self, scope: Scope, nonce: bytes) -> Scope:
        """What the application sees: no client's nonce, and ours where the policy has one."""
        if not self._nonce:
            return scope
        lines = [line for line in scope["headers"] if line[0].lower() != self._nonce]
        if nonce:
            lines.append((self._nonce, nonce))
        return {**scope, "headers": lines}

    def _asked(self, scope: Scope) -> InProcessRequest:
        sent = [(bytes(name), bytes(value)) for name, value in scope["headers"]]
        lines: RawFields = [line for line in sent if line[0].lower() != self._nonce]
        raw = scope.get("raw_path") or quote(scope["path"]).encode("ascii")
        named = {name.lower(): value for name, value in lines}
        length = named.get(b"content-length", b"")
        host, path = named.get(b"host", b""), raw.partition(b"?")[0]
        where = (host.decode("latin-1"), path.decode("latin-1"), scope.get("scheme", "http"))
        client = (scope.get("client") or ("unknown",))[0]
        size = int(length) if length.isdigit() else 0
        return InProcessRequest(scope["method"], *where, client, lines, size)


async def _report(exchange: InProcessExchange, key: str, receive: Receive) -> int:
    """Read a post of reports; returns the status of the response."""
    refused = exchange.refused_report()
    if refused:
        return refused
    taken = b""
    while True:
        message = await receive()
        taken += message.get("body", b"")
        if len(taken) > exchange.most:
            return 413
        if message["type"] != "http.request" or not message.get("more_body", False):
            break
    exchange.take_report(key, taken)
    return 204


async def _respond(send: Send, response: tuple[int, RawFields, bytes]) -> None:
    status, fields, body = response
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})
