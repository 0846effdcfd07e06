"""What we use of aiohttp that is not in its contract: this fails by name when a release takes it away.

Lives here: the list. Must not know why each is used (downstream.py does).
"""

from __future__ import annotations

import asyncio

from aiohttp.streams import StreamReader

from sidecar.proxy.flow import Flow
from sidecar.proxy.parser import make_parser
from sidecar.settings import Limits


async def test_flow_is_all_that_a_body_asks_of_its_protocol() -> None:
    """A stream that is full pauses its connection, and lets it go on when it has been read."""
    flow = Flow()
    parser = flow._parser = make_parser(flow, asyncio.get_running_loop(), Limits(), 1024)
    ((_, body),) = parser.feed_data(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n")[
        0
    ]

    parser.feed_data(b"x" * 5000)
    assert flow._reading_paused
    read = len(body.read_nowait())
    assert not flow._reading_paused
    parser.feed_data(b"x" * 4000)
    while not body.at_eof():
        read += len(body.read_nowait())
        parser.feed_data(b"")

    assert read == 9000


async def test_parser() -> None:
    """The parser takes our limits, stops behind each request, and tells a target from a field by its limit."""
    loop = asyncio.get_running_loop()
    parser = make_parser(Flow(), loop, Limits(), 1024)
    request = b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n"
    first, upgraded, tail = parser.feed_data(request % 1 + request % 2)
    assert [message.path for message, _ in first] == ["/1"]
    assert (upgraded, tail) == (False, b"")
    parser.message_consumed()
    second, _, _ = parser.feed_data(b"")
    assert [message.path for message, _ in second] == ["/2"]
    assert parser.feed_eof() is None
    for name in (
        "feed_data",
        "read_nowait",
        "readany",
        "is_eof",
        "at_eof",
        "set_exception",
        "total_bytes",
    ):
        assert name == "total_bytes" or callable(getattr(StreamReader, name))
