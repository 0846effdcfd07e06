"""The verb `promote`: rules move in the policy file, on stated evidence. Must not know how
numbers are counted or judged.
"""

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

from sidecar.cli import configmap
from sidecar.cli import fleet as replicas
from sidecar.cli.evidence import (
    STYLES,
    Gathered,
    gather,
    minimums,
    print_evidence,
    source_options,
    sourced,
    warn_of,
)
from sidecar.cli.files import read_text, replace_file
from sidecar.cli.operate import Admin, admin_options, promises
from sidecar.cli.printing import as_json, err, next_step, out, say
from sidecar.policy.browsers.prospects import prospect
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
    help="How far. A trial needs no evidence: browsers report, and nothing else changes.",
)
@click.option(
    "--step-back",
    "back",
    is_flag=True,
    help="One step down instead, and no evidence is asked for: enforce, trial, report-only.",
)
@click.option(
    "--policy",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("policy.yaml"),
    show_default=True,
    help="The file to edit. With --fleet it is edited where it holds what the fleet has in force.",
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
@click.option(
    "--configmap",
    "configmap_name",
    metavar="[NAMESPACE/]NAME",
    callback=configmap.named,
    help="Print the kubectl command that puts the edit into this ConfigMap.",
)
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
    configmap_name: str | None,
    admin: str,
    token_file: Path | None,
    machine: bool,
    **options: Any,
) -> None:
    """Move rules to trial or enforce in the policy file, when the evidence is enough; or one step
    back.

    With --fleet what all replicas have in force is moved on, on all of them at once.
    """
    if override is not None and not override.strip():
        raise click.UsageError('--override needs a reason: --override "why the rule is safe"')
    if back and (to or override or waived):
        raise click.UsageError(
            "--step-back asks for no evidence: it takes no --to, --override, --waive"
        )
    client, to = Admin(admin, token_file), to or "enforce"
    base = _of_fleet(client, file) if options["fleet"] else _of_file(file)
    after = (
        step_back(base.text, rules, base.name) if back else promote(base.text, rules, base.name, to)
    )
    gathered, verdicts = (
        (_nothing(client), []) if back else _verdicts(client, options, base.text, rules, to, waived)
    )
    found = [item for item in gathered.found if item.rule in rules]
    _same_steps(base.text, found, file)
    kept = promises(client, rules) if back else []
    edit = _Edit(base, after)
    passed = all(verdict.outcome == "pass" for verdict in verdicts) and not gathered.silent
    allowed = passed or override is not None
    if not machine:
        _print_sheet(found, verdicts, edit.diff)
        warn_of(gathered.silent)
    done = allowed and not dry_run and base.text != after
    rows = sourced(options, gathered, verdicts)
    data: dict[str, Any] = {}
    if done:
        data = client.post(
            "/-/promotion",
            rules=list(rules),
            back=back or None,
            to=standing(after, rules),
            verdicts=rows,
            override=override,
            reason="; ".join(kept) or None,
            waived=list(waived),
            source=gathered.source,
            command=f"sidecar {shlex.join(sys.argv[1:])}",
            **edit.data(),
        )
        edit.write()  # the journal knows first
    applied = configmap_name if allowed and base.text != after else None
    patch = configmap.patch(base.text, after) if applied else None
    if machine:
        as_json(
            {
                "promoted": done and not back,
                "stepped_back": done and back,
                "to": standing(after, rules),
                "verdicts": rows,
                "source": gathered.source,
                "silent": gathered.silent,
                "override": override,
                "waived": waived,
                "kept": kept,
                "diff": edit.diff,
                "configmap": applied and {"name": applied, "patch": patch},
                "revision": data.get("revision"),
                "evidence": [item.data() for item in found],
            }
        )
    else:
        _say_what_came(edit, gathered, verdicts, allowed=allowed, done=done)
        if data.get("fleet"):
            replicas.said(client.get, data["fleet"])
        for promise in kept:
            err().print(Text(promise, style="yellow"))
        if applied and patch:
            click.echo(configmap.command(applied, patch))
    sys.exit(0 if allowed else 1)


@dataclass(frozen=True, slots=True)
class _Base:
    """What is edited: the policy file's text, or what a fleet has in force."""

    text: str
    name: str
    file: Path | None
    """None = no file here holds it."""
    version: int | None = None
    """Of the fleet's decision; None = only the file is written."""


def _of_file(file: Path) -> _Base:
    if not file.is_file():
        raise click.BadParameter(f"File {str(file)!r} does not exist.", param_hint="'--policy'")
    return _Base(read_text(file), str(file), file)


def _of_fleet(client: Admin, file: Path) -> _Base:
    """What the fleet has in force, in the file's own words where the file holds it."""
    status = client.get("/api/status")
    if status["fleet"] is None:
        say("this sidecar is in no fleet", colour="red")
        next_step("set fleet.url and fleet.name, or leave --fleet out: then the file is edited")
        sys.exit(1)
    version, name = int(status["fleet"]["version"]), f"revision {status['revision']}"
    try:
        text = read_text(file)
        if load_policy(text.encode(), str(file)).revision() == status["revision"]:
            return _Base(text, str(file), file, version)
    except (OSError, click.UsageError, PolicyError):
        pass  # what the fleet has in force is what counts
    text = client.get(f"/api/revisions/{status['revision']}")["text"]
    return _Base(text, name, None, version)


def _nothing(client: Admin) -> Gathered:
    return Gathered([], 0.0, client.url)


@dataclass(frozen=True, slots=True)
class _Edit:
    """The policy before and after."""

    base: _Base
    after: str

    @property
    def diff(self) -> str:
        before, after = (text.splitlines(keepends=True) for text in (self.base.text, self.after))
        names = f"{self.base.name} (now)", f"{self.base.name} (as asked)"
        return "".join(difflib.unified_diff(before, after, *names))

    def data(self) -> dict[str, Any]:
        """For the journal, and for the fleet where it decides."""
        hashes = {"before": digest(self.base.text), "after": digest(self.after)}
        shared = {"text": self.after, "version": self.base.version}
        return {
            "file": self.base.name,
            **hashes,
            "diff": self.diff,
            **(shared if self.base.version is not None else {}),
        }

    def write(self) -> None:
        """Replace the file, where one holds what is edited; a fleet has decided already,
        whatever becomes of a file.
        """
        if self.base.file is None:
            return
        try:
            replace_file(self.base.file, self.after)
        except OSError as error:
            if self.base.version is None:
                raise
            say(f"{self.base.file} cannot be written: {error.strerror}", colour="yellow")


def _say_what_came(
    edit: _Edit,
    gathered: Gathered,
    verdicts: Sequence[Verdict],
    *,
    allowed: bool,
    done: bool,
) -> None:
    base = edit.base
    if base.text == edit.after:
        err().print(
            "the file says so already; if it is not in force, it may be pinned: see `sidecar"
            " status`"
            if base.version is None
            else "the fleet has it in force so already"
        )
    elif done and base.version is not None:
        where = f"{base.file} is written too" if base.file else "no file here holds it"
        err().print(
            f"in force in the fleet; {where}. Take the change into the file that the replicas are"
            " given, before it is edited again: an edited file is the fleet's next decision"
        )
    elif done:
        err().print(
            f"{base.file} is written; a sidecar that watches it puts it in force within two seconds"
        )
    elif not allowed:
        steps = dict.fromkeys(verdict.next for verdict in verdicts if verdict.next)
        if gathered.silent:
            steps["Ask again when every replica answers."] = None
        err().print(Text(f"not promoted; nothing is changed. {' '.join(steps)}", style="yellow"))


def _verdicts(
    client: Admin,
    options: dict[str, Any],
    text: str,
    rules: Sequence[str],
    to: Mode,
    waived: Sequence[str],
) -> tuple[Gathered, list[Verdict]]:
    """What has been seen, and the gate's word for each rule."""
    if to == "trial":
        seen = gather(client, options)
        return seen, [admit(rule, seen.found, _prospect(text, rule), seen.at) for rule in rules]
    seen = _gather_settled(client, options, rules)
    return seen, [judge(rule, seen.found, minimums(options), seen.at, waived) for rule in rules]


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


def _gather_settled(client: Admin, options: dict[str, Any], rules: Sequence[str]) -> Gathered:
    """The evidence, once reports of the last page loads have had their few seconds; a minute is
    not waited for.
    """
    seen = gather(client, options)
    late = [
        item.trial.settle
        for item in seen.found
        if item.rule in rules and item.trial.loads > item.trial.settled
    ]
    if late and max(late) <= _PATIENCE and not options["prometheus"]:
        err().print(
            f"reports of the last page loads may still be on their way: waiting {max(late):g} s"
        )
        time.sleep(max(late) + _READING)
        return gather(client, options)
    return seen


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
