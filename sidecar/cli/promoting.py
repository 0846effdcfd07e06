"""The verb `promote`: rules move in the policy file, on stated evidence. Must not know how numbers are counted or judged."""

from __future__ import annotations

import difflib
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.syntax import Syntax
from rich.text import Text

from sidecar.cli.evidence import STYLES, gather, minimums, print_evidence, source_options, sourced
from sidecar.cli.files import POLICY_TO_EDIT, read_text, replace_file
from sidecar.cli.operate import Admin, admin_options, promises
from sidecar.cli.printing import as_json, err, out
from sidecar.policy.browsers.witness import prospect
from sidecar.policy.model import Mode, PolicyError, Problem
from sidecar.rollout.gate import admit, judge
from sidecar.rollout.note import digest
from sidecar.rollout.promotion import promote, standing, step_back
from sidecar.rollout.testimony import Evidence, Verdict
from sidecar.source import load_policy

_PATIENCE = 10.0
"""Seconds that `promote` waits for reports; the Reporting API's minute is left to the operator."""
_READING = 1.5
"""Seconds until the sidecar's next reading of its counters is in."""


@click.command("promote")
@click.argument("rules", nargs=-1, required=True)
@click.option(
    "--to",
    type=click.Choice(["trial", "enforce"]),
    default=None,
    show_default="enforce",
    help="How far. To trial needs no evidence: it changes nothing, browsers are asked.",
)
@click.option(
    "--step-back",
    "back",
    is_flag=True,
    help="One step down instead, and no evidence is asked for: enforce, trial, report-only.",
)
@POLICY_TO_EDIT
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
    to: Mode | None,
    back: bool,
    file: Path,
    override: str | None,
    waived: tuple[str, ...],
    dry_run: bool,
    admin: str,
    token_file: Path | None,
    machine: bool,
    **options: Any,
) -> None:
    """Move rules from report-only to trial or enforce, in the file, on stated evidence; or a step back."""
    if override is not None and not override.strip():
        raise click.UsageError('--override needs a reason: --override "why the rule is safe"')
    if back and (to or override or waived):
        raise click.UsageError(
            "--step-back asks for no evidence: it takes no --to, --override, --waive"
        )
    before = read_text(file)
    name = str(file)
    to = to or "enforce"
    after = step_back(before, rules, name) if back else promote(before, rules, name, to)
    client = Admin(admin, token_file)
    found, verdicts = ([], []) if back else _verdicts(client, options, before, rules, to, waived)
    _same_steps(before, found, file)
    kept = promises(client, rules) if back else []
    edit = _Edit(file, before, after)
    allowed = all(verdict.outcome == "pass" for verdict in verdicts) or override is not None
    if not machine:
        _print_sheet(found, verdicts, edit.diff)
    done = allowed and not dry_run and before != after
    rows = sourced(client, options, found, verdicts)
    if done:
        client.post(
            "/-/promotion",
            rules=list(rules),
            back=back or None,
            to=standing(after, rules),
            verdicts=rows,
            override=override,
            reason="; ".join(kept) or None,
            waived=list(waived),
            source=options["prometheus"] or client.url,
            command=f"sidecar {shlex.join(sys.argv[1:])}",
            **edit.data(),
        )
        replace_file(file, after)  # the journal knows first
    if machine:
        as_json(
            {
                "promoted": done and not back,
                "stepped_back": done and back,
                "to": standing(after, rules),
                "verdicts": rows,
                "override": override,
                "waived": waived,
                "kept": kept,
                "diff": edit.diff,
                "evidence": [item.data() for item in found],
            }
        )
    else:
        _say_what_came(edit, verdicts, allowed=allowed, done=done)
        for promise in kept:
            err().print(Text(promise, style="yellow"))
    sys.exit(0 if allowed else 1)


@dataclass(frozen=True, slots=True)
class _Edit:
    """The policy file before and after."""

    file: Path
    before: str
    after: str

    @property
    def diff(self) -> str:
        before, after = (text.splitlines(keepends=True) for text in (self.before, self.after))
        names = f"{self.file} (now)", f"{self.file} (as asked)"
        return "".join(difflib.unified_diff(before, after, *names))

    def data(self) -> dict[str, str]:
        """For the journal."""
        hashes = {"before": digest(self.before), "after": digest(self.after)}
        return {"file": str(self.file), **hashes, "diff": self.diff}


def _say_what_came(edit: _Edit, verdicts: Sequence[Verdict], *, allowed: bool, done: bool) -> None:
    if edit.before == edit.after:
        err().print(
            "the file says so already; if it is not in force, it may be pinned: see `sidecar status`"
        )
    elif done:
        err().print(
            f"{edit.file} is written; a sidecar that watches it puts it in force within two seconds"
        )
    elif not allowed:
        steps = dict.fromkeys(verdict.next for verdict in verdicts if verdict.next)
        err().print(Text(f"not promoted; the file is untouched. {' '.join(steps)}", style="yellow"))


def _verdicts(
    client: Admin,
    options: dict[str, Any],
    text: str,
    rules: Sequence[str],
    to: Mode,
    waived: Sequence[str],
) -> tuple[list[Evidence], list[Verdict]]:
    """What has been seen of these rules, and the gate's word for each."""
    if to == "trial":
        found, at = gather(client, options)
        return [item for item in found if item.rule in rules], [
            admit(rule, found, _prospect(text, rule), at) for rule in rules
        ]
    found, at = _gather_settled(client, options, rules)
    own = [item for item in found if item.rule in rules]
    return own, [judge(rule, own, minimums(options), at, waived) for rule in rules]


def _same_steps(text: str, found: Sequence[Evidence], file: Path) -> None:
    """Refuse evidence of another step of a ladder than the one that the file names.

    Raises:
        PolicyError: the sidecar does not run what the file says.
    """
    routes = {route.name: route for route in load_policy(text.encode(), str(file)).routes}
    for item in found:
        here = routes[item.route].rules if item.route in routes else ()
        step = next((named.rule.step for named in here if named.name == item.rule), None)
        if item.climb is not None and step != item.climb.step:
            message = (
                f"the file puts {item.rule!r} on step {step}, and the sidecar is on {item.climb}"
            )
            fix = "let it read the file first (`sidecar reload`), and gather evidence of this step"
            raise PolicyError((Problem(message, fix, file=str(file)),))


def _prospect(text: str, rule: str) -> list[str]:
    """What a trial can show of a rule, wherever it stands."""
    routes = load_policy(text.encode(), "").routes
    declared = [named.rule for route in routes for named in route.rules if named.name == rule]
    return list(dict.fromkeys(said for one in declared for said in prospect(one)))


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
    if verdicts:
        console.print()
        print_evidence(found, verdicts)
        console.print()
    console.print(
        Syntax(diff, "diff", theme="ansi_light", background_color="default")
        if console.is_terminal
        else Text(diff)
    )


VERBS = (promote_verb,)
