"""Tell a request as it arrived, whatever its path: a request that carries `X-Echo` never reaches
the app.

One wrapper for WSGI, one for ASGI, below the frameworks' routing, which would redirect or refuse
odd targets.
"""

import json
from collections.abc import Iterable
from typing import Any

from tests.services.samples import reported


def wsgi(app: Any) -> Any:
    """Wrap a WSGI app; the raw target as gunicorn tells it."""

    def wrapped(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if "HTTP_X_ECHO" not in environ:
            return app(environ, start_response)
        headers = [
            (key[5:].replace("_", "-").lower(), value)
            for key, value in environ.items()
            if key.startswith("HTTP_")
        ]
        body = json.dumps(
            reported(environ["RAW_URI"], headers, environ["wsgi.input"].read())
        ).encode()
        start_response(
            "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        )
        return [body]

    return wrapped


def asgi(app: Any) -> Any:
    """Wrap an ASGI app."""

    async def wrapped(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http" or not any(name == b"x-echo" for name, _ in scope["headers"]):
            await app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body += message.get("body", b"")
            more = message.get("more_body", False)
        target = scope["raw_path"] + (
            b"?" + scope["query_string"] if scope["query_string"] else b""
        )
        headers = [
            (name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]
        ]
        response = json.dumps(reported(target.decode("latin-1"), headers, body)).encode()
        fields = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(response)).encode()),
        ]
        await send({"type": "http.response.start", "status": 200, "headers": fields})
        await send({"type": "http.response.body", "body": response})

    return wrapped
