"""Requests that cannot be parsed: the control plane says little, and nothing of itself."""

import asyncio
import logging

import pytest
from aiohttp import web

from sidecar.admin.listener import Runner

SECRET = b"tok3n-of-somebody"


async def response(data: bytes) -> bytes:
    """What a listener with one failing path answers to these bytes."""
    app = web.Application()

    async def failing(_request: web.Request) -> web.Response:
        raise RuntimeError("inside")

    app.router.add_get("/failing", failing)
    runner = Runner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        reader, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(data)
        given = await reader.read()
        writer.close()
        return given
    finally:
        await runner.cleanup()


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nAuthorization\x00: " + SECRET + b"\r\n\r\n",
        b"\x16\x03\x01" + SECRET + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost : x\r\n\r\n",
    ],
)
async def test_a_malformed_request_is_not_repeated(data: bytes, caplog: pytest.LogCaptureFixture):
    """400 with our own headers, in the response and in the log nothing of what was sent, no name
    of a library.
    """
    given = await response(data)

    assert b" 400 " in given.splitlines()[0]
    assert b"X-Content-Type-Options: nosniff" in given
    assert SECRET not in given
    assert b"aiohttp" not in given
    assert SECRET.decode() not in caplog.text


async def test_a_failing_handler_is_logged_and_not_shown(caplog: pytest.LogCaptureFixture):
    """The caller gets a number, the log gets the reason."""
    with caplog.at_level(logging.ERROR):
        data = await response(b"GET /failing HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert data.endswith(b"500\n")
    assert "inside" in caplog.text
