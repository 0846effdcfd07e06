"""What we use of aiohttp that is not in its contract: this fails by name when a release takes it away.

Lives here: the list. Must not know why each is used (downstream.py does).
"""

from __future__ import annotations

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader

from sidecar.proxy.parser import make_parser
from sidecar.settings import Limits


@pytest.mark.parametrize("name", ["_parser", "_paused", "_drain_waiter", "_loop", "_upgraded", "transport", "writing_paused"])
async def test_state(name: str) -> None:
    """The protocol holds this state under this name."""
    assert hasattr(BaseProtocol(asyncio.get_running_loop()), name)


@pytest.mark.parametrize("name", ["connection_made", "connection_lost", "_pause_transport_reading", "_resume_transport_reading", "pause_writing", "resume_writing"])
def test_calls(name: str) -> None:
    """The protocol is called, or can be called, by this name."""
    assert callable(getattr(BaseProtocol, name))


async def test_parser() -> None:
    """The parser takes our limits, stops behind each request, and tells a target from a field by its limit."""
    loop = asyncio.get_running_loop()
    protocol = BaseProtocol(loop)
    parser = make_parser(protocol, loop, Limits(), 1024)
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
