"""A client of the store from a URL: Redis or Valkey, by TLS, Unix socket or sentinels.

Beside `redis_store` the only file that knows `redis`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel
from redis.backoff import NoBackoff

from sidecar.trust import UNASKED

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
