"""The head of a request: read strictly, and what of it may pass on (RFC 9110 and 9112)."""

from __future__ import annotations

import re
from typing import Final

from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.grammar import (
    CHUNKED,
    HOP_BY_HOP,
    METHODS,
    NEVER_NOMINATED,
    TOKEN,
    Malformed,
    TooLarge,
    connection_tokens,
    decimal,
    valid_host,
)
from sidecar.proxy.http1.heads import COMPILED, Field, Head, Names
from sidecar.proxy.http1.request_line import about, read_line, usual_by_bytes, usual_by_parts
from sidecar.settings import Limits

PASSED: Final = 0
DROPPED: Final = 1
HOST: Final = 2
LENGTH: Final = 3
CODING: Final = 4
CONNECTION: Final = 5
UPGRADE: Final = 6
EXPECT: Final = 7
CLAIM: Final = 8
KEY: Final = 9
VIA: Final = 10
CLIENT_ADDRESS: Final = (
    b"x-real-ip",
    b"true-client-ip",
    b"cf-connecting-ip",
    b"fastly-client-ip",
    b"fly-client-ip",
    b"x-azure-clientip",
    b"x-client-ip",
    b"x-cluster-client-ip",
    b"x-envoy-external-address",
    b"x-original-forwarded-for",
)
"""Lines in which proxies and CDNs name the client's address, beside Forwarded and X-Forwarded-*."""
_KINDS = {
    **dict.fromkeys((*HOP_BY_HOP, b"proxy"), DROPPED),
    **dict.fromkeys((b"forwarded", b"forwarded-for", *CLIENT_ADDRESS), CLAIM),
    **{b"x-forwarded-" + name: CLAIM for name in (b"for", b"proto", b"host", b"port")},
    b"via": VIA,
    b"host": HOST,
    b"connection": CONNECTION,
    b"content-length": LENGTH,
    b"transfer-encoding": CODING,
    b"upgrade": UPGRADE,
    b"expect": EXPECT,
    b"sec-websocket-key": KEY,
}
_SERVED: Final = {
    name: method for name, method in METHODS.items() if method not in ("CONNECT", "TRACE")
}
_EXPECTED: Final = frozenset({b"100-continue", b""})
"""The members of a list of expectations that are met (RFC 9110 section 10.1.1)."""
KEPT_HOSTS: Final = 256
"""Names of hosts that are remembered: clients repeat them."""


class Request:
    """A request as it may be passed on.

    Args:
        method: in upper case.
        target: in origin-form, or `*`; the bytes of path and query as sent.
        path: of the target, without query.
        host: as the client named it, with port; "" when an HTTP/1.0 client named none.
        head: all lines that the client sent.
        lines: those for the upstream, the request line first, each with its end, some in one
            piece; Host and framing included, hop-by-hop lines left out.
        claimed: the lines that say something of others: Forwarded, X-Forwarded-*, CLIENT_ADDRESS
            and the request id. They are not in `lines`.
        via: the values of Via.
        length: body bytes, or CHUNKED.
        expects: the client waits for 100.
        websocket: the client's Sec-WebSocket-Key when it asks for a WebSocket; b"" otherwise.
        keep_alive: whether another request may follow; never behind an Upgrade, which would change
            what follows.
    """

    __slots__ = (
        "claimed",
        "expects",
        "head",
        "host",
        "http10",
        "keep_alive",
        "length",
        "lines",
        "method",
        "path",
        "target",
        "via",
        "websocket",
    )

    def __init__(
        self,
        method: str,
        target: bytes,
        path: str,
        host: str,
        head: Head,
        lines: list[bytes],
        claimed: list[Field],
        via: list[bytes],
        length: int,
        *,
        expects: bool,
        websocket: bytes,
        keep_alive: bool,
        http10: bool,
    ) -> None:
        self.method, self.target, self.path, self.host = method, target, path, host
        self.head, self.lines, self.length = head, lines, length
        self.claimed, self.via = claimed, via
        self.expects, self.websocket = expects, websocket
        self.keep_alive, self.http10 = keep_alive, http10

    def claims(self, read: frozenset[bytes]) -> tuple[dict[bytes, list[bytes]], bytes]:
        """Of the lines in `claimed`, the values of those named in `read`, by lower-case name; and
        the others as they came.
        """
        claims: dict[bytes, list[bytes]] = {}
        others: list[bytes] = []
        data = self.head.data
        for field in self.claimed:
            _, begin, colon, end = field
            name = data[begin:colon].lower()
            if name in read:
                claims.setdefault(name, []).append(self.head.value(colon, end))
            else:
                others.append(data[begin:end])
        return claims, b"".join(others)


def _kind_of_other(lower: bytes) -> int:
    if b"_" in lower:
        return DROPPED  # WSGI and CGI read X_Y as X-Y
    return CLAIM if lower.startswith(b"x-forwarded") else PASSED


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
        self._bytes, self._lines = limits.header_bytes, limits.headers
        self._target, self._body = limits.target_bytes, limits.body
        known = {request_id: CLAIM, ours: DROPPED} | _KINDS
        self._names = Names(known, _kind_of_other)
        self._hosts: dict[bytes, str] = {}

    def read(self, data: bytes) -> Request | None:
        """Judge the head that `data` begins with; None while its end, the empty line, has not come.

        Raises: Refused: with the status of the first fault; with method, path and lines as far as
            they could be read.
        """
        usual = usual_by_bytes(data) if COMPILED else usual_by_parts(data)
        written, target, path, begin = usual
        if not begin:
            begin = data.find(b"\r\n") + 2
            if begin < 2:
                return None
        head: Head | None = None
        fault: Refused | None = None
        try:
            head = Head(data, begin, self._names, self._lines)
        except TooLarge:
            fault = Refused(431, "header_too_large")
        except Malformed:
            fault = Refused(400, "malformed")
        else:
            if head.stop < 0:
                return None
            if head.stop - begin + 2 > self._bytes:
                head, fault = None, Refused(431, "header_too_large")
        method = _SERVED.get(written)
        if method is None or head is None or len(target) > self._target:
            return self._unusual(data[: begin - 2], head, fault)
        try:
            return self._judge(b"", method, target, path, None, head, http10=False)
        except Refused as refusal:
            raise about(refusal, method, target, head) from None

    def _unusual(self, line: bytes, head: Head | None, fault: Refused | None) -> Request:
        """The same for any request line, with the fault of the lines behind it."""
        method, sent, target, named, http10 = read_line(line, self._target)
        if fault is not None:
            raise about(fault, method, sent, None)
        assert head is not None
        path = target.partition(b"?")[0]
        try:
            line = b"%b %b HTTP/1.1\r\n" % (method.encode("ascii"), target)
            return self._judge(line, method, target, path, named, head, http10=http10)
        except Refused as refusal:
            raise about(refusal, method, sent, head) from None

    def _judge(
        self,
        line: bytes,
        method: str,
        target: bytes,
        path: bytes,
        named: bytes | None,
        head: Head,
        *,
        http10: bool,
    ) -> Request:
        """What follows from the head. `line` is the request line that leaves; b"" = as it came."""
        host_sent = self._host_sent or named
        claimed: list[Field] = []
        via: list[bytes] = []
        nominated: frozenset[bytes] | None = None
        host = length = coding = None
        upgrade = key = b""
        expects = False
        for index, field in enumerate(head.fields):
            kind, begin, colon, end = field
            if kind == CLAIM:
                claimed.append(field)
                head.instead[index] = b""
                continue
            if kind == DROPPED:
                head.instead[index] = b""
                continue
            value = head.value(colon, end)
            if HOST <= kind <= CODING:
                sent = value
                if kind == HOST:
                    if host is not None:
                        raise Refused(400, "host")
                    host, sent = value, host_sent or value
                elif kind == LENGTH:
                    number = decimal(value)
                    if length is not None or number < 0:
                        raise _no_length(value, twice=length is not None)
                    length = number
                else:
                    if coding is not None or value.lower() != b"chunked" or http10:
                        raise _no_coding(value, head, http10=http10)
                    coding = value
                # They frame or route: whatever whitespace the value came with.
                if sent is not value or end - colon != len(value) + 4 or head.data[colon + 1] != 32:
                    head.instead[index] = b"%b: %b\r\n" % (head.data[begin:colon], sent)
                continue
            if kind == KEY:
                key = value if not key else b","
                continue
            if kind == VIA:
                via.append(value)
            elif kind == CONNECTION:
                if http10 or value != b"keep-alive":  # which says nothing that HTTP/1.1 does not
                    tokens = connection_tokens(value)
                    nominated = nominated | tokens if nominated else tokens
            elif kind == UPGRADE:
                upgrade = value.lower() if not upgrade else b","
            elif kind == EXPECT:
                if value.lower() != b"100-continue" and connection_tokens(value) - _EXPECTED:
                    raise Refused(417, "expectation")
                expects = not http10 and bool(value.strip(b", \t"))
            head.instead[index] = b""
        body = 0
        if coding is not None:
            if length is not None:
                raise Refused(400, "framing")
            body = CHUNKED
        elif length is not None:
            if length > self._body:
                raise Refused(413, "body_too_large")
            body = length
        asked = self._named_host(host, named, http10=http10)
        keep_alive, upgrades = not http10, False
        if nominated is not None:
            keep_alive = b"close" not in nominated and (not http10 or b"keep-alive" in nominated)
            upgrades = bool(upgrade) and b"upgrade" in nominated
            others = nominated - NEVER_NOMINATED
            if others:
                head.drop(others)
                data = head.data
                claimed = [one for one in claimed if data[one[1] : one[2]].lower() not in others]
                via = [] if b"via" in others else via
                key = b"" if b"sec-websocket-key" in others else key
        lines = [line] if line else []
        if host is None:
            lines.append(b"Host: %b\r\n" % (host_sent or self._authority))
        head.leaving(lines, head.start if line else 0)
        if upgrades and not http10 and upgrade == b"websocket":
            if method != "GET" or body or len(key) != 24:
                raise Refused(400, "upgrade")
        else:
            key = b""
        return Request(
            method,
            target,
            path.decode("ascii"),
            asked,
            head,
            lines,
            claimed,
            via,
            body,
            expects=expects and body != 0,
            websocket=key,
            keep_alive=keep_alive and not upgrades,
            http10=http10,
        )

    def _named_host(self, host: bytes | None, named: bytes | None, *, http10: bool) -> str:
        """The authority that is asked for: of an absolute-form, or of the Host line."""
        if host is None:
            if not http10:
                raise Refused(400, "host")
        elif named is None or host:
            found = self._hosts.get(host)
            if found is None:
                if not valid_host(host):
                    raise Refused(400, "host")
                if len(self._hosts) >= KEPT_HOSTS:
                    self._hosts.clear()
                found = self._hosts[host] = host.decode("ascii")
            if named is None:
                return found
        return (named or b"").decode("ascii")


_CODINGS = re.compile(rb"(?i:(?:(?!chunked[\t ,])%b[\t ]*,[\t ]*)+chunked)" % TOKEN.pattern)
"""Transfer codings that end with `chunked`, which stands once (RFC 9112 section 6.1)."""


def _no_length(value: bytes, *, twice: bool) -> Refused:
    """The refusal of a Content-Length: a number of 64 bits is one, though no body is so long."""
    number = value.isdigit() and len(value) <= 20 and int(value) < 1 << 64
    return Refused(413, "body_too_large") if number and not twice else Refused(400, "framing")


def _no_coding(value: bytes, head: Head, *, http10: bool) -> Refused:
    """The refusal of a Transfer-Encoding: 501 for codings that we do not know ahead of `chunked`
    (RFC 9112 section 6.1), 400 for what may be read in two ways.
    """
    framed = len(head.values(b"transfer-encoding")) + len(head.values(b"content-length"))
    unknown = framed == 1 and not http10 and _CODINGS.fullmatch(value) is not None
    return Refused(501 if unknown else 400, "framing")
