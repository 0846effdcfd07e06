"""Where browsers send reports: the endpoints that values name and declare; faults of NEL.

Hostile text is read up to 64 KiB; nothing here raises. Sources: Reporting API
(https://www.w3.org/TR/reporting-1/), Network Error Logging
(https://www.w3.org/TR/network-error-logging/), which reads the older header Report-To.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sidecar.policy import csp
from sidecar.policy.faults import MAX_TEXT, Fault, fault
from sidecar.policy.headers import fields
from sidecar.policy.headers.table import Header

_DEFAULT_GROUP = "default"
DECLARING: Mapping[str, str] = {"nel": "Report-To"}
"""Header in lower case -> what declares its endpoints, where that is not Reporting-Endpoints."""


def _objects(text: str) -> list[dict[str, Any]] | None:
    """The JSON objects of all copies: the header is a list without brackets."""
    try:
        held = json.loads(f"[{text[:MAX_TEXT]}]")
    except (ValueError, RecursionError):
        return None
    return held if held and all(isinstance(one, dict) for one in held) else None


def _age_faults(one: Mapping[str, Any]) -> tuple[Fault, ...]:
    age = one.get("max_age")
    is_age = isinstance(age, int) and not isinstance(age, bool) and age >= 0
    return () if is_age else (fault("reporting-no-max-age"),)


def judge_nel(text: str) -> tuple[Fault, ...]:
    """What is wrong with a NEL value (section 4.1): no group or no age; age 0 revokes it."""
    held = _objects(text)
    if held is None:
        return (fault("header-not-json"),)
    found = [*_age_faults(held[0])]
    if not isinstance(held[0].get("report_to"), str) and held[0].get("max_age") != 0:
        found.insert(0, fault("nel-no-group"))
    return tuple(found)


def judge_report_to(text: str) -> tuple[Fault, ...]:
    """What is wrong with the groups of a Report-To value."""
    held = _objects(text)
    if held is None:
        return (fault("header-not-json"),)
    found: list[Fault] = []
    for one in held:
        found += _age_faults(one)
        listed = one.get("endpoints")
        reachable = isinstance(listed, list) and any(map(_is_endpoint, listed))
        if one.get("max_age") != 0 and not reachable:
            group = str(one.get("group", _DEFAULT_GROUP))
            found.append(fault("report-to-no-endpoints", group))
    return tuple(found)


def _is_endpoint(value: object) -> bool:
    url = value.get("url") if isinstance(value, dict) else None
    return isinstance(url, str) and url.lower().startswith(("https://", "/"))


def declared(header: str, text: str) -> frozenset[str]:
    """The endpoints or groups that a value of Reporting-Endpoints or Report-To declares."""
    if header.lower() == "reporting-endpoints":
        return frozenset(fields.parse_dictionary(text).value or {})
    if header.lower() == "report-to":
        return frozenset(str(one.get("group", _DEFAULT_GROUP)) for one in _objects(text) or ())
    return frozenset()


def named(row: Header, text: str) -> tuple[str, ...] | None:
    """The endpoints that a value reports to ("" = an address of its own); None = not known."""
    if row.grammar == "csp":
        said = [one for one in csp.directives(text) if one.values]
        groups = [one.values[0] for one in said if one.name == "report-to"]
        return (*groups, *("" for one in said if one.name == "report-uri"))
    if row.grammar == "nel":
        held = _objects(text) or [{}]
        return (str(held[0]["report_to"]),) if "report_to" in held[0] else None
    if row.grammar == "item":
        item = fields.parse_item(text).value
        return None if item is None else _group(item[1])
    if row.grammar == "integrity":
        member = (fields.parse_dictionary(text).value or {}).get("endpoints")
        listed = member[0] if member is not None and isinstance(member[0], list) else []
        return tuple(str(bare) for bare, _ in listed)
    if row.grammar in ("permissions", "dictionary"):
        members = fields.parse_dictionary(text).value
        if members is not None:
            return tuple(name for _, parameters in members.values() for name in _group(parameters))
    return None


def _group(parameters: Mapping[str, object]) -> tuple[str, ...]:
    return (str(parameters["report-to"]),) if "report-to" in parameters else ()
