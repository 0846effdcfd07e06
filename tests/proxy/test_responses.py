"""The head of an upstream's response: strict, as h11 reads it, and on its way as it came."""

from __future__ import annotations

import contextlib

import h11
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sidecar.proxy.faults import UpstreamFailed
from sidecar.proxy.http1.grammar import HOP_BY_HOP, NEVER_NOMINATED
from sidecar.proxy.http1.heads import KEPT_NAMES
from sidecar.proxy.http1.responses import KEPT_STARTS, Response, ResponseReader, made
from sidecar.settings import Limits
from tests.portion import examples
from tests.proxy.test_rules import FIELDS

DECIDED = HOP_BY_HOP | NEVER_NOMINATED | {b"connection", b"x-hop"}
"""Names, in lower case, that say where a body ends or which lines end here: never simply passed
on.
"""

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
    [
        b"HTTP/1.1 200 OK",
        b"HTTP/1.0 404 ",
        b"HTTP/1.1 204",
        b"HTTP/1.1  200 OK",
        b"HTTP/2.0 200 OK",
        b"HTTP/1.1 600 X",
        b"HTTP/1.1 099 X",
        b"\r\n",
        b"\r\n",
        b"\r\n",
        b"\n",
        b"X-A: b",
        b"X-B:c",
        b"Content-Length: 5",
        b"content-length:5 ",
        b"Set-Cookie: a=b",
        b" ",
        b"\t",
        b":",
        b"\0",
        b"\r",
        b"\x7f",
        b"caf\xe9",
        b"=",
        b"Connection: x-a, close",
    ]
)


def head(status: int, fields: list[tuple[bytes, bytes]]) -> bytes:
    """Bytes without the empty line at the end."""
    return b"\r\n".join(
        [b"HTTP/1.1 %d X" % status, *(name + b": " + value for name, value in fields)]
    )


def said(reader: ResponseReader, data: bytes) -> Response | str:
    """What a reader makes of it up to its first empty line: a response, or the reason of its
    refusal.
    """
    try:
        response = reader.read(data + b"\r\n\r\n", "GET")
        assert response is not None
        return response
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
    """A response is refused, or keeps its end-to-end lines in order with at most one framing
    line, and no line of the hop.
    """
    with contextlib.suppress(UpstreamFailed):
        response = ResponseReader(Limits()).read(
            head(status, fields + framing) + b"\r\n\r\n", method
        )
        assert response is not None
        names = [name.lower() for name, _ in response]
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
        assert all(line in kept for line in response)
        if method == "HEAD" or status in (204, 304):
            assert response.length == 0


@settings(max_examples=examples(400))
@given(
    st.one_of(
        st.binary(max_size=60),
        st.lists(PIECES, max_size=10).map(b"".join),
        st.lists(PIECES, max_size=8).map(lambda pieces: b"HTTP/1.1 200 OK\r\n" + b"".join(pieces)),
    )
)
@example(b"HTTP/1.1 200 OK\r\nX-A: b \t\r\nX-B:")
def test_what_is_read_is_what_h11_reads(data: bytes) -> None:
    """Whatever passes here, h11 takes too, with the same status and lines; and nothing raises
    but a refusal.
    """
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
    assert all(line in kept for line in response)


def test_a_service_that_never_repeats_itself_does_not_fill_the_memory() -> None:
    """Names and status lines that are kept are bounded, and no value is kept."""
    reader = ResponseReader(Limits())
    for count in range(2 * KEPT_NAMES):
        said(reader, b"HTTP/1.1 200 %d\r\nX-%d: secret" % (count, count))

    kinds = [names.kinds for names in reader._looking.values()]
    assert all(len(known) <= KEPT_NAMES for known in kinds)
    assert len(reader._starts) <= KEPT_STARTS
    assert "secret" not in repr((kinds, reader._starts))


@given(
    FIELDS.map(lambda lines: [line for line in lines if line[0].lower() not in DECIDED]),
    st.lists(st.sampled_from([None, b"", b"X-New: 1\r\n"]), max_size=8),
)
def test_what_leaves(fields: list[tuple[bytes, bytes]], places: list[bytes | None]) -> None:
    """Lines leave as they came, but for those that something else stands in the place of, and
    those of the hop.
    """
    hop = (b"Connection", b"x-hop"), (b"X-Hop", b"1")
    raw = head(200, [*hop[:1], *fields, *hop[1:], (b"Content-Length", b"0")]) + b"\r\n\r\n"
    looks = frozenset(name.lower() for name, _ in fields[::2])
    response = ResponseReader(Limits()).read(raw, "GET", looks)
    assert response is not None

    watched = response.head.watched()
    left = iter(places)
    sent = b"HTTP/1.1 200 X\r\n"
    for name, value in [*fields, (b"Content-Length", b"0")]:
        place = next(left, None) if name.lower() in looks else None
        sent += b"%b: %b\r\n" % (name, value) if place is None else place

    assert watched == [name + b": " + value for name, value in fields if name.lower() in looks]
    assert b"".join(response.leaving(tuple(places))) == sent
    again = ResponseReader(Limits()).read(raw, "GET", looks)
    assert again is not None
    lines = b"".join(b"%b: %b\r\n" % line for line in response)
    assert b"".join(again.leaving()) == b"HTTP/1.1 200 X\r\n" + lines


def test_whitespace_around_a_value_leaves_as_it_came() -> None:
    """Nothing that no rule looks at is written anew."""
    response = said(ResponseReader(Limits()), b"HTTP/1.1 200 OK\r\nX-A:\t1 \r\nX-B:2")
    assert isinstance(response, Response)
    assert b"".join(response.leaving()) == b"HTTP/1.1 200 OK\r\nX-A:\t1 \r\nX-B:2\r\n"
    assert list(response) == [(b"X-A", b"1"), (b"X-B", b"2")]


def test_our_own() -> None:
    """A response of our own is one like the others."""
    fields = [(b"Date", b"x"), (b"Content-Length", b"0")]
    assert list(made(200, b" 200 OK", fields, 0)) == fields


@pytest.mark.parametrize("line", [b"Content-Length: 5", b"Transfer-Encoding: chunked"])
@pytest.mark.parametrize("status", [101, 103])
def test_no_interim_response_is_framed(status: int, line: bytes) -> None:
    """A proxy in front that believed it would take the final response for a body (RFC 9112
    section 6.1, RFC 9110 section 8.6).
    """
    response = ResponseReader(Limits()).read(b"HTTP/1.1 %d X\r\n%b\r\n\r\n" % (status, line), "GET")

    assert response is not None
    assert b"".join(response.leaving()) == b"HTTP/1.1 %d X\r\n" % status
    assert response.length == 0
