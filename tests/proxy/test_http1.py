"""The codec without sockets: the same whatever the cuts, and never more lenient than h11.

Hypothesis over heads, bodies and cuts.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable

import h11
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.bodies import EXTENSIONS, Chunked, Sized
from sidecar.proxy.http1.grammar import CHUNKED, METHODS, Malformed, decimal
from sidecar.proxy.http1.heads import KEPT_NAMES, Field, Names, by_bytes, by_lines
from sidecar.proxy.http1.request_line import usual_by_bytes, usual_by_parts
from sidecar.proxy.http1.requests import Request, RequestReader
from sidecar.proxy.http1.scan import letters, same_name, text, visible
from sidecar.proxy.http1.stream import RequestHeads
from sidecar.settings import Limits
from tests.portion import examples
from tests.wire.fuzz import mutated, request
from tests.wire.requests_refused import REFUSED

LIMITS = Limits()
READER = RequestReader(LIMITS, b"x-request-id", None, b"upstream")

Read = tuple[str, bytes, bytes, bytes]
"""Method, target, lines for the upstream, body."""


def read_all(pieces: list[bytes]) -> list[Read | str]:
    """The requests in a stream that comes in these pieces; a refusal ends it."""
    heads, found = RequestHeads(READER, LIMITS), []
    asked: Request | None = None
    decoder: Chunked | Sized = Sized(0)
    body = b""
    for piece in pieces:
        data = piece
        while data or (asked is not None and decoder.done):
            try:
                if asked is None:
                    asked = heads.take(data)
                    data, heads.rest = heads.rest, b""
                    if asked is None:
                        break
                    body = b""
                    decoder = (
                        Chunked(65536, 100) if asked.length == CHUNKED else Sized(asked.length)
                    )
                elif not decoder.done:
                    body += decoder.feed(data)
                    data = b""
                if decoder.done:
                    found.append((asked.method, asked.target, b"".join(asked.lines), body))
                    data, asked = decoder.rest or data, None
            except Refused as refusal:
                return [*found, f"{refusal.status} {refusal.reason}"]
            except Malformed:
                return [*found, "400 framing"]
    return found


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    rng = draw(st.randoms(use_true_random=False))
    data = b"".join(request(rng, number) for number in range(rng.choice([1, 2, 3])))
    return mutated(rng, data) if rng.random() < 0.5 else data


def is_prefix(short: list[Read | str], long: list[Read | str]) -> bool:
    return long[: len(short)] == short


@settings(max_examples=examples(150))
@given(streams(), st.lists(st.integers(0, 400), max_size=6))
@example(b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", [26])
def test_cuts_change_nothing(data: bytes, cuts: list[int]) -> None:
    """However a stream is cut, the same requests are read; what is refused early would have been
    refused whole.
    """
    whole = read_all([data])
    edges = sorted({min(cut, len(data)) for cut in cuts})
    pieces = [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]
    for parts in (pieces, [data[at : at + 1] for at in range(len(data))]):
        found = read_all([part for part in parts if part])
        assert [one for one in found if not isinstance(one, str)] == [
            one for one in whole if not isinstance(one, str)
        ]
        assert isinstance((found or [""])[-1], str) == isinstance((whole or [""])[-1], str) or (
            not whole or not isinstance(whole[-1], str)
        )


def h11_reads(data: bytes) -> list[tuple[str, bytes, bytes]]:
    """Method, target and body of each request that h11 finds."""
    found: list[tuple[str, bytes, bytes]] = []
    while data:
        parser = h11.Connection(h11.SERVER, max_incomplete_event_size=1 << 20)
        # RFC 9112 section 2.2 (empty lines ahead) and section 3 (several spaces behind the method).
        parser.receive_data(re.sub(rb"\A(?:\r\n)*(\S+) +", rb"\1 ", data))
        start, body = ("", b""), b""
        while True:
            try:
                event = parser.next_event()
            except h11.RemoteProtocolError:
                return found
            if isinstance(event, h11.Request):
                start = event.method.decode(), event.target
            elif isinstance(event, h11.Data):
                body += event.data
            elif isinstance(event, h11.EndOfMessage):
                break
            else:
                return found
        found.append((*start, body))
        data = parser.trailing_data[0]
    return found


FRAMING_TRAILER = re.compile(
    rb"\r\n0+\r\n(?:[^\r\n]+\r\n)*(?:content-length|transfer-encoding)[ \t]*:", re.IGNORECASE
)


@settings(max_examples=examples(250))
@given(streams())
@example(b"GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: chunked\r\n\r\n")
def test_what_is_read_is_what_h11_reads(data: bytes) -> None:
    """Whatever passes here, h11 reads too, with the same method and body, start lines and
    targets mutated as well.
    """
    # Trailers are dropped here whatever they say; h11 judges those that would frame (RFC 9110
    # section 6.5.1).
    assume(not FRAMING_TRAILER.search(data))
    found = [one for one in read_all([data]) if not isinstance(one, str)]
    theirs = h11_reads(data)
    assert [(method, body) for method, _, _, body in found] == [
        (method, body) for method, _, body in theirs[: len(found)]
    ]
    for (_, target, _, _), (_, sent, _) in zip(found, theirs, strict=False):
        assert sent == target or sent.lower().startswith((b"http://", b"https://"))


@pytest.mark.parametrize("data", [raw for raw, _ in REFUSED.values()], ids=REFUSED)
def test_refused_whatever_the_cuts(data: bytes) -> None:
    """No cut lets a refused request pass, or one that stands in it."""
    if len(data) > 3000:
        data = data[:3000]
    for size in (1, 2, 3, 7, len(data)):
        found = read_all([data[at : at + size] for at in range(0, len(data), size)])
        assert [one for one in found if not isinstance(one, str)] == []


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5), st.integers(1, 9), st.binary())
def test_chunks(pieces: list[bytes], size: int, behind: bytes) -> None:
    """A chunked body is what its chunks hold, however it is cut, and what follows it is left
    over.
    """
    data = b"".join(b"%x;e\r\n%b\r\n" % (len(piece), piece) for piece in pieces)
    data += b"0\r\nX-T: 1\r\n\r\n"
    decoder = Chunked(1000, 10)
    body = b"".join(decoder.feed(data[at : at + size]) for at in range(0, len(data) - 1, size))
    if not decoder.done:
        at = (len(data) - 2) // size * size + size
        body += decoder.feed(data[at:] + behind)
        assert decoder.rest == behind
    assert decoder.done
    assert body == b"".join(pieces)


@pytest.mark.parametrize("many", [EXTENSIONS, EXTENSIONS + 1])
def test_extensions_are_bounded(many: int) -> None:
    """The extensions of one body may be so long together, and no byte longer, in one line or in
    many.
    """
    fits = many == EXTENSIONS
    for lines in (1, 64):
        each = [b";" + b"a" * (many // lines - 1)] * lines
        each[-1] += b"a" * (many - many // lines * lines)
        data = b"".join(b"1%b\r\nx\r\n" % extension for extension in each) + b"0\r\n\r\n"
        decoder = Chunked(1000, 10)
        if fits:
            assert decoder.feed(data) == b"x" * lines
        else:
            with pytest.raises(Malformed):
                decoder.feed(data)


def test_names_that_come_once_take_no_room_for_good() -> None:
    """Whatever names a client invents: the usual ones are known again, and memory is bounded."""
    names = Names({}, lambda _: 0)
    for number in range(3 * KEPT_NAMES // 2):
        names.learn(b"x-%d" % number)

    names.learn(b"accept")

    assert b"accept" in names.kinds
    assert len(names.kinds) <= KEPT_NAMES


LINES = st.lists(
    st.one_of(
        st.sampled_from(
            [
                b"Host: a",
                b"X-A:1",
                b"x_b: 2",
                b"A:",
                b"\r\n",
                b"\r\n",
                b"\n",
                b"\r",
                b"\0",
                b":",
                b" ",
                b"\t",
                b"Via",
                b"\xe9: \xe9",
                b"\x7f",
            ]
        ),
        st.binary(max_size=6),
    ),
    max_size=12,
).map(b"".join)


@given(
    st.lists(
        st.sampled_from(
            [
                b"GET",
                b"get",
                b" ",
                b" /a",
                b"/",
                b"?",
                b"?b=/",
                b"*",
                b"#",
                b"\t",
                b"\0",
                b"\xe9",
                b" HTTP/1.1",
                b" HTTP/1.0",
                b"\r\n",
                b"\n",
            ]
        ),
        max_size=9,
    ).map(b"".join)
)
@example(b"GET /a?b HTTP/1.1\r\n")
@example(b"GET / HTTP/1.1\rHost: a\r\n")
@example(b" / HTTP/1.1\r\n")
@example(b"G\tT / HTTP/1.1\r\n")
def test_both_ways_of_reading_a_request_line_find_the_same(data: bytes) -> None:
    """Method, target, path and the place of the lines, or that the line is an unusual one; a
    name that is no method is refused either way.
    """
    one, other = usual_by_bytes(data), usual_by_parts(data)
    assert one == other or {one[0] in METHODS, other[0] in METHODS} == {False}


@given(st.binary(max_size=90), st.integers(0, 40))
@example(b"a" * 7 + b"\x7f" + b"b" * 8, 0)
@example(b"\x80" * 8 + b"\t" * 9 + b"\r", 0)
@example(b"\x20\x1f" * 8, 1)
def test_a_value_ends_where_single_bytes_end_it(data: bytes, start: int) -> None:
    """Before the first control byte but HTAB, wherever that stands."""
    found = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]").search(data, start)
    end = found.start() if found else max(start, len(data))
    assert text(data, start, len(data)) == end


@pytest.mark.parametrize(
    ("reach", "kind"), [(letters, rb"[A-Za-z-]*"), (visible, rb"[!-\"$->@-~]*")]
)
def test_eight_bytes_are_looked_at_as_one_is(
    reach: Callable[[bytes, int, int], int], kind: bytes
) -> None:
    """Each byte at each of eight places, among others that belong to the kind."""
    for byte, place in itertools.product(range(256), range(8)):
        data = b"-aZ-zAbX" + b"abcdefgh"[:place] + bytes([byte]) + b"ijklmnopqrstuvwx"
        found = re.compile(kind).match(data)
        assert found is not None
        assert reach(data, 0, len(data)) == min(found.end(), len(data) // 8 * 8)


@given(st.from_regex(rb"[a-z0-9-]{1,30}", fullmatch=True), st.integers(0, 30), st.data())
def test_names_are_the_same_whatever_their_case(
    name: bytes, place: int, data: st.DataObject
) -> None:
    """Compared with each name that differs from it in one byte at most."""
    place %= len(name)
    tokens = st.sampled_from(b"!#$%&'*+-.^_`|~09azAZ" + name.upper())
    other = name[:place] + bytes([data.draw(tokens)]) + name[place + 1 :]
    written = b"x" * place + other.upper()
    assert same_name(written, place, name, len(name)) == (other.lower() == name)


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (b"0", 0),
        (b"0042", 42),
        (b"9" * 18, int("9" * 18)),
        (b"9" * 19, -1),
        (b"", -1),
        (b"+1", -1),
        (b"1_0", -1),
        (b" 1", -1),
        ("\u0661".encode(), -1),
    ],
)
def test_only_digits_are_a_length(value: bytes, number: int) -> None:
    """What Python's `int` takes besides is no Content-Length."""
    assert decimal(value) == number


@given(LINES, st.booleans())
@example(b"A: b\r\n\r", False)
@example(b"A: b\r\nB: c\r\n\r\nC", False)
def test_both_ways_of_reading_lines_find_the_same(data: bytes, whole: bool) -> None:
    """What a compiled build reads byte by byte, a plain one reads in few calls: the same lines,
    or a refusal by both.
    """
    data = b"\r\n" + data + (b"\r\n\r\n" if whole else b"")
    found = []
    for read in (by_bytes, by_lines):
        fields: list[Field] = []
        try:
            stop = read(data, 2, Names({b"host": 1, b"via": 2}, len), 4, fields)
        except Malformed:
            found.append("refused")
            continue
        lines = fields if stop >= 0 else []
        found.append((stop, lines))
    assert found[0] == found[1]
