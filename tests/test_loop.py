"""How a process ends its own work."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from sidecar.runtime.loop import ended
from tests.patience import PATIENCE


async def test_work_that_swallows_its_cancellation_is_cancelled_again():
    """The process would wait for it for ever; what fails as it ends does not stop the end."""
    heard: list[str] = []

    async def deaf() -> None:
        for name in ("first", "second"):
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
            heard.append(name)
        raise RuntimeError

    tasks = [asyncio.create_task(deaf()), asyncio.create_task(asyncio.Event().wait())]
    await asyncio.sleep(0)
    async with asyncio.timeout(PATIENCE):
        await ended(tasks, again=0.01)

    assert heard == ["first", "second"]
    assert all(task.done() for task in tasks)
