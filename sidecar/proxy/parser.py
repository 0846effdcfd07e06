"""aiohttp's request parser (llhttp in C): how it is made, and what its complaints mean.

Lives here: `make_parser`, `Incoming` and `refusal_for`. Must not know connections or what follows a refusal.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple, Protocol

from aiohttp.http import HttpRequestParser, HttpVersion
from aiohttp.http_exceptions import BadHttpMethod, BadStatusLine, InvalidURLError, LineTooLong
from aiohttp.streams import StreamReader

from sidecar.proxy.faults import Refused
from sidecar.proxy.flow import Flow, Parser
from sidecar.settings import Limits


class Message(Protocol):
    """A request's head as aiohttp's parser has split it; its own class differs between its two parsers."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def version(self) -> HttpVersion: ...
    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]: ...
    @property
    def should_close(self) -> bool: ...
    @property
    def upgrade(self) -> bool: ...
    @property
    def chunked(self) -> bool: ...


class Incoming(NamedTuple):
    """A parsed request with its body, or the fault that stands in its place."""

    message: Message | Refused
    body: StreamReader
    data: int
    """Of the head, at most."""


def make_parser(
    protocol: Flow, loop: asyncio.AbstractEventLoop, limits: Limits, buffer: int
) -> Parser:
    """A parser that stops behind each request: its queue holds one.

    The limits are judged in rules.py; here they bound what the parser may hold, and end a line that never ends.
    """
    return HttpRequestParser(
        protocol,  # type: ignore[arg-type]  # it asks for no more than Flow has: tests/proxy/test_aiohttp.py
        loop,
        buffer,
        max_line_size=limits.target_bytes,
        # By its limit alone a LineTooLong tells a target from a field.
        max_field_size=limits.header_bytes + (limits.header_bytes == limits.target_bytes),
        max_headers=limits.headers,
        auto_decompress=False,
        max_msg_queue_size=1,
    )


def refusal_for(error: Exception, limits: Limits) -> Refused:
    """The response to a complaint. Its text holds the client's bytes: it is searched here, never reported."""
    if isinstance(error, LineTooLong):
        if error.args[1] == limits.target_bytes:
            return Refused(414, "target_too_long")
        return Refused(431, "header_too_large")
    if isinstance(error, BadHttpMethod):
        return Refused(400, "method")
    if isinstance(error, InvalidURLError):
        return Refused(400, "target")
    if isinstance(error, BadStatusLine):
        return Refused(400, "version")
    text = str(error).partition(":\n\n")[0]
    if "Too many headers" in text:
        return Refused(431, "header_too_large")
    framing = ("Transfer-Encoding", "Content-Length", "chunk")
    return Refused(400, "framing" if any(word in text for word in framing) else "malformed")
