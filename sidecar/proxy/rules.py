"""What may pass from a request to the upstream, and the bytes of heads that leave. RFC 9110 and 9112.

Lives here: pure functions over parsed heads: framing, hop-by-hop lines, Host and target. Must not know
responses, sockets, the pool, forwarding headers' meaning, or the policy.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

from aiohttp.http import HttpVersion10, HttpVersion11

from sidecar.proxy.faults import Refused
from sidecar.proxy.parser import Message
from sidecar.settings import Limits

Fields: TypeAlias = list[tuple[bytes, bytes]]

CHUNKED: Final = -1
UNTIL_CLOSE: Final = -2
"""Body lengths that are not a number of bytes."""

LAST_CHUNK: Final = b"0\r\n\r\n"

IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE"})
"""RFC 9110 section 9.2.2; TRACE is refused."""

# RFC 9110 section 7.6.1, and the names that some senders treat alike; HTTP2-Settings belongs to h2c.
HOP_BY_HOP = frozenset({b"keep-alive", b"proxy-connection", b"te", b"trailer", b"http2-settings"})
# A sender that nominates these in Connection would change framing or routing (RFC 9110 section 7.6.1).
NEVER_NOMINATED: Final = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"close", b"keep-alive", b"upgrade"}
)

# RFC 3986 section 3.2.2 narrowed to names that occur; RFC 9112 section 3.2 asks for 400 on all others.
_HOST: Final = re.compile(rb"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,255})(?::([0-9]{0,5}))?")
_TARGET: Final = re.compile(r"/[!\"$-~]*")  # visible ASCII without '#'
_ABSOLUTE = re.compile(r"https?://([^/?#]*)((?:[/?][!\"$-~]*)?)", re.IGNORECASE)
DIGITS: Final = re.compile(rb"[0-9]{1,18}")


PASSED: Final = 0
DROPPED: Final = 1
HOST: Final = 2
CONNECTION: Final = 3
LENGTH: Final = 4
CODING: Final = 5
UPGRADE: Final = 6
EXPECT: Final = 7
CLAIM: Final = 8
KEY: Final = 9
_KINDS = {
    **dict.fromkeys((*HOP_BY_HOP, b"proxy"), DROPPED),
    **dict.fromkeys((b"forwarded", b"x-real-ip", b"via"), CLAIM),
    b"host": HOST,
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"upgrade": UPGRADE,
    b"expect": EXPECT,
    b"sec-websocket-key": KEY,
}
KEPT_NAMES = 1024
"""Names of header lines that are remembered, of at most 64 bytes: clients repeat them."""


class Request(NamedTuple):
    """A request as it may be passed on."""

    method: str
    target: bytes
    """In origin-form, or `*`; the bytes of path and query as sent."""
    path: str
    """Of the target, without query."""
    host: str
    """As the client named it, with port; "" when an HTTP/1.0 client named none."""
    fields: Fields
    """The lines for the upstream, Host and framing included; hop-by-hop lines are gone."""
    claims: dict[bytes, list[bytes]]
    """What the client says of others: Forwarded, X-Forwarded-*, Via and the request id, by lower-case name."""
    length: int
    """Body bytes, or CHUNKED."""
    expects: bool
    websocket: bytes
    """The client's Sec-WebSocket-Key when it asks for a WebSocket; b"" otherwise."""
    keep_alive: bool
    http10: bool


class RequestReader:
    """Judges the heads of requests to one upstream.

    Args:
        limits: of which header_bytes, headers, target_bytes and body count here.
        request_id: the lower-case name of the header that carries the request id.
        host_sent: the Host for the upstream; None = the client's.
        authority: the upstream's own, for HTTP/1.0 clients that name no host.
        ours: lower-case name of a header that clients may not send.
    """

    def __init__(
        self,
        limits: Limits,
        request_id: bytes,
        host_sent: bytes | None,
        authority: bytes,
        ours: bytes = b"x-csp-nonce",
    ) -> None:
        self._host_sent, self._authority = host_sent, authority
        self._bytes, self._lines, self._target, self._body = (
            limits.header_bytes,
            limits.headers,
            limits.target_bytes,
            limits.body,
        )
        self._kinds = _Kinds(request_id, ours)

    def read(self, message: Message, data: int) -> Request:
        """Judge a head that aiohttp's parser has split, out of at most so many bytes.

        Raises:
            Refused: with the status of the first fault.
        """
        http10 = message.version == HttpVersion10
        if not http10 and message.version != HttpVersion11:
            raise Refused(505, "version")
        method, lines = message.method, message.raw_headers
        if method in ("CONNECT", "TRACE"):
            raise Refused(501, "method")
        target, named = read_target(method, message.path, self._target)
        kinds, host_sent = self._kinds, self._host_sent or named
        fields: Fields = []
        claims: dict[bytes, list[bytes]] = {}
        nominated: frozenset[bytes] | set[bytes] = frozenset()
        host = length = coding = None
        upgrade = key = b""
        expects = False
        line: Any  # as mypyc sees it one object, not two values that are made a tuple again
        for line in lines:
            kind, lower = kinds[line[0]]
            if not kind:
                fields.append(line)
            elif kind == HOST:
                if host is not None:
                    raise Refused(400, "host")
                host = line[1]
                fields.append((line[0], host_sent) if host_sent else line)
            elif kind == CONNECTION:
                nominated = nominated | connection_tokens(line[1])
            elif kind == LENGTH:
                value = line[1]
                if length is not None or not DIGITS.fullmatch(value):
                    raise Refused(413 if length is None and value.isdigit() else 400, "framing")
                length = int(value)
                fields.append(line)
            elif kind == CODING:
                if coding is not None:
                    raise Refused(400, "framing")
                coding = line[1].lower()
                fields.append(line)
            elif kind == UPGRADE:
                upgrade = line[1].lower() if not upgrade else b","
            elif kind == EXPECT:
                if line[1].lower() != b"100-continue":
                    raise Refused(417, "expectation")
                expects = not http10
            elif kind == CLAIM:
                claims.setdefault(lower, []).append(line[1])
            elif kind == KEY:
                key = line[1] if not key else b","
                fields.append(line)
        if len(lines) > self._lines or (data > self._bytes and _size(lines) > self._bytes):
            raise Refused(431, "header_too_large")
        body = 0
        if length is not None or coding is not None or message.chunked:
            body = _request_body(message, length, coding, self._body, http10=http10)
        _check_host(host, named, http10=http10)
        if host is None:
            fields.insert(0, (b"Host", host_sent or self._authority))
        if (
            upgrade
            and message.upgrade
            and b"upgrade" in nominated
            and not http10
            and upgrade == b"websocket"
        ):
            if method != "GET" or body or len(key) != 24:
                raise Refused(400, "upgrade")
        else:
            key = b""
        if nominated:
            nominated = nominated - NEVER_NOMINATED
            if nominated:
                fields = [line for line in fields if line[0].lower() not in nominated]
                for lower in nominated:
                    claims.pop(lower, None)
        path, name = (
            target.partition(b"?")[0].decode("ascii"),
            (named or host or b"").decode("ascii"),
        )
        # aiohttp drops the bytes behind a request that asks for any upgrade, so nothing may follow it here.
        keep_alive = not (message.should_close or message.upgrade)
        return tuple.__new__(
            Request,
            (
                method,
                target,
                path,
                name,
                fields,
                claims,
                body,
                expects and body != 0,
                key,
                keep_alive,
                http10,
            ),
        )


class _Kinds(dict[bytes, tuple[int, bytes]]):
    """What a header line of a request means by its name, as it is written, and the name in lower case."""

    def __init__(self, request_id: bytes, ours: bytes) -> None:
        super().__init__()
        self._request_id, self._ours = request_id, ours

    def __missing__(self, name: bytes) -> tuple[int, bytes]:
        lower = name.lower()
        kind = _KINDS.get(lower)
        if kind is None:
            if lower == self._request_id or lower.startswith(b"x-forwarded-"):
                kind = CLAIM
            elif b"_" in lower or lower == self._ours:  # WSGI and CGI read X_Y as X-Y
                kind = DROPPED
            else:
                kind = PASSED
        if len(self) < KEPT_NAMES and len(name) <= 64:
            self[name] = (kind, lower)
        return kind, lower


def _size(lines: tuple[tuple[bytes, bytes], ...]) -> int:
    return sum(len(name) + len(value) + 4 for name, value in lines)


def read_target(method: str, path: str, limit: int) -> tuple[bytes, bytes | None]:
    """The target for the upstream, and the authority that an absolute-form names (RFC 9112 section 3.2).

    Raises:
        Refused: 414 when too long; 400 for a form that the method does not allow, or bytes that are no target.
    """
    if len(path) > limit:
        raise Refused(414, "target_too_long")
    if _TARGET.fullmatch(path):
        return path.encode("ascii"), None
    if path == "*" and method == "OPTIONS":
        return b"*", None
    absolute = _ABSOLUTE.fullmatch(path)
    if (
        absolute is None
        or not absolute[1].isascii()
        or not _valid_host(absolute[1].encode("ascii"))
    ):
        raise Refused(400, "target")
    rest = absolute[2]
    if not rest and method == "OPTIONS":  # RFC 9112 section 3.2.4
        rest = "*"
    elif not rest.startswith("/"):
        rest = f"/{rest}"
    return rest.encode("ascii"), absolute[1].encode("ascii")


def forwards_left(request: Request) -> int | None:
    """The value of Max-Forwards, which counts on OPTIONS alone; None when there is none (RFC 9110 section 7.6.2)."""
    for name, value in request.fields:
        if name.lower() == b"max-forwards" and DIGITS.fullmatch(value):
            return int(value)
    return None


def one_forward_less(request: Request) -> Request:
    """The request with Max-Forwards counted down."""
    fields = [
        (name, b"%d" % (int(value) - 1)) if name.lower() == b"max-forwards" else (name, value)
        for name, value in request.fields
    ]
    return request._replace(fields=fields)


def connection_tokens(value: bytes) -> set[bytes]:
    """The names in one Connection line, lower case."""
    return {token.strip(b" \t") for token in value.lower().split(b",")}


@lru_cache(maxsize=256)
def _valid_host(value: bytes) -> bool:
    found = _HOST.fullmatch(value)
    return found is not None and not (found[1] and int(found[1]) > 65535)


def _check_host(host: bytes | None, named: bytes | None, *, http10: bool) -> None:
    if host is None:
        if not http10:
            raise Refused(400, "host")
    elif not _valid_host(host) and not (named is not None and host == b""):
        raise Refused(400, "host")


def _request_body(
    message: Message, length: int | None, coding: bytes | None, limit: int, *, http10: bool
) -> int:
    """The body's length; our reading of the framing lines must agree with the parser's (RFC 9112 section 6.3)."""
    if coding is not None:
        if coding != b"chunked" or length is not None or http10 or not message.chunked:
            raise Refused(400, "framing")
        return CHUNKED
    if message.chunked:
        raise Refused(400, "framing")
    if length is not None and length > limit:
        raise Refused(413, "body_too_large")
    return length or 0


def request_head(request: Request, added: bytes) -> bytes:
    """The head that goes upstream; `added` holds whole lines with their ends."""
    parts = [request.method.encode("ascii"), b" ", request.target, b" HTTP/1.1\r\n"]
    for name, value in request.fields:
        parts += (name, b": ", value, b"\r\n")
    parts.append(added)
    parts.append(b"\r\n")
    return b"".join(parts)


def response_head(line: bytes, fields: Fields, added: bytes) -> bytes:
    """The head that goes to the client, always as HTTP/1.1 (RFC 9110 section 2.5); `added` holds whole lines with their ends."""
    parts = [b"HTTP/1.1", line, b"\r\n"]
    for name, value in fields:
        parts += (name, b": ", value, b"\r\n")
    parts.append(added)
    parts.append(b"\r\n")
    return b"".join(parts)


def chunk(piece: bytes) -> bytes:
    """One chunk of a body (RFC 9112 section 7.1); of b"" none, as that would end it."""
    return b"%x\r\n%b\r\n" % (len(piece), piece) if piece else b""


def without_chunked(fields: Fields) -> Fields:
    """The lines for an HTTP/1.0 client, which knows no Transfer-Encoding (RFC 9112 section 6.1)."""
    return [line for line in fields if line[0].lower() != b"transfer-encoding"]
