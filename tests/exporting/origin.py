"""The service behind the sidecar and behind each target: it sends for ?response=NAME lines exactly
as they stand here.

Without a name it is a page.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

Lines = list[tuple[str, str]]

HTML = ("Content-Type", "text/html; charset=utf-8")
JSON = ("Content-Type", "application/json")
DROPPED = "dropped"
"""No response: the connection ends."""

RESPONSES: dict[str, tuple[int, Lines]] = {
    "page": (
        200,
        [
            HTML,
            ("Server", "gunicorn"),
            ("X-Powered-By", "Express"),
            ("Set-Cookie", "sessionid=1; Path=/"),
            ("Set-Cookie", "csrftoken=abc"),
            (
                "Set-Cookie",
                "theme=dark; secure; HttpOnly; SameSite=none; Max-Age=9; Domain=shop.example",
            ),
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
            ("Cross-Origin-Opener-Policy", "same-origin"),
            ("X-XSS-Protection", "1"),
            ("Cache-Control", "private"),
            ("Vary", "Cookie"),
            ("X-Odd", "$5; \"a\" \\b 100% {c} 'd' #e"),
            ("Access-Control-Allow-Origin", "https://a.example"),
        ],
    ),
    "large": (200, [HTML, ("Server", "gunicorn")]),
    "data": (
        200,
        [JSON, ("X-Powered-By", "PHP/8.2"), ("Cache-Control", "no-cache"), ("Vary", "Origin")],
    ),
    "problem": (422, [("Content-Type", "application/problem+json"), ("X-Odd", "a")]),
    "xhtml": (200, [("Content-Type", "application/xhtml+xml"), ("Set-Cookie", "sid=7; secure")]),
    "picture": (200, [("Content-Type", "image/svg+xml"), ("ETag", '"abc"')]),
    "style": (200, [("Content-Type", "text/css"), ("ETag", '"abc"'), ("Cache-Control", "public")]),
    "file": (200, [HTML, ("Content-Disposition", "attachment; filename=a.html")]),
    "inline": (200, [HTML, ("Content-Disposition", "inline")]),
    "archive": (200, [("Content-Type", "application/zip")]),
    "untyped": (200, []),
    "created": (201, [JSON, ("X-Runtime", "0.1")]),
    "empty": (204, [("X-Powered-By", "Express")]),
    "moved": (302, [HTML, ("Location", "/login")]),
    "unchanged": (
        304,
        [("ETag", '"abc"'), ("Cache-Control", "public"), ("X-Frame-Options", "DENY")],
    ),
    "forbidden": (403, [HTML, ("X-Frame-Options", "SAMEORIGIN"), ("X-Powered-By", "Express")]),
    "missing": (404, [HTML, ("X-Generator", "Drupal")]),
    "broken": (500, [HTML, ("Referrer-Policy", "origin")]),
    "unavailable": (503, [JSON, ("Retry-After", "5")]),
    "repeated": (
        200,
        [
            HTML,
            ("X-Frame-Options", "DENY"),
            ("X-Frame-Options", "SAMEORIGIN"),
            ("Vary", "Cookie"),
            ("Vary", "Accept"),
            ("X-Odd", "a"),
            ("X-Odd", "b"),
            ("Content-Security-Policy", "default-src 'self'"),
            ("Content-Security-Policy", "object-src 'none'"),
        ],
    ),
    "odd-case": (
        200,
        [("Content-Type", "Text/HTML"), ("X-Odd", "A"), ("Content-Disposition", "INLINE")],
    ),
    "hollow": (200, [HTML, ("X-Frame-Options", ""), ("X-Odd", "")]),
}
"""By name: status and header lines, without those that frame the message."""

BODIES = {"large": b"x" * 200_000}
"""Those that are not short: they fill the buffers in which proxies also keep the header lines."""
ODD = frozenset(("repeated", "odd-case", "hollow"))
"""Responses in which targets may differ as their limits say."""


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        name = parse_qs(urlsplit(self.path).query).get("response", ["page"])[0]
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if name == DROPPED:
            self.close_connection = True
            return
        status, lines = RESPONSES[name]
        body = b"" if status in (204, 304) or self.command == "HEAD" else BODIES.get(name, b"ok")
        self.send_response_only(status)
        for field, value in lines:
            self.send_header(field, value)
        if status not in (204, 304):
            self.send_header("Content-Length", str(len(BODIES.get(name, b"ok"))))
        self.end_headers()
        self.wfile.write(body)

    do_POST = do_HEAD = do_GET

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
