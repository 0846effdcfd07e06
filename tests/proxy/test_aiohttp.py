"""What we use of aiohttp that is not in its contract: this fails by name when a release takes it away.

Lives here: the list. Must not know why each is used (downstream.py does).
"""

from __future__ import annotations

import asyncio

from aiohttp.streams import StreamReader

from sidecar.proxy.flow import Flow
from sidecar.proxy.parser import make_parser
from sidecar.settings import Limits


class Body(Flow):
    """A connection that a body arrives on."""

    def __init__(self) -> None:
        super().__init__()
        self._parser = make_parser(self, asyncio.get_running_loop(), Limits(), 1024)
        self.asked: list[str] = []

    def pause_reading(self) -> None:
        self.asked.append("pause")
        super().pause_reading()

    def resume_reading(self, resume_parser: bool = True) -> None:
        self.asked.append("resume")
        super().resume_reading(resume_parser)

    def data_received(self, data: bytes) -> None:
        assert self._parser is not None
        for _, body in self._parser.feed_data(data)[0]:
            self.body = body


async def test_flow_is_all_that_a_body_asks_of_its_protocol() -> None:
    """A stream that is full pauses the parser, and what was held back follows when there is room again."""
    connection = Body()
    connection.data_received(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n")

    connection.data_received(b"x" * 5000)
    assert connection.asked[0] == "pause"
    connection.data_received(b"x" * 4000)
    read = 0
    while not connection.body.at_eof():
        read += len(await asyncio.wait_for(connection.body.readany(), 5))

    assert read == 9000
    assert connection.asked[-1] == "resume"


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
    for name in ("feed_data", "read_nowait", "readany", "is_eof", "at_eof", "set_exception", "total_bytes"):
        assert name == "total_bytes" or callable(getattr(StreamReader, name))
