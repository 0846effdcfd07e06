"""What serves the requests of a service: the proxy in its own process, worker processes, or the
service's process itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import sys
from typing import Any

from sidecar.baseline import Cell, total
from sidecar.baseline.capture import Tally
from sidecar.policy.browsers.pages import page_from
from sidecar.policy.browsers.reports import BrowserReport
from sidecar.policy.terms import Mode
from sidecar.proxy import DataPlane
from sidecar.revisions import Active
from sidecar.revisions.history import Revision
from sidecar.runtime.loop import start
from sidecar.runtime.worker import Channel
from sidecar.settings import Settings
from sidecar.telemetry import Telemetry
from sidecar.telemetry.metric_table import PER_WORKER
from sidecar.telemetry.metrics import Snapshot, added


class RequestServer:
    """What serves requests. As it is here it asks and informs nobody else: this process serves."""

    def __init__(self, telemetry: Telemetry) -> None:
        self._tally = Tally()
        telemetry.observer = self._tally.observe

    async def start(self) -> list[str]:
        """Listen; returns the addresses."""
        return []

    async def publish(self, revision: Revision, ceiling: Mode | None) -> None:
        """Serve under this revision from now on, wherever it is not this process that serves."""

    def activated(self, active: Active) -> None:
        """The same where this process serves."""

    def sign(self, secret: bytes) -> None:
        """Sign canaries with this from now on, wherever it is not this process that serves."""

    async def refresh(self) -> None:
        """Bring the metrics up to date."""

    async def seen(self) -> tuple[Cell, ...]:
        """What the upstream sent, as header lines by route and class of response."""
        return self._tally.cells()

    def missing(self) -> int:
        """How many processes that should serve do not."""
        return 0

    async def upstream_reachable(self) -> bool:
        """Whether the upstream takes connections."""
        return True

    async def begin_drain(self) -> None:
        """Responses say `Connection: close` from now on."""

    async def drain(self) -> None:
        """Finish what is in flight."""

    def abort(self) -> None:
        """End at once."""


class ProxyServer(RequestServer):
    """The proxy in the service's own process."""

    def __init__(self, telemetry: Telemetry, proxy: DataPlane) -> None:
        super().__init__(telemetry)
        self._proxy = proxy

    async def start(self) -> list[str]:
        return await self._proxy.start()

    def activated(self, active: Active) -> None:
        """Serve under this from now on."""
        self._proxy.active = active

    async def upstream_reachable(self) -> bool:
        return await self._proxy.upstream_reachable()

    async def begin_drain(self) -> None:
        """Responses say `Connection: close` from now on."""
        self._proxy.draining = True

    async def drain(self) -> None:
        await self._proxy.drain()

    def abort(self) -> None:
        self._proxy.abort()


_RESPONSE = 5.0
_PREPARED = 0.5
"""Seconds that the other workers wait for the slowest to compile a policy."""
_SWITCHED = 0.2
_STUCK = 20.0
"""Seconds after which a worker that does nothing is replaced."""
_BACKOFF = (0.1, 0.5, 1.0, 2.0, 5.0)
_STEADY = 30.0
_LAST_WORDS = 1.0

_WORKER = """\
import _signal
for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2"):
    _signal.signal(getattr(_signal, name), _signal.SIG_IGN)
import gc
gc.disable()
from sidecar.runtime.worker import main
main()
"""
"""Signals are the parent's, from the start: a terminal sends Ctrl-C to all. Nothing is collected
while all is loaded (see `collect_seldom`).
"""


class WorkerHandle:
    """One worker as the parent sees it: its process, its channel, and the answers it owes."""

    def __init__(self, process: asyncio.subprocess.Process, channel: Channel) -> None:
        self.process = process
        self.channel = channel
        self.snapshot: Snapshot = {}
        self.addresses: list[str] = []
        self.listening: asyncio.Task[None]
        """Ends when all messages of the worker have been read."""
        self._owed: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._numbers = itertools.count(1)

    async def ask(self, order: str, *, within: float = _RESPONSE, **facts: Any) -> dict[str, Any]:
        """Send an order and wait for its response; {} when the worker died or is silent."""
        number = next(self._numbers)
        owed = self._owed[number] = asyncio.get_running_loop().create_future()
        self.channel.send(order=order, number=number, **facts)
        try:
            return await asyncio.wait_for(owed, within)
        except TimeoutError:
            return {}
        finally:
            self._owed.pop(number, None)

    def answered(self, message: dict[str, Any]) -> None:
        """Hand a response to whoever waits for it."""
        owed = self._owed.get(message["number"])
        if owed is not None and not owed.done():
            owed.set_result(message)

    def gone(self) -> None:
        """The worker has ended: every call that waits for a message of it gets an empty one."""
        for owed in self._owed.values():
            if not owed.done():
                owed.set_result({})


class Workers(RequestServer):
    """Several processes behind one address, as the parent sees them. All prepare a plan before any
    commits to it, dead workers are replaced, and their metrics are summed.
    """

    def __init__(self, settings: Settings, telemetry: Telemetry) -> None:
        super().__init__(telemetry)
        self.draining = False
        self._settings = settings
        self._telemetry = telemetry
        self._policy: dict[str, Any] = {}
        self._alive: list[WorkerHandle] = []
        self._left: Snapshot = {}
        self._reserved: socket.socket | None = None
        self._address = settings.listen
        self._tasks: list[asyncio.Task[None]] = []
        self._insisting: set[asyncio.Task[None]] = set()

    async def start(self) -> list[str]:
        """Reserve the address and start all workers; returns it once every one is listening."""
        self._reserve()
        first = await asyncio.gather(*(self._spawn() for _ in range(self._settings.workers)))
        if not all(worker and worker.addresses for worker in first):
            self.abort()
            raise OSError("a worker did not start; its own message stands above")
        self._tasks = [asyncio.create_task(self._supervise(worker)) for worker in first if worker]
        return [self._address]

    async def publish(self, revision: Revision, ceiling: Mode | None) -> None:
        """Bring a revision in force in all workers together: the slowest has compiled before the
        first switches. For one that is stuck nobody waits: it obeys in turn when it goes on, and is
        replaced when it does not.
        """
        self._policy = {
            "revision": revision.id,
            "text": revision.text,
            "source": revision.source,
            "ceiling": ceiling,
        }
        asked = tuple(self._alive)
        await asyncio.gather(
            *(worker.ask("prepare", within=_PREPARED, **self._policy) for worker in asked)
        )
        done = await asyncio.gather(*(worker.ask("commit", within=_SWITCHED) for worker in asked))
        for worker, switched in zip(asked, done, strict=True):
            if not switched and worker.addresses:
                start(self._insist(worker, revision.id), self._insisting)

    async def _insist(self, worker: WorkerHandle, revision: str) -> None:
        """End a worker that has an order and does nothing; another one takes its place."""
        about = {"pid": worker.process.pid, "revision": revision}
        self._telemetry.emit("worker.late", level="warning", **about)
        if not await worker.ask("snapshot", within=_STUCK) and worker in self._alive:
            self._telemetry.emit("worker.stuck", level="error", **about)
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()

    def sign(self, secret: bytes) -> None:
        """Sign canaries with this from now on."""
        for worker in self._alive:
            worker.channel.send(order="sign", number=0, secret=secret.hex())

    async def refresh(self) -> None:
        """Bring the metrics of all workers up to date."""
        responses = await asyncio.gather(
            *((worker.ask("snapshot", within=1.0)) for worker in self._alive)
        )
        for worker, response in zip(self._alive, responses, strict=False):
            if "snapshot" in response:
                worker.snapshot = _snapshot(response["snapshot"])
        self._telemetry.metrics.others = [self._left, *(worker.snapshot for worker in self._alive)]

    async def seen(self) -> tuple[Cell, ...]:
        """What the service sent, as all living workers saw it."""
        from sidecar.baseline.file import from_data  # models that only this needs

        responses = await asyncio.gather(*(worker.ask("tally") for worker in self._alive))
        return total(
            [from_data(response["tally"]).cells for response in responses if "tally" in response]
        )

    async def begin_drain(self) -> None:
        """Responses say `Connection: close` from now on."""
        self.draining = True
        await asyncio.gather(*(worker.ask("draining") for worker in self._alive))

    async def drain(self) -> None:
        """All drain at once; returns when all have."""
        grace = self._settings.timeouts.drain + _RESPONSE
        await asyncio.gather(*(worker.ask("drain", within=grace) for worker in self._alive))
        await self.refresh()

    def abort(self) -> None:
        """End all workers now."""
        self.draining = True
        for worker in self._alive:
            with contextlib.suppress(ProcessLookupError):
                worker.process.kill()
        if self._reserved:
            self._reserved.close()

    async def upstream_reachable(self) -> bool:
        """Whether the workers reach the upstream."""
        responses = await asyncio.gather(*(worker.ask("reachable") for worker in self._alive))
        return bool(responses) and all(response.get("reachable") for response in responses)

    def missing(self) -> int:
        """How many workers are not there."""
        return self._settings.workers - len(self._alive)

    def _reserve(self) -> None:
        """Hold the address without listening, so that port 0 becomes one port for all workers."""
        host, _, port = self._settings.listen.rpartition(":")
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._reserved = socket.socket(family)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        self._reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._reserved.bind((host.strip("[]"), int(port)))
        self._address = f"{host}:{self._reserved.getsockname()[1]}"

    async def _spawn(self) -> WorkerHandle | None:
        ours, theirs = socket.socketpair()
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                _WORKER,
                str(theirs.fileno()),
                pass_fds=(theirs.fileno(),),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.DEVNULL,
            )
        finally:
            theirs.close()
        worker = WorkerHandle(process, await Channel.over(ours))
        self._alive.append(worker)
        worker.listening = asyncio.create_task(self._listen(worker))
        self._tasks.append(worker.listening)
        settings = self._settings.model_copy(update={"listen": self._address})
        data = await worker.ask(
            "start",
            within=30.0,
            settings=settings.model_dump(mode="json"),
            secret=self._telemetry.trials.secret.hex(),
            **self._policy,
        )
        worker.addresses = data.get("addresses", [])
        if worker.addresses:
            return worker
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        self._remove(worker)
        return None

    async def _listen(self, worker: WorkerHandle) -> None:
        while (message := await worker.channel.receive()) is not None:
            if "line" in message:
                self._telemetry.pass_on(message["line"])
            elif "trial" in message:
                key, report, client, engine = message["trial"]
                self._telemetry.trial_report(key, BrowserReport(**report), client, engine)
            elif "page" in message:
                route, path, client, page = message["page"]
                self._telemetry.pages.on_page(route, path, client, page_from(page))
            elif "example" in message:
                self._telemetry.example(*message["example"])
            elif "canary" in message:
                self._telemetry.trials.returned(message["canary"])
            elif "counts" in message:
                worker.snapshot = _snapshot(message["counts"])
            elif "number" in message:
                worker.answered(message)
        worker.gone()

    async def _supervise(self, worker: WorkerHandle) -> None:
        """Wait for a worker's end, and replace it, slower when they keep dying."""
        loop = asyncio.get_running_loop()
        waits = iter(_BACKOFF)
        while True:
            started = loop.time()
            code = await worker.process.wait()
            await asyncio.wait({worker.listening}, timeout=_LAST_WORDS)
            self._remove(worker)
            if self._ending():
                return
            self._telemetry.emit("worker.died", level="error", pid=worker.process.pid, code=code)
            if loop.time() - started > _STEADY:
                waits = iter(_BACKOFF)
            replaced = None
            while replaced is None and not self._ending():
                await asyncio.sleep(next(waits, _BACKOFF[-1]))
                replaced = await self._spawn()
            if replaced is None:
                return
            worker = replaced
            self._telemetry.emit("worker.replaced", level="warning", pid=worker.process.pid)

    def _ending(self) -> bool:
        return self.draining

    def _remove(self, worker: WorkerHandle) -> None:
        """Keep a dead worker's counts, so that sums never fall; what it held open is gone."""
        if worker in self._alive:
            self._alive.remove(worker)
        worker.channel.close()
        counts = {
            name: cells for name, cells in worker.snapshot.items() if PER_WORKER[name] != "gauge"
        }
        summed = added([self._left, counts])
        self._left = {name: list(cells.items()) for name, cells in summed.items()}


def _snapshot(snapshot: dict[str, list[list[Any]]]) -> Snapshot:
    """A snapshot as it came over the channel: labels are tuples again."""
    return {
        name: [(tuple(labels), numbers) for labels, numbers in cells]
        for name, cells in snapshot.items()
    }
