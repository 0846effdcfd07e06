"""The verb `import`: settings of other servers and frameworks in, a policy out. Must not know any format."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from sidecar.cli.printing import as_json, complain, problem_data
from sidecar.importing.formats import FORMATS, convert, guess


@click.command("import")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--from",
    "form",
    type=click.Choice(tuple(FORMATS)),
    help="The format. [default: what the texts look like]",
)
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    help="Write the policy to this new file. [default: stdout]",
)
@click.option("--strict", is_flag=True, help="Exit 1 when anything could not be carried.")
@click.option(
    "--json", "machine", is_flag=True, help="JSON on stdout: the policy's text and the notes."
)
def import_verb(
    files: tuple[Path, ...], form: str | None, output: Path | None, strict: bool, machine: bool
) -> None:
    """Turn header settings of nginx, Apache, Caddy, Traefik, ingress-nginx, Helmet, Talisman, secure or Django into a
    report-only policy.

    Give included files too. What a policy cannot say is reported on stderr, line by line, with what to do by hand.
    """
    sources = {str(file): _text(file) for file in files}
    chosen = form or guess(sources)
    if chosen is None:
        raise click.UsageError("the files look like none of the known formats; name it with --from")
    if output is not None and output.exists():
        raise click.UsageError(f"{output} exists; name another with --output")
    imported = convert(sources, chosen)
    if output is not None:
        output.write_text(imported.policy_yaml, "utf-8")
    if machine:
        as_json(
            {
                "from": chosen,
                "policy": imported.policy_yaml,
                "notes": [problem_data(note) for note in imported.notes],
            }
        )
    else:
        if output is None:
            click.echo(imported.policy_yaml, nl=False)
        complain(imported.notes)
    lost = any(note.severity == "warning" for note in imported.notes)
    sys.exit(1 if strict and lost else 0)


def _text(file: Path) -> str:
    try:
        data = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise click.UsageError(f"{file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise click.UsageError(f"{file}: it is not UTF-8") from error


VERBS = (import_verb,)
