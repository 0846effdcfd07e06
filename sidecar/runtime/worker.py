"""One worker process: a data plane that takes its settings, its policy and its orders from the
parent.

The parent owns files, admin and health.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Any

from sidecar.baseline import Baseline
from sidecar.baseline.capture import Tally
from sidecar.policy.engine.plan import Plan, compile_policy
from sidecar.proxy import DataPlane
from sidecar.revisions import Active
from sidecar.runtime.loop import SIGNALS, collect_seldom, run_to_end, start
from sidecar.settings import Settings
from sidecar.source import load_policy
from sidecar.telemetry import Events, Metrics, Telemetry
from sidecar.telemetry.events import capture_logging
from sidecar.telemetry.metric_table import PER_WORKER

_LIMIT = 8 << 20  # a policy text of the largest size fits, and a snapshot of many rules


class Channel:
    """Messages between the parent and a worker: JSON lines over one end of a socket pair."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, end: socket.socket) -> Channel:
        """A channel over a connected socket."""
        return cls(*await asyncio.open_connection(sock=end, limit=_LIMIT))

    def send(self, **message: Any) -> None:
        """Queue one message; a reader that is gone shows in `receive`."""
        if not self._writer.is_closing():
            self._writer.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    async def receive(self) -> dict[str, Any] | None:
        """The next message; None when the other end is gone."""
        try:
            line = await self._reader.readline()
        except (ConnectionError, ValueError):
            return None
        message: dict[str, Any] | None = json.loads(line) if line.endswith(b"\n") else None
        return message

    def close(self) -> None:
        """Close this end."""
        self._writer.close()


SOON = 0.1
"""Seconds after which the parent has the counts of what was served: what a killed worker takes
with it.
"""

SHARE = 0.01
"""Of the worker's time, at most, that sending them takes; a large policy is sent less often."""


class _Lines:
    """A sink whose lines go to the parent, which alone writes stdout."""

    dropped = 0

    def __init__(self, channel: Channel, loop: asyncio.AbstractEventLoop) -> None:
        self.channel = channel
        self._loop = loop

    def write(self, line: str) -> None:
        """Send one line, from any thread."""
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(lambda: self.channel.send(line=line))


class WorkerProcess:
    """A plane, the policy it serves, and the one it has prepared."""

    def __init__(self, settings: Settings, lines: _Lines, secret: bytes) -> None:
        log = settings.log
        events = Events(
            lines, level=log.level, per_second=max(1, log.events_per_second // settings.workers)
        )
        metrics = Metrics(process=False, native=settings.metrics.native_histograms)
        self.telemetry = Telemetry(events, metrics, settings, serves=True, secret=secret)
        self.plane = DataPlane(settings, self.telemetry, reports=self.telemetry.browser_reports)
        self._tally = Tally()
        self.telemetry.observer = self._tally.observe
        self.telemetry.trial_report = lambda key, report, client, engine: lines.channel.send(
            trial=[key, asdict(report), client, engine]
        )
        self.telemetry.canary_returned = lambda identity: lines.channel.send(canary=identity)
        self.telemetry.example = lambda *example: lines.channel.send(example=example)
        self.telemetry.pages.on_page = lambda route, path, client, page: lines.channel.send(
            page=[route, path, client, asdict(page)]
        )
        self._prepared: tuple[str, Plan]

    async def prepare(self, message: dict[str, Any]) -> dict[str, Any]:
        """Compile, but do not switch."""
        resolved = await asyncio.to_thread(load_policy, message["text"].encode(), message["source"])
        self._prepared = message["revision"], compile_policy(resolved, override=message["ceiling"])
        return {}

    async def commit(self, _message: dict[str, Any]) -> dict[str, Any]:
        """Switch to what was prepared."""
        revision, plan = self._prepared
        self.plane.active = Active(revision, plan, self.telemetry.activated(plan, revision))
        return {}

    async def sign(self, message: dict[str, Any]) -> dict[str, Any]:
        """Sign canaries with another secret."""
        self.telemetry.trials.adopt(bytes.fromhex(message["secret"]))
        return {}

    async def start(self, message: dict[str, Any]) -> dict[str, Any]:
        """Put the first policy in force and listen."""
        await self.prepare(message)
        await self.commit(message)
        return {"addresses": await self.plane.start(reuse_port=True)}

    async def snapshot(self, _message: dict[str, Any]) -> dict[str, Any]:
        """The counts that the parent sums."""
        self.telemetry.tick()
        self.telemetry.metrics.settle()
        return {
            "snapshot": {
                name: cells
                for name, cells in self.telemetry.metrics.snapshot().items()
                if name in PER_WORKER
            }
        }

    async def report(self, channel: Channel) -> None:
        """Send the counts unasked, soon after a request was served, for as long as the worker
        lives.
        """
        loop, sent, pause = asyncio.get_running_loop(), 0.0, SOON
        while True:
            await asyncio.sleep(pause)
            if sent == (served := self.telemetry.request_seconds.total):
                continue
            sent, began = served, loop.time()
            channel.send(counts=(await self.snapshot({}))["snapshot"])
            pause = max(SOON, (loop.time() - began) / SHARE)

    async def tally(self, _message: dict[str, Any]) -> dict[str, Any]:
        """What the service sent, as this worker saw it."""
        from sidecar.baseline.file import to_data

        return {"tally": to_data(Baseline(self._tally.cells()))}

    async def reachable(self, _message: dict[str, Any]) -> dict[str, Any]:
        """Whether the upstream takes connections."""
        return {"reachable": await self.plane.upstream_reachable()}

    async def draining(self, _message: dict[str, Any]) -> dict[str, Any]:
        """From now on responses say `Connection: close`."""
        self.plane.draining = True
        return {}

    async def drain(self, _message: dict[str, Any]) -> dict[str, Any]:
        """Finish what is in flight."""
        await self.plane.drain()
        return {}


async def work(end: socket.socket) -> None:
    """Obey the parent until it is gone. Orders are obeyed in turn, but a drain does not hold up
    the others.
    """
    channel = await Channel.over(end)
    lines = _Lines(channel, asyncio.get_running_loop())
    for number in SIGNALS:  # the parent handles them and gives orders
        asyncio.get_running_loop().add_signal_handler(number, lambda: None)
    worker: WorkerProcess | None = None
    drains: set[asyncio.Task[None]] = set()

    async def obey(
        order: Callable[[dict[str, Any]], Awaitable[dict[str, Any]]], message: dict[str, Any]
    ) -> None:
        channel.send(number=message["number"], **await order(message))

    while (message := await channel.receive()) is not None:
        if worker is None:
            settings = Settings.model_validate(message["settings"])
            capture_logging(lines, settings.log.level)
            worker = WorkerProcess(settings, lines, bytes.fromhex(message["secret"]))
            reporting = asyncio.create_task(worker.report(channel))
        order = getattr(worker, message["order"])
        if message["order"] == "drain":
            start(obey(order, message), drains)
        else:
            await obey(order, message)
    if worker is not None:
        reporting.cancel()
        worker.plane.abort()


def main() -> None:
    """What a worker process runs; its argument is the number of the socket to its parent."""
    collect_seldom()
    run_to_end(work(socket.socket(fileno=int(sys.argv[1]))))
