"""The note for PCI DSS 4.0.1: scripts and owners (6.4.3), changes of headers and scripts (11.6.1).

Each statement names its proof, and what the sidecar cannot see.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sidecar.markdown import as_table, cell
from sidecar.policy.words import counted
from sidecar.revisions.chain import Check
from sidecar.rollout.inventory import Script

_REACH = (
    "The sidecar sees what it sends. What a browser receives may have been changed after that:"
    " `sidecar drift BASELINE https://SITE/PAGE`, run from outside, compares the headers that"
    " arrive there, and browsers' reports of hashes (`'report-sha256'` in script-src) say which"
    " scripts arrived."
)
_SCHEDULE = (
    "The requirement asks for a look every seven days, or as often as your risk analysis says. The"
    " running sidecar compares once a minute, and the alert SidecarDrift of"
    " `deploy/prometheus/rules.yml` goes out on what was lost or weakened; the look from outside is"
    " yours to schedule."
)


_INTEGRITY = (
    "- **Integrity:** inline code is known by its hash. Of an address it is known only where"
    " browsers reported hashes."
)
_NO_BASELINE = (
    "- **Headers:** no baseline is set, so no change can be found. Make one with `sidecar capture`,"
    " and name it in the settings as `baseline`."
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
    scripts: Sequence[Script]
    pages_read: int
    """How many pages were read for it."""
    baseline: str
    """The file that headers are compared with; "" = none is set."""
    drift: Sequence[Mapping[str, Any]]
    """What differs from it now."""
    compared: int
    """Kinds of responses that came since the last look, and that the baseline holds."""
    journal: Check

    @property
    def unauthorised(self) -> tuple[Script, ...]:
        """Scripts without owner or reason."""
        return tuple(one for one in self.scripts if not one.authorised)

    @property
    def changed(self) -> tuple[Script, ...]:
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
    journal: Check,
    inventory: str,
    scripts: Sequence[Script],
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
    rules = ", ".join(f"{cell(name)} ({mode})" for name, mode in note.rules.items())
    in_force = f"revision {note.revision}, mode {note.mode}"
    lines = [
        f"# PCI DSS 4.0.1, 6.4.3 and 11.6.1: {note.policy}",
        "",
        f"- **Owner:** {note.owner or '(none given)'}",
        f"- **Policy in force:** {in_force} (proof: `sidecar status`)",
        f"- **Rules:** {rules or 'none'}",
        f"- **Journal:** {note.journal} (proof: `sidecar history --verify`)",
        "",
        f"**What this can show.** {_REACH}",
        "",
        *_scripts(note),
        "",
        *_changes(note),
    ]
    return "\n".join(lines) + "\n"


def _scripts(note: PciNote) -> list[str]:
    done = len(note.scripts) - len(note.unauthorised)
    seen = f"{counted(note.pages_read, 'page')} of routes in trial and browsers' reports of hashes"
    number = counted(len(note.scripts), "script")
    others = " The others are marked **no** below." if note.unauthorised else ""
    return [
        "## 6.4.3: scripts",
        "",
        f"- **Inventory:** {number} in `{note.inventory}`, from {seen} (proof: `GET /api/pages`).",
        f"- **Authorised:** {done} of {len(note.scripts)} have an owner and a reason.{others}",
        "- **Enforced:** only where a Content-Security-Policy rule above is in enforce.",
        _INTEGRITY,
        "",
        as_table(_COLUMNS, map(_row, note.scripts)),
    ]


_COLUMNS = ("script", "authorised", "owner", "why", "integrity", "pages", "first seen", "last seen")


def _row(one: Script) -> Sequence[str]:
    if one.is_inline:
        integrity = "this hash"
    elif one.hashes:
        several = "" if len(one.hashes) == 1 else f"**{len(one.hashes)} texts:** "
        integrity = several + " ".join(one.hashes)
    else:
        integrity = "unknown"
    authorised = "yes" if one.authorised else "**no**"
    seen = (" ".join(one.pages), one.first, one.last)
    cells = (one.script, authorised, one.owner, one.why, integrity, *seen)
    return [cell(text) for text in cells]


def _changes(note: PciNote) -> list[str]:
    lines = ["## 11.6.1: changes of headers and scripts", ""]
    if not note.baseline:
        lines.append(_NO_BASELINE)
    else:
        kinds = counted(note.compared, "kind of response", "kinds of responses")
        state = f"{counted(len(note.drift), 'difference')} in {kinds} that came in the last minute"
        if not note.compared:
            state = (
                "no response of a kind that it holds came in the last minute, so none was compared"
            )
        proof = f"proof: `sidecar drift {note.baseline}`"
        lines.append(f"- **Headers:** compared with `{note.baseline}`: {state} ({proof}).")
    for one in note.drift:
        names = ("route", "status", "content", "header", "part")
        place = " ".join(one[name] for name in names if one[name])
        lines.append(f"    - {cell(place)} {one['kind']}: {cell(one['why'])}")
    changed = ", ".join(cell(one.script) for one in note.changed) or "none"
    proof = "proof: browsers' reports of hashes"
    lines.append(f"- **Scripts of which more than one text arrived:** {changed} ({proof}).")
    return [*lines, f"- **Schedule and alert:** {_SCHEDULE}"]
