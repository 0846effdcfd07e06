"""ASVS results as plain data, Markdown and SARIF."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from sidecar.audit.asvs import ControlResult
from sidecar.audit.visit import Visit
from sidecar.observed import without_query
from sidecar.sarif import Finding, log, place
from sidecar.templates import page

PROFILE = "asvs-5.0"
SCOPE = (
    "Each result is about the responses that it quotes. The standard asks for all responses of an"
    " application: audit a page of each kind."
)
_HOME = "https://github.com/OWASP/ASVS/blob/v5.0.0/5.0/en/0x12-V3-Web-Frontend-Security.md"
_LEVELS = {"fail": "error", "review": "warning", "not seen": "note"}
"""Outcome -> level of SARIF (section 3.27.10); what passed is no result."""

Page = tuple[Visit, Sequence[ControlResult]]


def data(pages: Iterable[Page]) -> dict[str, Any]:
    """For JSON: `pages`, each with `url`, `controls` and `notes`."""
    found = []
    for visit, results in pages:
        shown = {"url": address(visit), "controls": [asdict(one) for one in results]}
        found.append({**shown, "notes": list(visit.notes)})
    return {"profile": PROFILE, "scope": SCOPE, "pages": found}


def address(visit: Visit) -> str:
    """The page that was judged, fit to be shown."""
    return without_query(visit.page.url if visit.page else visit.url)


def markdown(pages: Iterable[Page]) -> str:
    """One table for each page; ends with a line feed."""
    facts = {"pages": pages, "scope": SCOPE, "address": address}
    return page("sidecar.audit", "asvs.md.jinja", **facts)


def sarif(pages: Iterable[Page]) -> dict[str, Any]:
    """A result for each control that did not pass, tagged with the control."""
    held = tuple(pages)
    found = ((address(visit), one) for visit, results in held for one in results)
    return log(
        (_finding(url, one) for url, one in found if one.outcome != "pass"),
        notes=[("note", f"{address(visit)}: {note}") for visit, _ in held for note in visit.notes],
        successful=all(visit.page is not None for visit, _ in held),
    )


def _finding(url: str, one: ControlResult) -> Finding:
    tags = ["security", "owasp-asvs-5.0", one.control, f"level-{one.level}"]
    about = {
        "shortDescription": {"text": f"{one.asks}."},
        "helpUri": _HOME,
        "properties": {"tags": tags},
    }
    properties = {"outcome": one.outcome, "proof": [str(proof) for proof in one.proof]}
    rule, level = f"{PROFILE}/{one.control}", _LEVELS[one.outcome]
    return Finding(rule, about, level, one.why, place(url), (url, one.control), properties)
