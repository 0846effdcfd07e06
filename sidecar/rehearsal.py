"""Tries a release: the real settings and policy on scratch ports, step by step, timed.

It builds the same `Service` that `run` does.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from aiohttp import web

from sidecar.files import write_file
from sidecar.observed import NoResponse, ObservedResponse, target_of
from sidecar.observed.client import ask
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.rules.conditions import Facts
from sidecar.rollout import deployment
from sidecar.rollout.promotion import enforced, reported
from sidecar.runtime.service import Service
from sidecar.settings import Fleet, Settings
from sidecar.telemetry.events import QueuedOutput

ROLLBACKS = 15
_WAIT = 5.0
_MAX_BODY = 64 << 20
_FRAMING = {"content-length", "transfer-encoding", "connection", "content-encoding", "date"}
_ASIDE = frozenset({"date", "connection", "keep-alive", "age"})
_IN_LINES = re.compile(r"(?i)'nonce-[^']*'")
_DATE = re.compile(r"[A-Z][a-z]{2}, \d\d[ -][A-Z][a-z]{2}[ -]\d{4} \d\d:\d\d:\d\d GMT")
"""RFC 9110 section 5.6.7, also in the Expires of a cookie."""
_IN_PAGES = re.compile(rb"(?i)(\snonce=)(?:\"[^\"]*\"|'[^']*'|[^\s>\"']+)")
_NONCE = "A" * 22
"""What the service gets when it is asked directly: of a real one's length, for equal lengths."""

Lines: TypeAlias = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class RehearsalStep:
    """One line of the sheet; `seconds` is None where time says nothing."""

    name: str
    passed: bool
    text: str
    seconds: float | None = None


Varying: TypeAlias = Mapping[str, frozenset[str]]
"""By path: what the service itself sends anew each time, as `body` and names of headers."""


def differences(
    one: ObservedResponse, other: ObservedResponse, varying: Iterable[str] = ()
) -> list[str]:
    """What differs: `status`, `body` and names of headers, but for what differs from one moment to
    the next (nonces among it) and what is known to vary.
    """
    (lines, body), (lines_, body_) = _lasting(one), _lasting(other)
    names = dict.fromkeys(name.lower() for name, _ in (*lines, *lines_))
    found = ["status"] * (one.status != other.status) + ["body"] * (body != body_)
    differ = [name for name in names if _named(lines, name) != _named(lines_, name)]
    order = [] if differ or lines == lines_ else ["order of headers"]
    return [part for part in (*found, *differ, *order) if part not in varying]


def _named(lines: Lines, key: str) -> Lines:
    return [line for line in lines if line[0].lower() == key]


def _lasting(response: ObservedResponse) -> tuple[Lines, bytes]:
    """Header lines and body without what differs from one moment to the next."""
    body, nonces = _IN_PAGES.subn(rb"\1", response.body)
    aside = _ASIDE | {"etag"} if nonces else _ASIDE
    lines = [
        (name, _DATE.sub("<date>", _IN_LINES.sub("'nonce-...'", value)))
        for name, value in _text(response.fields)
        if name.lower() not in aside
    ]
    return lines, body


def _text(fields: Iterable[tuple[bytes, bytes]]) -> Lines:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


async def rehearse(
    settings: Settings, paths: Sequence[str], recorded: Sequence[ObservedResponse] = ()
) -> AsyncIterator[RehearsalStep]:
    """Try the release of a policy; yields each step as it is done.

    Args:
        settings: the real ones; scratch listeners, state and policy file replace theirs.
        paths: request targets to replay (GET).
        recorded: responses to send instead of the real service's; their paths are replayed too.
    """
    failed = False
    for name, outcome, text in deployment.check(settings):
        failed |= outcome == "fail"
        warning = " (warning)" if outcome == "warn" else ""
        yield RehearsalStep(name, outcome != "fail", f"{text}{warning}")
    if failed:
        yield RehearsalStep("rehearsal", passed=False, text="not started: correct the above first")
        return
    with tempfile.TemporaryDirectory(prefix="sidecar-rehearsal-") as folder:
        async with _upstream(settings, recorded) as (upstream, more):
            targets = tuple(dict.fromkeys((*paths, *more)) or ("/",))
            async for step in _steps(settings, upstream, Path(folder), targets):
                yield step


async def _steps(
    settings: Settings, upstream: str, folder: Path, paths: tuple[str, ...]
) -> AsyncIterator[RehearsalStep]:
    text = Path(settings.policy).read_bytes().decode("utf-8")
    policy = folder / "policy.yaml"
    write_file(policy, reported(text))
    own = _scratch(settings, folder, policy, upstream)
    with (folder / "events.jsonl").open("wb") as file:
        sink = QueuedOutput(file.fileno())
        service = Service(own, sink)
        try:
            began = time.perf_counter()
            await service.start()
            taken = time.perf_counter() - began
            yield RehearsalStep("start", True, "policy in force, listeners open", taken)
            nonce = {} if own.forwarding.nonce == "off" else {own.forwarding.nonce: _NONCE}
            # The same host for both: pages have it in links.
            host = {"Host": urlsplit(upstream).netloc or "localhost"}
            direct, reach = await _replay(upstream, paths, host | nonce)
            if reach:
                yield RehearsalStep("service", passed=False, text=reach)
                return
            again, _ = await _replay(upstream, paths, host | nonce)
            varying = {
                path: frozenset(differences(response, again[path]))
                for path, response in direct.items()
                if path in again
            }
            seen = _Seen(service, host, direct, varying)
            through = await seen.through()
            yield seen.compare("report-only", through, "the service's own responses, byte for byte")
            yield await _enforce(service, policy, text)
            if service.revisions.mode == "enforce":
                yield await _effects(seen)
                yield await _rollbacks(seen)
        finally:
            await service.close()
            sink.close()


def _scratch(settings: Settings, folder: Path, policy: Path, upstream: str) -> Settings:
    ours: dict[str, Any] = {"admin_token_file": None, "workers": 1, "mode": None}
    ours |= dict.fromkeys(("listen", "admin", "health"), "127.0.0.1:0")
    ours |= {"policy": str(policy), "state": str(folder / "state"), "upstream": upstream}
    ours["tls"] = settings.tls.model_copy(update={"certificate": None, "key": None})
    client = {"proxy_protocol": "off"}  # the client is this process
    ours["forwarding"] = settings.forwarding.model_copy(update=client)
    ours["fleet"] = Fleet()  # what is rehearsed reaches no other replica
    return settings.model_copy(update=ours)


async def _enforce(service: Service, policy: Path, text: str) -> RehearsalStep:
    """The one edit that enforces everything, seen by the file watch; timed to the swap."""
    before = service.revisions.current.id
    began = time.perf_counter()
    write_file(policy, enforced(text))
    deadline = began + _WAIT
    while service.revisions.current.id == before and time.perf_counter() < deadline:
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - began
    if service.revisions.mode != "enforce":
        return RehearsalStep("enforce", False, "the edit did not come in force", seconds)
    return RehearsalStep("enforce", True, "every mode in the file set to enforce", seconds)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The service's own responses by path, to compare those with that come through the sidecar."""

    service: Service
    host: Mapping[str, str]
    """The request header that names the service."""
    direct: Mapping[str, ObservedResponse]
    varying: Varying

    async def through(self) -> dict[str, ObservedResponse]:
        """The responses to the same requests through the sidecar."""
        address = f"http://{self.service.listen[0]}"
        found, _ = await _replay(address, self.direct, self.host)
        return found

    def differ(
        self,
        path: str,
        response: ObservedResponse | None,
        expected: ObservedResponse | None = None,
    ) -> list[str]:
        """How a response differs from the service's own, or from what is expected; None = there was
        no response.
        """
        if response is None:
            return ["no response"]
        varying = {*self.varying.get(path, ())}
        if "body" in varying:  # another one may have another length too
            varying |= {"content-length", "etag"}
        return differences(response, expected or self.direct[path], varying)

    def compare(
        self, name: str, through: Mapping[str, ObservedResponse], good: str
    ) -> RehearsalStep:
        """Whether all are the service's own; what differs, and what could not be compared."""
        found = {path: self.differ(path, through.get(path)) for path in self.direct}
        if bad := _listed(found):
            return RehearsalStep(name, False, f"differs from the service's own: {bad}")
        varies = _listed(self.varying)
        aside = f"; not compared, as the service itself varies it: {varies}" if varies else ""
        return RehearsalStep(name, passed=True, text=f"{good}{aside}")


def _listed(found: Mapping[str, Collection[str]]) -> str:
    """The first five paths of which something is found, each with that."""
    parts = [f"{path} ({', '.join(sorted(what))})" for path, what in found.items() if what]
    return ", ".join(parts[:5])


async def _effects(seen: _Seen) -> RehearsalStep:
    """Every response through the sidecar is what the policy says of the service's own response."""
    through, wrong, changed = await seen.through(), dict[str, list[str]](), 0
    plan = compile_policy(seen.service.revisions.current.resolved)
    for path, response in seen.direct.items():
        bare, host = path.partition("?")[0], seen.host["Host"]
        sent = (response.status, response.fields, "127.0.0.1")
        facts = Facts("GET", host, bare, "http", [], *sent)
        expected = tuple(decide(plan.route(host, "GET", bare), facts).fields)
        changed += expected != response.fields
        wrong[path] = seen.differ(path, through.get(path), replace(response, fields=expected))
    if bad := _listed(wrong):
        return RehearsalStep("effects", passed=False, text=f"not as expected: {bad}")
    number = f"{changed} of {len(seen.direct)}"
    return RehearsalStep("effects", True, f"{number} responses changed as the policy says")


async def _rollbacks(seen: _Seen) -> RehearsalStep:
    """Time rollbacks to the first restored response, and check that responses are restored."""
    service = seen.service
    differ = (path for path, one in (await seen.through()).items() if seen.differ(path, one))
    changed = next(differ, next(iter(seen.direct)))
    taken, target = [], service.revisions.current.parent
    latest = service.revisions.current.id
    for _ in range(ROLLBACKS):
        began = time.perf_counter()
        await asyncio.to_thread(_order_rollback, service.admin, target)
        address = f"http://{service.listen[0]}"
        restored = (await _replay(address, (changed,), seen.host))[0].get(changed)
        taken.append(time.perf_counter() - began)
        if bad := seen.differ(changed, restored):
            text = f"{changed} was not restored byte for byte: {', '.join(bad)}"
            return RehearsalStep("rollback", passed=False, text=text)
        await service.revisions.rollback(latest, who="rehearsal")
    await service.revisions.rollback(target, who="rehearsal")
    slowest = f"{max(taken) * 1000:.0f} ms"
    good = f"restored byte for byte; median of {ROLLBACKS} rollbacks, slowest {slowest}"
    step = seen.compare("rollback", await seen.through(), good)
    return replace(step, seconds=statistics.median(taken))


async def _replay(
    base: str, paths: Iterable[str], headers: Mapping[str, str]
) -> tuple[dict[str, ObservedResponse], str]:
    """The responses by path, up to the first that does not come; and why that did not."""
    responses: dict[str, ObservedResponse] = {}
    for path in paths:
        try:
            responses[path] = await asyncio.to_thread(
                ask, f"{base}{path}", headers=headers, most=_MAX_BODY
            )
        except NoResponse as error:
            return responses, str(error)
    return responses, ""


def _order_rollback(admin: str, revision: str | None) -> None:
    url, kind = f"http://{admin}/-/rollback", {"Content-Type": "application/json"}
    body = json.dumps({"to": revision, "who": "rehearsal"}).encode()
    found = ask(url, "POST", headers=kind, body=body, most=_MAX_BODY)
    if found.status != 200:
        raise OSError(f"the rollback was refused: {found.body.decode('utf-8', 'replace')}")


@asynccontextmanager
async def _upstream(
    settings: Settings, recorded: Sequence[ObservedResponse]
) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
    """The real service's address, or that of a server that replays the recording."""
    if not recorded:
        yield settings.upstream, ()
        return
    known = {target_of(one.place): one for one in recorded if one.method == "GET"}

    async def respond(request: web.Request) -> web.Response:
        found = known.get(request.raw_path)
        if found is None:
            return web.Response(status=404)
        made = web.Response(status=found.status, body=found.body)
        made.headers.popall("Content-Type", None)
        for name, value in _text(found.fields):
            if name.lower() not in _FRAMING:
                made.headers.add(name, value)
        return made

    runner = web.ServerRunner(web.Server(respond))  # type: ignore[arg-type]
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", tuple(known)
    finally:
        await runner.cleanup()
