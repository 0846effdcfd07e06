"""Client connections as objects: what is left of them when they have ended."""

from __future__ import annotations

import asyncio
import gc

import pytest

from sidecar.proxy.downstream import Downstream
from tests.portion import full
from tests.wire.requests_refused import get, post
from tests.wire.stage import Stage, talk

CLOSE = b"Connection: close"


async def ended(stage: Stage) -> None:
    """Wait until no connection is open, and the loop has let go of the last."""
    await stage.plane._listener.emptied()
    await asyncio.sleep(0)


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(get(CLOSE), id="page", marks=full),
        pytest.param(get() + get(CLOSE), id="two pages", marks=full),
        pytest.param(post(CLOSE, b"Content-Length: 5", body=b"12345"), id="upload", marks=full),
        pytest.param(
            post(b"Content-Length: 5", body=b"12345") + get(CLOSE), id="upload, then a page"
        ),
    ],
)
def test_an_ended_connection_leaves_nothing_to_the_garbage_collector(sent: bytes):
    """It is in no cycle, so its memory is free at once; a new connection for each request is not
    paid for twice.
    """
    with Stage().running() as stage:
        gc.collect()
        gc.disable()
        try:
            for _ in range(3):
                with stage.connect() as client:
                    assert talk(client, sent, responses=3)
            stage.call(ended(stage))
            assert [found for found in gc.get_objects() if type(found) is Downstream] == []
        finally:
            gc.enable()
