"""The shared store: Redis or Valkey. The only file that knows `redis`.

Lives here: `RedisStore`, its keys and its scripts. Must not know what a decision does. Whatever goes wrong, what is
lost, slow or garbage, comes out as `StoreError`.

Keys of the fleet NAME, all beginning `sidecar:{NAME}:` (the braces keep them in one slot of a cluster):
`decision` (hash: version, data), `texts` (hash: revision -> text and parent), `order` (sorted set: revision by version),
`journal` (stream), `replicas` (hash: id -> data), `seen` (sorted set: id by the store's time); `changed` is a channel.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from sidecar.fleet.exchange import Change, StoreError
from sidecar.revisions.decision import Decision, Texts, from_data

_WITHIN = 1.0
"""Seconds for one exchange with the store: an order that waits longer holds here at once."""
_CONNECT = 2.0
_TEXTS = 100
_JOURNAL = 1000
_FORGET = 3600
"""Seconds after which a silent replica is not listed any more."""

_DECIDE = """
local held = redis.call('HGET', KEYS[1], 'version')
if (held or '0') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'version', ARGV[2], 'data', ARGV[3])
redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
redis.call('ZADD', KEYS[3], ARGV[2], ARGV[4])
for _, old in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1 - ARGV[7])) do
  redis.call('HDEL', KEYS[2], old)
  redis.call('ZREM', KEYS[3], old)
end
redis.call('XADD', KEYS[4], 'MAXLEN', '~', ARGV[8], '*', 'entry', ARGV[6])
redis.call('PUBLISH', ARGV[9], ARGV[2])
return 1
"""
"""Compare and set: 1 when the version was the expected one, 0 when nothing was changed."""

_HELLO = """
local now = redis.call('TIME')[1]
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], now, ARGV[1])
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[3])) do
  redis.call('HDEL', KEYS[1], old)
  redis.call('ZREM', KEYS[2], old)
end
return 1
"""


class RedisStore:
    """One fleet's part of the store. Every method raises StoreError."""

    def __init__(self, url: str, fleet: str) -> None:
        self._redis: Redis = Redis.from_url(
            url,
            decode_responses=True,
            socket_timeout=_WITHIN,
            socket_connect_timeout=_CONNECT,
            retry=Retry(NoBackoff(), 0),
        )
        self._prefix = f"sidecar:{{{fleet}}}:"

    def _key(self, name: str) -> str:
        return self._prefix + name

    async def version(self) -> int:
        """The version of the fleet's decision; 0 when the store holds none."""
        found = await self._asked(lambda: self._redis.hget(self._key("decision"), "version"))
        return _number(found)

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
        """Replace the decision of version `base` (0 = none); False when the store holds another version."""
        data = decision.data()
        text = json.dumps([data.pop("text"), decision.parent])
        keys = [self._key(name) for name in ("decision", "texts", "order", "journal")]
        whole = json.dumps(decision.data())
        arguments: list[str | int] = [
            str(base), str(decision.version), whole, decision.revision, text, json.dumps(data),
            _TEXTS, _JOURNAL, self._key("changed"),
        ]  # fmt: skip
        done = await self._asked(lambda: self._redis.eval(_DECIDE, len(keys), *keys, *arguments))
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
        await self._asked(lambda: self._redis.eval(_HELLO, 2, *keys, replica, said, _FORGET))

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
        with contextlib.suppress(Exception):
            await self._redis.aclose()

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
