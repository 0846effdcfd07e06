"""The verb `note`: the change note from the journal, the status and the evidence. Must not know how it is put together."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sidecar.cli.files import read_text
from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.printing import as_json, err, say
from sidecar.policy.model import PolicyError, Problem
from sidecar.revisions.chain import check
from sidecar.rollout.note import digest, markdown, write_note


@click.command("note")
@admin_options
@click.option(
    "--since", metavar="REVISION", help="Start from this revision; without it, from the one before."
)
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write to this file; its SHA-256 goes into the journal.",
)
@click.option(
    "--check",
    "written",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write nothing: say whether this note is as --output wrote it, and exit 1 if not.",
)
def note_verb(
    admin: str,
    token_file: Path | None,
    machine: bool,
    since: str | None,
    output: Path | None,
    written: Path | None,
) -> None:
    """Write the change note: reason, owner, files, commands, evidence, before and after, how to roll back."""
    client = Admin(admin, token_file)
    if written is not None:
        sys.exit(_checked(client, written, machine=machine))
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
        as_json(note.data())
        return
    text = markdown(note, client.url)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, "utf-8")
    except OSError as error:
        raise PolicyError(
            (Problem(f"the note cannot be written: {error.strerror}", "", file=str(output)),)
        ) from error
    client.post("/-/note", file=str(output), sha256=digest(text))
    err().print(f"{output} is written")


def _checked(client: Admin, file: Path, *, machine: bool) -> int:
    """Look for a note's text in the journal; the exit status."""
    found = digest(read_text(file))
    journal = client.get("/api/revisions")["entries"][::-1]
    chain = check(journal)
    entry = next(
        (one for one in journal if one["event"] == "note.written" and one.get("sha256") == found),
        None,
    )
    if machine:
        as_json({"file": str(file), "sha256": found, "entry": entry, "journal": chain.data()})
    else:
        said = (
            f"is as it was written at {entry['time']} by {entry.get('who', '')}"
            if entry
            else f"has sha256 {found}, which no entry of the journal names: it was edited, or written elsewhere"
        )
        say(f"{file} {said}", colour=None if entry else "red")
        say(f"the journal is {chain}", colour="red" if chain.breaks else None)
    return 0 if entry and not chain.breaks else 1


VERBS = (note_verb,)
