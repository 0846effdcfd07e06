"""Source expressions of CSP Level 3: read one, compare two, and intersect two lists of them.

Source: CSP Level 3 sections 2.3.1 (grammar), 6.7.2 (matching), 6.7.3.2 (inline).
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, TypeAlias

from sidecar.policy.csp.table import KEYWORDS

Shape: TypeAlias = Literal["keyword", "nonce", "hash", "any", "scheme", "host", "other"]

REQUEST_NONCE = "'nonce-{request}'"
"""In a policy file: a nonce of each response (see `nonces`)."""

_ANY_CASE = re.IGNORECASE | re.ASCII
_SCHEME = re.compile(r"([a-z][a-z0-9+.-]*):", _ANY_CASE)
# Underscores are outside the grammar, yet browsers take them in host names.
_HOST = re.compile(
    r"(?:([a-z][a-z0-9+.-]*)://)?(\*|(?:\*\.)?[a-z0-9_-]+(?:\.[a-z0-9_-]+)*\.?)"
    r"(?::([0-9]+|\*))?(/[^?#]*)?",
    _ANY_CASE,
)
_NONCE = re.compile(r"'nonce-([a-z0-9+/_-]+={0,2})'", _ANY_CASE)
_HASH = re.compile(r"'((?:url-|eval-)?sha(?:256|384|512))-([a-z0-9+/_-]+={0,2})'", _ANY_CASE)

# A source for the first scheme also matches the second (secure upgrade); "" = the page's scheme.
_UPGRADES = frozenset({("http", "https"), ("ws", "wss"), ("", "https")})
_MAX_HOST = 253
_NETWORK = frozenset({"", "http", "https", "ws", "wss"})
_URLS: frozenset[Shape] = frozenset({"any", "scheme", "host"})


@dataclass(frozen=True, slots=True)
class SourceExpression:
    """One source expression. `key` is its canonical text: lower case where case means nothing."""

    key: str
    text: str
    shape: Shape
    scheme: str = ""
    """"" = the scheme of the page."""
    host: str = ""
    port: str = ""
    """"" = the scheme's own port."""
    path: str = ""

    @property
    def is_url(self) -> bool:
        """Whether it allows by address (not by nonce, hash or keyword)."""
        return self.shape in _URLS or self.key == "'self'"


Sources: TypeAlias = dict[str, SourceExpression]
"""A source list by key, in order, without 'none'; empty = nothing is allowed."""


def parse_source(text: str) -> SourceExpression:
    """Read one source expression; any other text has the shape `other` and matches only itself."""
    low = text.lower()
    if low in KEYWORDS:
        return SourceExpression(low, text, "keyword")
    if text == "*":
        return SourceExpression(text, text, "any")
    if found := _SCHEME.fullmatch(text):
        return SourceExpression(low, text, "scheme", scheme=found[1].lower())
    if (found := _HOST.fullmatch(text)) and len(found[2]) <= _MAX_HOST:
        scheme, host, port, path = (part or "" for part in found.groups())
        key = low[: len(low) - len(path)] + path
        return SourceExpression(key, text, "host", scheme.lower(), host.lower(), port, path)
    if text == REQUEST_NONCE:
        return SourceExpression(text, text, "nonce")
    if found := _NONCE.fullmatch(text):
        return SourceExpression(f"'nonce-{found[1]}'", text, "nonce")
    if found := _HASH.fullmatch(text):
        return SourceExpression(f"'{found[1].lower()}-{found[2]}'", text, "hash")
    return SourceExpression(text, text, "other")


def source_list(values: Iterable[str]) -> Sources:
    """Read a list; repeats count once, and 'none' counts as the empty list that it means."""
    sources: Sources = {}
    for source in map(parse_source, values):
        if source.key != "'none'":
            sources.setdefault(source.key, source)
    return sources


def covers(wide: SourceExpression, narrow: SourceExpression) -> bool:
    """Whether `wide` allows everything that `narrow` allows; False when in doubt.

    In doubt is: 'self' against a host, a scheme-less host against a scheme (the page's scheme is
    not known), http against ws (browsers differ), a port that changes with the scheme (likewise).
    """
    if wide.key == narrow.key:
        return True
    if wide.shape == "any":
        return narrow.key == "'self'" or (narrow.shape in _URLS and narrow.scheme in _NETWORK)
    if wide.shape == "scheme":
        return narrow.shape in _URLS and (
            narrow.scheme == wide.scheme or (wide.scheme, narrow.scheme) in _UPGRADES
        )
    if wide.shape == "host":
        return (
            narrow.shape == "host"
            and _covers_origin(wide, narrow)
            and _covers_path(wide.path, narrow.path)
        )
    return (wide.key, narrow.key) == ("'unsafe-eval'", "'wasm-unsafe-eval'")


def _covers_origin(wide: SourceExpression, narrow: SourceExpression) -> bool:
    same = wide.scheme == narrow.scheme
    if not same and (wide.scheme, narrow.scheme) not in _UPGRADES:
        return False
    if wide.port != "*" and not (wide.port == narrow.port and (same or not wide.port)):
        return False
    return wide.host in ("*", narrow.host) or (
        wide.host.startswith("*.") and narrow.host.endswith(wide.host[1:])
    )


def _covers_path(wide: str, narrow: str) -> bool:
    return wide in ("", "/", narrow) or (wide.endswith("/") and narrow.startswith(wide))


def meet(one: Sources, other: Sources) -> Sources:
    """The sources of either list that the other list allows too: never more than either allows.

    Law: idempotent; commutative but for the order; `meet(meet(a, b), b) == meet(a, b)`. A
    scheme-less host is narrowed to https where only that is known to be allowed by both. What only
    one list allows in a way that no single source can say (a nonce against a host) is left out.
    """
    both: Sources = {}
    for mine, theirs in ((one, _index(other)), (other, _index(one))):
        for source in mine.values():
            if KEYWORDS.get(source.key, {}).get("reports_only") or _within(source, theirs):
                both.setdefault(source.key, source)
            elif source.shape == "host" and not source.scheme and source.port in ("", "*"):
                secure = parse_source(f"https://{source.text}")
                if _within(secure, theirs):
                    both.setdefault(secure.key, secure)
    lost = (_switches(one) | _switches(other)) - _switches(both)
    return {key: source for key, source in both.items() if not _wakes(source, lost)}


def _index(sources: Sources) -> dict[str, list[SourceExpression]]:
    """A list by where to look for what covers a source: long lists compare in linear time.

    Hosts are under their host, other sources that can cover more than themselves under "", and the
    rest under their key.
    """
    index: dict[str, list[SourceExpression]] = {}
    for source in sources.values():
        wide = source.shape in _URLS or source.key == "'unsafe-eval'"
        index.setdefault(source.host if wide else source.key, []).append(source)
    return index


def _within(source: SourceExpression, others: dict[str, list[SourceExpression]]) -> bool:
    labels = source.host.split(".")
    parents = (".".join(("*", *labels[start:])) for start in range(1, len(labels)))
    places = {"", source.key} if not source.host else {"", "*", source.host, *parents}
    return any(covers(wide, source) for place in places for wide in others.get(place, ()))


def _switches(sources: Sources) -> set[str]:
    """What in a list switches other sources off: nonces, hashes, 'strict-dynamic'."""
    found: set[str] = set()
    for source in sources.values():
        if source.shape == "hash":
            found.add({"'url": "addresses", "'eva": "eval"}.get(source.key[:4], "inline"))
        elif source.shape == "nonce":
            found.add("inline")
        elif source.key == "'strict-dynamic'":
            found.add("dynamic")
    return found


def _wakes(source: SourceExpression, lost: set[str]) -> bool:
    """Whether a source takes effect because what had switched it off in one list was lost."""
    if source.key == "'unsafe-inline'":
        return bool(lost - {"eval"})
    if source.key in ("'unsafe-eval'", "'wasm-unsafe-eval'"):
        return "eval" in lost
    return source.is_url and bool(lost & {"dynamic", "addresses"})


def join(one: Sources, other: Sources) -> Sources:
    """All sources of both lists, the first list's first."""
    return {**one, **{key: other[key] for key in other if key not in one}}
