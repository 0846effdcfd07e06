"""One process from start to stop: build the parts, wire them, handle signals, drain."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import time
from collections.abc import Callable, Coroutine
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sidecar
from sidecar.admin.access import read_token
from sidecar.admin.api import Api
from sidecar.admin.listener import health_app, listen
from sidecar.admin.process import Process, status
from sidecar.baseline.monitor import DriftMonitor
from sidecar.fleet.member import member
from sidecar.observed import failure
from sidecar.policy.browsers.reports import BrowserReport
from sidecar.policy.terms import PolicyError, Problem
from sidecar.proxy import DataPlane
from sidecar.revisions import Active, Revisions
from sidecar.revisions.history import Revision
from sidecar.revisions.store import Compaction, Store
from sidecar.rollout.causes import Causes
from sidecar.rollout.evidence import EvidenceStore, ViolationTrend
from sidecar.rollout.guard import ActivationWatch, take_back
from sidecar.rollout.kept import KeptEvidence
from sidecar.rollout.served_pages import LoadedScripts, ServedPages
from sidecar.runtime.fleet_evidence import FleetEvidence
from sidecar.runtime.loop import ended, start
from sidecar.runtime.promotions import promoted
from sidecar.runtime.request_server import ProxyServer, RequestServer, Workers
from sidecar.settings import Settings
from sidecar.telemetry import Events, Metrics, Telemetry
from sidecar.telemetry.events import QueuedOutput

if TYPE_CHECKING:
    from aiohttp import web

_KEEP_EVIDENCE = 30
"""Seconds between two savings of the evidence."""


class Service:
    """The sidecar as one process. `start`, then `wait` until it is stopped.

    `listen`, `admin` and `health` hold the bound addresses after `start` (port 0 = a free one).
    `server` makes what takes the place of the proxy where the service's own process serves the
    requests.
    """

    def __init__(
        self,
        settings: Settings,
        sink: QueuedOutput,
        server: Callable[[Telemetry], RequestServer] | None = None,
    ) -> None:
        self.settings = settings
        log = settings.log
        events = Events(sink, level=log.level, per_second=log.events_per_second)
        metrics = Metrics(native=settings.metrics.native_histograms)
        self.telemetry = Telemetry(events, metrics, settings, serves=settings.workers == 1)
        self.server = server(self.telemetry) if server else self._proxy()
        self._store = Store(Path(settings.state))
        self._compaction = Compaction(self._store, settings.history, self.telemetry)
        self.served = ServedPages(reads=settings.trial.pages > 0)
        self.telemetry.pages.on_page = self.served.add
        self.causes = Causes(served=self.served)
        self.scripts = LoadedScripts()
        self.telemetry.trial_report = self._reported
        self.evidence = EvidenceStore(self.telemetry.metrics, causes=self.causes.of)
        self.telemetry.example = self.evidence.example
        self._kept = KeptEvidence(self.evidence, self._store, self.telemetry, settings)
        self._guard = ActivationWatch(self.telemetry.metrics)
        self._fleet_evidence = FleetEvidence(self.evidence, self.causes, self._refresh)
        named = settings.fleet.url, settings.fleet.name
        self._fleet = member(*named, self.telemetry, self._fleet_evidence.seen)
        self._fleet_evidence.member = self._fleet
        if self._fleet:
            self._fleet.sharing.adopt = self._adopt
        self.revisions = Revisions(
            Path(settings.policy),
            self._store,
            self.telemetry,
            ceiling=settings.mode,
            publish=self.server.publish,
            fleet=self._fleet,
            seen=self._seen,
            observers=(self._activated,),
        )
        self._drift_monitor = DriftMonitor(
            settings.baseline,
            self.server.seen,
            lambda: [route.name for route in self.revisions.active.plan.routes],
            self.telemetry,
        )
        self.listen: list[str] = []
        self.admin = self.health = ""
        self._token = read_token(settings.admin, settings.admin_token_file)
        self._runners: list[web.AppRunner] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._orders: set[asyncio.Task[Any]] = set()
        self._started = time.time()
        self._stopping = asyncio.Event()
        self._hurried = asyncio.Event()
        self._draining = False

    def _proxy(self) -> RequestServer:
        settings, telemetry = self.settings, self.telemetry
        if settings.workers > 1:
            return Workers(settings, telemetry)
        proxy = DataPlane(settings, telemetry, reports=telemetry.browser_reports)
        return ProxyServer(telemetry, proxy)

    async def start(self) -> None:
        """Put the policy in force, then open the listeners: health and admin last, so that ready
        means ready.

        Raises:
            PolicyError: no policy can be put in force, or an address cannot be bound.
        """
        await self._drift_monitor.open()
        await self._compaction.tick(starting=True)
        await self._kept.take()
        await self.revisions.start()
        # What was kept over a restart came in no interval of this process.
        self._trend = ViolationTrend(self.evidence)
        process = Process(
            self._facts,
            self._ready,
            self._refresh,
            self._fleet_evidence.evidence,
            lambda: self._fleet_evidence.rollout(self.revisions.active.plan, self._trend.of),
            self._drift_monitor.reported,
            self._fleet_evidence.reports,
            lambda: {"routes": self.served.data(), "scripts": self.scripts.data()},
            partial(promoted, self.revisions, self._fleet_evidence, lambda: self.admin),
            self._fleet.facts if self._fleet else None,
            self.settings.admin_token_file,
        )
        api = Api(self.revisions, self.telemetry, process, self._token)
        try:
            self.listen = await self._bound("listen", self.server.start())
            self.admin = await self._bound("admin", self._serve(api.app(), self.settings.admin))
            health = health_app(self._ready, self.telemetry, self._refresh)
            self.health = await self._bound("health", self._serve(health, self.settings.health))
        except BaseException:
            await self.close()
            raise
        self._tasks = [
            asyncio.create_task(self._always(self.revisions.watch)),
            asyncio.create_task(self._always(self._tick)),
        ]
        if self._fleet:
            follow = partial(self._fleet.run, self.revisions)
            self._tasks.append(asyncio.create_task(self._always(follow)))
        facts = {"version": sidecar.__version__, "mode": self.revisions.mode}
        facts["revision"] = self.revisions.current.id
        bound: dict[str, Any] = {"listen": self.listen, "admin": self.admin, "health": self.health}
        self.telemetry.emit("service.started", **facts, **bound, upstream=self.settings.upstream)

    async def run(self, started: Callable[[Service], None] | None = None) -> None:
        """Start, handle signals, and return when the process may end; `started` is called once."""
        await self.start()
        loop = asyncio.get_running_loop()
        # They stay to the end: a TERM that comes while the last things are closed must not turn the
        # exit code.
        for number, order in self._signals().items():
            loop.add_signal_handler(number, order)
        if started is not None:
            started(self)
        try:
            await self._stopping.wait()
            await self.drain()
        finally:
            await self.close()

    def stop(self) -> None:
        """TERM: drain, then stop. A second time: now."""
        if self._stopping.is_set():
            self._hurried.set()
            self.server.abort()
        self._stopping.set()

    async def drain(self) -> None:
        """Readiness falls, requests are taken for the drain delay, those in flight finish."""
        self._draining = True
        await self.server.begin_drain()
        timeouts = self.settings.timeouts
        self.telemetry.emit(
            "service.draining",
            delay=timeouts.drain_delay,
            grace=timeouts.drain,
            in_flight=int(self.telemetry.in_flight.n),
        )
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._hurried.wait(), timeouts.drain_delay)
        if not self._hurried.is_set():
            await self.server.drain()

    async def close(self) -> None:
        """Close what is open and log the end."""
        await ended(self._tasks)
        self._tasks.clear()
        if self.listen:
            await self._kept.keep()
        if self._fleet:
            await self._fleet.close()
        self.server.abort()
        for runner in self._runners:
            await runner.cleanup()
        self._runners.clear()
        self.telemetry.tick()
        self.telemetry.emit("service.stopped", uptime=round(time.time() - self._started, 3))

    def _signals(self) -> dict[signal.Signals, Callable[[], None]]:
        def order(work: Callable[[], Coroutine[Any, Any, object]]) -> Callable[[], None]:
            return lambda: start(work(), self._orders)

        return {
            signal.SIGTERM: self.stop,
            signal.SIGINT: self.stop,
            signal.SIGHUP: order(lambda: self.revisions.reload("signal")),
            signal.SIGUSR1: lambda: self.telemetry.emit(
                "service.state", **status(self.revisions), **self._facts()
            ),
            signal.SIGUSR2: order(
                lambda: self.revisions.set_mode("report-only", who="signal", reason="SIGUSR2")
            ),
        }

    async def _serve(self, app: web.Application, address: str) -> str:
        runner, bound = await listen(app, address)
        self._runners.append(runner)
        return bound

    async def _bound(self, name: str, opening: Coroutine[Any, Any, Any]) -> Any:
        try:
            return await opening
        except OSError as error:
            wanted = getattr(self.settings, name)
            fix = f"choose another with --{name} HOST:PORT"
            said = f"{name} address {wanted} cannot be bound: {failure(error)}"
            raise PolicyError((Problem(said, fix),)) from error

    def _seen(self) -> list[dict[str, Any]]:
        return [item.data() for item in self.evidence.evidence() if item.evaluated]

    def _reported(self, key: str, report: BrowserReport, client: str, engine: str) -> None:
        if report.hash:
            self.scripts.add(report, client)
            return
        counted = self.causes.add(key, report, client, engine)
        if counted is not None:
            route, rule, kind = counted
            counter = self.telemetry.metrics.rule(route, rule).reports[kind]
            counter.n += 1.0
            self._kept.due |= counter.n == 1.0

    def _activated(self, active: Active, revision: Revision) -> None:
        self.server.activated(active)
        self.served.activated(active.plan)
        self.causes.activated(active.plan)
        self.evidence.activated(active.plan)
        self._guard.activated(revision.id, active.plan, revision.resolved.policy.guard)
        unknown = sorted(
            self.settings.timeouts.routes.keys() - {r.name for r in active.plan.routes}
        )
        if unknown:
            self.telemetry.emit(
                "timeouts.unmatched", level="warning", revision=revision.id, routes=unknown
            )

    def _adopt(self, secret: bytes) -> None:
        self.telemetry.trials.adopt(secret)
        self.server.sign(secret)

    async def _always(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Work that must never end: a fault in it is reported, and it goes on."""
        while True:
            try:
                await work()
            except Exception as error:  # noqa: BLE001 - whatever it is, the watch over the file must not die of it
                self.telemetry.emit(
                    "process.error",
                    level="error",
                    detail=f"{getattr(work, '__qualname__', work)} failed",
                    error=repr(error)[:500],
                )
                await asyncio.sleep(1)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(1)
            await self._refresh()
            await self.revisions.tick()
            self.evidence.tick()
            self._trend.tick()
            if self._kept.due or int(time.monotonic()) % _KEEP_EVIDENCE == 0:
                await self.revisions.journal.keep_up()
                await self._kept.keep()
            await self._compaction.tick()
            await self._drift_monitor.tick()
            breach = self._guard.tick()
            if breach is not None:
                quorum = self.settings.fleet.quorum, self._guard.guard.window
                lacking = partial(self._fleet_evidence.lacking, *quorum)
                parts = self._guard.before, self.revisions, self.telemetry
                await take_back(breach, *parts, lacking)

    async def _refresh(self) -> None:
        self.telemetry.tick()
        await self.server.refresh()

    def _facts(self) -> dict[str, Any]:
        return {
            "fleet": self._fleet.summary() if self._fleet else None,
            "version": sidecar.__version__,
            "uptime": round(time.time() - self._started, 1),
            "listen": self.listen,
            "upstream": self.settings.upstream,
            "in_flight": int(self.telemetry.in_flight.n),
            "draining": self._draining,
        }

    async def _ready(self) -> dict[str, str]:
        checks = {
            "policy": "" if hasattr(self.revisions, "active") else "no policy in force",
            "drain": "draining" if self._draining else "",
        }
        if self.settings.workers > 1:
            missing = self.server.missing()
            checks["workers"] = (
                f"{missing} of {self.settings.workers} are missing"
                if missing * 2 > self.settings.workers
                else ""
            )
        if self.settings.ready.upstream:
            checks["upstream"] = (
                "" if await self.server.upstream_reachable() else "does not take connections"
            )
        return checks


async def serve(
    settings: Settings, sink: QueuedOutput, started: Callable[[Service], None] | None = None
) -> None:
    """Run one sidecar until a signal stops it; `started` is called when it listens. asyncio's own
    complaints go out as JSON lines too.
    """
    service = Service(settings, sink)

    def complain(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        service.telemetry.emit(
            "process.error",
            level="error",
            detail=str(context.get("message"))[:500],
            error=repr(error)[:500],
        )

    asyncio.get_running_loop().set_exception_handler(complain)
    with contextlib.suppress(asyncio.CancelledError):
        await service.run(started)
