"""The head of an upstream's response: strict, as h11 reads it, and the same the second time."""

from __future__ import annotations

import contextlib

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.proxy.faults import UpstreamFailed
from sidecar.proxy.http1.responses import KEPT_LINES, Response, ResponseReader
from sidecar.settings import Limits
from tests.proxy.test_rules import FIELDS

FRAMING = st.sampled_from(
    [
        (b"Content-Length", b"5"),
        (b"Transfer-Encoding", b"chunked"),
        (b"Connection", b"close, x-a"),
        (b"content-length", b"x"),
        (b"Keep-Alive", b"1"),
    ]
)
PIECES = st.sampled_from(
    [b"HTTP/1.1 200 OK", b"HTTP/1.0 404 ", b"HTTP/1.1 204", b"HTTP/1.1  200 OK", b"HTTP/2.0 200 OK", b"HTTP/1.1 600 X", b"HTTP/1.1 099 X", b"\r\n", b"\r\n", b"\r\n", b"\n",
     b"X-A: b", b"X-B:c", b"Content-Length: 5", b"content-length:5 ", b"Set-Cookie: a=b", b" ", b"\t", b":", b"\0", b"\r", b"\x7f", b"caf\xe9", b"=", b"Connection: x-a, close"]
)  # fmt: skip


def head(status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
    """Bytes without the empty line at the end."""
    return b"\r\n".join(
        [b"HTTP/1.1 %d X" % status, *(name + b": " + value for name, value in fields)]
    )


def said(reader: ResponseReader, data: bytes) -> Response | str:
    """What a reader makes of it: a response, or the reason of its refusal."""
    try:
        return reader.read(data, "GET")
    except UpstreamFailed as failure:
        return failure.reason


@given(
    FIELDS,
    st.lists(FRAMING, max_size=3),
    st.sampled_from([200, 204, 304, 404]),
    st.sampled_from(["GET", "HEAD"]),
)
def test_lines_that_are_kept(
    fields: list[tuple[bytes, bytes]], framing: list[tuple[bytes, bytes]], status: int, method: str
) -> None:
    """A response is refused, or keeps its end-to-end lines in order with at most one framing line, and no line of the hop."""
    with contextlib.suppress(UpstreamFailed):
        response = ResponseReader(Limits()).read(head(status, fields + framing), method)
        names = [name.lower() for name, _ in response.fields]
        assert not {
            b"connection",
            b"keep-alive",
            b"proxy-connection",
            b"te",
            b"upgrade",
            b"trailer",
        } & set(names)
        assert (
            len([name for name in names if name in (b"content-length", b"transfer-encoding")]) <= 1
        )
        kept = iter(fields + framing)
        assert all(line in kept for line in response.fields)
        if method == "HEAD" or status in (204, 304):
            assert response.length == 0


@settings(max_examples=400)
@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(PIECES, max_size=10).map(b"".join),
        st.lists(PIECES, max_size=8).map(lambda pieces: b"HTTP/1.1 200 OK\r\n" + b"".join(pieces)),
    )
)
@example(b"HTTP/1.1 200 OK\r\nX-A: b \t\r\nX-B:")
def test_what_is_read_is_what_h11_reads(data: bytes) -> None:
    """Whatever passes here, h11 takes too, with the same status and lines; and nothing raises but a refusal."""
    response = said(ResponseReader(Limits()), data)
    if isinstance(response, str):
        return
    parser = h11.Connection(h11.CLIENT)
    upgrade = [("Connection", "Upgrade"), ("Upgrade", "x")]
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "a"), *upgrade]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(data + b"\r\n\r\n")
    event = parser.next_event()
    assert isinstance(event, h11.Response | h11.InformationalResponse)
    assert event.status_code == response.status
    kept = iter(event.headers.raw_items())
    assert all(line in kept for line in response.fields)


@given(
    st.lists(
        st.lists(PIECES, max_size=6).map(lambda pieces: b"HTTP/1.1 200 OK\r\n" + b"".join(pieces)),
        max_size=5,
    )
)
def test_a_remembered_line_is_read_as_the_first_time(heads: list[bytes]) -> None:
    """What a reader saw before does not change what it makes of a response."""
    reader = ResponseReader(Limits())
    for data in (*heads, *heads):
        assert said(reader, data) == said(ResponseReader(Limits()), data)


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"Set-Cookie: sid=secret", id="a cookie"),
        pytest.param(b"X-A: " + b"a" * 300, id="a long line"),
    ],
)
def test_secrets_and_bulk_are_not_remembered(line: bytes) -> None:
    """Cookies and long lines are read rightly, and leave nothing behind."""
    reader = ResponseReader(Limits())

    response = said(reader, b"HTTP/1.1 200 OK\r\n" + line)

    assert isinstance(response, Response)
    assert response.fields == [tuple(line.split(b": "))]
    assert not reader._lines


def test_a_service_that_never_repeats_itself_does_not_fill_the_memory() -> None:
    """The lines that are kept are bounded."""
    reader = ResponseReader(Limits())
    for count in range(2 * KEPT_LINES):
        reader.read(b"HTTP/1.1 200 OK\r\nETag: %d" % count, "GET")

    assert len(reader._lines) <= KEPT_LINES
