"""Requests that must pass, and what of them the upstream must see.

The table `PASSED`.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.wire.requests_refused import SMUGGLED, chunked, get, post

KEY = b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="


@dataclass(frozen=True)
class Passed:
    """`has` are lines that the upstream sees exactly, `lacks` names that it must not see; None =
    not asked.
    """

    raw: bytes
    target: str = "/x"
    body: bytes = b""
    has: tuple[tuple[str, str], ...] = ()
    lacks: tuple[str, ...] = ()
    method: str = "GET"


def _nominated(name: bytes, line: bytes) -> bytes:
    return get(b"Connection: close, " + name, line)


_TARGETS = (
    b"/a%2Fb//../%41?x=%20",
    b"/a;b=c/./d",
    b"//x",
    b"/%2e%2e/%c3%a9",
    b"/x?",
    b"/?a=b&c=/d?e",
    b"/~user/!$&'()*+,=:@",
    b'/a|b{c}"<>\\^`',
)

_EXPECT = (("Expect", "100-continue"),)

PASSED: dict[str, Passed] = {
    "plain": Passed(get(), lacks=("connection", "transfer-encoding", "content-length")),
    **{
        f"2.2 target untouched {target.decode()}": Passed(
            get(target=target), target=target.decode()
        )
        for target in _TARGETS
    },
    "2.2 8000 bytes of target": Passed(get(target=b"/" + b"a" * 8000), target="/" + "a" * 8000),
    "2.2 absolute-form": Passed(
        get(target=b"http://b.example:81/y?z", host=b"Host: b.example:81"),
        target="/y?z",
        has=(("Host", "b.example:81"),),
    ),
    "2.2 absolute-form replaces Host": Passed(
        get(target=b"HTTP://b.example/y"), target="/y", has=(("Host", "b.example"),)
    ),
    "2.2 absolute-form of an IPv6 address": Passed(
        get(target=b"http://[2001:db8::1]:80/y"), target="/y", has=(("Host", "[2001:db8::1]:80"),)
    ),
    "2.2 absolute-form beside an empty Host": Passed(
        get(target=b"http://b.example/y", host=b"Host:"), target="/y", has=(("Host", "b.example"),)
    ),
    "2.2 absolute-form without path": Passed(
        get(target=b"http://b.example"), target="/", has=(("Host", "b.example"),)
    ),
    "2.2 absolute-form with query only": Passed(get(target=b"http://b.example?q"), target="/?q"),
    "2.2 absolute https": Passed(get(target=b"https://b.example/y"), target="/y"),
    "2.2 OPTIONS *": Passed(get(target=b"*", method=b"OPTIONS"), target="*", method="OPTIONS"),
    "2.2 OPTIONS absolute": Passed(
        get(target=b"http://b.example", method=b"OPTIONS"), target="*", method="OPTIONS"
    ),
    "2.2 Host IPv6": Passed(get(host=b"Host: [::1]:8080"), has=(("Host", "[::1]:8080"),)),
    "2.2 Host empty port": Passed(get(host=b"Host: a.example:"), has=(("Host", "a.example:"),)),
    "2.2 Host upper case": Passed(get(host=b"HOST: A.EXAMPLE"), has=(("HOST", "A.EXAMPLE"),)),
    "2.2 Host underscore": Passed(get(host=b"Host: my_service"), has=(("Host", "my_service"),)),
    "2.2 HTTP/1.0": Passed(get(version=b"HTTP/1.0"), has=(("Host", "a"),)),
    "2.2 HTTP/1.0 without Host": Passed(
        get(version=b"HTTP/1.0", host=b"X-A: 1"), has=(("X-A", "1"),)
    ),
    "2.2 HTTP/1.2 is read as 1.1": Passed(
        post(b"Transfer-Encoding: chunked", body=b"0\r\n\r\n", version=b"HTTP/1.2"), method="POST"
    ),
    "2.2 two spaces before the target": Passed(get(method=b"GET ")),
    "2.2 leading empty line": Passed(b"\r\n" + get()),
    **{
        f"2.2 method {name}": Passed(get(method=name.encode()), method=name)
        for name in ("HEAD", "OPTIONS", "DELETE", "PUT", "PATCH", "PROPFIND")
    },
    "2.1 CL leading zeros": Passed(
        post(b"Content-Length: 005", body=b"hello"), body=b"hello", method="POST"
    ),
    "2.1 CL zero": Passed(
        post(b"Content-Length: 0"), has=(("Content-Length", "0"),), method="POST"
    ),
    "2.1 CL.0 with GET": Passed(
        get(b"Content-Length: %d" % len(SMUGGLED)) + SMUGGLED, body=SMUGGLED
    ),
    "2.1 CL.0 with OPTIONS": Passed(
        get(b"Content-Length: %d" % len(SMUGGLED), method=b"OPTIONS") + SMUGGLED,
        body=SMUGGLED,
        method="OPTIONS",
    ),
    "2.1 POST without a body": Passed(
        post(), method="POST", lacks=("content-length", "transfer-encoding")
    ),
    "2.1 chunked": Passed(
        chunked(b"5\r\nhello\r\n0\r\n\r\n"),
        body=b"hello",
        has=(("Transfer-Encoding", "chunked"),),
        method="POST",
    ),
    "2.1 chunked, upper case": Passed(
        post(b"TRANSFER-ENCODING: Chunked", body=b"0\r\n\r\n"), method="POST"
    ),
    "2.1 chunk sizes with zeros": Passed(
        chunked(b"0005\r\nhello\r\n000\r\n\r\n"), body=b"hello", method="POST"
    ),
    "2.1 chunk size upper case": Passed(
        chunked(b"A\r\nhellohello\r\n0\r\n\r\n"), body=b"hellohello", method="POST"
    ),
    "2.1 chunk extension is not forwarded": Passed(
        chunked(b'5; a = b;c="d;\\"";f\r\nhello\r\n0;e\r\n\r\n'), body=b"hello", method="POST"
    ),
    "2.1 whitespace ahead of an extension": Passed(
        chunked(b'5 ;a=b\r\nhello\r\n0\t; c\t=\t"d" ;e \r\n\r\n'), body=b"hello", method="POST"
    ),
    "2.1 one-byte chunks": Passed(
        chunked(b"1\r\nx\r\n" * 300 + b"0\r\n\r\n"), body=b"x" * 300, method="POST"
    ),
    "2.1 trailers are dropped": Passed(
        chunked(
            b"5\r\nhello\r\n0\r\nX-Trailer: 1\r\nAuthorization: evil\r\nX-Forwarded-For:"
            b" 6.6.6.6\r\n\r\n",
            b"Trailer: X-Trailer",
        ),
        body=b"hello",
        lacks=("x-trailer", "authorization", "trailer"),
        method="POST",
    ),
    "2.1 a request as chunked body": Passed(
        chunked(b"%x\r\n%b\r\n0\r\n\r\n" % (len(SMUGGLED), SMUGGLED)), body=SMUGGLED, method="POST"
    ),
    "2.1 obs-text passes": Passed(
        get(b"X-A: caf\xe9", b"X-B: adm\xffin"), has=(("X-A", "caf\xe9"), ("X-B", "adm\xffin"))
    ),
    "2.1 empty value": Passed(get(b"X-A:", b"X-B: b"), has=(("X-A", ""), ("X-B", "b"))),
    "2.1 value with tab": Passed(get(b"X-A: a\tb"), has=(("X-A", "a\tb"),)),
    "2.1 whitespace around a value": Passed(get(b"X-A: \t a \t"), has=(("X-A", "a"),)),
    "2.1 underscore aliases are dropped": Passed(
        get(
            b"Content_Length: 5",
            b"Transfer_Encoding: chunked",
            b"X_Forwarded_For: 6.6.6.6",
            b"X_Request_ID: 1",
        ),
        lacks=("content_length", "transfer_encoding", "x_forwarded_for", "x_request_id"),
    ),
    "2.1 order, case and repeats": Passed(
        get(b"X-b: 1", b"x-A: 2", b"X-B: 3"), has=(("X-b", "1"), ("x-A", "2"), ("X-B", "3"))
    ),
    "2.1 large cookie": Passed(get(b"Cookie: " + b"a" * 20_000), has=(("Cookie", "a" * 20_000),)),
    "2.3 nominated field goes": Passed(
        _nominated(b"X-Internal", b"X-Internal: 1"), lacks=("x-internal", "connection")
    ),
    "2.3 nominated in other case": Passed(
        _nominated(b"x-INTERNAL", b"X-Internal: 1"), lacks=("x-internal",)
    ),
    "2.3 nominated between empty members": Passed(
        get(b"Connection: ,\t, x-a ,,\tX-B\t", b"X-A: 1", b"X-B: 2", b"X-C: 3"),
        has=(("X-C", "3"),),
        lacks=("x-a", "x-b"),
    ),
    "2.3 nominated in two lines": Passed(
        get(b"Connection: close", b"Connection: X-A", b"X-A: 1"), lacks=("x-a",)
    ),
    "2.3 nominating Host": Passed(get(b"Connection: host"), has=(("Host", "a"),)),
    "2.3 nominating Content-Length": Passed(
        post(b"Connection: content-length", b"Content-Length: 5", body=b"hello"),
        body=b"hello",
        method="POST",
    ),
    "2.3 nominating Transfer-Encoding": Passed(
        chunked(b"5\r\nhello\r\n0\r\n\r\n", b"Connection: transfer-encoding"),
        body=b"hello",
        method="POST",
    ),
    "2.3 nominating X-Forwarded-For": Passed(
        get(b"Connection: X-Forwarded-For"), has=(("X-Forwarded-For", "127.0.0.1"),)
    ),
    "2.3 nominating the request id": Passed(
        get(b"Connection: X-Request-ID, Via, Forwarded"), has=(("X-Forwarded-Proto", "http"),)
    ),
    "2.3 hop-by-hop set": Passed(
        get(
            b"Keep-Alive: timeout=5",
            b"Proxy-Connection: keep-alive",
            b"TE: trailers",
            b"Trailer: X",
            b"Upgrade: foo",
            b"HTTP2-Settings: AAMA",
            b"Proxy-Authorization: Basic eDp5",
        ),
        lacks=(
            "keep-alive",
            "proxy-connection",
            "te",
            "trailer",
            "upgrade",
            "http2-settings",
            "proxy-authorization",
        ),
    ),
    "2.3 h2c upgrade": Passed(
        get(
            b"Connection: Upgrade, HTTP2-Settings",
            b"Upgrade: h2c",
            b"HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
        ),
        lacks=("upgrade", "http2-settings", "connection"),
    ),
    "2.3 h2c beside websocket": Passed(
        get(b"Connection: Upgrade", b"Upgrade: h2c, websocket", KEY),
        lacks=("upgrade", "connection"),
    ),
    "2.3 websocket as a substring": Passed(
        get(b"Connection: Upgrade", b"Upgrade: xwebsocket", KEY), lacks=("upgrade",)
    ),
    "2.3 Upgrade without Connection": Passed(get(b"Upgrade: websocket", KEY), lacks=("upgrade",)),
    "2.3 Upgrade in HTTP/1.0": Passed(
        get(b"Connection: Upgrade", b"Upgrade: websocket", KEY, version=b"HTTP/1.0"),
        lacks=("upgrade",),
    ),
    "2.3 unknown upgrade with a body": Passed(
        post(b"Connection: Upgrade", b"Upgrade: foo", b"Content-Length: 5", body=b"hello"),
        body=b"hello",
        method="POST",
        lacks=("upgrade",),
    ),
    "2.3 spoofed forwarding": Passed(
        get(
            b"X-Forwarded-For: 6.6.6.6",
            b"Forwarded: for=6.6.6.6",
            b"X-Real-IP: 6.6.6.6",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Ssl: on",
            b"X-Forwarded: for=6.6.6.6",
            b"Forwarded-For: 6.6.6.6",
            b"True-Client-IP: 6.6.6.6",
            b"X-Forwarded-Prefix: /evil",
        ),
        has=(
            ("X-Forwarded-For", "127.0.0.1"),
            ("X-Forwarded-Proto", "http"),
            ("X-Forwarded-Host", "a"),
            ("Forwarded", 'for=127.0.0.1;host="a";proto=http'),
        ),
        lacks=(
            "x-real-ip",
            "x-forwarded-ssl",
            "x-forwarded",
            "forwarded-for",
            "true-client-ip",
            "x-forwarded-prefix",
        ),
    ),
    "2.3 Proxy": Passed(get(b"Proxy: http://evil"), lacks=("proxy",)),
    "2.3 Expect without a body": Passed(get(b"Expect: 100-continue"), lacks=("expect",)),
    **{
        f"2.3 Expect {name}": Passed(
            post(*lines, b"Content-Length: 5", body=b"hello"),
            body=b"hello",
            method="POST",
            has=expected,
            lacks=() if expected else ("expect",),
        )
        for name, lines, expected in (
            ("in other case", (b"Expect: 100-CONTINUE",), _EXPECT),
            ("as a list", (b"Expect: 100-continue, ,100-continue",), _EXPECT),
            ("in two lines", (b"Expect: 100-continue", b"Expect: 100-continue"), _EXPECT),
            ("empty", (b"Expect:",), ()),
        )
    },
    "2.3 Expect in HTTP/1.0": Passed(
        post(b"Expect: 100-continue", b"Content-Length: 5", body=b"hello", version=b"HTTP/1.0"),
        body=b"hello",
        method="POST",
        lacks=("expect",),
    ),
    "ranges and conditions pass": Passed(
        get(b"Range: bytes=0-1,5-", b'If-Range: "x"', b"If-None-Match: *"),
        has=(("Range", "bytes=0-1,5-"), ("If-Range", '"x"'), ("If-None-Match", "*")),
    ),
    "traceparent passes": Passed(
        get(b"traceparent: 00-" + b"a" * 32 + b"-" + b"b" * 16 + b"-01"),
        has=(("traceparent", "00-" + "a" * 32 + "-" + "b" * 16 + "-01"),),
    ),
    "gzip body passes as it is": Passed(
        post(b"Content-Encoding: gzip", b"Content-Length: 4", body=b"\x1f\x8b\x08\x00"),
        body=b"\x1f\x8b\x08\x00",
        has=(("Content-Encoding", "gzip"),),
        method="POST",
    ),
}
