"""The verb `export`: a policy in, another proxy's configuration out."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict
from pathlib import Path

import click

from sidecar.cli.options import PATH, POLICY_TO_READ
from sidecar.cli.policy import read_policy
from sidecar.cli.printing import as_json, say
from sidecar.exporting import TARGETS, export
from sidecar.exporting.target import WEIGHTS
from sidecar.files import write_file

_ADDRESS = re.compile(r"(?:https?://[^/\s\"',;\\]+)?/[^\s\"',;\\]*")
_STYLES = {"lost": "yellow", "differs": "cyan", "note": "dim"}


@click.command("export")
@POLICY_TO_READ
@click.option("--to", "target", type=click.Choice(tuple(TARGETS)), required=True, help="The proxy.")
@click.option("--output", type=PATH, help="Write the configuration to this file. [default: stdout]")
@click.option(
    "--report-only",
    "reports_to",
    metavar="ADDRESS",
    default="",
    show_default=False,
    help=(
        "Also write rules in report-only or trial, as headers that make browsers report to this"
        " address; {rule} in it becomes the rule's name."
    ),
)
@click.option("--strict", is_flag=True, help="Exit 1 when anything enforced cannot be expressed.")
@click.option(
    "--json",
    "machine",
    is_flag=True,
    help="JSON on stdout: the configuration and what is not in it.",
)
def export_verb(
    file: Path, target: str, *, output: Path | None, reports_to: str, strict: bool, machine: bool
) -> None:
    """Write what a policy enforces as the configuration of another proxy.

    What that proxy cannot express is listed on stderr with its reason, and in a comment where the
    format has comments.
    """
    if reports_to and not _ADDRESS.fullmatch(reports_to):
        fix = "write https://HOST/PATH, or a path that begins with /"
        raise click.UsageError(f"--report-only: unknown address {reports_to!r}; {fix}")
    resolved = read_policy(file)
    written = export(resolved, target, reports_to)
    if output is not None:
        write_file(output, written.text)
    if machine:
        about = {"to": target, "revision": resolved.revision(), "configuration": written.text}
        gaps = [asdict(gap) for gap in written.gaps]
        as_json({**about, "gaps": gaps, "limits": TARGETS[target].limits})
    else:
        if output is None:
            click.echo(written.text, nl=False)
        for weight, title in WEIGHTS.items():
            for gap in (gap for gap in written.gaps if gap.weight == weight):
                say(f"{title.lower()}: {gap}", _STYLES[weight])
        for limit in TARGETS[target].limits:
            say(f"in general: {limit}", "dim")
    lost = any(gap.weight == "lost" for gap in written.gaps)
    sys.exit(1 if strict and lost else 0)
