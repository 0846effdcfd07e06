"""The release tried before it is made: the real settings and policy on scratch ports, step by step,
timed.

Lives here: the steps and their sheet. Like the demo it builds the same `Service` that `run` does;
what is rehearsed is what will run. Must not know how the sheet is shown.
"""

from __future__ import annotations

import asyncio
import json
import re
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeAlias

from aiohttp import web

from sidecar.observed import NoResponse, Response, target_of
from sidecar.observed.client import ask
from sidecar.policy.engine.plan import compile_policy, decide
from sidecar.policy.rules.conditions import Facts
from sidecar.rollout import deployment
from sidecar.rollout.promotion import enforced, reported
from sidecar.runtime.service import Service
from sidecar.settings import Fleet, Settings
from sidecar.telemetry.events import Sink

ROLLBACKS = 15
_WAIT = 5.0
_MAX_BODY = 64 << 20
_FRAMING = frozenset(
    {"content-length", "transfer-encoding", "connection", "content-encoding", "date"}
)
_ASIDE = frozenset({"date", "connection", "keep-alive", "age"})
_IN_LINES = re.compile(r"(?i)'nonce-[^']*'")
_IN_PAGES = re.compile(rb"(?i)(\snonce=)(?:\"[^\"]*\"|'[^']*'|[^\s>\"']+)")
_NONCE = "A" * 22
"""What the service is given when it is asked directly: as long as a real one, so that lengths
are the same.
"""

Lines: TypeAlias = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Step:
    """One line of the sheet; `seconds` is None where time says nothing."""

    name: str
    passed: bool
    text: str
    seconds: float | None = None


def same(one: Response, other: Response) -> bool:
    """Equal but for what differs from one moment to the next, nonces among it."""
    return _lasting(one) == _lasting(other)


def _lasting(response: Response) -> tuple[int, Lines, bytes]:
    body, nonces = _IN_PAGES.subn(rb"\1", response.body)
    aside = _ASIDE | {"etag"} if nonces else _ASIDE
    lines = [
        (name, _IN_LINES.sub("'nonce-...'", value))
        for name, value in _text(response.fields)
        if name.lower() not in aside
    ]
    return response.status, lines, body


def _text(fields: Iterable[tuple[bytes, bytes]]) -> Lines:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in fields]


async def rehearse(
    settings: Settings, paths: Sequence[str], recorded: Sequence[Response] = ()
) -> AsyncIterator[Step]:
    """Try the release of a policy; yields each step as it is done.

    Args:
        settings: the real ones; listeners, state and the policy's place are replaced by scratch
            ones.
        paths: request targets to replay (GET).
        recorded: responses to send instead of the real service's; their paths are replayed too.
    """
    failed = False
    for finding in deployment.check(settings):
        failed |= finding.outcome == "fail"
        yield Step(
            finding.name,
            finding.outcome != "fail",
            finding.text + (" (warning)" if finding.outcome == "warn" else ""),
        )
    if failed:
        yield Step("rehearsal", passed=False, text="not started: put the above right first")
        return
    with tempfile.TemporaryDirectory(prefix="sidecar-rehearsal-") as folder:
        async with _upstream(settings, recorded) as (upstream, more):
            async for step in _steps(
                settings, upstream, Path(folder), tuple(dict.fromkeys((*paths, *more)) or ("/",))
            ):
                yield step


async def _steps(
    settings: Settings, upstream: str, folder: Path, paths: tuple[str, ...]
) -> AsyncIterator[Step]:
    text = Path(settings.policy).read_bytes().decode("utf-8")
    policy = folder / "policy.yaml"
    policy.write_text(reported(text), "utf-8", newline="")
    scratch = {
        "listen": "127.0.0.1:0",
        "admin": "127.0.0.1:0",
        "health": "127.0.0.1:0",
        "admin_token_file": None,
        "workers": 1,
    }
    tls = settings.tls.model_copy(update={"certificate": None, "key": None})
    forwarding = settings.forwarding.model_copy(
        update={"proxy_protocol": "off"}
    )  # we are the client
    own = settings.model_copy(
        update={
            **scratch,
            "policy": str(policy),
            "state": str(folder / "state"),
            "upstream": upstream,
            "mode": None,
            "tls": tls,
            "forwarding": forwarding,
            "fleet": Fleet(),  # what is rehearsed reaches no other replica
        }
    )
    with (folder / "events.jsonl").open("wb") as file:
        sink = Sink(file.fileno())
        service = Service(own, sink)
        try:
            began = time.perf_counter()
            await service.start()
            yield Step(
                "start",
                passed=True,
                text="policy in force, listeners open",
                seconds=time.perf_counter() - began,
            )
            nonce = {} if own.forwarding.nonce == "off" else {own.forwarding.nonce: _NONCE}
            direct, reach = await _replay(upstream, paths, nonce)
            if reach:
                yield Step("service", passed=False, text=reach)
                return
            through, _ = await _replay(f"http://{service.listen[0]}", paths)
            yield _compare(
                "report-only", direct, through, "the service's own responses, byte for byte"
            )
            yield await _enforce(service, policy, text, direct)
            if service.revisions.mode == "enforce":
                yield await _effects(service, direct)
                yield await _rollbacks(service, direct)
        finally:
            await service.close()
            sink.close()


async def _enforce(service: Service, policy: Path, text: str, direct: dict[str, Response]) -> Step:
    """The one edit that enforces everything, seen by the file watch; timed to the swap."""
    before = service.revisions.current.id
    began = time.perf_counter()
    policy.write_text(enforced(text), "utf-8", newline="")
    deadline = began + _WAIT
    while service.revisions.current.id == before and time.perf_counter() < deadline:
        await asyncio.sleep(0.01)
    seconds = time.perf_counter() - began
    passed = service.revisions.mode == "enforce"
    return Step(
        "enforce",
        passed,
        "every mode in the file set to enforce" if passed else "the edit did not come in force",
        seconds,
    )


async def _effects(service: Service, direct: dict[str, Response]) -> Step:
    """Every response through the sidecar is what the policy says of the service's own response."""
    through, _ = await _replay(f"http://{service.listen[0]}", tuple(direct))
    plan = compile_policy(service.revisions.current.resolved)
    wrong, changed = [], 0
    for path, response in direct.items():
        bare = path.partition("?")[0]
        facts = Facts(
            "GET",
            service.listen[0],
            bare,
            "http",
            [],
            response.status,
            response.fields,
            "127.0.0.1",
        )
        expected = tuple(decide(plan.route(service.listen[0], "GET", bare), facts).fields)
        changed += expected != response.fields
        if not same(through[path], replace(response, fields=expected)):
            wrong.append(path)
    text = f"{changed} of {len(direct)} responses changed as the policy says"
    return Step(
        "effects", not wrong, text if not wrong else f"not as expected: {', '.join(wrong[:5])}"
    )


async def _rollbacks(service: Service, direct: dict[str, Response]) -> Step:
    """Order to first restored response, again and again; and the restored responses are the
    service's own.
    """
    changed = await _first_changed(service, direct)
    taken, target = [], service.revisions.current.parent
    latest = service.revisions.current.id
    for _ in range(ROLLBACKS):
        began = time.perf_counter()
        await asyncio.to_thread(
            _post, service.admin, "/-/rollback", {"to": target, "who": "rehearsal"}
        )
        restored = await asyncio.to_thread(_get, f"http://{service.listen[0]}", changed)
        taken.append(time.perf_counter() - began)
        if not same(restored, direct[changed]):
            return Step("rollback", passed=False, text=f"{changed} was not restored byte for byte")
        await service.revisions.rollback(latest, who="rehearsal")
    await service.revisions.rollback(target, who="rehearsal")
    through, _ = await _replay(f"http://{service.listen[0]}", tuple(direct))
    median = statistics.median(taken)
    step = _compare(
        "rollback",
        direct,
        through,
        f"restored byte for byte; median of {ROLLBACKS} rollbacks, slowest"
        f" {max(taken) * 1000:.0f} ms",
    )
    return Step(step.name, step.passed, step.text, median)


async def _first_changed(service: Service, direct: dict[str, Response]) -> str:
    through, _ = await _replay(f"http://{service.listen[0]}", tuple(direct))
    return next(
        (path for path, response in direct.items() if not same(through[path], response)),
        next(iter(direct)),
    )


def _compare(
    name: str, direct: dict[str, Response], through: dict[str, Response], good: str
) -> Step:
    different = [path for path, response in direct.items() if not same(through[path], response)]
    return Step(
        name,
        not different,
        good if not different else f"differs from the service's own: {', '.join(different[:5])}",
    )


async def _replay(
    base: str, paths: Sequence[str], more: Mapping[str, str] = MappingProxyType({})
) -> tuple[dict[str, Response], str]:
    responses: dict[str, Response] = {}
    for path in paths:
        try:
            responses[path] = await asyncio.to_thread(_get, base, path, more)
        except NoResponse as error:
            return responses, str(error)
    return responses, ""


def _get(base: str, path: str, more: Mapping[str, str] = MappingProxyType({})) -> Response:
    return ask(f"{base}{path}", headers=more, most=_MAX_BODY)


def _post(address: str, path: str, body: dict[str, Any]) -> None:
    kind = {"Content-Type": "application/json"}
    data = json.dumps(body).encode()
    found = ask(f"http://{address}{path}", "POST", headers=kind, body=data, most=_MAX_BODY)
    if found.status != 200:
        raise OSError(f"{path} was refused: {found.body.decode('utf-8', 'replace')}")


@asynccontextmanager
async def _upstream(
    settings: Settings, recorded: Sequence[Response]
) -> AsyncIterator[tuple[str, tuple[str, ...]]]:
    """The real service's address, or that of a server which answers from the recording."""
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
