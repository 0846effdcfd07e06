"""What the sample services answer, the same words for each framework.

Fixed bodies and headers, and gates by which a test holds a response open.
"""

import gzip
import hashlib
import threading
from collections.abc import Iterator

from tests.patience import PATIENCE

USER, PASSWORD = "clerk", "correct horse"
PAGE = "<!doctype html><html lang=en><title>Sample shop</title><h1>Sample shop</h1></html>\n"
ITEMS = {"items": ["kettle", "teapot"]}
FILE = bytes(range(256)) * 512
ETAG = '"v1-page"'
GZIP = gzip.compress(PAGE.encode() * 20, mtime=0)
CHUNKS = (b"first ", b"second ", b"third ") * 20
REPEATED = (
    ("X-Trace", "one"),
    ("Link", "</a.css>; rel=preload"),
    ("X-Trace", "two"),
    ("x-trace", "THREE"),
    ("Link", "</b.css>; rel=preload"),
)
COOKIES = (
    "sessionid=8c1f2e; expires=Wed, 09 Jun 2055 10:18:14 GMT; Path=/",
    "theme=dark; Max-Age=3600; Path=/; HttpOnly",
    "cart=a1b2; expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/; SameSite=Lax; Secure",
)
EVENTS = ("data: first\n\n", "data: last\n\n")


class Gates:
    """Gates by name: a response waits at one until a request opens it."""

    def __init__(self) -> None:
        self._gates: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def named(self, name: str) -> threading.Event:
        """The gate of this name, made at first sight."""
        with self._lock:
            return self._gates.setdefault(name, threading.Event())

    def open(self, name: str) -> None:
        """Let what waits at this gate go on."""
        self.named(name).set()

    def wait(self, name: str) -> None:
        """Wait until the gate is open."""
        self.named(name).wait(PATIENCE)


def events(gates: Gates, name: str) -> Iterator[bytes]:
    """Server-sent events: the first at once, the last when the gate opens."""
    yield EVENTS[0].encode()
    gates.wait(name)
    yield EVENTS[1].encode()


def reported(target: str, headers: list[tuple[str, str]], body: bytes) -> dict[str, object]:
    """What the service received, as data: long bodies as length and hash."""
    return {
        "target": target,
        "headers": headers,
        "length": len(body),
        "sha256": hashlib.sha256(body).hexdigest(),
        "body": body[:4096].decode("latin-1"),
    }
