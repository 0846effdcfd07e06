"""Browsers' engines: which one a request comes from, and which report-only twins it reports.

Lives here: `engine_of` and the dated table of support. Must not know rules or counters. A User-Agent may lie:
what it says is evidence, never control.

Source: MDN browser compatibility data, as of SUPPORT_DATE.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal, TypeAlias

Engine: TypeAlias = Literal["chromium", "firefox", "safari"]

SUPPORT_DATE = "2026-11"

# Chrome, Firefox and Edge on iOS are WebKit: they are asked for first.
_ENGINES: tuple[tuple[re.Pattern[bytes], Engine], ...] = (
    (re.compile(rb"(?:iPhone|iPad|iPod).* OS (\d{1,3})_"), "safari"),
    (re.compile(rb"\bFirefox/(\d{1,4})"), "firefox"),
    (re.compile(rb"Chrom(?:e|ium)/(\d{1,4})"), "chromium"),
    (re.compile(rb"\bVersion/(\d{1,3})\.[\d.]+ (?:Mobile/\w+ )?Safari/"), "safari"),
)
_BOT = re.compile(rb"bot\b|crawl|spider|slurp|headless-checker", re.IGNORECASE)

_SINCE: Mapping[bytes, Mapping[Engine, int]] = {
    b"content-security-policy": {"chromium": 25, "firefox": 23, "safari": 7},
    b"x-frame-options": {"chromium": 40, "firefox": 33, "safari": 10},
    b"cross-origin-embedder-policy": {"chromium": 96, "safari": 17},
    b"cross-origin-opener-policy": {"chromium": 96, "safari": 17},
    b"permissions-policy": {"chromium": 120},
    b"integrity-policy": {"chromium": 138, "safari": 26},
}
"""The first version of each engine that reports the header's report-only twin to an endpoint.

CSP by `report-uri`; X-Frame-Options as `frame-ancestors`; all others by the Reporting API. Safari has it since
16.4, which a major version does not tell: 17 counts. Firefox 145 knows Integrity-Policy, without endpoints.
"""


@lru_cache(maxsize=512)
def engine_of(user_agent: bytes) -> tuple[Engine, int] | None:
    """The engine and its major version; None for what is no browser: curl, probes, service clients, crawlers."""
    if (
        not user_agent.startswith(b"Mozilla/5.0")
        or len(user_agent) > 1024
        or _BOT.search(user_agent)
    ):
        return None
    for pattern, engine in _ENGINES:
        found = pattern.search(user_agent)
        if found is not None:
            return engine, int(found[1])
    return None


def reports(header: bytes, engine: Engine, version: int) -> bool:
    """Whether this browser reports the twin of `header` (the enforcing header's name, lower case)."""
    since = _SINCE.get(header, {}).get(engine)
    return since is not None and version >= since
