"""Applications for ASGI and WSGI that send the lines of tests/exporting/origin.py, and calls of
them without a server.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote_to_bytes

from sidecar import asgi, wsgi
from tests.e2e import wire
from tests.exporting.asking import Ask
from tests.exporting.origin import RESPONSES, Lines


async def asgi_app(scope: Any, receive: Any, send: Any) -> None:
    """Send what the query names."""
    name = parse_qs(scope["query_string"].decode())["response"][0]
    status, lines = RESPONSES[name]
    fields = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": b"ok"})


def wsgi_app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The same."""
    status, lines = RESPONSES[parse_qs(environ["QUERY_STRING"])["response"][0]]
    start_response(f"{status} {HTTPStatus(status).phrase}", list(lines))
    return [b"ok"]


class Calling:
    """One middleware around one of the two, with a policy that changes."""

    def __init__(self, kind: str, folder: Path, policy: str) -> None:
        folder.mkdir()
        self.file = folder / "policy.yaml"
        self.file.write_text(policy)
        options: dict[str, Any] = {
            "events": folder / "events.jsonl",
            "state": str(folder / "state"),
            "admin": "127.0.0.1:0",
            "health": "127.0.0.1:0",
        }
        self._asgi = asgi.Middleware(asgi_app, self.file, **options) if kind == "asgi" else None
        self._wsgi = wsgi.Middleware(wsgi_app, self.file, **options) if kind == "wsgi" else None
        made = self._asgi or self._wsgi
        assert made is not None
        self.host = made.host
        self.host.start()

    def put(self, policy: str) -> None:
        """Bring a policy in force, now."""
        self.file.write_text(policy)
        host, _, port = self.host.admin.rpartition(":")
        headers = [("Host", "127.0.0.1"), ("Content-Type", "application/json")]
        body = json.dumps({"unpin": True}).encode()
        response = wire.ask((host, int(port)), wire.request("POST", "/-/reload", headers, body))
        assert response.json()["result"] in ("activated", "unchanged"), response

    def ask(self, one: Ask) -> tuple[int, Lines]:
        """Status and header lines of what leaves."""
        return self._by_asgi(one) if self._asgi else self._by_wsgi(one)

    def _by_asgi(self, one: Ask) -> tuple[int, Lines]:
        lines = [("Host", one.host), *one.headers]
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "method": one.method,
            "scheme": one.scheme,
            "path": unquote_to_bytes(one.path).decode("utf-8", "replace"),
            "raw_path": one.path.encode(),
            "query_string": f"response={one.response}".encode(),
            "headers": [(name.lower().encode(), value.encode()) for name, value in lines],
            "client": ("127.0.0.1", 1),
        }
        sent: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        assert self._asgi is not None
        asyncio.run(self._asgi(scope, receive, send))  # type: ignore[arg-type]
        start = sent[0]
        return start["status"], [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"]
        ]

    def _by_wsgi(self, one: Ask) -> tuple[int, Lines]:
        environ: dict[str, Any] = {
            "REQUEST_METHOD": one.method,
            "HTTP_HOST": one.host,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote_to_bytes(one.path).decode("latin-1"),
            "RAW_URI": f"{one.path}?response={one.response}",
            "QUERY_STRING": f"response={one.response}",
            "REMOTE_ADDR": "127.0.0.1",
            "SERVER_NAME": "localhost",
            "wsgi.url_scheme": one.scheme,
            "wsgi.input": io.BytesIO(),
            "wsgi.errors": sys.stderr,
        }
        environ |= {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in one.headers}
        found: list[tuple[int, Lines]] = []

        def start_response(status: str, headers: Lines, *_: object) -> Any:
            found.append((int(status[:3]), headers))

        assert self._wsgi is not None
        body = self._wsgi(environ, start_response)
        assert b"".join(body) == b"ok"
        body.close()  # type: ignore[attr-defined]
        return found[0]
