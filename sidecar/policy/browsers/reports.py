"""What a browser's report says, reduced to what may be counted and logged.

Everything in a report is untrusted text: types and directives are matched against closed lists,
addresses lose their query, and the policy that it claims is ignored.

Source: CSP Level 3 section 5.2 (`application/csp-report`) and its reports of hashes
(`'report-sha256'`), Reporting API section 3 (`application/reports+json`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sidecar.policy.csp.table import DIRECTIVES
from sidecar.policy.data import read_table
from sidecar.policy.headers.fields import FEATURES

MAX_REPORTS = 100
_TABLE = read_table("sidecar.policy.browsers", "reports.json")
TYPES: tuple[str, ...] = tuple(_TABLE["types"])
WORDS: frozenset[str] = frozenset(_TABLE["words"])
"""What reports other than CSP's have instead of a directive: COEP's and COOP's types,
Integrity-Policy's destinations.
"""
DISPOSITIONS = ("enforce", "report", "reporting", "other")
_NOISE = frozenset(_TABLE["noise"])
_OWN_PARTS = frozenset({"resource", "self-hosted"})
"""What Firefox names as the script where it acts by itself, as when it loads a page's icon."""
CAUSE_KINDS: Mapping[str, str] = _TABLE["causes"]
"""Kinds of cause of a report in trial, in words; `dropped` reports became no cause."""
RANKS: Mapping[str, int] = {name: rank for rank, name in enumerate(CAUSE_KINDS)}
"""The gravest is 0."""
_KEYS: Mapping[str, list[str]] = _TABLE["keys"]
"""Keys of a report's body by what they say; the first that is there counts."""
_HASH = re.compile(r"sha(?:256|384|512)-[A-Za-z0-9+/_-]{43,88}={0,2}")
_ISOLATED = {"same-origin": False, "same-origin-plus-coep": True}
CUT = 120
"""Characters of an address that are kept."""
_SAMPLE = 40
"""Characters of what was blocked that a report may quote (CSP3 section 5.3)."""


@dataclass(frozen=True, slots=True)
class BrowserReport:
    """One report: words of closed lists to count by, and capped texts to show."""

    type: str
    directive: str
    disposition: str
    blocked: str
    """Origin and path of what was blocked, or its keyword (inline, eval)."""
    document: str
    """Path of the page."""
    noise: bool
    """Caused by a browser extension or a tool, not by the site."""
    sample: str = ""
    """The first characters of inline code that was blocked."""
    source: str = ""
    """Scheme, host and path of the script that caused it."""
    origin: str = ""
    """Scheme and host of the page."""
    line: int = 0
    """Line of the source, from 1; 0 = not said."""
    hash: str = ""
    """Of a script that was loaded, as a source expression without quotes: `sha256-...`."""
    breaks: bool = True
    """False where nothing is lost, as in some of COOP's reports."""
    isolated: bool | None = None
    """Of COOP: whether the page has COEP as well; None = not said."""


def read_reports(data: bytes, media: str) -> tuple[BrowserReport, ...]:
    """The reports of one post; () when it cannot be read."""
    try:
        given = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    if media == "application/csp-report":
        # WebKit posts the reports of `report-to` one by one with this type, and with the body of
        # the Reporting API.
        body = given.get("csp-report", given.get("body")) if isinstance(given, dict) else None
        return (_report("csp-violation", body),) if isinstance(body, dict) else ()
    items = given if isinstance(given, list) else []
    return tuple(_entries(items[:MAX_REPORTS]))


def _entries(items: list[Any]) -> Iterator[BrowserReport]:
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("body"), dict):
            yield _report(str(item.get("type", "")), {"url": item.get("url"), **item["body"]})


def _report(kind: str, body: Mapping[str, Any]) -> BrowserReport:
    kind = kind if kind in TYPES else "other"
    named = _first(body, *_KEYS["directive"]).split(" ")[0].lower()
    disposition = _first(body, "disposition").lower()
    by_type = kind in ("coep", "coop")
    named = named or _first(body, *(() if by_type else _KEYS["names"]), "type").lower()
    blocked = _first(body, *_KEYS["blocked"])
    document = _first(body, *_KEYS["document"])
    source = _first(body, *_KEYS["source"])
    source = "" if source in _OWN_PARTS else source
    number = body.get("lineNumber", body.get("line-number"))
    return BrowserReport(
        kind,
        named if named in DIRECTIVES or named in FEATURES or named in WORDS else "other",
        disposition if disposition in DISPOSITIONS else "other",
        address(blocked),
        _path(document),
        bool({blocked.partition(":")[0].lower(), source.partition(":")[0].lower()} & _NOISE),
        _printable(_first(body, *_KEYS["sample"])[:_SAMPLE]),
        address(source),
        _origin(document),
        number if isinstance(number, int) and 0 <= number < 10_000_000 else 0,
        found[0] if (found := _HASH.fullmatch(_first(body, "hash"))) else "",
        kind != "coop"
        or _first(body, "type") != "navigation-from-response"
        or bool(_first(body, "nextResponseURL")),
        _ISOLATED.get(_first(body, "effectivePolicy")) if kind == "coop" else None,
    )


def _first(body: Mapping[str, Any], *keys: str) -> str:
    return next((value for key in keys if isinstance(value := body.get(key), str)), "")


def address(text: str) -> str:
    """Scheme, host and path; a keyword stays as it is; nothing that could hold a secret."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return "(not an address)"
    shown = f"{parts.scheme}:" if parts.scheme else parts.path
    if parts.scheme and host:
        shown = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
    return _printable(shown[:CUT])


def _printable(text: str) -> str:
    """What may be printed on a terminal: no control character, nothing that reverses text."""
    return text if text.isprintable() else "".join(c if c.isprintable() else " " for c in text)


def _origin(text: str) -> str:
    """Scheme, host and port of an address; "" for anything else."""
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    host = parts.netloc.rpartition("@")[2]
    return _printable(f"{parts.scheme}://{host}"[:CUT]) if parts.netloc else ""


def _path(text: str) -> str:
    try:
        return _printable(urlsplit(text).path[:CUT])
    except ValueError:
        return ""
