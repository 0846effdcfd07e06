"""How a process of ours runs: the garbage collector, the loop, the end."""

from __future__ import annotations

import asyncio
import gc
import signal
from collections.abc import Coroutine, Iterable
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
"""Those that a process of ours handles."""


def collect_seldom() -> None:
    """Call it when all is loaded: that stays, so the collector need never look at it, at work or at
    the end.

    Requests leave no cycles: looking every 700 objects found nothing, for 5 % of the time.
    """
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)
    gc.enable()


def start(work: Coroutine[Any, Any, Any], tasks: set[asyncio.Task[Any]]) -> None:
    """Do work that nobody awaits; `tasks` keeps it from being collected before it has ended."""
    task = asyncio.create_task(work)
    tasks.add(task)
    task.add_done_callback(tasks.discard)


async def ended(tasks: Iterable[asyncio.Task[None]], again: float = 1.0) -> None:
    """Cancel tasks until they have ended: again after so many seconds, because a library on the
    way may swallow it, as redis-py does while it connects.
    """
    pending = set(tasks)
    while pending:
        for task in pending:
            task.cancel()
        done, pending = await asyncio.wait(pending, timeout=again)
        await asyncio.gather(*done, return_exceptions=True)


def run_to_end(work: Coroutine[Any, Any, None]) -> None:
    """Run a process's main coroutine, on uvloop where it is installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # pragma: no cover - on systems without uvloop
        from asyncio import new_event_loop  # type: ignore[assignment]
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        runner.run(work)
    # The loop has given its signals back: one that comes now, while the last lines are written,
    # must not turn the exit code.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
