"""The admin API: what is in force, what happened, and orders (POST only, JSON)."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from functools import partial
from typing import Any

from aiohttp import web

from sidecar.admin.access import Sessions, error, guard, with_own_headers
from sidecar.admin.listener import add_health
from sidecar.admin.orders import (
    MAX_BODY,
    ModeOrder,
    NoteRecord,
    PromotionOrder,
    Record,
    Reload,
    Rollback,
    SharedOrder,
    SuggestionRecord,
    read_order,
)
from sidecar.admin.page import AdminPage
from sidecar.admin.process import Process, override, status
from sidecar.policy.terms import PolicyError
from sidecar.revisions import Revisions
from sidecar.revisions.entries import SENT
from sidecar.revisions.history import OrderRefused
from sidecar.telemetry import Telemetry

_BACKLOG = 256


class Api:
    """The admin handlers over one process's revisions and telemetry."""

    def __init__(
        self, revisions: Revisions, telemetry: Telemetry, process: Process, token: str | None
    ) -> None:
        self._revisions = revisions
        self._telemetry = telemetry
        self._process = process
        self._token = token
        self._sessions = Sessions(token)
        self._readers: set[Callable[[dict[str, object]], None]] = set()
        self._over = False

    def app(self) -> web.Application:
        """The application of the admin listener."""
        app = web.Application(
            middlewares=[guard(self._token, self._sessions)], client_max_size=MAX_BODY
        )
        app.on_response_prepare.append(with_own_headers)
        app.router.add_get("/api/status", self.status)
        app.router.add_get("/api/revisions", self.revisions)
        app.router.add_get("/api/revisions/{revision}", self.revision)
        app.router.add_get("/api/evidence", self.evidence)
        app.router.add_get("/api/rollout", self.rollout)
        app.router.add_get("/api/baseline", self.baseline)
        app.router.add_post("/-/promotion", self.promotion)
        app.router.add_post("/-/suggestion", partial(self._record, SuggestionRecord))
        app.router.add_post("/-/note", partial(self._record, NoteRecord))
        app.router.add_get("/api/reports", self.reports)
        app.router.add_get("/api/pages", self.pages)
        app.router.add_get("/api/fleet", self.fleet)
        app.router.add_get("/api/events", self.events, allow_head=False)
        app.router.add_post("/-/reload", self.reload)
        app.router.add_post("/-/rollback", self.rollback)
        app.router.add_post("/-/mode", self.mode)
        AdminPage(self._revisions, self._telemetry, self._process, self._sessions).add(app)
        add_health(app, self._process.ready, self._telemetry, self._process.refresh)
        app.on_shutdown.append(self._end)
        return app

    async def status(self, _request: web.Request) -> web.Response:
        """What is in force."""
        return web.json_response(status(self._revisions) | self._process.facts())

    async def revisions(self, _request: web.Request) -> web.Response:
        """The journal, newest first."""
        entries = await asyncio.to_thread(self._revisions.history)
        data = {"active": self._revisions.current.id, "entries": entries[::-1][:SENT]}
        return web.json_response(data)

    async def revision(self, request: web.Request) -> web.Response:
        """One revision's text."""
        text = await asyncio.to_thread(self._revisions.text, request.match_info["revision"])
        if text is None:
            return error(404, "no such revision")
        return web.json_response({"revision": request.match_info["revision"], "text": text})

    async def evidence(self, request: web.Request) -> web.Response:
        """What each rule has seen since it came as it is now; `?fleet=true`: on all replicas."""
        return web.json_response(await self._process.evidence(_fleets(request)))

    async def rollout(self, _request: web.Request) -> web.Response:
        """Each rule's way to enforce, as the page shows it: progress, causes, the next step."""
        return web.json_response(await self._process.rollout())

    async def baseline(self, _request: web.Request) -> web.Response:
        """What the service sent so far, and the drift from its baseline (null = none is set)."""
        return web.json_response(await self._process.baseline())

    async def reports(self, request: web.Request) -> web.Response:
        """What browsers reported of rules in trial, as causes; `?fleet=true`: to any replica."""
        return web.json_response(await self._process.reports(_fleets(request)))

    async def pages(self, request: web.Request) -> web.Response:
        """What pages in trial hold (inline code, addresses), and scripts that browsers loaded."""
        return web.json_response(self._process.pages())

    async def fleet(self, _request: web.Request) -> web.Response:
        """The replicas that decide together, and their latest decisions (null = no fleet)."""
        asked = self._process.fleet
        return web.json_response({"fleet": await asked() if asked else None})

    def _fleet(self) -> dict[str, Any] | None:
        """The fleet as this replica sees it; None = it decides alone."""
        found: dict[str, Any] | None = self._process.facts().get("fleet")
        return found

    def _check_fleet(self, order: SharedOrder) -> None:
        """Refuse an order for a fleet that cannot be reached, or that is at another version."""
        fleet, version = self._fleet(), order.version
        if not order.fleet and version is None:
            return
        if fleet is None:
            raise OrderRefused("this sidecar is in no fleet; set fleet.url")
        if order.fleet and not fleet["connected"]:
            raise OrderRefused(
                f"the fleet {fleet['name']} cannot be reached: {fleet['trouble']}; without --fleet"
                " the order holds on this replica, and is published when the store is back"
            )
        if version is not None and version != fleet["version"]:
            raise OrderRefused(
                f"the fleet {fleet['name']} is at version {fleet['version']}, not {version}"
                f" ({fleet['decided']}); look at `sidecar status --fleet`"
            )

    async def promotion(self, request: web.Request) -> web.Response:
        """Decide on an order to move rules: the gate's verdicts, journalled, and the edit for
        whoever writes the file. With `fleet` the edit comes in force on all replicas instead.
        """
        order = await read_order(request, PromotionOrder)
        self._check_fleet(order)
        try:
            decided = await self._process.promotion(order)
        except PolicyError as wrong:
            return error(400, str(wrong), problems=[str(problem) for problem in wrong.problems])
        except ValueError as wrong:
            return error(400, str(wrong))
        return web.json_response(decided | {"fleet": self._fleet()})

    async def _record(self, kind: type[Record], request: web.Request) -> web.Response:
        """Write down what a command is about to do, or did."""
        order = await read_order(request, kind)
        await self._revisions.journal.record(
            {"event": kind.event, **order.model_dump(exclude_unset=True)}
        )
        return web.json_response({"recorded": True})

    async def events(self, request: web.Request) -> web.StreamResponse:
        """Live events (server-sent events); a reader that falls behind loses the oldest."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        backlog: asyncio.Queue[dict[str, object]] = asyncio.Queue(_BACKLOG)

        def take(data: dict[str, object]) -> None:
            if backlog.full():
                backlog.get_nowait()
            backlog.put_nowait(data)

        await response.prepare(request)
        await response.write(b": live\n\n")
        stop = self._telemetry.watch(take)
        self._readers.add(take)
        try:
            while not self._over:
                data = None
                with contextlib.suppress(TimeoutError):
                    data = await asyncio.wait_for(backlog.get(), 15)
                line = ": still here\n\n"
                if data:
                    line = f"event: logged\ndata: {json.dumps(data, default=str)}\n\n"
                await response.write(line.encode())
            return response
        finally:
            self._readers.discard(take)
            stop()

    async def _end(self, _app: web.Application) -> None:
        self._over = True
        for wake in self._readers:
            wake({})

    async def reload(self, request: web.Request) -> web.Response:
        """Read the policy file now."""
        order = await read_order(request, Reload)
        result = await self._revisions.reload(order.who, unpin=order.unpin)
        data = {
            "result": result,
            "revision": self._revisions.current.id,
            "problems": [str(problem) for problem in self._revisions.problems],
            "unsaved": self._revisions.journal.unsaved,
        }
        if result == "pinned":
            why = "the revision that was rolled back"
            if not self._revisions.pinned:
                why = "a revision that the fleet has replaced"
            data["problems"] = [f"the file holds {why}; edit it, or: sidecar reload --unpin"]
        return web.json_response(data, status=409 if result in ("rejected", "pinned") else 200)

    async def rollback(self, request: web.Request) -> web.Response:
        """Go back."""
        order = await read_order(request, Rollback)
        left = self._revisions.current.id
        self._check_fleet(order)
        found = await self._revisions.rollback(order.to or None, who=order.who, reason=order.reason)
        about = {"revision": found.id, "left": left, "pinned": self._revisions.pinned}
        about |= {"mode": self._revisions.mode, "unsaved": self._revisions.journal.unsaved}
        return web.json_response({**about, "fleet": self._fleet()})

    async def mode(self, request: web.Request) -> web.Response:
        """Set the runtime ceiling."""
        order = await read_order(request, ModeOrder)
        self._check_fleet(order)
        data = await self._revisions.set_mode(
            order.mode, reason=order.reason, who=order.who, ttl=order.ttl
        )
        policy_mode = self._revisions.current.resolved.mode
        about = {"mode": data, "override": override(self._revisions), "policy_mode": policy_mode}
        unsaved = self._revisions.journal.unsaved
        return web.json_response({**about, "unsaved": unsaved, "fleet": self._fleet()})


def _fleets(request: web.Request) -> bool:
    """Whether all replicas are asked."""
    word = request.query.get("fleet", "false")
    if word not in ("true", "false"):
        raise web.HTTPBadRequest(reason="fleet is true or false")
    return word == "true"
