"""Proofs of the control plane, asked over a real socket."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from sidecar.admin.api import Api
from sidecar.admin.listener import Runner, health_app
from sidecar.admin.process import Process
from sidecar.revisions import Revisions
from sidecar.rollout.causes import Causes
from sidecar.rollout.evidence import EvidenceStore
from sidecar.runtime.fleet_evidence import FleetEvidence
from sidecar.runtime.promotions import promoted
from sidecar.telemetry import Metrics
from tests.harness import Harness

TOKEN = "a-token-of-some-length"
EVIDENCE = {
    "rule": "frames",
    "route": "default",
    "mode": "report-only",
    "evaluated": 3.0,
    "affected": 2.0,
    "outcomes": {"break": 1.0, "safe": 1.0, "unknown": 1.0},
}


ROLLOUT = {
    "rule": "frames",
    "does": "set X-Frame-Options",
    "mode": "trial",
    "outcome": "fail",
    "reasons": ["browsers reported it"],
    "next": "See the causes.",
    "command": "sidecar suggest frames",
    "progress": [{"what": "page loads", "have": 3.0, "need": 10, "text": "3 of 10 page loads"}],
    "places": [
        {"route": "default", "mode": "trial", "ceiling": "rule", "evaluated": 3.0, "affected": 2.0}
    ],
    "witnesses": [{"kind": "browsers", "why": "they report it", "source": "CSP3", "next": ""}],
    "causes": [
        {
            "id": "c1",
            "kind": "served",
            "directive": "script-src",
            "sample": "<script>alert(1)",
            "blocked": "inline",
            "pages": ["/"],
            "count": 2,
            "clients": 1,
            "first": 1.0,
            "last": 2.0,
            "why": "it stands in a page that we served",
        },
        {
            "id": "c2",
            "kind": "noise",
            "directive": "script-src",
            "sample": "",
            "blocked": "moz-extension",
            "pages": ["/"],
            "count": 9,
            "clients": 1,
            "first": 1.0,
            "last": 2.0,
            "why": "it stands in a page that we served",
        },
    ],
    "trend": [0.0, 2.0, 1.0],
    "ladder": None,
}


class Control(Harness):
    """A started process with its admin and health listeners on real sockets."""

    made: Revisions
    url: str
    health: str
    http: aiohttp.ClientSession
    stop: Callable[[], Awaitable[None]]

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.against: dict[str, str] = {"policy": "", "drain": ""}
        self.refreshed = 0
        store = EvidenceStore(Metrics(process=False))
        self.seen = FleetEvidence(store, Causes(), self.refresh)

    async def refresh(self) -> None:
        """Count the calls."""
        self.refreshed += 1
        self.telemetry.tick()

    async def ready(self) -> dict[str, str]:
        """What stands against taking traffic."""
        return self.against

    async def evidence(self, fleet: bool) -> dict[str, Any]:
        """One row."""
        return await self.seen.evidence(fleet) if fleet else {"evidence": [EVIDENCE]}

    async def rollout(self) -> dict[str, Any]:
        """One rule in trial that fails, with a cause whose words are hostile."""
        return {"at": 10.0, "minimums": {}, "rules": [ROLLOUT]}

    async def baseline(self) -> dict[str, Any]:
        """None is set."""
        return {"sent": {}, "drift": None}

    def around(self) -> Process:
        """The process as the service would give it."""
        return Process(
            facts=lambda: {
                "version": "0.0.0",
                "uptime": 1.0,
                "listen": ["127.0.0.1:1"],
                "upstream": "http://127.0.0.1:2",
                "in_flight": 0,
                "draining": False,
            },
            ready=self.ready,
            refresh=self.refresh,
            evidence=self.evidence,
            rollout=self.rollout,
            baseline=self.baseline,
            reports=self.seen.reports,
            pages=dict,
            promotion=partial(promoted, self.made, self.seen, lambda: "here:1"),
        )

    async def ask(
        self, method: str, path: str, body: Any = None, *, base: str = "", **more: Any
    ) -> tuple[int, Any, Mapping[str, str]]:
        """Status, JSON (or text) and headers of a response."""
        async with self.http.request(
            method, (base or self.url) + path, json=body, allow_redirects=False, **more
        ) as response:
            data = await (
                response.json() if response.content_type == "application/json" else response.text()
            )
            return response.status, data, response.headers

    async def get(self, path: str, **more: Any) -> tuple[int, Any, Mapping[str, str]]:
        """Ask."""
        return await self.ask("GET", path, **more)

    async def post(self, path: str, body: Any = None, **more: Any) -> tuple[int, Any]:
        """Order; status and response."""
        return (await self.ask("POST", path, {} if body is None else body, **more))[:2]


async def listening(app: web.Application) -> tuple[web.AppRunner, str]:
    """An application on a free port of loopback."""
    runner = Runner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return runner, f"http://127.0.0.1:{runner.addresses[0][1]}"


@contextlib.asynccontextmanager
async def control(folder: Path, token: str | None = None) -> AsyncIterator[Control]:
    """A started process and a client of its listeners; both end with the block."""
    harness = Control(folder)
    harness.made = await harness.started()
    around = harness.around()
    admin, harness.url = await listening(Api(harness.made, harness.telemetry, around, token).app())
    harness.stop = admin.cleanup
    health, harness.health = await listening(
        health_app(around.ready, harness.telemetry, around.refresh)
    )
    try:
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as harness.http:
            yield harness
    finally:
        await admin.cleanup()
        await health.cleanup()
