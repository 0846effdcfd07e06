"""The verb `note`: the change note of a running sidecar."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.options import NEW_FILE, read_bytes, read_text
from sidecar.cli.printing import as_json, next_step, say
from sidecar.files import write_file
from sidecar.policy.words import counted
from sidecar.revisions.entries import check
from sidecar.rollout.note import digest, markdown, write_note


@click.command("note")
@admin_options
@click.option(
    "--since", metavar="REVISION", help="Start from this revision; without it, from the one before."
)
@click.option(
    "--output", type=NEW_FILE, help="Write to this file; its SHA-256 goes into the journal."
)
@click.option(
    "--check",
    "written",
    type=NEW_FILE,
    help="Write nothing: say whether this note is as --output wrote it, and exit 1 if not.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(["change", "pci"]),
    default="change",
    help=(
        "pci: scripts and changes for PCI DSS 4.0.1, 6.4.3 and 11.6.1; exit 1 while a script lacks"
        " owner or reason."
    ),
)
@click.option(
    "--scripts",
    "inventory",
    type=NEW_FILE,
    default=Path("scripts.yaml"),
    help="With --format pci: the inventory of scripts, brought up to date.",
)
def note_verb(
    client: Admin,
    machine: bool,
    since: str | None,
    output: Path | None,
    written: Path | None,
    form: str,
    inventory: Path,
) -> None:
    """Write the change note: what, why, who, evidence, rollback."""
    if written is not None:
        sys.exit(_checked(client, written, machine=machine))
    if form == "pci":
        sys.exit(_pci(client, inventory, output, machine=machine))
    status = client.get("/api/status")
    start = since or status["parent"] or status["revision"]
    texts = {
        revision: client.get(f"/api/revisions/{revision}")["text"]
        for revision in {start, status["revision"]}
    }
    journal = client.get("/api/revisions")["entries"][::-1]
    drift = client.get("/api/baseline")["drift"]
    note = write_note(status, journal, client.get("/api/evidence")["evidence"], texts, start, drift)
    if machine:
        as_json(note)
        return
    _give(client, markdown(note, client.url), output)


def _give(client: Admin, text: str, output: Path | None) -> None:
    """Print the note, or write it and let the journal know its hash."""
    if output is None:
        click.echo(text, nl=False)
        return
    write_file(output, text)
    client.post("/-/note", file=str(output), sha256=digest(text))
    say(f"{output} is written")


def _pci(client: Admin, inventory: Path, output: Path | None, *, machine: bool) -> int:
    """Bring the inventory up to date and give the note; the exit status."""
    from sidecar.rollout.pci import (
        merged,
        pci_markdown,
        pci_note,
        read_inventory,
        seen_scripts,
        write_inventory,
    )

    held = read_inventory(read_bytes(inventory), str(inventory)) if inventory.exists() else ()
    pages = client.get("/api/pages")
    scripts = merged(held, seen_scripts(pages))
    if scripts != held or not inventory.exists():
        write_file(inventory, write_inventory(scripts))
        say(f"{inventory} is written")
    status, drift = client.get("/api/status"), client.get("/api/baseline")["drift"]
    journal = check(client.get("/api/revisions")["entries"][::-1])
    note = pci_note(status, pages, drift, journal, str(inventory), scripts)
    if machine:
        as_json(note)
    else:
        _give(client, pci_markdown(note), output)
    if not note["unauthorised"]:
        return 0
    number = counted(len(note["unauthorised"]), "script")
    say(f"{number} without owner or reason in {inventory}", "red")
    next_step(f"write owner and why into {inventory}, then the same command again")
    return 1


def _checked(client: Admin, file: Path, *, machine: bool) -> int:
    """Look for a note's text in the journal; the exit status."""
    found = digest(read_text(file))
    journal = client.get("/api/revisions")["entries"][::-1]
    chain = check(journal)
    written = (one for one in journal if one["event"] == "note.written")
    entry = next((one for one in written if one.get("sha256") == found), None)
    if machine:
        as_json({"file": str(file), "sha256": found, "entry": entry, "journal": chain._asdict()})
    else:
        why = "which is not in the journal: it was edited, or written elsewhere"
        said = f"has sha256 {found}, {why}"
        if entry:
            said = f"is as it was written at {entry['time']} by {entry.get('who', '')}"
        say(f"{file} {said}", None if entry else "red")
        say(f"the journal is {chain}", "red" if chain.breaks else None)
    return 0 if entry and not chain.breaks else 1
