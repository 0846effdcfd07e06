"""Headers whose grammar is older than structured fields: HSTS, Referrer-Policy, Cache-Control, word
lists.

Hostile text is read up to 64 KiB; nothing here raises. Sources: RFC 6797 (HSTS), Referrer Policy
(W3C), RFC 9111 (Cache-Control), Clear Site Data (W3C).
"""

# ruff: noqa: SIM905 - lists of words are read as words
from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple, TypeAlias

from sidecar.policy.faults import MAX_TEXT, Fault, fault, nearest
from sidecar.policy.values import TOKEN

HALF_YEAR = 15_552_000
"""Seconds; below it HSTS lapses between two visits of many people."""
YEAR = 31_536_000
"""Seconds; what the preload list asks for."""

REFERRER_POLICIES: Mapping[str, bool] = {
    "no-referrer": True,
    "same-origin": True,
    "strict-origin": True,
    "strict-origin-when-cross-origin": True,
    "origin": False,
    "origin-when-cross-origin": False,
    "no-referrer-when-downgrade": False,
    "unsafe-url": False,
}
"""Every policy that browsers recognise, the strictest first, and whether it keeps path and query
from other sites and from plain HTTP.
"""

SITE_DATA = frozenset(
    """
    "cache" "cookies" "storage" "executionContexts" "clientHints" "prefetchCache" "prerenderCache"
    "*"
    """.split()
)
"""Types of Clear-Site-Data, with the double quotes that they need."""

CacheControl: TypeAlias = dict[str, str | None]
"""Directive in lower case -> its argument as written, None = without one."""

_OWS = " \t"
_ARGUMENT = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*|\"[\t !#-~]*\"")
_LIST_PART = re.compile(r'(?:[^,"]|"[^"]*"?)+')
_VISIBLE = re.compile(r"[!-~]+")
_SECONDS = frozenset({"max-age", "s-maxage", "stale-while-revalidate", "stale-if-error"})
_LOOSER = frozenset({"public", "immutable", "s-maxage", "stale-while-revalidate", "stale-if-error"})
# RFC 9111 section 5.2.2, RFC 5861, RFC 8246.
_CACHE_LETTERS = {
    name.replace("-", ""): name
    for name in """
    max-age s-maxage no-store no-cache no-transform must-revalidate must-understand
    proxy-revalidate private public immutable stale-while-revalidate stale-if-error
    """.split()
}
"""Every cache directive by its letters alone."""
_SHARING = frozenset({"public", "private", "no-store", "no-cache"})
_OVERRULES: tuple[tuple[str, frozenset[str]], ...] = (
    ("no-store", _LOOSER),
    ("private", frozenset({"public", "s-maxage"})),
    ("no-cache", frozenset({"immutable", "stale-while-revalidate"})),
)


class Hsts(NamedTuple):
    """A Strict-Transport-Security value. `max_age` in seconds, None when there is no valid one."""

    max_age: int | None
    include_subdomains: bool
    preload: bool
    faults: tuple[Fault, ...] = ()

    @property
    def valid(self) -> bool:
        """Whether browsers obey it: a max-age, and no directive twice (unknown ones do no harm)."""
        return self.max_age is not None and not any(
            one.code == "hsts-repeated" for one in self.faults
        )


def parse_hsts(text: str) -> Hsts:
    """Read a Strict-Transport-Security value (RFC 6797 section 6.1)."""
    said: dict[str, str] = {}
    found: list[Fault] = []
    for piece in text[:MAX_TEXT].split(";"):
        name, equals, value = (part.strip(_OWS) for part in piece.partition("="))
        key = name.lower()
        flag = key in ("includesubdomains", "preload") and not equals
        if not name and not equals:
            continue
        if key in said:
            found.append(fault("hsts-repeated", name))
        elif key != "max-age" and not flag:
            found.append(fault("hsts-bad-directive", piece.strip(_OWS)))
        else:
            said[key] = value
    digits = re.fullmatch(r'"?([0-9]+)"?', said.get("max-age", ""))
    max_age = int(digits[1][:15]) if digits else None
    if max_age is None:
        found.append(fault("hsts-no-max-age"))
    return Hsts(max_age, "includesubdomains" in said, "preload" in said, tuple(found))


def judge_hsts(text: str) -> tuple[Fault, ...]:
    """What is wrong with a Strict-Transport-Security value, and what is weak in it."""
    hsts = parse_hsts(text)
    found = list(hsts.faults)
    if hsts.max_age is not None:
        if hsts.max_age < HALF_YEAR:
            found.append(fault("hsts-short" if hsts.max_age else "hsts-off"))
        if hsts.preload and not (hsts.include_subdomains and hsts.max_age >= YEAR):
            found.append(fault("hsts-preload-refused"))
    return tuple(found)


def entries(text: str) -> list[str]:
    """The entries of a comma-separated list, in order, empty ones too."""
    return [entry.strip(_OWS) for entry in text[:MAX_TEXT].split(",")]


def words(text: str) -> list[str]:
    """The entries of a comma-separated list, in order, that are visible ASCII without spaces."""
    return [entry for entry in entries(text) if _VISIBLE.fullmatch(entry)]


def referrer_policy(text: str) -> str | None:
    """The policy that browsers follow: the last one of the list that they recognise."""
    known = [entry.lower() for entry in words(text) if entry.lower() in REFERRER_POLICIES]
    return known[-1] if known else None


def judge_referrer(text: str) -> tuple[Fault, ...]:
    """Entries that browsers skip, and a policy in force that tells too much."""
    found = [
        fault("referrer-unknown", entry, _meant_policy)
        for entry in entries(text)
        if entry.lower() not in REFERRER_POLICIES
    ]
    policy = referrer_policy(text)
    if policy is not None and not REFERRER_POLICIES[policy]:
        found.append(fault("referrer-unsafe", policy))
    return tuple(found)


def _meant_policy(word: str) -> str:
    near = nearest(word, REFERRER_POLICIES)
    return f"Write {near}" if near else "Use a policy such as strict-origin-when-cross-origin"


def judge_names(text: str) -> tuple[Fault, ...]:
    """Entries of a list of header names or methods that are not names."""
    return tuple(
        fault("list-not-a-name", entry)
        for entry in entries(text)
        if entry and not TOKEN.fullmatch(entry)
    )


def judge_site_data(text: str) -> tuple[Fault, ...]:
    """Entries of Clear-Site-Data that browsers ignore."""
    codes = "site-data-unknown", "site-data-unquoted"
    return tuple(
        fault(codes[f'"{entry}"' in SITE_DATA], entry)
        for entry in words(text)
        if entry not in SITE_DATA
    )


def merge_words(app: str, ours: str, everything: str = "*", *, fold: bool = True) -> str:
    """All entries of both lists, the service's first; one that means `everything` stands for all.

    With `fold`, case makes no difference (Vary); without, it does (Clear-Site-Data).
    """
    merged: dict[str, str] = {}
    for entry in words(app):
        merged.setdefault(entry.lower() if fold else entry, entry)
    held = len(merged)
    for entry in words(ours):
        merged.setdefault(entry.lower() if fold else entry, entry)
    if len(app) > MAX_TEXT or len(merged) == held:
        return app
    return everything if everything in merged else ", ".join(merged.values())


def parse_cache(text: str) -> tuple[CacheControl, tuple[Fault, ...]]:
    """Read a Cache-Control value (RFC 9111 section 5.2); of equal directives, keep the stricter."""
    said: CacheControl = {}
    found: list[Fault] = []
    for part in _LIST_PART.findall(text[:MAX_TEXT]):
        name, equals, argument = (piece.strip(_OWS) for piece in part.partition("="))
        key, value = name.lower(), argument if equals else None
        if not name and not equals:
            continue
        if not TOKEN.fullmatch(name) or not _ARGUMENT.fullmatch(argument):
            found.append(fault("cache-bad-directive", part.strip(_OWS)))
        elif key in said:
            found.append(fault("cache-repeated", key))
            said[key] = _stricter(key, said[key], value)
        else:
            said[key] = value
    return said, tuple(found)


def _stricter(name: str, one: str | None, other: str | None) -> str | None:
    """The argument that allows less reuse: fewer seconds, or no list of fields; else the first."""
    if name in _SECONDS:
        seconds = [
            argument
            for argument in (one, other)
            if argument and re.fullmatch(r'"?[0-9]{1,15}"?', argument)
        ]
        return min(seconds, key=lambda argument: int(argument.strip('"')), default=one)
    return None if name in _SHARING and one != other else one


def judge_cache(text: str) -> tuple[Fault, ...]:
    """Directives that caches ignore, or that another directive overrules."""
    said, found = parse_cache(text)
    found += tuple(
        fault("cache-misspelt", name, _CACHE_LETTERS[_letters(name)])
        for name in said
        if name not in _CACHE_LETTERS.values() and _letters(name) in _CACHE_LETTERS
    )
    found += tuple(
        fault("cache-no-seconds", name)
        for name in _SECONDS & said.keys()
        if not re.fullmatch(r'"?[0-9]+"?', said[name] or "")
    )
    conflicts = (
        fault("cache-conflict", name, by) for by, names in _overruled(said) for name in names
    )
    return (*found, *conflicts)


def _letters(name: str) -> str:
    return name.replace("-", "").replace("_", "")


def _overruled(said: CacheControl) -> Iterable[tuple[str, list[str]]]:
    for strong, weaker in _OVERRULES:
        if strong in said and said[strong] is None:
            names = [name for name in said if name in weaker]
            if strong == "no-store" and (said.get("max-age") or "0").strip('"0'):
                names.append("max-age")
            yield strong, names


def merge_cache(app: str, ours: str, *, widen: bool = False) -> str:
    """Merge two Cache-Control values by directive.

    Law: without `widen` nothing may be stored or reused that the service's value does not allow,
    and every restriction of ours holds: the stricter of no-store, private and public, the fewer
    seconds; what the winner overrules is dropped, and what loosens (public, immutable, stale-*) is
    not added. A max-age is added where the service gave none, instead of each cache's guess. With
    `widen` ours wins: on storing and sharing, on seconds, and on what loosens.
    """
    held, wanted = parse_cache(app)[0], parse_cache(ours)[0]
    if len(app) > MAX_TEXT or not held:
        return app if held else ours
    merged = {
        name: value
        for name, value in held.items()
        if not (widen and name in _SHARING and wanted.keys() & _SHARING)
    }
    for name, value in wanted.items():
        if widen or (name not in merged and name not in _LOOSER):
            merged[name] = value
        elif name in merged:
            merged[name] = _stricter(name, merged[name], value)
    dropped = {name for _, names in _overruled(merged) for name in names}
    kept = {name: value for name, value in merged.items() if name not in dropped}
    if held in (merged, kept):
        return app
    return ", ".join(name if value is None else f"{name}={value}" for name, value in kept.items())
