"""Which of OWASP's recommended headers a response has, and which revealing names.

Values are compared with the shipped preset by meaning, not by spelling.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Literal, TypeAlias

from sidecar.audit.visit import HTML_TYPES
from sidecar.observed import ObservedResponse
from sidecar.policy import csp, headers
from sidecar.policy.headers.fields import parse_dictionary, parse_item, serialise
from sidecar.policy.headers.table import Grammar, Header
from sidecar.policy.headers.tokens import parse_cache, parse_hsts, words
from sidecar.policy.rules.classes import of_media_type
from sidecar.policy.words import counted
from sidecar.source import PRESETS

PRESET = "oshp-2026-07"

State: TypeAlias = Literal["as recommended", "different", "absent", "not due here"]


@dataclass(frozen=True, slots=True)
class Recommended:
    """One header of the preset: its name, what is known of it, its rule there, and the value."""

    header: str
    row: Header
    rule: str
    value: str


@dataclass(frozen=True, slots=True)
class Coverage:
    """A response compared with the preset."""

    states: tuple[tuple[str, State], ...]
    """(header, state), in the preset's order."""
    leaks: tuple[str, ...]
    """Names that the response should not send, as the preset spells them."""

    @property
    def followed(self) -> int:
        """How many headers are as recommended."""
        return sum(state == "as recommended" for _, state in self.states)

    @property
    def due(self) -> int:
        """How many could be, in a response of this kind."""
        return sum(state != "not due here" for _, state in self.states)

    @property
    def said(self) -> str:
        """The comparison in words."""
        leaks = counted(len(self.leaks), "header")
        return f"{self.followed} of {self.due} headers as recommended, {leaks} to remove"


@cache
def recommended() -> tuple[Recommended, ...]:
    """The headers that the preset sets, in its order."""
    rules = PRESETS[PRESET]["rules"]
    return tuple(
        Recommended(rule["header"], row, name, rule["value"])
        for name, rule in rules.items()
        if rule["action"] == "set" and (row := headers.get(rule["header"]))
    )


@cache
def removed() -> Mapping[str, str]:
    """The names that the preset removes: lower case -> its spelling."""
    rules = PRESETS[PRESET]["rules"].values()
    removing = (rule for rule in rules if rule["action"] == "remove")
    return {name.lower(): name for rule in removing for name in rule["header"]}


def is_due(row: Header, response: ObservedResponse) -> bool:
    """Whether a header has an effect in a response; Cache-Control: on dynamic content."""
    if row.scope == "documents":
        return response.media_type in HTML_TYPES or not response.media_type
    if row.grammar == "cache":
        return of_media_type(response.media_type.encode("latin-1")) in ("html", "api", None)
    return row.scope == "all" or (row.scope == "https" and response.place.scheme == "https")


def coverage(response: ObservedResponse) -> Coverage:
    """The response compared with the preset."""
    states = tuple((one.header, _state(one, response)) for one in recommended())
    found = dict.fromkeys(name.decode("latin-1").lower() for name, _ in response.fields)
    return Coverage(states, tuple(removed()[name] for name in found if name in removed()))


def _state(one: Recommended, response: ObservedResponse) -> State:
    values, row = response.values(one.header), one.row
    if not values:
        return "absent" if is_due(row, response) else "not due here"
    if len(values) > 1 and row.single:
        return "different"
    value = ", ".join(values)
    same = _SAME.get(row.grammar)
    equal = same(value, one.value) if same else value.lower() == one.value.lower()
    return "as recommended" if equal else "different"


def _policies(value: str, wanted: str) -> bool:
    found, stated = csp.parse(value), csp.parse(wanted)
    return len(found) == 1 and csp.normalise(found[0]) == csp.normalise(stated[0])


def _hsts(value: str, wanted: str) -> bool:
    """At least as long, with subdomains; preload is left to the site."""
    found, stated = parse_hsts(value), parse_hsts(wanted)
    as_long = (found.max_age or 0) >= (stated.max_age or 0)
    return found.valid and as_long and found.include_subdomains


def _features(value: str, wanted: str) -> bool:
    """The same allowlists; sync-xhr may be closed too."""
    found, stated = (parse_dictionary(text).value or {} for text in (value, wanted))
    strict = parse_dictionary("sync-xhr=()").value or {}
    return bool(found) and found in (stated, {**stated, **strict})


def _token(value: str, wanted: str) -> bool:
    item = parse_item(value).value
    return item is not None and serialise((item[0], {})) == wanted


_SAME: Mapping[Grammar, Callable[[str, str], bool]] = {
    "csp": _policies,
    "hsts": _hsts,
    "permissions": _features,
    "item": _token,
    "cache": lambda value, wanted: parse_cache(value)[0] == parse_cache(wanted)[0],
    "site-data": lambda value, wanted: {*words(value)} == {*words(wanted)},
}
"""Grammar -> whether two values mean the same; the others are words."""
