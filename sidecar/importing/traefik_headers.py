"""Traefik's headers middleware: what its options do to a response.

customResponseHeaders are set, or removed where empty, after the security options have set theirs.
Facts: doc.traefik.io on the headers middleware.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from sidecar.importing.draft import HeaderEffect, Notes, SourceLine
from sidecar.policy.data import read_table


@dataclass(frozen=True, slots=True)
class Option:
    """One option: its names from the outside in (lower case but for headers), value, place."""

    names: tuple[str, ...]
    value: object
    where: SourceLine


_OPTIONS = read_table("sidecar.importing", "traefik.json")
"""Options by what they do: `values` are the value of a header; `switches` switch one on, with the
option that may replace it; `others` are read elsewhere, or about requests.
"""


def effects(options: tuple[Option, ...], notes: Notes) -> tuple[HeaderEffect, ...]:
    """What one middleware does: the security options first, then the custom headers."""
    said = {option.names[0]: option for option in options}
    found = list(_security(options, said, notes))
    for option in options:
        if option.names[0] != "customresponseheaders" or len(option.names) != 2:
            continue
        name, value = option.names[1], "" if option.value is None else str(option.value)
        found.append(HeaderEffect("set" if value else "remove", name, value, where=option.where))
    return tuple(found)


def _security(
    options: tuple[Option, ...], said: Mapping[str, Option], notes: Notes
) -> Iterator[HeaderEffect]:
    for option in options:
        name = option.names[0]
        if name in _OPTIONS["values"] and option.value:
            yield HeaderEffect(
                "set", _OPTIONS["values"][name], str(option.value), where=option.where
            )
        elif name in _OPTIONS["switches"]:
            header, value, instead = _OPTIONS["switches"][name]
            if _on(option) and not (instead in said and said[instead].value):
                yield HeaderEffect("set", header, value, where=option.where)
        elif name == "stsseconds":
            yield from _hsts(option, said)
        elif name.startswith("accesscontrol") or name == "addvaryheader":
            message = f"{name}: CORS headers depend on the request's Origin and are not carried"
            notes.lost(option.where, message, "write rules with when: {request: {Origin: ...}}")
        elif name not in (*_OPTIONS["others"], *_OPTIONS["values"]):
            message = f"{name} is not a known option of the headers middleware"
            notes.lost(option.where, message, "check the option")


def _on(option: Option | None) -> bool:
    return option is not None and str(option.value).lower() == "true"


def _hsts(option: Option, said: Mapping[str, Option]) -> Iterator[HeaderEffect]:
    seconds = str(option.value)
    if not seconds.isdigit() or int(seconds[:20]) == 0 or _on(said.get("isdevelopment")):
        return
    value = f"max-age={int(seconds[:20])}"
    value += "; includeSubDomains" if _on(said.get("stsincludesubdomains")) else ""
    value += "; preload" if _on(said.get("stspreload")) else ""
    yield HeaderEffect("set", "Strict-Transport-Security", value, where=option.where)
