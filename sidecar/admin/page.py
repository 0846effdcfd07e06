"""The admin page: rendered by the server; only live events need scripts.

Templates and style are in `assets/`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlencode

from aiohttp import web

from sidecar.admin import view
from sidecar.admin.access import Sessions
from sidecar.admin.process import Process, status
from sidecar.policy.data import read_text
from sidecar.policy.terms import MODES, Mode
from sidecar.policy.words import counted
from sidecar.revisions import Revisions
from sidecar.revisions.history import OrderRefused
from sidecar.telemetry import Telemetry
from sidecar.templates import templates

if TYPE_CHECKING:
    import jinja2

_RECENT = 50
_COMMANDS = ("status", "rollback", "mode report-only", "evidence", "reports", "note")
_ASSETS = {"page.css": "text/css", "page.js": "text/javascript"}
PAGE_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
        " img-src 'self' data:; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    # Under no-referrer a form's Origin is "null", which no order may have.
    "Referrer-Policy": "same-origin",
}


class AdminPage:
    """The page's handlers; keeps the last events for those who come later."""

    def __init__(
        self, revisions: Revisions, telemetry: Telemetry, process: Process, sessions: Sessions
    ) -> None:
        self._revisions = revisions
        self._process = process
        self._sessions = sessions
        self._recent: deque[dict[str, object]] = deque(maxlen=_RECENT)
        telemetry.watch(self._recent.appendleft)

    def add(self, app: web.Application) -> None:
        """Add the page's paths to the admin application."""
        app.router.add_get("/", self.home)
        app.router.add_get("/rules", self.rules)
        app.router.add_get("/revisions/{revision}", self.revision)
        app.router.add_get("/assets/{name}", self.asset)
        app.router.add_get("/login", self.login)
        app.router.add_post("/login", self.log_in)
        app.router.add_post("/orders/{order}", self.order)

    async def home(self, request: web.Request) -> web.Response:
        """Everything on one page."""
        here = self._here(request)
        data = status(self._revisions) | self._process.facts()
        journal = await asyncio.to_thread(self._revisions.history)
        fleet = await self._process.fleet() if self._process.fleet else None
        before = self._revisions.text(data["parent"]) if data["parent"] else None
        return _page(
            "page.html",
            status=data,
            fleet=fleet,
            replicas=view.replicas(fleet) if fleet else [],
            message=request.query.get("message", "")[:200],
            form=self._sessions.form,
            problems=[
                {"text": str(problem), "excerpt": self._revisions.excerpt(problem)}
                for problem in self._revisions.problems
            ],
            meaning=view.MEANING,
            **await self._rules(here),
            difference=view.difference(before, self._revisions.current.text),
            events=[view.event(one) for one in self._recent],
            history=view.timeline(journal, data["revision"]),
            commands=[view.whole(f"sidecar {verb}", here) for verb in _COMMANDS],
        )

    async def rules(self, request: web.Request) -> web.Response:
        """The section of the rules alone, for a page that keeps itself up to date."""
        return _page("rules.html", **await self._rules(self._here(request)))

    def _here(self, request: web.Request) -> view.CommandContext:
        policy, token = Path(self._revisions.current.source).absolute(), self._process.token_file
        token_file = str(Path(token).absolute()) if token else None
        host, fleet = request.host or "127.0.0.1:19000", self._process.fleet is not None
        return view.CommandContext(str(policy), host, token_file, fleet)

    async def _rules(self, here: view.CommandContext) -> dict[str, Any]:
        rules = (await self._process.rollout())["rules"]
        return {
            "source": here.policy,
            "modes": MODES,
            "counts": view.counts(rules),
            "rules": [view.rule(item, here) for item in rules],
        }

    async def revision(self, request: web.Request) -> web.Response:
        """One revision compared with the one in force."""
        revision, active = request.match_info["revision"], self._revisions.current
        text = await asyncio.to_thread(self._revisions.text, revision)
        if text is None:
            raise web.HTTPNotFound(reason="no such revision")
        return _page(
            "revision.html",
            revision=revision,
            active=active.id,
            text=text,
            form=self._sessions.form,
            fleet=self._process.facts().get("fleet"),
            difference=view.difference(text, active.text),
        )

    async def asset(self, request: web.Request) -> web.Response:
        """Style and script."""
        name = request.match_info["name"]
        if name not in _ASSETS:
            raise web.HTTPNotFound(reason="no such file")
        text = read_text("sidecar.admin", f"assets/{name}")
        return web.Response(text=text, content_type=_ASSETS[name], headers=PAGE_HEADERS)

    async def login(self, request: web.Request) -> web.Response:
        """Where a token is asked for."""
        return _page("login.html", message=request.query.get("message", "")[:200])

    async def log_in(self, request: web.Request) -> web.Response:
        """Take the token, give the cookie."""
        form = await request.post()
        if not self._sessions.knows(str(form.get("token", ""))):
            await asyncio.sleep(0.5)  # a guess costs time
            return _page("login.html", code=401, message="That is not the token.")
        response = web.Response(status=303, headers=PAGE_HEADERS | {"Location": "/"})
        self._sessions.log_in(response, secure=request.secure)
        return response

    async def order(self, request: web.Request) -> web.Response:
        """A form's order; afterwards the page shows its result."""
        form = await request.post()
        if not self._sessions.form_is_ours(str(form.get("form", ""))):
            raise web.HTTPForbidden(reason="this form is not of this page; reload the page")
        words = {key: str(value)[:200] for key, value in form.items()}
        try:
            data = await self._obey(request.match_info["order"], words)
        except OrderRefused as refused:
            data = f"Nothing was changed: {refused}."
        location = f"/?{urlencode({'message': data})}"
        return web.Response(status=303, headers=PAGE_HEADERS | {"Location": location})

    async def _obey(self, order: str, words: Mapping[str, str]) -> str:
        reason, fleet = words.get("reason", ""), self._process.facts().get("fleet")
        if fleet and words.get("version", str(fleet["version"])) != str(fleet["version"]):
            raise OrderRefused(
                "the fleet has decided otherwise since this page was shown; look again"
            )
        if order == "mode":
            if words.get("mode") not in MODES or words.get("sure") != "yes" or not reason:
                return "Nothing was changed: choose a mode, give a reason, and say yes."
            wanted = cast("Mode", words["mode"])
            mode = await self._revisions.set_mode(wanted, reason=reason, who="admin page")
            return f"The mode is {mode} now."
        if order == "rollback":
            if words.get("sure") != "yes" or not reason:
                return "Nothing was changed: give a reason, and say yes."
            to = words.get("to") or None
            found = await self._revisions.rollback(to, reason=reason, who="admin page")
            return f"Revision {found.id} is in force again."
        if order == "reload":
            return f"The file was read: {await self._revisions.reload('admin page')}."
        raise web.HTTPNotFound(reason="no such order")


def _page(template: str, code: int = 200, **facts: Any) -> web.Response:
    text = _templates().get_template(template).render(**facts)
    return web.Response(status=code, text=text, content_type="text/html", headers=PAGE_HEADERS)


@cache
def _templates() -> jinja2.Environment:
    made = templates("sidecar.admin", "assets/", html=True)
    made.filters["counted"] = counted
    made.filters["who"] = view.who
    made.filters["moment"] = lambda stamp: (
        datetime.fromtimestamp(stamp).astimezone().isoformat(sep=" ", timespec="seconds")
    )
    return made
