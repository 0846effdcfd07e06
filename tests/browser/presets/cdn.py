"""The hosts that FastAPI's documentation pages load from, on loopback, with the real Swagger UI and
ReDoc.

One HTTPS server for all of them, in a thread.
"""

from __future__ import annotations

import importlib.resources
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from tests.browser.presets.sites.content import PICTURE

HOSTS = (
    "cdn.jsdelivr.net",
    "fastapi.tiangolo.com",
    "fonts.googleapis.com",
    "fonts.gstatic.com",
    "cdn.redoc.ly",
)
_FILES = {
    "/npm/swagger-ui-dist@5/swagger-ui-bundle.js": (
        "text/javascript",
        "swagger-ui-dist/swagger-ui-bundle.js",
    ),
    "/npm/swagger-ui-dist@5/swagger-ui.css": ("text/css", "swagger-ui-dist/swagger-ui.css"),
    "/npm/redoc@2/bundles/redoc.standalone.js": (
        "text/javascript",
        "redoc/bundles/redoc.standalone.js",
    ),
}
_FONTS = (
    '@font-face { font-family: "Montserrat"; src: url(https://fonts.gstatic.com/s/montserrat.woff2)'
    ' format("woff2"); }\n'
)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        host, path = self.headers["Host"], self.path.partition("?")[0]
        if host == "cdn.jsdelivr.net" and path in _FILES:
            media, name = _FILES[path]
            folder = (
                importlib.resources.files("drf_spectacular_sidecar")
                / "static"
                / "drf_spectacular_sidecar"
            )
            self._response(media, (folder / name).read_bytes())
        elif host == "fonts.googleapis.com":
            self._response("text/css", _FONTS.encode())
        elif host == "fonts.gstatic.com":
            self._response("font/woff2", b"no font, as the browser will say")
        elif host in ("fastapi.tiangolo.com", "cdn.redoc.ly"):
            self._response("image/png", PICTURE)
        else:
            self.send_error(404)

    def _response(self, media: str, body: bytes) -> None:
        self.send_response(200)
        for name, value in (
            ("Content-Type", media),
            ("Content-Length", str(len(body))),
            ("Access-Control-Allow-Origin", "*"),
        ):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is logged."""


class Cdn:
    """The server; `address` as HOST:PORT."""

    def __init__(self, certificate: Path, key: Path) -> None:
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, kwargs={"poll_interval": 0.05}
        )
        self._thread.start()

    def close(self) -> None:
        """End the server and its thread."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()
