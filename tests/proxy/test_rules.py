"""Laws of the pure rules, over any bytes.

Hypothesis over targets, responses and frames.
"""

from __future__ import annotations

import contextlib

from hypothesis import given
from hypothesis import strategies as st

from sidecar.proxy.faults import Refused
from sidecar.proxy.http1.grammar import message
from sidecar.proxy.http1.request_line import read_target
from sidecar.proxy.http1.responses import made
from sidecar.proxy.tunnel import Frames

TOKENS = st.text(
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-", min_size=1, max_size=20
).map(str.encode)
VALUES = st.text(
    st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40
).map(lambda text: text.strip().encode("latin-1"))
FIELDS = st.lists(st.tuples(TOKENS, VALUES), max_size=8)


@given(st.binary(max_size=60), st.sampled_from(["GET", "OPTIONS", "POST"]))
def test_target(path: bytes, method: str) -> None:
    """A target is refused, or goes on as visible ASCII in origin-form or `*`; an origin-form
    goes on unchanged.
    """
    with contextlib.suppress(Refused):
        target, named = read_target(method, path, 1000)
        assert target == b"*" or target.startswith(b"/")
        assert all(33 <= byte <= 126 and byte != 35 for byte in target)
        if path.startswith(b"/"):
            assert (target, named) == (path, None)


@given(FIELDS)
def test_head_has_one_line_each(fields: list[tuple[bytes, bytes]]) -> None:
    """A serialised head has exactly the lines it was given, and ends once."""
    lines = made(200, b" 200 OK", fields, 0).leaving()
    head = message(lines, b"Connection: close\r\n")
    assert head.endswith(b"\r\n\r\n")
    assert [line for line in head.split(b"\r\n") if line] == [
        b"HTTP/1.1 200 OK",
        *(name + b": " + value for name, value in fields),
        b"Connection: close",
    ]


def frame(payload: bytes, *, masked: bool) -> bytes:
    mask = 0x80 if masked else 0
    size = len(payload)
    length = (
        bytes([mask | size])
        if size < 126
        else (
            bytes([mask | 126]) + size.to_bytes(2, "big")
            if size < 65536
            else bytes([mask | 127]) + size.to_bytes(8, "big")
        )
    )
    return b"\x82" + length + (b"\0\0\0\0" if masked else b"") + payload


@given(
    st.lists(
        st.tuples(st.sampled_from([0, 1, 125, 126, 127, 300, 65_535, 65_536]), st.booleans()),
        min_size=1,
        max_size=5,
    ),
    st.randoms(),
)
def test_frames(sizes: list[tuple[int, bool]], random) -> None:
    """However frames are cut, their edges are found, and with `stop` the first edge ends the
    following.
    """
    frames = [frame(b"x" * size, masked=masked) for size, masked in sizes]
    data = b"".join(frames)
    follow, at = Frames(), 0
    while at < len(data):
        step = random.randint(1, 70_000)
        assert follow.follow(data[at : at + step]) == len(data[at : at + step])
        at += step
        edges = {sum(map(len, frames[:count])) for count in range(len(frames) + 1)}
        assert follow.between == (min(at, len(data)) in edges)
    assert Frames().follow(data, stop=True) == len(frames[0])
