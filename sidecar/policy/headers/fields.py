"""Structured fields (RFC 9651) and the headers written in them: read, judge, merge by key.

All use of `http_sf` is here. Hostile text is read up to 64 KiB; nothing here raises.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from itertools import chain, starmap
from typing import Any, Generic, Literal, NamedTuple, TypeAlias, TypeVar

import http_sf
from http_sf import Token

from sidecar.policy.data import read_table
from sidecar.policy.faults import MAX_TEXT, Fault, fault

T = TypeVar("T")
Parameters: TypeAlias = dict[str, Any]
Item: TypeAlias = tuple[Any, Parameters]
"""A bare item (int, Decimal, str, Token, bytes, bool, datetime, DisplayString), its parameters."""
Member: TypeAlias = tuple[Any, Parameters]
"""An item, or an inner list: a list of items and the list's parameters."""
Dictionary: TypeAlias = dict[str, Member]
Combine: TypeAlias = Callable[[Member, Member], Member]
"""The member for a key that both dictionaries have, from the service's and from ours."""

FEATURES: Mapping[str, Mapping[str, bool]] = read_table("sidecar.policy.headers", "features.json")
"""Policy-controlled features of the standards and of shipped drafts, with what is known of each.

`powerful`: it reaches devices, money or the person; for the others see `browsers.support`.
"""

_OWS = " \t"
_SHAPES = {
    "item": 'word; name="text"',
    "list": "one, (two three)",
    "dictionary": 'name=word, other=(one "two")',
}
_OLD_SYNTAX = re.compile(r"'(?:self|none|src)'|;")
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE | re.ASCII)


class ParsedField(NamedTuple, Generic[T]):
    """What a text holds; `value` is None when browsers drop the text whole."""

    value: T | None
    faults: tuple[Fault, ...] = ()


def parse_item(text: str) -> ParsedField[Item]:
    """Read one item with its parameters."""
    return _parse(text, "item")


def parse_list(text: str) -> ParsedField[list[Member]]:
    """Read a list; empty text is the empty list."""
    return _parse(text, "list")


def parse_dictionary(text: str) -> ParsedField[Dictionary]:
    """Read a dictionary; of equal keys the last one counts; empty text is the empty dictionary."""
    return _parse(text, "dictionary")


def _parse(text: str, shape: Literal["item", "list", "dictionary"]) -> ParsedField[Any]:
    if len(text) > MAX_TEXT:
        return ParsedField(None, (fault("sf-too-long"),))
    repeated: dict[str, None] = {}

    def note(key: str, _where: str) -> None:
        repeated[key] = None

    try:
        value = http_sf.parse(text.strip(_OWS).encode("ascii"), tltype=shape, on_duplicate_key=note)
    except ValueError:  # the library's own error and UnicodeEncodeError are both of this kind
        return ParsedField(None, (fault("sf-bad-syntax", _SHAPES[shape], shape),))
    return ParsedField(value, tuple(fault("sf-repeated-key", key) for key in repeated))


def serialise(value: Item | list[Member] | Dictionary) -> str:
    """The text of what was parsed; "" for an empty list or dictionary: the header is not sent."""
    structure: Any = value
    return http_sf.ser(structure) if value else ""


def merge_dictionary(app: str, ours: str, combine: Combine | None = None) -> str:
    """Merge two dictionaries by key: the service's keys in their order, then ours.

    A key in both gets `combine(theirs, ours)`, by default our member. A text of the service's that
    browsers drop is replaced by ours; one beyond 64 KiB, or one that does not change, is kept.
    """
    held, wanted = parse_dictionary(app), parse_dictionary(ours)
    if len(app) > MAX_TEXT or wanted.value is None:
        return app
    if not held.value:
        return ours
    merged = dict(held.value)
    for key, member in wanted.value.items():
        merged[key] = combine(merged[key], member) if combine and key in merged else member
    text = serialise(merged)
    return app if text == serialise(held.value) else text


def both_lists(app: Member, ours: Member) -> Member:
    """All items of two inner lists, for lists in which each entry asks for more protection."""
    entries = {**_entries(app), **_entries(ours)}
    return app if entries == _entries(app) else ([*entries.values()], {**ours[1], **app[1]})


def narrower(app: Member, ours: Member) -> Member:
    """The allowlist of origins that both allow (Permissions-Policy): never more than either."""
    mine, theirs = _entries(app), _entries(ours)
    if _is_all(theirs):
        return app
    both = theirs if _is_all(mine) else {key: item for key, item in mine.items() if key in theirs}
    return app if both.keys() == mine.keys() else ([*both.values()], {**ours[1], **app[1]})


def wider(app: Member, ours: Member) -> Member:
    """The allowlist of origins that either allows (Permissions-Policy)."""
    mine, theirs = _entries(app), _entries(ours)
    if _is_all(mine) or theirs.keys() <= mine.keys():
        return app
    parameters = {**ours[1], **app[1]}
    if _is_all(theirs):
        return Token("*"), parameters
    return [*{**theirs, **mine}.values()], parameters


def _items(member: Member) -> list[Item]:
    """The items of an inner list; a bare item stands for the list that holds it alone."""
    value, _ = member
    return value if isinstance(value, list) else [(value, {})]


def _entries(member: Member) -> dict[tuple[str, str], Item]:
    """Tokens and strings of a list by type and text, since "self" and self are two things."""
    return {
        (type(bare).__name__, str(bare)): (bare, own)
        for bare, own in _items(member)
        if isinstance(bare, Token | str)
    }


def _is_all(entries: dict[tuple[str, str], Item]) -> bool:
    return ("Token", "*") in entries


def judge_permissions(text: str) -> tuple[Fault, ...]:
    """What is wrong with a Permissions-Policy (https://www.w3.org/TR/permissions-policy/)."""
    parsed = parse_dictionary(text)
    if parsed.value is None:
        is_old = parsed.faults[0].code == "sf-bad-syntax" and _OLD_SYNTAX.search(text)
        return (fault("pp-old-syntax"),) if is_old else parsed.faults
    found = starmap(_feature_faults, parsed.value.items())
    return (*parsed.faults, *chain.from_iterable(found))


def _feature_faults(feature: str, member: Member) -> Iterable[Fault]:
    value, parameters = member
    is_list = isinstance(value, list)
    sound = [_is_origin(bare) for bare, _ in _items(member)]
    if feature not in FEATURES:
        yield fault("pp-unknown-feature", feature)
    if not all(sound):
        yield fault("pp-bad-origin" if is_list else "pp-not-allowlist", feature)
    if parameters.keys() - {"report-to"}:
        yield fault("pp-bad-parameter", feature)
    if FEATURES.get(feature, {}).get("powerful") and _is_all(_entries(member)):
        yield fault("pp-broad-allowlist", feature)


def _is_origin(bare: object) -> bool:
    if isinstance(bare, Token):
        return str(bare) in ("*", "self", "src")
    return isinstance(bare, str) and _SCHEME.match(bare) is not None


def judge_endpoints(text: str) -> tuple[Fault, ...]:
    """What is wrong with Reporting-Endpoints (https://www.w3.org/TR/reporting-1/#header)."""
    parsed = parse_dictionary(text)
    found = (
        fault("reporting-bad-endpoint", name)
        for name, member in (parsed.value or {}).items()
        if not _is_endpoint(member[0])
    )
    return (*parsed.faults, *found)


def _is_endpoint(value: object) -> bool:
    if not isinstance(value, str) or not value:
        return False
    scheme = _SCHEME.match(value)
    return scheme is None or scheme[0].lower() == "https:"


_INTEGRITY = {"blocked-destinations": {"script", "style"}, "sources": {"inline"}, "endpoints": None}


def judge_integrity(text: str) -> tuple[Fault, ...]:
    """What is wrong with an Integrity-Policy (https://www.w3.org/TR/sri-2/)."""
    parsed = parse_dictionary(text)
    if parsed.value is None:
        return parsed.faults
    unknown = [key for key in parsed.value if key not in _INTEGRITY]
    listed = {key: _entries(parsed.value.get(key, ([], {}))) for key in _INTEGRITY}
    for key, known in _INTEGRITY.items():
        unknown += [
            word for kind, word in listed[key] if kind != "Token" or (known and word not in known)
        ]
    found = [*parsed.faults, *(fault("integrity-unknown-word", word) for word in unknown)]
    if listed["blocked-destinations"].keys().isdisjoint((("Token", "script"), ("Token", "style"))):
        found.append(fault("integrity-no-destinations"))
    return tuple(found)
