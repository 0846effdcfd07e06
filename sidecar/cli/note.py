"""The verb `note`: the change note from the journal, the status and the evidence. Must not know how it is put together."""

from __future__ import annotations

from pathlib import Path

import click

from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.printing import as_json, err
from sidecar.policy.model import PolicyError, Problem
from sidecar.rollout.note import markdown, write_note


@click.command("note")
@admin_options
@click.option(
    "--since", metavar="REVISION", help="Start from this revision; without it, from the one before."
)
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file."
)
def note_verb(
    admin: str, token_file: Path | None, machine: bool, since: str | None, output: Path | None
) -> None:
    """Write the change note: reason, owner, files, commands, evidence, before and after, how to roll back."""
    client = Admin(admin, token_file)
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
    err().print(f"{output} is written")


VERBS = (note_verb,)
