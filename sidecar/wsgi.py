"""WSGI: the sidecar as a middleware, outermost around an application.

Source: PEP 3333.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterable, Iterator
from functools import cached_property
from http import HTTPStatus
from typing import Any, TypeAlias
from urllib.parse import quote, urlsplit

from sidecar.in_process.exchange import InProcessExchange, InProcessRequest
from sidecar.in_process.host import PolicyWrapper
from sidecar.policy.rules.conditions import RawFields

Environ: TypeAlias = dict[str, Any]
StartResponse: TypeAlias = Callable[..., Callable[[bytes], object]]
Application: TypeAlias = Callable[[Environ, StartResponse], Iterable[bytes]]

_BESIDE = {"CONTENT_TYPE": "Content-Type", "CONTENT_LENGTH": "Content-Length"}


class Middleware(PolicyWrapper[Application]):
    """A WSGI application around another; made with what `PolicyWrapper` takes."""

    @cached_property
    def _nonce(self) -> str:
        """The name of the request header that brings the service its nonce; empty = none."""
        nonce = self.host.settings.forwarding.nonce
        return "" if nonce == "off" else f"HTTP_{nonce.upper().replace('-', '_')}"

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if self._nonce:
            environ.pop(self._nonce, None)
        exchange = InProcessExchange(self.host, _asked(environ))
        key = exchange.report
        if key is not None:
            response = exchange.reject(_report(exchange, key, environ))
            return _respond(exchange, response, start_response)
        if exchange.too_large():
            return _respond(exchange, exchange.own(413), start_response)
        if exchange.nonce and self._nonce:
            environ[self._nonce] = exchange.nonce.decode("ascii")
        if exchange.reads_body:
            environ["wsgi.input"] = _Input(environ["wsgi.input"], exchange)
        return self._pass(exchange, environ, start_response)

    def _pass(
        self, exchange: InProcessExchange, environ: Environ, start_response: StartResponse
    ) -> Iterable[bytes]:
        started = False

        def starting(
            status: str, headers: list[tuple[str, str]], *error: Any
        ) -> Callable[[bytes], object]:
            nonlocal started
            started = True
            sent = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers]
            write = start_response(status, _text(exchange.judged(int(status[:3]), sent)), *error)

            def writing(piece: bytes) -> None:
                exchange.passed(piece)
                write(piece)

            return writing

        try:
            body = self._app(environ, starting)
        except Exception:
            if started:
                exchange.end(whole=False)
                raise
            environ["wsgi.errors"].write(traceback.format_exc())
            return _respond(exchange, exchange.own(500), start_response)
        wrapper = environ.get("wsgi.file_wrapper")
        if isinstance(wrapper, type) and isinstance(body, wrapper) and not exchange.copies:
            exchange.end()  # the server sends the file by itself
            return body
        return _Body(body, exchange)


class _Body:
    """The application's iterable, observed as it passes; its `close` is called (PEP 3333)."""

    def __init__(self, body: Iterable[bytes], exchange: InProcessExchange) -> None:
        self._body, self._exchange = body, exchange

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._body:
            self._exchange.passed(piece)
            yield piece
        self._exchange.end()

    def close(self) -> None:
        """The server is done."""
        self._exchange.end(whole=False)
        close = getattr(self._body, "close", None)
        if close is not None:
            close()


class _Input:
    """`wsgi.input`, of which the first bytes are kept as they are read."""

    def __init__(self, stream: Any, exchange: InProcessExchange) -> None:
        self._stream, self._exchange = stream, exchange

    def read(self, *size: int) -> bytes:
        """As the server's."""
        return self._kept(self._stream.read(*size))

    def readline(self, *size: int) -> bytes:
        """As the server's."""
        return self._kept(self._stream.readline(*size))

    def readlines(self, *hint: int) -> list[bytes]:
        """As the server's."""
        return [self._kept(line) for line in self._stream.readlines(*hint)]

    def __iter__(self) -> Iterator[bytes]:
        return map(self._kept, iter(self._stream))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def _kept(self, piece: bytes) -> bytes:
        exchange = self._exchange
        exchange.begun += piece[: max(0, exchange.reads_body - len(exchange.begun))]
        return piece


def _asked(environ: Environ) -> InProcessRequest:
    named = [(name, value) for name, value in _named(environ) if isinstance(value, str)]
    lines: RawFields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in named]
    length = environ.get("CONTENT_LENGTH") or ""
    host = environ.get("HTTP_HOST") or environ.get("SERVER_NAME", "")
    target = (environ["REQUEST_METHOD"], host, _path(environ), environ["wsgi.url_scheme"])
    size = int(length) if length.isascii() and length.isdigit() else 0
    return InProcessRequest(*target, environ.get("REMOTE_ADDR") or "unknown", lines, size)


def _named(environ: Environ) -> Iterator[tuple[str, Any]]:
    for key, value in environ.items():
        if key.startswith("HTTP_"):
            yield key[5:].replace("_", "-").title(), value
        elif key in _BESIDE and value:
            yield _BESIDE[key], value


def _path(environ: Environ) -> str:
    """The path as it was sent, if the server gives it; else encoded again (`%2F` is then lost)."""
    for key in ("RAW_URI", "REQUEST_URI"):
        raw = environ.get(key)
        if isinstance(raw, str) and raw:
            target = raw if raw.startswith("/") else urlsplit(raw).path
            return target.partition("?")[0] or "/"
    path = environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")
    return quote(path.encode("latin-1")) or "/"


def _report(exchange: InProcessExchange, key: str, environ: Environ) -> int:
    """Read a post of reports; returns the status of the response."""
    refused = exchange.refused_report()
    if refused:
        return refused
    length = int(environ.get("CONTENT_LENGTH") or 0)
    exchange.take_report(key, environ["wsgi.input"].read(length))
    return 204


def _respond(
    exchange: InProcessExchange,
    response: tuple[int, RawFields, bytes],
    start_response: StartResponse,
) -> Iterable[bytes]:
    status, fields, body = response
    start_response(f"{status} {HTTPStatus(status).phrase}", _text(fields))
    exchange.end()
    return [body]


def _text(fields: RawFields) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]
