"""The shared store: Redis or Valkey.

Lives here: `RedisStore` and its keys. Must not know what a decision does. Whatever goes wrong, what
is lost, slow or garbage, comes out as `StoreError`.

Keys of the fleet NAME, all beginning `sidecar:{NAME}:` (the braces keep them in one slot of a
cluster): `decision` (hash: version, data, mark), `texts` (hash: revision -> text and parent),
`order` (sorted set: revision by version), `journal` (stream), `replicas` (hash: id -> data), `seen`
(sorted set: id by the store's time), `evidence` (hash: id -> what it saw) and `told` (sorted set:
id by the store's time), `asked` (when all were asked for it), `secret` (of canaries), `canary:ID`
(set: ways on which it came back), `breach:REVISION` (sorted set: id by the store's time); `changed`
is a channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Callable, Sequence
from typing import Any

from redis.asyncio import Redis

from sidecar.fleet.connecting import client
from sidecar.fleet.exchange import Change, Look, StoreError, Told
from sidecar.fleet.scripts import ASK, DECIDE, HELLO, RETURNED, TELL, VOTE
from sidecar.revisions.decision import Decision, Texts, from_data

_WITHIN = 1.0
"""Seconds for one exchange with the store: an order that waits longer holds here at once."""
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
    """One fleet's part of the store. Every method raises StoreError."""

    def __init__(self, url: str, fleet: str) -> None:
        self._redis: Redis = client(url, _WITHIN)
        self._prefix = f"sidecar:{{{fleet}}}:"

    def _key(self, name: str) -> str:
        return self._prefix + name

    async def look(self) -> Look:
        """What may have changed."""

        async def asked() -> Any:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hmget(self._key("decision"), ["version", "mark"])
                pipe.get(self._key("asked"))
                pipe.get(self._key("secret"))
                return await pipe.execute(raise_on_error=False)

        decided, asked_at, secret = await self._asked(asked)
        if isinstance(decided, Exception):
            raise StoreError(f"the key {self._key('decision')} holds no decision: {decided}")
        version, mark = decided
        known = secret if isinstance(secret, str) else ""  # garbage there keeps no decision back
        return Look(_number(version), mark or "", _moment(asked_at), known)

    async def decision(self) -> Decision | None:
        """The fleet's decision; None when the store holds none."""
        found = await self._asked(
            lambda: self._redis.hmget(self._key("decision"), ["version", "data"])
        )
        version, data = found
        if version is None and data is None:
            return None
        try:
            read = from_data(json.loads(data or ""))
        except (ValueError, RecursionError) as error:
            raise StoreError(
                f"the key {self._key('decision')} holds no decision: {error}"
            ) from error
        if read.version != _number(version):
            raise StoreError(f"the key {self._key('decision')} has two versions")
        return read

    async def decide(self, decision: Decision, base: int) -> bool:
        """Replace the decision of version `base` (0 = none); False when the store holds another
        version.
        """
        data = decision.data()
        text = json.dumps([data.pop("text"), decision.parent])
        keys = [self._key(name) for name in ("decision", "texts", "order", "journal")]
        whole = json.dumps(decision.data())
        arguments: list[str | int] = [
            str(base),
            str(decision.version),
            whole,
            decision.revision,
            text,
            json.dumps(data),
            _TEXTS,
            _JOURNAL,
            self._key("changed"),
            decision.mark,
        ]
        done = await self._asked(lambda: self._redis.eval(DECIDE, len(keys), *keys, *arguments))
        return bool(done == 1)

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
        keys = [self._key("replicas"), self._key("seen")]
        said = json.dumps(data)
        await self._asked(lambda: self._redis.eval(HELLO, 2, *keys, replica, said, _FORGET))

    async def leave(self, replica: str) -> None:
        """Say that this replica ends; what it saw stays."""

        async def asked() -> Any:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hdel(self._key("replicas"), replica)
                pipe.zrem(self._key("seen"), replica)
                return await pipe.execute()

        await self._asked(asked)

    async def replicas(self) -> list[dict[str, Any]]:
        """All replicas, with the seconds since each was last seen, by the store's clock."""

        async def asked() -> Any:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hgetall(self._key("replicas"))
                pipe.zrange(self._key("seen"), 0, -1, withscores=True)
                pipe.time()
                return await pipe.execute()

        found, seen, (now, _) = await self._asked(asked)
        listed = []
        for replica, at in seen:
            with contextlib.suppress(ValueError, RecursionError, KeyError):
                data = json.loads(found[replica])
                if isinstance(data, dict):
                    listed.append({**data, "replica": replica, "ago": max(0, now - int(at))})
        return sorted(listed, key=lambda item: str(item["replica"]))

    async def tell(self, replica: str, seen: str) -> None:
        """Say what this replica saw, in place of what it said before."""
        keys = [self._key("evidence"), self._key("told")]
        bounds = _KEEP_EVIDENCE, _EVIDENCE
        await self._asked(lambda: self._redis.eval(TELL, 2, *keys, replica, seen, *bounds))

    async def told(self) -> Told:
        """What all replicas saw, those included that are gone."""

        async def asked() -> Any:
            async with self._redis.pipeline(transaction=True) as pipe:
                pipe.hgetall(self._key("evidence"))
                pipe.zrange(self._key("told"), 0, -1, withscores=True)
                return await pipe.execute()

        found, times = await self._asked(asked)
        return {replica: (at, found[replica]) for replica, at in times if replica in found}

    async def ask(self) -> float:
        """Ask every replica to say what it saw; returns when, by the store's clock."""
        channel = self._key("changed")
        found = await self._asked(lambda: self._redis.eval(ASK, 1, self._key("asked"), channel))
        return _moment(found)

    async def secret(self, proposed: str) -> str:
        """The fleet's secret: the proposed one, where the store holds none."""
        key = self._key("secret")
        await self._asked(lambda: self._redis.set(key, proposed, nx=True))
        return str(await self._asked(lambda: self._redis.get(key)) or proposed)

    async def returned(self, arrivals: Sequence[tuple[str, str, int]]) -> list[bool]:
        """Note ways on which canaries came back: (canary, way, ways needed); whether each made
        its canary complete.
        """

        async def asked() -> Any:
            async with self._redis.pipeline(transaction=False) as pipe:
                for canary, way, ways in arrivals:
                    pipe.eval(RETURNED, 1, self._key(f"canary:{canary}"), way, ways, _CANARY)
                return await pipe.execute()

        return [done == 1 for done in await self._asked(asked)]

    async def vote(self, revision: str, replica: str, within: float) -> int:
        """Say that this replica's guard fires on a revision; how many have said so within these
        seconds.
        """
        key = self._key(f"breach:{revision}")
        return int(await self._asked(lambda: self._redis.eval(VOTE, 1, key, replica, within)))

    async def note(self, entry: str) -> None:
        """Add an entry (JSON) to the fleet's journal."""
        await self._asked(
            lambda: self._redis.xadd(
                self._key("journal"), {"entry": entry}, maxlen=_JOURNAL, approximate=True
            )
        )

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

    async def _asked(self, ask: Callable[[], Any], within: float = _WITHIN) -> Any:
        try:
            async with asyncio.timeout(within):
                return await ask()
        except TimeoutError as error:
            raise StoreError("the store is too slow") from error
        except StoreError:
            raise
        except (
            Exception
        ) as error:  # what garbage makes of a client is not bounded by its own errors
            raise StoreError(f"{type(error).__name__}: {str(error)[:200]}") from error


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
