"""Browsers' engines: which one a request comes from.

A User-Agent may be forged: it is evidence, never control.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal, TypeAlias

Engine: TypeAlias = Literal["chromium", "firefox", "safari"]

# Chrome, Firefox and Edge on iOS are WebKit, so these come first. Safari's "OS" stays at 18_6; its
# own version is in Version/.
_ENGINES: tuple[tuple[re.Pattern[bytes], Engine], ...] = (
    (re.compile(rb"(?:iPhone|iPad|iPod).*\bVersion/(\d{1,3})\."), "safari"),
    (re.compile(rb"(?:iPhone|iPad|iPod).* OS (\d{1,3})_"), "safari"),
    (re.compile(rb"\bFirefox/(\d{1,4})"), "firefox"),
    (re.compile(rb"Chrom(?:e|ium)/(\d{1,4})"), "chromium"),
    (re.compile(rb"\bVersion/(\d{1,3})\.[\d.]+ (?:Mobile/\w+ )?Safari/"), "safari"),
)
_BOT = re.compile(rb"bot\b|crawl|spider|slurp|headless-checker", re.IGNORECASE)


@lru_cache(maxsize=512)
def engine_of(user_agent: bytes) -> tuple[Engine, int] | None:
    """The engine and its major version; None for curl, probes, services, crawlers."""
    if not user_agent.startswith(b"Mozilla/5.0") or len(user_agent) > 1024:
        return None
    if _BOT.search(user_agent):
        return None
    for pattern, engine in _ENGINES:
        if found := pattern.search(user_agent):
            return engine, int(found[1])
    return None
