"""The note for PCI DSS 4.0.1: scripts and owners (6.4.3), changes of headers and scripts (11.6.1).

Each statement names its proof, and what the sidecar cannot see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sidecar.revisions.chain import ChainCheck
from sidecar.rollout.inventory import InventoryScript
from sidecar.templates import page

_REACH = (
    "The sidecar sees what it sends. What a browser receives may have been changed after that:"
    " `sidecar drift BASELINE https://SITE/PAGE`, run from outside, compares the headers that"
    " arrive there, and browsers' reports of hashes (`'report-sha256'` in script-src) say which"
    " scripts arrived."
)


@dataclass(frozen=True, slots=True)
class PciNote:
    """What reviewers of PCI DSS ask of headers and scripts."""

    policy: str
    owner: str
    revision: str
    mode: str
    rules: Mapping[str, str]
    """Rule -> its mode; where routes differ, each mode once."""
    inventory: str
    """The file of the scripts."""
    scripts: Sequence[InventoryScript]
    pages_read: int
    """How many pages were read for it."""
    baseline: str
    """The file that headers are compared with; "" = none is set."""
    drift: Sequence[Mapping[str, Any]]
    """What differs from it now."""
    compared: int
    """Kinds of responses that came since the last look, and that the baseline holds."""
    journal: ChainCheck

    @property
    def unauthorised(self) -> tuple[InventoryScript, ...]:
        """Scripts without owner or reason."""
        return tuple(one for one in self.scripts if not one.authorised)

    @property
    def changed(self) -> tuple[InventoryScript, ...]:
        """Addresses from which more than one text arrived."""
        return tuple(one for one in self.scripts if len(one.hashes) > 1)

    def data(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self) | {
            "scripts": [one.model_dump() for one in self.scripts],
            "unauthorised": [one.script for one in self.unauthorised],
            "changed": [one.script for one in self.changed],
            "reach": _REACH,
        }


def pci_note(
    status: Mapping[str, Any],
    pages: Mapping[str, Any],
    drift: Mapping[str, Any] | None,
    journal: ChainCheck,
    inventory: str,
    scripts: Sequence[InventoryScript],
) -> PciNote:
    """Build the note.

    Args:
        status: what is in force, from the admin API.
        pages: what `GET /api/pages` gives.
        drift: the comparison with the baseline; None = none is set.
        journal: the journal, checked.
        inventory: the name of the file of the scripts.
        scripts: what it holds now.
    """
    modes: dict[str, dict[str, None]] = {}
    for route in status["routes"]:
        for rule in route["rules"]:
            modes.setdefault(rule["name"], {})[rule["mode"]] = None
    return PciNote(
        policy=status["name"],
        owner=status["owner"],
        revision=status["revision"],
        mode=status["mode"],
        rules={name: ", ".join(found) for name, found in modes.items()},
        inventory=inventory,
        scripts=scripts,
        pages_read=sum(route["read"] for route in pages["routes"].values()),
        baseline="" if drift is None else str(drift["file"]),
        drift=() if drift is None else drift["findings"],
        compared=0 if drift is None else drift["compared"],
        journal=journal,
    )


def pci_markdown(note: PciNote) -> str:
    """The note for people."""
    return page("sidecar.rollout", "pci.md.jinja", note=note, reach=_REACH)
