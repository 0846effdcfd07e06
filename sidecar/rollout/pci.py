"""The note for PCI DSS 4.0.1: scripts and owners (6.4.3), changes of headers and scripts (11.6.1).

Each statement names its proof, and what the sidecar cannot see. The inventory of scripts is a file:
people write owner and reason, the rest is written from what was seen.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from pydantic import Field, ValidationError

from sidecar.policy.model import StrictModel
from sidecar.policy.problems import translate
from sidecar.policy.terms import PolicyError, Problem
from sidecar.policy.values import Listed
from sidecar.revisions.entries import ChainCheck
from sidecar.source import load, located
from sidecar.templates import page

_HEAD = """\
# The scripts of the site's pages. `owner` and `why` are yours to write: a script that lacks one of them is not
# authorised. All else is written by `sidecar note --format pci`, which keeps no comments of yours.
"""  # noqa: E501
_SCRIPT_KINDS = ("script", "handler", "javascript-url")
_SCRIPT_DIRECTIVES = ("script-src", "worker-src")


class InventoryScript(StrictModel):
    """One script: its address, or the hash of inline code."""

    script: str = Field(min_length=1)
    """Address without its query, or `sha256-...`."""
    owner: str = ""
    why: str = ""
    hashes: Listed = ()
    """Of what browsers received from the address, in the order of first sight."""
    pages: Listed = ()
    first: str = ""
    """Dates as 2026-01-31; "" = never seen."""
    last: str = ""

    @property
    def authorised(self) -> bool:
        """Whether it has an owner and a reason."""
        return bool(self.owner.strip() and self.why.strip())


class _File(StrictModel):
    version: int = Field(ge=1, le=1)
    scripts: list[InventoryScript] = Field(default_factory=list)


def read_inventory(data: bytes, name: str) -> tuple[InventoryScript, ...]:
    """The scripts of a file.

    Raises:
        PolicyError: with every problem, each with file, line and column.
    """
    source = load(data, name)
    if not isinstance(source.data, dict):
        fix = "write `version: 1` and `scripts:`"
        raise PolicyError((Problem("an inventory is a mapping", fix, file=name),))
    try:
        file = _File.model_validate(source.data)
    except ValidationError as error:
        raise PolicyError(located(translate(error, _File), source)) from error
    return tuple(file.scripts)


def write_inventory(scripts: Iterable[InventoryScript]) -> str:
    """The text of the file."""
    if not (held := tuple(scripts)):
        return f"{_HEAD}version: 1\nscripts: []\n"
    return f"{_HEAD}version: 1\nscripts:\n{''.join(map(_entry, held))}"


def _entry(one: InventoryScript) -> str:
    said = {name: getattr(one, name) for name in ("script", "owner", "why", "first", "last")}
    seen = {name: held for name in ("hashes", "pages") if (held := getattr(one, name))}
    # What is written as JSON is YAML too, but for escaped pairs of surrogates: nothing is escaped.
    pairs = (said | seen).items()
    lines = [f"{name}: {json.dumps(value, ensure_ascii=False)}\n" for name, value in pairs]
    return f"  - {'    '.join(lines)}"


def seen_scripts(data: Mapping[str, Any]) -> tuple[InventoryScript, ...]:
    """The scripts of pages that were read, and those that browsers loaded (`GET /api/pages`)."""
    return merged((), _seen(data))


def _seen(data: Mapping[str, Any]) -> Iterator[InventoryScript]:
    for route in data["routes"].values():
        for one in route["inline"]:
            if one["kind"] in _SCRIPT_KINDS:
                yield _script(one["hash"].strip("'"), one)
        for one in route["urls"]:
            if one["directive"].startswith(_SCRIPT_DIRECTIVES):
                yield _script(one["url"], one)
    for one in sorted(data["scripts"], key=lambda it: it["first"]):
        yield _script(one["url"], one, one["hash"])


def _script(script: str, one: Mapping[str, Any], digest: str = "") -> InventoryScript:
    days = {"first": _day(one["first"]), "last": _day(one["last"])}
    hashes, pages = (digest,) if digest else (), tuple(one["pages"])
    return InventoryScript(script=script, hashes=hashes, pages=pages, **days)


def merged(
    held: Sequence[InventoryScript], seen: Iterable[InventoryScript]
) -> tuple[InventoryScript, ...]:
    """The inventory with what was seen since; new scripts come last, without owner and reason."""
    found = {one.script: one for one in held}
    for one in seen:
        found[one.script] = _joined(found[one.script], one) if one.script in found else one
    return tuple(found.values())


def _joined(held: InventoryScript, seen: InventoryScript) -> InventoryScript:
    joined = {
        "hashes": tuple(dict.fromkeys((*held.hashes, *seen.hashes))),
        "pages": tuple(dict.fromkeys((*held.pages, *seen.pages))),
        "first": min(filter(None, (held.first, seen.first)), default=""),
        "last": max(held.last, seen.last),
    }
    return held.model_copy(update=joined)


def _day(stamp: float) -> str:
    return datetime.fromtimestamp(stamp, UTC).strftime("%Y-%m-%d")


_REACH = (
    "The sidecar sees what it sends. What a browser receives may have been changed after that:"
    " `sidecar drift BASELINE https://SITE/PAGE`, run from outside, compares the headers that"
    " arrive there, and browsers' reports of hashes (`'report-sha256'` in script-src) say which"
    " scripts arrived."
)


def pci_note(
    status: Mapping[str, Any],
    pages: Mapping[str, Any],
    drift: Mapping[str, Any] | None,
    journal: ChainCheck,
    inventory: str,
    scripts: Sequence[InventoryScript],
) -> dict[str, Any]:
    """What reviewers of PCI DSS ask of headers and scripts, for JSON and `pci_markdown`.

    Args:
        status: what is in force, from the admin API.
        pages: what `GET /api/pages` gives.
        drift: the comparison with the baseline; None = none is set.
        journal: the journal, checked.
        inventory: the name of the file of the scripts.
        scripts: what it holds now.

    Returns: `rules` maps each to its mode, where routes differ to each mode once; `compared` are
        kinds of responses that came since the last look, and that the baseline holds; `changed` are
        addresses from which more than one text arrived.
    """
    modes: dict[str, dict[str, None]] = {}
    for route in status["routes"]:
        for rule in route["rules"]:
            modes.setdefault(rule["name"], {})[rule["mode"]] = None
    drift = drift or {"file": "", "findings": (), "compared": 0}
    return {
        "policy": status["name"],
        "owner": status["owner"],
        "revision": status["revision"],
        "mode": status["mode"],
        "rules": {name: ", ".join(found) for name, found in modes.items()},
        "inventory": inventory,
        "scripts": [one.model_dump() for one in scripts],
        "pages_read": sum(route["read"] for route in pages["routes"].values()),
        "baseline": str(drift["file"]),
        "drift": drift["findings"],
        "compared": drift["compared"],
        "journal": journal,
        "unauthorised": [one.script for one in scripts if not one.authorised],
        "changed": [one.script for one in scripts if len(one.hashes) > 1],
        "reach": _REACH,
    }


def pci_markdown(note: Mapping[str, Any]) -> str:
    """The note for people."""
    return page("sidecar.rollout", "pci.md.jinja", note=note)
