"""The shared store: Redis or Valkey, by TLS, Unix socket or sentinels. No other file knows `redis`.

Whatever goes wrong, what is lost, slow or garbage, comes out as `StoreError`.

Keys of the fleet NAME, all beginning `sidecar:{NAME}:` (the braces keep them in one slot of a
cluster): `decision` (hash: version, data, mark), `texts` (hash: revision -> text and parent),
`order` (sorted set: revision by version), `journal` (stream), `replicas` (hash: id -> data), `seen`
(sorted set: id by the store's time), `evidence` (hash: id -> what it saw) and `reported` (sorted
set: id by the store's time), `asked` (when all were asked for it), `secret` (of canaries),
`canary:ID` (set: ways on which it came back), `breach:REVISION` (sorted set: id by the store's
time); `changed` is a channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from sidecar.fleet.sharing import Report, StoreError, StoreState
from sidecar.policy.data import read_text
from sidecar.revisions.decision import FleetDecision, Texts, from_json
from sidecar.telemetry.trials import Arrival
from sidecar.trust import UNASKED

Change: TypeAlias = Callable[[float], Awaitable[None]]
"""Waits for the next change, or so many seconds."""


@cache
def _script(name: str) -> str:
    """An atomic step of the store, in Lua; times are the store's own."""
    return read_text("sidecar.fleet", f"lua/{name}.lua")


_WITHIN = 1.0
"""Seconds for one exchange with the store."""
_DECIDED = 0.5
"""Of a decision: an order that waits longer takes effect here. A rollback has a second."""
_TEXTS = 100
_JOURNAL = 1000
_FORGET = 3600
"""Seconds after which a silent replica is not listed any more."""
_KEEP_EVIDENCE = 14 * 86_400
"""Seconds for which the evidence of a replica that is gone counts."""
_EVIDENCE = 200
"""Replicas, gone ones included, whose evidence is kept."""
_CANARY = 1_000
"""Seconds for which a canary's ways are kept: longer than its return counts."""


class RedisStore:
    """One fleet's part of the store.

    Every method but `close` raises StoreError, and none waits longer than a few seconds.
    """

    def __init__(self, url: str, fleet: str) -> None:
        self._redis: Redis = client(url, _WITHIN)
        self._prefix = f"sidecar:{{{fleet}}}:"

    def _key(self, name: str) -> str:
        return self._prefix + name

    async def look(self) -> StoreState:
        """What may have changed."""
        key = self._key("decision")
        decided, asked_at, secret = await self._batch(
            lambda pipe: (
                pipe.hmget(key, ["version", "mark"]),
                pipe.get(self._key("asked")),
                pipe.get(self._key("secret")),
            ),
            raises=False,
        )
        if isinstance(decided, Exception):
            raise StoreError(f"the key {key} holds no decision: {decided}")
        version, mark = decided
        known = secret if isinstance(secret, str) else ""  # garbage there keeps no decision back
        return StoreState(_number(version), mark or "", _moment(asked_at), known)

    async def decision(self) -> FleetDecision | None:
        """The fleet's decision; None when the store holds none."""
        key = self._key("decision")
        version, data = await self._asked(lambda: self._redis.hmget(key, ["version", "data"]))
        if version is None and data is None:
            return None
        try:
            read = from_json(data or "")
        except ValueError as error:
            raise StoreError(f"the key {key} holds no decision: {error}") from error
        if read.version != _number(version):
            raise StoreError(f"the key {key} has two versions")
        return read

    async def decide(self, decision: FleetDecision, base: int) -> bool:
        """Replace the decision of version `base` (0 = none); False when it has another version."""
        data = asdict(decision)
        whole = json.dumps(data)
        text = json.dumps([data.pop("text"), decision.parent])
        data.pop("promotion")  # the journal has an entry of its own for it
        versions = (str(base), str(decision.version))
        entry = (whole, decision.revision, text, json.dumps(data))
        limits = (_TEXTS, _JOURNAL, self._key("changed"), decision.mark)
        names = ("decision", "texts", "order", "journal")
        words = (*versions, *entry, *limits)
        return bool(await self._run("decide", names, *words, within=_DECIDED) == 1)

    async def texts(self) -> Texts:
        """The fleet's latest revisions."""
        found = await self._asked(lambda: self._redis.hgetall(self._key("texts")))
        texts: dict[str, tuple[str, str | None]] = {}
        for revision, data in found.items():
            with contextlib.suppress(ValueError, RecursionError):
                read = json.loads(data)
                match read:
                    case [str() as text, (str() | None) as parent]:
                        texts[revision] = text, parent
        return texts

    async def hello(self, replica: str, data: dict[str, Any]) -> None:
        """Say that this replica is there, and what it has in force."""
        await self._run("hello", ("replicas", "seen"), replica, json.dumps(data), _FORGET)

    async def leave(self, replica: str) -> None:
        """Say that this replica ends; what it saw stays."""
        await self._batch(
            lambda pipe: (
                pipe.hdel(self._key("replicas"), replica),
                pipe.zrem(self._key("seen"), replica),
            )
        )

    async def replicas(self) -> list[dict[str, Any]]:
        """All replicas, with the seconds since each was last seen, by the store's clock."""
        found, seen, (now, _) = await self._batch(
            lambda pipe: (
                pipe.hgetall(self._key("replicas")),
                pipe.zrange(self._key("seen"), 0, -1, withscores=True),
                pipe.time(),
            )
        )
        listed = []
        for replica, at in seen:
            with contextlib.suppress(ValueError, RecursionError, KeyError):
                data = json.loads(found[replica])
                if isinstance(data, dict):
                    listed.append({**data, "replica": replica, "ago": max(0, now - int(at))})
        return sorted(listed, key=lambda item: str(item["replica"]))

    async def report(self, replica: str, seen: str) -> None:
        """Say what this replica saw, in place of what it said before."""
        names = ("evidence", "reported")
        await self._run("report", names, replica, seen, _KEEP_EVIDENCE, _EVIDENCE)

    async def shared(self) -> dict[str, Report]:
        """What all replicas saw, those included that are gone."""
        found, times = await self._batch(
            lambda pipe: (
                pipe.hgetall(self._key("evidence")),
                pipe.zrange(self._key("reported"), 0, -1, withscores=True),
            )
        )
        return {one: Report(at, found[one]) for one, at in times if one in found}

    async def ask(self) -> float:
        """Ask every replica to say what it saw; returns when, by the store's clock."""
        return _moment(await self._run("ask", ("asked",), self._key("changed")))

    async def secret(self, proposed: str) -> str:
        """The fleet's secret: the proposed one, where the store holds none."""
        key = self._key("secret")
        await self._asked(lambda: self._redis.set(key, proposed, nx=True))
        return str(await self._asked(lambda: self._redis.get(key)) or proposed)

    async def returned(self, arrivals: Sequence[Arrival]) -> list[bool]:
        """Add ways on which canaries came back; which are complete."""
        script = _script("returned")
        found = await self._batch(
            lambda pipe: [
                pipe.eval(script, 1, self._key(f"canary:{one.canary}"), one.way, one.ways, _CANARY)
                for one in arrivals
            ],
            transaction=False,
        )
        return [done == 1 for done in found]

    async def vote(self, revision: str, replica: str, within: float) -> int:
        """Record that this replica's guard fires; how many do within these seconds."""
        return int(await self._run("vote", (f"breach:{revision}",), replica, within))

    async def note(self, entry: str) -> None:
        """Add an entry (JSON) to the fleet's journal."""
        limits: dict[str, Any] = {"maxlen": _JOURNAL, "approximate": True}
        key = self._key("journal")
        await self._asked(lambda: self._redis.xadd(key, {"entry": entry}, **limits))

    async def journal(self, last: int) -> list[dict[str, Any]]:
        """The fleet's latest decisions, newest first."""
        found = await self._asked(lambda: self._redis.xrevrange(self._key("journal"), count=last))
        entries = []
        for at, fields in found:
            with contextlib.suppress(ValueError, RecursionError, KeyError, TypeError):
                data = json.loads(fields["entry"])
                if isinstance(data, dict):
                    entries.append({"at": int(at.partition("-")[0]) / 1000, **data})
        return entries

    @contextlib.asynccontextmanager
    async def changes(self) -> AsyncIterator[Change]:
        """Subscribe; gives a call that waits for the next change, or so many seconds."""
        listening = self._redis.pubsub(ignore_subscribe_messages=True)

        async def wait(within: float) -> None:
            await self._asked(lambda: listening.get_message(timeout=within), within + _WITHIN)

        try:
            await self._asked(lambda: listening.subscribe(self._key("changed")))
            yield wait
        finally:
            with contextlib.suppress(Exception):
                await listening.aclose()  # type: ignore[no-untyped-call]

    async def close(self) -> None:
        """Close all connections."""
        sentinels = getattr(self._redis.connection_pool, "sentinel_manager", None)
        for one in filter(None, (self._redis, sentinels)):
            with contextlib.suppress(Exception):
                await one.aclose()

    async def _run(
        self, script: str, names: Sequence[str], *arguments: str | float, within: float = _WITHIN
    ) -> Any:
        keys = [self._key(name) for name in names]
        return await self._asked(
            lambda: self._redis.eval(_script(script), len(keys), *keys, *arguments), within
        )

    async def _batch(
        self, fill: Callable[[Any], object], *, transaction: bool = True, raises: bool = True
    ) -> Any:
        """The results of all commands that `fill` puts into a pipeline."""

        async def asked() -> Any:
            async with self._redis.pipeline(transaction=transaction) as pipe:
                fill(pipe)
                return await pipe.execute(raise_on_error=raises)

        return await self._asked(asked)

    async def _asked(self, ask: Callable[[], Any], within: float = _WITHIN) -> Any:
        try:
            async with asyncio.timeout(within):
                return await ask()
        except TimeoutError as error:
            raise StoreError("the store is too slow") from error
        except StoreError:
            raise
        except Exception as error:  # on garbage a client raises more than its own errors
            said = str(error)[:200].rstrip(".") or type(error).__name__
            raise StoreError(said) from error


def _number(found: object) -> int:
    if found is None:
        return 0
    if isinstance(found, str) and found.isdecimal() and len(found) < 16:
        return int(found)
    raise StoreError("the fleet's version is no number")


def _moment(found: object) -> float:
    """Seconds as a script wrote them; 0 where there are none, or something else."""
    try:
        moment = float(str(found or 0))
    except ValueError:
        return 0.0
    return moment if math.isfinite(moment) else 0.0


_CONNECT = 2.0
"""Seconds to connect."""
_SENTINEL = 0.4
"""Seconds for a sentinel: one that is gone must leave time to ask the next."""
_SENTINEL_PORT = 26379


def client(url: str, within: float) -> Redis:
    """A client that connects at first use and never retries; `within`: seconds for one exchange.

    `redis+sentinel://[USER:PASSWORD@]HOST:PORT[,HOST:PORT...]/MASTER[/DATABASE]` asks the sentinels
    for the master at each connection; `rediss+sentinel://` speaks TLS to both. USER and PASSWORD
    are the master's; `?sentinel_username=` and `?sentinel_password=` are the sentinels' own.

    Raises:
        ValueError: the URL is none that a client takes.
    """
    common: dict[str, Any] = {
        "decode_responses": True,
        "socket_timeout": within,
        "socket_connect_timeout": _CONNECT,
        "retry": Retry(NoBackoff(), 0),
    }
    if url.startswith("rediss"):
        common["ssl_exclude_verify_flags"] = [UNASKED]
    if "+sentinel://" in url:
        return _by_sentinels(url, common)
    return Redis.from_url(url, **common)


def _by_sentinels(url: str, common: Mapping[str, Any]) -> Redis:
    parts = urlsplit(url)
    scheme = parts.scheme.removesuffix("+sentinel")
    credentials, _, hosts = parts.netloc.rpartition("@")
    user, _, password = credentials.partition(":")
    master, _, database = parts.path.strip("/").partition("/")
    options: dict[str, Any] = {**parse_url(f"{scheme}:///?{parts.query}"), **common}
    options.pop("connection_class", None)
    own = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    options |= {
        "ssl": scheme == "rediss",
        "db": int(database or 0),
        "username": unquote(user) or None,
        "password": unquote(password) or None,
    }
    soon = {"socket_connect_timeout": _SENTINEL, "socket_timeout": _SENTINEL}
    sentinels = [_address(host) for host in hosts.split(",")]
    there = {**options, **own, **soon, "db": 0}
    found = Sentinel(sentinels, sentinel_kwargs=there, **options)  # type: ignore[no-untyped-call]
    made: Redis = found.master_for(unquote(master))
    return made


def _address(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError("a sentinel needs a host")
    return parts.hostname, parts.port or _SENTINEL_PORT
