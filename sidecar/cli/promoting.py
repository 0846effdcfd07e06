"""The verb `promote`: rules move in the policy file, on stated evidence. Must not know how numbers are counted or judged."""

from __future__ import annotations

import difflib
import shlex
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
from rich.syntax import Syntax
from rich.text import Text

from sidecar.cli.evidence import STYLES, gather, minimums, print_evidence, source_options, sourced
from sidecar.cli.files import read_text, replace_file
from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.printing import as_json, err, out
from sidecar.rollout.gate import judge
from sidecar.rollout.note import digest
from sidecar.rollout.promotion import promote as promoted
from sidecar.rollout.testimony import Evidence, Verdict

_PATIENCE = 10.0
"""Seconds that `promote` waits for reports; the Reporting API's minute is left to the operator."""
_READING = 1.5
"""Seconds until the sidecar's next reading of its counters is in."""


@click.command("promote")
@click.argument("rules", nargs=-1, required=True)
@click.option(
    "--policy",
    "file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    default=Path("policy.yaml"),
    show_default=True,
    help="The file to edit.",
)
@click.option(
    "--override",
    metavar="WHY",
    help="Promote although the evidence is not enough; the reason is recorded.",
)
@click.option(
    "--waive",
    "waived",
    multiple=True,
    metavar="CAUSE",
    help="A cause, by its id in `sidecar reports`, that does not count; may be repeated; recorded.",
)
@click.option("--dry-run", is_flag=True, help="Show the verdict and the edit, change nothing.")
@admin_options
@source_options
def promote_verb(
    rules: tuple[str, ...],
    file: Path,
    override: str | None,
    waived: tuple[str, ...],
    dry_run: bool,
    admin: str,
    token_file: Path | None,
    machine: bool,
    **options: Any,
) -> None:
    """Move rules from report-only or trial to enforce, in the file, on stated evidence."""
    if override is not None and not override.strip():
        raise click.UsageError("--override needs a reason")
    before = read_text(file)
    after = promoted(before, rules, str(file))
    client = Admin(admin, token_file)
    gathered, at = _gather_settled(client, options, rules)
    found = [item for item in gathered if item.rule in rules]
    verdicts = [judge(rule, found, minimums(options), at, waived) for rule in rules]
    rows = sourced(client, options, found, verdicts)
    allowed = all(verdict.outcome == "pass" for verdict in verdicts) or override is not None
    diff = "".join(
        difflib.unified_diff(
            before.splitlines(keepends=True),
            after.splitlines(keepends=True),
            f"{file} (now)",
            f"{file} (promoted)",
        )
    )
    if not machine:
        _print_sheet(found, verdicts, diff)
    done = allowed and not dry_run and before != after
    if done:
        _record(client, options, rules, file, rows, override, waived, (before, after, diff))
        replace_file(file, after)
    if machine:
        as_json(
            {
                "promoted": done,
                "verdicts": rows,
                "override": override,
                "waived": waived,
                "diff": diff,
                "evidence": [item.data() for item in found],
            }
        )
    elif before == after:
        err().print(
            "the file says so already; if it is not in force, it may be pinned: see `sidecar status`"
        )
    elif done:
        err().print(
            f"{file} is written; a sidecar that watches it puts it in force within two seconds"
        )
    elif not allowed:
        steps = dict.fromkeys(verdict.next for verdict in verdicts if verdict.next)
        err().print(Text(f"not promoted; the file is untouched. {' '.join(steps)}", style="yellow"))
    sys.exit(0 if allowed else 1)


def _gather_settled(
    client: Admin, options: dict[str, Any], rules: Sequence[str]
) -> tuple[list[Evidence], float]:
    """The evidence, once reports of the last page loads have had their few seconds; a minute is not waited for."""
    found, at = gather(client, options)
    late = [
        item.trial.settle
        for item in found
        if item.rule in rules and item.trial.loads > item.trial.settled
    ]
    if late and max(late) <= _PATIENCE and not options["prometheus"]:
        err().print(
            f"reports of the last page loads may still be on their way: waiting {max(late):g} s"
        )
        time.sleep(max(late) + _READING)
        return gather(client, options)
    return found, at


def _print_sheet(found: Sequence[Evidence], verdicts: Sequence[Verdict], diff: str) -> None:
    console = out()
    for verdict in verdicts:
        console.print(
            Text.assemble((verdict.rule, "bold"), ": ", (verdict.outcome, STYLES[verdict.outcome]))
        )
        for reason in verdict.reasons:
            console.print(Text(f"  {reason}"))
        if verdict.next:
            console.print(Text(f"  next: {verdict.next}", style="bold"))
    console.print()
    print_evidence(found, verdicts)
    console.print()
    console.print(
        Syntax(diff, "diff", theme="ansi_light", background_color="default")
        if console.is_terminal
        else Text(diff)
    )


def _record(
    client: Admin,
    options: dict[str, Any],
    rules: tuple[str, ...],
    file: Path,
    verdicts: list[dict[str, Any]],
    override: str | None,
    waived: Sequence[str],
    edit: tuple[str, str, str],
) -> None:
    """The journal knows of the promotion before the file changes."""
    before, after, diff = edit
    client.post(
        "/-/promotion",
        rules=list(rules),
        verdicts=verdicts,
        override=override,
        waived=list(waived),
        source=options["prometheus"] or client.url,
        command=f"sidecar {shlex.join(sys.argv[1:])}",
        file=str(file),
        before=digest(before),
        after=digest(after),
        diff=diff,
    )


VERBS = (promote_verb,)
