"""What an upstream may answer, and what of it the client must see.

The tables `BAD` (502 for the client) and `GOOD`.
"""

from __future__ import annotations

from dataclasses import dataclass

OK = b"HTTP/1.1 200 OK\r\n"


@dataclass(frozen=True)
class Good:
    """`ends`: the upstream closes behind the bytes. `has` are lines that the client sees,
    `lacks` names that it must not.
    """

    raw: bytes
    status: int = 200
    body: bytes = b""
    has: tuple[tuple[str, str], ...] = ()
    lacks: tuple[str, ...] = ()
    interim: tuple[int, ...] = ()
    ends: bool = False
    method: str = "GET"
    reused: bool = True
    """Whether the upstream connection may carry another request."""


def ok(*lines: bytes, body: bytes = b"", start: bytes = OK) -> bytes:
    return start + b"".join(line + b"\r\n" for line in lines) + b"\r\n" + body


def sized(*lines: bytes, start: bytes = OK) -> bytes:
    return ok(*lines, b"Content-Length: 2", body=b"hi", start=start)


_CODINGS = {
    "list": b"chunked, chunked",
    "gzip": b"gzip",
    "gzip, chunked": b"gzip, chunked",
    "chunked, gzip": b"chunked, gzip",
    "unknown": b"x",
    "identity": b"identity",
    "empty": b"",
    "quoted": b'"chunked"',
    "VT": b"\x0bchunked",
    "parameter": b"chunked;a=b",
    "two lines": b"chunked\r\nTransfer-Encoding: chunked",
}
_LENGTHS = {
    "signed": b"+2",
    "negative": b"-2",
    "hex": b"0x2",
    "list": b"2, 2",
    "empty": b"",
    "letters": b"two",
    "overflow": b"9" * 30,
    "two lines": b"2\r\nContent-Length: 2",
    "two lines that differ": b"2\r\nContent-Length: 3",
    "space inside": b"2 2",
    "nineteen digits": b"9" * 19,
}
_LINES = {
    "fold": b"X-A: 1\r\n 2",
    "space before colon": b"X-A : 1",
    "space first": b" X-A: 1",
    "NUL": b"X-A: a\0b",
    "bare CR": b"X-A: a\rSet-Cookie: b=c",
    "bare LF": b"X-A: a\nSet-Cookie: b=c",
    "CTL": b"X-A: a\x01",
    "DEL": b"X-A: a\x7f",
    "empty name": b": v",
    "no colon": b"X-A",
    "8-bit name": b"X-\xe9: 1",
    "space in name": b"X A: 1",
    "NUL in name": b"X\0: 1",
}
_STARTS = {
    "HTTP/2": b"HTTP/2 200 OK\r\n",
    "HTTP/1.10": b"HTTP/1.10 200 OK\r\n",
    "HTTP/0.9": b"HTTP/0.9 200 OK\r\n",
    "RTSP": b"RTSP/1.0 200 OK\r\n",
    "ICE": b"ICE/1.0 200 OK\r\n",
    "status 99": b"HTTP/1.1 99 OK\r\n",
    "status 1000": b"HTTP/1.1 1000 OK\r\n",
    "status 600": b"HTTP/1.1 600 OK\r\n",
    "status 999": b"HTTP/1.1 999 OK\r\n",
    "status 2x0": b"HTTP/1.1 2x0 OK\r\n",
    "no status": b"HTTP/1.1 OK\r\n",
    "lower case": b"http/1.1 200 OK\r\n",
    "CR in reason": b"HTTP/1.1 200 O\rK\r\n",
    "NUL in reason": b"HTTP/1.1 200 O\0K\r\n",
    "CTL in reason": b"HTTP/1.1 200 O\x01K\r\n",
    "LF ends it": b"HTTP/1.1 200 OK\n",
    "garbage": b"hello\r\n",
    "empty lines first": b"\r\n\r\nHTTP/1.1 200 OK\r\n",
    "space first": b" HTTP/1.1 200 OK\r\n",
}

BAD: dict[str, bytes] = {
    **{
        f"2.4 framing: TE {name}": ok(b"Transfer-Encoding: " + value, body=b"0\r\n\r\n")
        for name, value in _CODINGS.items()
    },
    **{
        f"2.4 framing: CL {name}": ok(b"Content-Length: " + value, body=b"hi")
        for name, value in _LENGTHS.items()
    },
    "2.4 framing: CL and TE": ok(
        b"Content-Length: 2", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"
    ),
    "2.4 framing: TE and CL": ok(
        b"Transfer-Encoding: chunked", b"Content-Length: 2", body=b"0\r\n\r\n"
    ),
    "2.4 framing: TE in HTTP/1.0": ok(
        b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", start=b"HTTP/1.0 200 OK\r\n"
    ),
    **{f"2.4 splitting: {name}": sized(line) for name, line in _LINES.items()},
    **{f"2.4 status line: {name}": sized(start=start) for name, start in _STARTS.items()},
    "2.4 headers of 300 kB": sized(b"X-A: " + b"a" * 300_000),
    "2.4 headers of 3 MB without an end": OK + b"X-A: " + b"a" * 3_000_000,
    "2.4 5000 fields": sized(*[b"X-%d: 1" % n for n in range(5000)]),
    "2.4 101 fields": sized(*[b"X-%d: 1" % n for n in range(100)]),
    "2.3 unsolicited 101": ok(
        b"Connection: Upgrade", b"Upgrade: websocket", start=b"HTTP/1.1 101 S\r\n"
    ),
    "2.3 101 without Upgrade": ok(start=b"HTTP/1.1 101 S\r\n"),
    "2.3 flood of interim responses": b"HTTP/1.1 103 E\r\n\r\n" * 5000 + sized(),
}

GOOD: dict[str, Good] = {
    "length": Good(
        sized(b"X-A: 1"),
        body=b"hi",
        has=(("X-A", "1"), ("Content-Length", "2")),
        lacks=("date", "server", "content-type", "via"),
    ),
    "empty": Good(ok(b"Content-Length: 0"), has=(("Content-Length", "0"),)),
    "chunked": Good(
        ok(b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n"),
        body=b"hi",
        has=(("Transfer-Encoding", "chunked"),),
        lacks=("content-length",),
    ),
    "chunk extensions and trailers go": Good(
        ok(
            b"Transfer-Encoding: chunked",
            b"Trailer: X-T",
            body=b'2;a="b"\r\nhi\r\n0\r\nX-T: 1\r\nSet-Cookie: a=b\r\n\r\n',
        ),
        body=b"hi",
        lacks=("x-t", "set-cookie", "trailer"),
    ),
    "until close": Good(
        ok(b"X-A: 1", body=b"hi"),
        body=b"hi",
        ends=True,
        has=(("X-A", "1"), ("Connection", "close")),
        lacks=("content-length",),
        reused=False,
    ),
    "whitespace ahead of a chunk extension": Good(
        ok(b"Transfer-Encoding: chunked", body=b"2 ;a\r\nhi\r\n0\r\n\r\n"), body=b"hi"
    ),
    "HTTP/1.2 is read as 1.1": Good(
        ok(
            b"Transfer-Encoding: chunked",
            body=b"2\r\nhi\r\n0\r\n\r\n",
            start=b"HTTP/1.2 200 OK\r\n",
        ),
        body=b"hi",
    ),
    "HTTP/1.0 with a length": Good(sized(start=b"HTTP/1.0 200 OK\r\n"), body=b"hi", reused=False),
    "HTTP/1.0 until close": Good(
        ok(body=b"hi", start=b"HTTP/1.0 200 OK\r\n"), body=b"hi", ends=True, reused=False
    ),
    "upstream's Connection: close is its own": Good(
        sized(b"Connection: close"), body=b"hi", lacks=("connection",), reused=False
    ),
    "2.3 hop-by-hop lines go": Good(
        sized(
            b"Connection: X-Int, keep-alive",
            b"X-Int: 1",
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: x",
            b"Upgrade: h2c",
            b"TE: x",
            b"Proxy-Authenticate: Basic",
            b"Proxy-Authentication-Info: x",
        ),
        body=b"hi",
        lacks=(
            "x-int",
            "connection",
            "keep-alive",
            "proxy-connection",
            "upgrade",
            "te",
            "proxy-authenticate",
            "proxy-authentication-info",
        ),
    ),
    "2.3 nominating Content-Length": Good(
        sized(b"Connection: Content-Length"), body=b"hi", has=(("Content-Length", "2"),)
    ),
    "order, case and repeats": Good(
        sized(b"x-b: 1", b"X-A: 2", b"Set-Cookie: a=b", b"Set-Cookie: c=d"),
        body=b"hi",
        has=(("x-b", "1"), ("X-A", "2"), ("Set-Cookie", "a=b"), ("Set-Cookie", "c=d")),
    ),
    "obs-text": Good(
        sized(b"X-A: caf\xe9", b"X-B: adm\xffin"),
        body=b"hi",
        has=(("X-A", "caf\xe9"), ("X-B", "adm\xffin")),
    ),
    "empty value": Good(sized(b"X-A:", b"X-B: b"), body=b"hi", has=(("X-A", ""), ("X-B", "b"))),
    "content coding": Good(
        ok(b"Content-Encoding: gzip", b"Content-Length: 4", body=b"\x1f\x8b\x08\x00"),
        body=b"\x1f\x8b\x08\x00",
        has=(("Content-Encoding", "gzip"),),
    ),
    "own Date and Server": Good(
        sized(b"Date: x", b"Server: y"), body=b"hi", has=(("Date", "x"), ("Server", "y"))
    ),
    "no reason": Good(sized(start=b"HTTP/1.1 200\r\n"), body=b"hi"),
    "no reason, behind 103": Good(
        b"HTTP/1.1 103\r\n\r\n" + sized(start=b"HTTP/1.1 200\r\n"), body=b"hi", interim=(103,)
    ),
    "status 599": Good(sized(start=b"HTTP/1.1 599 X\r\n"), status=599, body=b"hi"),
    "204": Good(
        ok(start=b"HTTP/1.1 204 N\r\n"),
        status=204,
        lacks=("content-length", "transfer-encoding", "content-type"),
    ),
    "204 with length zero": Good(
        ok(b"Content-Length: 0", start=b"HTTP/1.1 204 N\r\n"),
        status=204,
        lacks=("content-length",),
    ),
    "205 is framed as any other": Good(
        ok(b"Content-Length: 0", start=b"HTTP/1.1 205 R\r\n"),
        status=205,
        has=(("Content-Length", "0"),),
    ),
    "a part": Good(
        sized(b"Content-Range: bytes 0-1/5", start=b"HTTP/1.1 206 P\r\n"),
        status=206,
        body=b"hi",
        has=(("Content-Range", "bytes 0-1/5"), ("Content-Length", "2")),
    ),
    "304 keeps its coding": Good(
        ok(b"Transfer-Encoding: chunked", start=b"HTTP/1.1 304 N\r\n"),
        status=304,
        has=(("Transfer-Encoding", "chunked"),),
    ),
    "304 keeps its length": Good(
        ok(b"Content-Length: 5", b"ETag: x", start=b"HTTP/1.1 304 N\r\n"),
        status=304,
        has=(("Content-Length", "5"), ("ETag", "x")),
    ),
    "HEAD keeps its length": Good(
        ok(b"Content-Length: 5"), method="HEAD", has=(("Content-Length", "5"),)
    ),
    "HEAD chunked": Good(
        ok(b"Transfer-Encoding: chunked"), method="HEAD", has=(("Transfer-Encoding", "chunked"),)
    ),
    "HEAD without framing": Good(ok(), method="HEAD"),
    "2.4 stray body on 204": Good(
        ok(b"Content-Length: 5", body=b"hello", start=b"HTTP/1.1 204 N\r\n"),
        status=204,
        lacks=("content-length",),
        reused=False,
    ),
    "2.4 stray body on 304": Good(
        ok(b"Content-Length: 5", body=b"hello", start=b"HTTP/1.1 304 N\r\n"),
        status=304,
        reused=False,
    ),
    "2.4 stray body on HEAD": Good(sized(), method="HEAD", reused=False),
    "2.4 second response": Good(
        sized() + sized(b"X-Evil: 1"), body=b"hi", lacks=("x-evil",), reused=False
    ),
    "2.4 bytes behind the length": Good(sized() + b"evil", body=b"hi", reused=False),
    "2.4 bytes behind the last chunk": Good(
        ok(b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\nevil"),
        body=b"hi",
        reused=False,
    ),
    "2.4 second response behind the last chunk": Good(
        ok(b"Transfer-Encoding: chunked", body=b"2\r\nhi\r\n0\r\n\r\n") + sized(),
        body=b"hi",
        reused=False,
    ),
    "2.3 103 passes": Good(
        b"HTTP/1.1 103 E\r\nLink: </a>\r\n\r\n" + sized(), body=b"hi", interim=(103,)
    ),
    "2.3 many interim responses": Good(
        b"HTTP/1.1 102 P\r\n\r\n" * 10 + sized(), body=b"hi", interim=(102,) * 10
    ),
    "2.3 100 that nobody asked for": Good(
        b"HTTP/1.1 100 C\r\n\r\n" + sized(), body=b"hi", interim=(100,)
    ),
    "2.3 length inside 103": Good(
        b"HTTP/1.1 103 E\r\nContent-Length: 5\r\n\r\n" + sized(), body=b"hi", interim=(103,)
    ),
    "2.3 426": Good(
        sized(b"Upgrade: websocket", b"Connection: Upgrade", start=b"HTTP/1.1 426 U\r\n"),
        status=426,
        body=b"hi",
        has=(("Connection", "Upgrade"), ("Upgrade", "websocket")),
    ),
    "2.3 426 without Connection": Good(
        sized(b"Upgrade: TLS/1.0, WebSocket", start=b"HTTP/1.1 426 U\r\n"),
        status=426,
        body=b"hi",
        has=(("Connection", "Upgrade"), ("Upgrade", "TLS/1.0, WebSocket")),
    ),
    "redirect": Good(
        ok(b"Location: http://b/", b"Content-Length: 0", start=b"HTTP/1.1 302 F\r\n"),
        status=302,
        has=(("Location", "http://b/"),),
    ),
}
