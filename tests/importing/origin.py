"""A service that answers a fixed set of responses, chosen by ?response=NAME, else `missing`; its
heads leave exactly as they stand here.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Lines = list[tuple[str, str]]

HTML = ("Content-Type", "text/html; charset=utf-8")
ANSWERS: dict[str, tuple[int, Lines]] = {
    "page": (
        200,
        [
            HTML,
            ("Server", "gunicorn"),
            ("X-Powered-By", "Express"),
            ("Vary", "Cookie"),
            ("Set-Cookie", "session=1; Path=/"),
            ("Set-Cookie", "theme=dark"),
        ],
    ),
    "hardened": (
        200,
        [
            HTML,
            ("Content-Security-Policy", "default-src 'none'"),
            ("Strict-Transport-Security", "max-age=60"),
            ("X-Frame-Options", "DENY"),
            ("X-Content-Type-Options", "nosniff"),
            ("Referrer-Policy", "no-referrer"),
            ("Permissions-Policy", "camera=()"),
            ("X-XSS-Protection", "1"),
            ("Cache-Control", "private"),
            ("Access-Control-Allow-Origin", "https://a.example"),
        ],
    ),
    "data": (
        200,
        [
            ("Content-Type", "application/json"),
            ("X-Powered-By", "PHP/8.2"),
            ("X-Request-Id", "7"),
            ("Cache-Control", "no-cache"),
        ],
    ),
    "style": (
        200,
        [
            ("Content-Type", "text/css"),
            ("ETag", '"abc"'),
            ("Cache-Control", "public"),
            ("Vary", "Accept-Encoding"),
        ],
    ),
    "created": (201, [("Content-Type", "application/json"), ("X-Runtime", "0.1")]),
    "empty": (204, [("X-Powered-By", "Express")]),
    "moved": (302, [HTML, ("Location", "/login")]),
    "unchanged": (304, [("ETag", '"abc"'), ("Cache-Control", "public")]),
    "forbidden": (403, [HTML, ("X-Frame-Options", "SAMEORIGIN"), ("X-Powered-By", "Express")]),
    "missing": (404, [HTML, ("X-Generator", "Drupal")]),
    "broken": (500, [HTML, ("X-Powered-By", "Express"), ("Referrer-Policy", "origin")]),
}
"""By name: status and header lines, without those that frame the message."""


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        status, lines = ANSWERS[parse_qs(urlsplit(self.path).query).get("response", ["missing"])[0]]
        body = b"" if status in (204, 304) else b"ok"
        self.send_response_only(status)
        for name, value in lines:
            self.send_header(name, value)
        if body:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@contextmanager
def origin() -> Iterator[int]:
    """The service on a port of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Answering)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
