"""Requests that must be refused: nothing of them may reach the upstream whole. One row of bytes
each.

The table `REFUSED`. The id names the threat.
"""

from __future__ import annotations

SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"


def post(
    *lines: bytes, body: bytes = b"", version: bytes = b"HTTP/1.1", target: bytes = b"/x"
) -> bytes:
    return b"\r\n".join([b"POST %b %b" % (target, version), b"Host: a", *lines, b"", body])


def get(
    *lines: bytes,
    target: bytes = b"/x",
    host: bytes = b"Host: a",
    method: bytes = b"GET",
    version: bytes = b"HTTP/1.1",
) -> bytes:
    return b"\r\n".join(
        [b"%b %b %b" % (method, target, version), *([host] if host else []), *lines, b"", b""]
    )


def chunked(body: bytes, *lines: bytes) -> bytes:
    return post(b"Transfer-Encoding: chunked", *lines, body=body)


_CODINGS = {
    "VT before": b"Transfer-Encoding: \x0bchunked",
    "FF before": b"Transfer-Encoding: \x0cchunked",
    "VT after": b"Transfer-Encoding: chunked\x0b",
    "NBSP": b"Transfer-Encoding: \xa0chunked",
    "NEL": b"Transfer-Encoding: chunked\x85",
    "quoted": b'Transfer-Encoding: "chunked"',
    "parameter": b"Transfer-Encoding: chunked;q=1",
    "fold": b"Transfer-Encoding:\r\n chunked",
    "trailing comma": b"Transfer-Encoding: chunked,",
    "leading comma": b"Transfer-Encoding: ,chunked",
    "twice in a list": b"Transfer-Encoding: chunked, chunked",
    "twice in lines": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    "split lines": b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked",
    "identity": b"Transfer-Encoding: identity",
    "identity then chunked": b"Transfer-Encoding: identity, chunked",
    "gzip, chunked": b"Transfer-Encoding: gzip, chunked",
    "chunked, gzip": b"Transfer-Encoding: chunked, gzip",
    "prefix": b"Transfer-Encoding: xchunked",
    "suffix": b"Transfer-Encoding: chunkedx",
    "empty": b"Transfer-Encoding:",
    "only a comma": b"Transfer-Encoding: ,",
    "space before colon": b"Transfer-Encoding : chunked",
    "tab before colon": b"Transfer-Encoding\t: chunked",
    "NUL": b"Transfer-Encoding: chun\0ked",
    "bare CR": b"Transfer-Encoding: chunked\r",
    "upper case": b"TRANSFER-ENCODING: CHUNKED",
    "bare LF line": b"X: y\nTransfer-Encoding: chunked",
    "bare CR line": b"X: y\rTransfer-Encoding: chunked",
}

_UNKNOWN = ("identity then chunked", "gzip, chunked")

_LENGTHS = {
    "signed": b"+5",
    "negative": b"-5",
    "hex": b"0x5",
    "underscore": b"5_0",
    "Arabic digit": b"\xd9\xa5",
    "overflow": b"99999999999999999999",
    "2^64": b"18446744073709551616",
    "2^64-1": b"18446744073709551615",
    "empty": b"",
    "list same": b"5, 5",
    "list different": b"5, 6",
    "space inside": b"5 5",
    "fraction": b"5.0",
    "exponent": b"5e0",
    "letters": b"five",
    "quoted": b'"5"',
    "VT": b"\x0b5",
    "semicolon": b"5;",
    "comma": b"5,",
}

_SIZES = {
    "plus": b"+5",
    "minus": b"-5",
    "0x": b"0x5",
    "underscore": b"1_0",
    "leading space": b" 5",
    "trailing space": b"5 ",
    "empty": b"",
    "Unicode digit": b"\xd9\xa5",
    "not hex": b"g",
    "2^64+5": b"10000000000000005",
    "seventeen F": b"F" * 17,
    "zeros beyond sixteen digits": b"0" * 16 + b"5",
    "flood of zeros": b"0" * 200_000 + b"5",
    "NUL": b"5\0",
    "tab": b"5\t",
    "bare extension name LF": b"5;a\n",
    "extension CR": b"5;a\rb",
    "extension NUL": b"5;a\0",
    "extension with an open quote": b'5;a="b',
    "extension with a quote inside": b'5;a"b"',
    "extension with an escaped end": b'5;a="b\\"',
    "extension without a name": b"5;=b",
    "extension that is empty": b"5;",
    "extension that is empty behind a space": b"5 ;",
    "extension behind a bare CR": b"5\r;a",
    "LF in quotes": b'5;a="\n"',
    "bare LF": None,
}

_LARGE = {
    "sixteen F": b"F" * 16,
    "2^63": b"8000000000000000",
    "2^32": b"100000000",
    "one more than the limit": b"100001",
}

_HOSTS = {
    "space": b"a b",
    "slash": b"a/b",
    "userinfo": b"u@a",
    "two ports": b"a:1:2",
    "letters as port": b"a:http",
    "query": b"a?b",
    "fragment": b"a#b",
    "open bracket": b"[::1",
    "no IPv6 address": b"[:::::]",
    "IPv6 address with five digits": b"[::12345]",
    "8-bit": b"\xe9.example",
    "port too large": b"a:65536",
    "backslash": b"a\\b",
    "comma": b"a, b",
    "empty": b"",
    "only a port": b":80",
    "percent": b"a%00b",
    "quote": b'a"b',
    "list": b"a,b",
    "semicolon": b"a;b",
}

_TARGETS = {
    "fragment": (b"/static/x.png#/../admin", 400),
    "relative": (b"x", 400),
    "star with GET": (b"*", 400),
    "authority": (b"a.example:80", 400),
    "ftp": (b"ftp://a/x", 400),
    "absolute without host": (b"http:///x", 400),
    "absolute userinfo": (b"http://u@a/x", 400),
    "absolute bad port": (b"http://a:99999/x", 400),
    "absolute fragment": (b"http://a/x#y", 400),
    "absolute space in host": (b"http://a%20b/x", 400),
    "no slashes": (b"http:a", 400),
    "8-bit": (b"/\xe9", 400),
    "DEL": (b"/\x7f", 400),
    "CTL": (b"/\x01", 400),
    "NUL": (b"/\0", 400),
    "empty": (b"", 400),
    "too long": (b"/" + b"a" * 17_000, 414),
    "200 kB": (b"/" + b"a" * 200_000, 414),
}

_VERSIONS = {
    "0.9": (b"HTTP/0.9", 400),
    "2.0": (b"HTTP/2.0", 505),
    "2": (b"HTTP/2", 505),
    "3.0": (b"HTTP/3.0", 505),
    "9.9": (b"HTTP/9.9", 505),
    "1.10": (b"HTTP/1.10", 400),
    "20": (b"HTTP/20", 400),
    "01.1": (b"HTTP/01.1", 400),
    "lower case": (b"http/1.1", 400),
    "trailing space": (b"HTTP/1.1 ", 400),
    "letters": (b"HTTP/1.x", 400),
    "RTSP": (b"RTSP/1.0", 400),
    "ICE": (b"ICE/1.0", 400),
    "missing": (b"", 400),
    "comma": (b"HTTP/1,1", 400),
    "no dot": (b"HTTP/11", 400),
}

_FIRST = {
    "SSH": (b"SSH-2.0-OpenSSH_9.2", 400),
    "HTTP/0.9": (b"GET /x", 400),
    "HTTP/2.0": (b"GET /x HTTP/2.0", 505),
    "unknown method": (b"HELO a HTTP/1.1", 501),
    "fragment": (b"GET /x#y HTTP/1.1", 400),
    "too long": (b"GET /" + b"a" * 17_000 + b" HTTP/1.1", 414),
}
"""Wrong before the first header line."""

_LINES = {
    "obs-fold": b"X-A: 1\r\n 2",
    "obs-fold tab": b"X-A: 1\r\n\t2",
    "space before colon": b"X-A : 1",
    "tab before colon": b"X-A\t: 1",
    "NUL in value": b"X-A: a\0b",
    "CTL in value": b"X-A: a\x01b",
    "DEL in value": b"X-A: a\x7fb",
    "bare CR in value": b"X-A: a\rb",
    "bare LF ends line": b"X-A: a\nX-B: b",
    "empty name": b": v",
    "no colon": b"X-A",
    "space in name": b"X A: 1",
    "8-bit name": b"X-\xe9: 1",
    "quote in name": b'X"A: 1',
    "NUL in name": b"X\0A: 1",
    "bracket in name": b"X[A]: 1",
    "CRLF CR": b"X-A: 1\r\n\rGET /smuggled HTTP/1.1",
    "space first on line": b" X-A: 1",
    "tab and length": b"\tContent-Length: 5",
}


def _size_case(size: bytes | None) -> bytes:
    if size is None:
        return chunked(b"5\nhello\r\n0\r\n\r\n")
    return chunked(size + b"\r\nhello\r\n0\r\n\r\n")


REFUSED: dict[str, tuple[bytes, int]] = {
    "2.1 CL.TE": (
        post(b"Content-Length: 6", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n" + SMUGGLED),
        400,
    ),
    "2.1 TE.CL": (
        post(
            b"Transfer-Encoding: chunked",
            b"Content-Length: 4",
            body=b"5c\r\n" + SMUGGLED + b"\r\n0\r\n\r\n",
        ),
        400,
    ),
    "2.1 CL.TE with length zero": (
        post(b"Content-Length: 0", b"Transfer-Encoding: chunked", body=b"0\r\n\r\n"),
        400,
    ),
    **{
        f"2.1 TE.TE with CL: {name}": (
            post(line, b"Content-Length: 5", body=b"0\r\n\r\n" + SMUGGLED),
            400,
        )
        for name, line in _CODINGS.items()
    },
    **{
        f"2.1 TE.TE alone: {name}": (post(line, body=b"0\r\n\r\n"), 400)
        for name, line in _CODINGS.items()
        if name not in ("upper case", *_UNKNOWN)
    },
    **{
        f"2.1 TE of a coding that is not known: {name}": (
            post(_CODINGS[name], body=b"0\r\n\r\n" + SMUGGLED),
            501,
        )
        for name in _UNKNOWN
    },
    "2.1 TE in HTTP/1.0": (
        post(
            b"Connection: keep-alive",
            b"Transfer-Encoding: chunked",
            body=b"0\r\n\r\n" + SMUGGLED,
            version=b"HTTP/1.0",
        ),
        400,
    ),
    **{
        f"2.1 CL {name}": (
            post(b"Content-Length: " + value, body=b"hello"),
            413 if name == "2^64-1" else 400,
        )
        for name, value in _LENGTHS.items()
    },
    "2.1 CL twice, different": (
        post(b"Content-Length: 5", b"Content-Length: 6", body=b"hello!"),
        400,
    ),
    "2.1 CL twice, the same": (
        post(b"Content-Length: 5", b"Content-Length: 5", body=b"hello"),
        400,
    ),
    "2.1 CL space before colon": (post(b"Content-Length : 5", body=b"hello"), 400),
    "2.1 malformed Expect": (
        post(b"Expect: y 100-continue", b"Content-Length: 36", body=SMUGGLED),
        417,
    ),
    "2.3 Expect of something else": (post(b"Expect: 200-ok", b"Content-Length: 0"), 417),
    "2.3 Expect of something else too": (
        post(b"Expect: 100-continue, x", b"Content-Length: 0"),
        417,
    ),
    **{f"2.1 chunk size {name}": (_size_case(size), 400) for name, size in _SIZES.items()},
    **{
        f"2.1 chunk size {name}": (chunked(b"5\r\nhello\r\n" + size + b"\r\nhello"), 413)
        for name, size in _LARGE.items()
    },
    "2.1 chunk extension of 200 kB": (
        chunked(b"5;" + b"a" * 200_000 + b"\r\nhello\r\n0\r\n\r\n"),
        400,
    ),
    "2.1 many chunk extensions of 1 kB": (
        chunked((b"1;" + b"a" * 1000 + b"\r\nx\r\n") * 40 + b"0\r\n\r\n"),
        400,
    ),
    "2.1 chunk extension of 2 MB": (
        chunked(b"5;" + b"a" * 2_000_000 + b"\r\nhello\r\n0\r\n\r\n"),
        400,
    ),
    "2.1 chunk data spills": (chunked(b"5\r\nhelloXX\r\n0\r\n\r\n"), 400),
    "2.1 chunk terminator replaced": (chunked(b"5\r\nhelloXX0\r\n\r\n"), 400),
    "2.1 bare LF behind chunk data": (chunked(b"5\r\nhello\n0\r\n\r\n"), 400),
    "2.1 bare LF behind last chunk": (chunked(b"5\r\nhello\r\n0\n\r\n"), 400),
    "2.1 bare LF ends trailers": (chunked(b"5\r\nhello\r\n0\r\nX: y\n\n"), 400),
    "2.1 LF-only request": (get().replace(b"\r\n", b"\n"), 400),
    **{f"2.1 line: {name}": (get(line), 400) for name, line in _LINES.items()},
    "2.1 whitespace before the first line": (get(host=b" Host: a"), 400),
    "2.1 trailers beyond the limit": (
        chunked(b"0\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(200)) + b"\r\n"),
        431,
    ),
    "2.2 Host missing": (get(host=b""), 400),
    "2.2 Host twice": (get(b"Host: b"), 400),
    "2.2 Host twice, the same": (get(b"Host: a"), 400),
    "2.2 Host twice in HTTP/1.0": (get(b"Host: a", version=b"HTTP/1.0"), 400),
    **{f"2.2 Host {name}": (get(host=b"Host: " + value), 400) for name, value in _HOSTS.items()},
    "2.2 Host bad beside absolute-form": (get(host=b"Host: a b", target=b"http://a/x"), 400),
    **{
        f"2.2 target {name}": (get(target=value), status)
        for name, (value, status) in _TARGETS.items()
    },
    "2.2 empty lines without end": (b"\r\n" * 100 + get(), 400),
    "2.2 CONNECT with early data": (get(target=b"a:443", method=b"CONNECT") + SMUGGLED, 501),
    "2.2 CONNECT origin-form": (get(method=b"CONNECT"), 501),
    "2.2 TRACE with a cookie": (get(b"Cookie: secret=1", method=b"TRACE"), 501),
    **{
        f"2.2 version {name}": (get(version=value), status)
        for name, (value, status) in _VERSIONS.items()
    },
    "2.2 HTTP/0.9 simple request": (b"GET /x\r\n\r\n", 400),
    "2.2 HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "2.2 TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 40, 400),
    **{
        f"2.2 unknown method {name.decode()}": (get(method=name), 501)
        for name in (b"get", b"Get", b"BREW", b"BREW-X2", b"X_Y", b"PRI")
    },
    **{
        f"2.2 no method: {name}": (get(method=written), 400)
        for name, written in {
            "colon": b"GET:",
            "rest of a body": b"helloGET",
            "signs": b"!#$%&'*+-.^_`|~",
            "parenthesis": b"G(T",
            "8-bit": b"G\xe9T",
            "empty": b"",
        }.items()
    },
    "2.2 unknown method in an unknown version": (get(method=b"BREW", version=b"HTTP/4.0"), 400),
    **{
        f"2.2 no head follows: {name}": (line + b"\r\n", status)
        for name, (line, status) in _FIRST.items()
    },
    "2.2 one field of 200 kB": (get(b"X-A: " + b"a" * 200_000), 431),
    "2.2 one name of 200 kB": (get(b"a" * 200_000 + b": 1"), 431),
    "2.2 many fields of 8 kB": (get(*[b"X-%d: %b" % (n, b"a" * 8000) for n in range(20)]), 431),
    "2.2 5000 fields": (get(*[b"X-%d: 1" % n for n in range(5000)]), 431),
    "2.2 head that never ends": (b"GET /x HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 30_000, 431),
    "2.3 upgrade with a body": (
        get(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            b"Content-Length: 5",
        )
        + b"hello",
        400,
    ),
    "2.3 upgrade with a nominated key": (
        get(
            b"Connection: Upgrade, Sec-WebSocket-Key",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        ),
        400,
    ),
    "2.3 upgrade without a key": (get(b"Connection: Upgrade", b"Upgrade: websocket"), 400),
    "2.3 upgrade with POST": (
        get(
            b"Connection: Upgrade",
            b"Upgrade: websocket",
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            method=b"POST",
        ),
        400,
    ),
    "2.5 body above the limit": (post(b"Content-Length: 999999999", b"Expect: 100-continue"), 413),
}
