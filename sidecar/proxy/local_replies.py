"""Responses of our own: small, plain, and without anything that the client sent or that names this
software.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from sidecar.proxy.http1.grammar import Fields
from sidecar.proxy.http1.responses import Response, made

RETRY_AFTER: Final = b"1"
"""Seconds; the conditions that we answer 503 for pass quickly or not at all."""
AGAIN: Final = ((b"Retry-After", RETRY_AFTER),)
"""With the other statuses for a service that takes no connection, as while it starts anew."""


def local_reply(
    status: int,
    extra: tuple[tuple[bytes, bytes], ...],
    looks: frozenset[bytes] = frozenset(),
) -> tuple[Response, bytes]:
    """A response and its body; a 204 has none. `looks` are the lower-case names of the lines
    that rules look at.
    """
    phrase = HTTPStatus(status).phrase
    body = b"" if status == 204 else f"{status} {phrase}\n".encode("ascii")
    fields: Fields = [(b"Date", _date(int(time.time())))]
    if body:
        fields += [
            (b"Content-Type", b"text/plain; charset=utf-8"),
            (b"Content-Length", b"%d" % len(body)),
        ]
        fields.append((b"Cache-Control", b"no-store"))
    if status == 503:
        fields.append((b"Retry-After", RETRY_AFTER))
    fields.extend(extra)
    line = f" {status} {phrase}".encode("ascii")
    return made(status, line, fields, len(body), looks), body


@lru_cache(maxsize=2)
def _date(now: int) -> bytes:
    return formatdate(now, usegmt=True).encode("ascii")
