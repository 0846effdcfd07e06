"""What a browser's report says, reduced to what may be counted and told.

Lives here: `read_reports`. Everything in a report is attacker's text: types and directives are matched against
closed lists, addresses lose their query, and nothing is believed of the policy it claims. Must not know
who counts.

Source: CSP Level 3 section 5.2 (`application/csp-report`), Reporting API section 3 (`application/reports+json`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from sidecar.policy.csp_table import DIRECTIVES

MAX_REPORTS = 100
TYPES = (
    "csp-violation", "coep", "coop", "permissions-policy-violation", "document-policy-violation", "integrity-violation",
    "deprecation", "intervention", "crash", "network-error", "other",
)  # fmt: skip
DISPOSITIONS = ("enforce", "report", "other")
_NOISE = ("chrome-extension", "moz-extension", "safari-extension", "safari-web-extension", "ms-browser-extension", "about", "blob", "data")
_SHOWN = 120


@dataclass(frozen=True, slots=True)
class Report:
    """One report: words of closed lists to count by, and capped texts to tell."""

    type: str
    directive: str
    disposition: str
    blocked: str
    """Origin and path of what was blocked, or its keyword (inline, eval)."""
    document: str
    """Path of the page."""
    noise: bool
    """Likely made by a browser extension or a tool, not by the site."""


def read_reports(data: bytes, media: str) -> tuple[Report, ...]:
    """The reports of one post; () when it is none that can be read."""
    try:
        told = json.loads(data)
    except (ValueError, RecursionError):
        return ()
    if media == "application/csp-report":
        body = told.get("csp-report") if isinstance(told, dict) else None
        return (_report("csp-violation", body),) if isinstance(body, dict) else ()
    items = told if isinstance(told, list) else []
    return tuple(_entries(items[:MAX_REPORTS]))


def _entries(items: list[Any]) -> Iterator[Report]:
    for item in items:
        if isinstance(item, dict) and isinstance(item.get("body"), dict):
            yield _report(str(item.get("type", "")), {"url": item.get("url"), **item["body"]})


def _report(kind: str, body: Mapping[str, Any]) -> Report:
    kind = kind if kind in TYPES else "other"
    named = _first(body, "effectiveDirective", "effective-directive", "violatedDirective", "violated-directive").split(" ")[0].lower()
    disposition = _first(body, "disposition").lower()
    blocked = _first(body, "blockedURL", "blocked-uri", "blockedURI")
    document = _first(body, "documentURL", "document-uri", "url")
    return Report(
        kind,
        named if named in DIRECTIVES else "other",
        disposition if disposition in DISPOSITIONS else "other",
        _address(blocked),
        _path(document),
        blocked.partition(":")[0].lower() in _NOISE,
    )


def _first(body: Mapping[str, Any], *keys: str) -> str:
    return next((value for key in keys if isinstance(value := body.get(key), str)), "")


def _address(text: str) -> str:
    """Scheme, host and path; a keyword stays as it is; nothing that could hold a secret."""
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:
        return "(not an address)"
    shown = f"{parts.scheme}://{host}{parts.path}" if parts.scheme and host else f"{parts.scheme}:" if parts.scheme else parts.path
    return shown[:_SHOWN]


def _path(text: str) -> str:
    try:
        return urlsplit(text).path[:_SHOWN]
    except ValueError:
        return ""
