"""The verb `promote`: an order to move rules goes to the sidecar, and what it grants into the
policy file.
"""

from __future__ import annotations

import json
import shlex
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from sidecar.cli import fleet as replicas
from sidecar.cli.evidence import STYLES, gather, minimums, print_evidence, source_options, warn_of
from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.options import NEW_FILE, read_text
from sidecar.cli.printing import as_json, next_step, say, show, show_diff
from sidecar.files import edit_file
from sidecar.policy.terms import Mode, PolicyError
from sidecar.rollout.model import Evidence, Verdict

_PATIENCE = 10.0
"""Seconds that `promote` waits for reports; the Reporting API's minute is left to the operator."""
_READING = 1.5
"""Seconds until the sidecar's next reading of its counters is in."""
_KEY = "policy.yaml"
"""Of a ConfigMap's data, as the chart and the components have it."""


def _config_map(_context: click.Context, _parameter: click.Parameter, text: str | None) -> Any:
    """An option's value: NAME, or NAMESPACE/NAME."""
    parts = (text or "x").split("/")
    if len(parts) > 2 or not all(parts):
        raise click.BadParameter(f"unknown ConfigMap {text!r}; write NAME or NAMESPACE/NAME")
    return text


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
    type=NEW_FILE,
    default=Path("policy.yaml"),
    help="The file to edit. With --fleet it is edited if it holds what the fleet has in force.",
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
    callback=_config_map,
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
    client: Admin,
    machine: bool,
    **options: Any,
) -> None:
    """Raise rules to trial or enforce, if the evidence is enough.

    It edits their mode in the policy file. --step-back lowers them by one step.

    With --fleet the policy that all replicas have in force is edited, on all of them at once.
    """
    if override is not None and not override.strip():
        raise click.UsageError('--override needs a reason: --override "why the rule is safe"')
    if back and (to or override or waived):
        raise click.UsageError(
            "--step-back asks for no evidence: it takes no --to, --override, --waive"
        )
    move = "back" if back else to or "enforce"
    order = {"rules": list(rules), "move": move, "waived": list(waived), "override": override}
    decided = _decided(client, order | {"dry_run": dry_run or None}, file, options)
    fleet, changes = options["fleet"], decided["policy"] != decided["edited"]
    done = decided["granted"] and changes and not dry_run
    holds = decided["file"] == str(file)  # what is edited
    # Before anything is printed: who reads it may have gone, as `head` does.
    failed = _written(file, decided) if done and holds else None
    if not machine:
        _print_verdicts(client, decided)
        warn_of(decided["silent"])
    if failed is not None:
        if not fleet:  # which has the edit in force already, whatever becomes of a file
            raise failed
        say(str(failed), "yellow")
    applied = configmap_name if decided["granted"] and changes else None
    patch = _patch(decided["policy"], decided["edited"]) if applied else None
    if machine:
        shown = ("promotion", "to", "verdicts", "source", "silent", "kept", "diff", "revision")
        as_json(
            {
                "promoted": done and not back,
                "stepped_back": done and back,
                **{key: decided[key] for key in shown},
                "override": override,
                "waived": waived,
                "configmap": {"name": applied, "patch": patch} if applied else None,
                "evidence": decided["evidence"],
            }
        )
    else:
        if done:
            _print_written(file, fleet=fleet, holds=holds)
        else:
            _print_nothing_done(decided, changes=changes, fleet=fleet)
        if decided["revision"]:
            replicas.print_progress(client.get, decided["fleet"])
        for promise in decided["kept"]:
            say(promise, "yellow")
        if applied and patch:
            click.echo(_kubectl(applied, patch))
        if done and not fleet:
            next_step(_NEXT[move])
    sys.exit(0 if decided["granted"] else 1)


_NEXT: dict[str, str] = {
    "trial": "let browsers load pages, then: sidecar evidence",
    "enforce": "look at the site, then: sidecar note; or undo it: sidecar rollback",
    "back": "sidecar status",
}
"""What to do after each move."""


def _patch(before: str, after: str) -> list[dict[str, Any]]:
    """The edit as a JSON patch (RFC 6902), which fails where the text is not `before` any more."""
    path = f"/data/{_KEY}"
    return [
        {"op": "test", "path": path, "value": before},
        {"op": "replace", "path": path, "value": after},
    ]


def _kubectl(configmap: str, patch: list[dict[str, Any]]) -> str:
    """The command that applies the patch."""
    namespace, _, name = configmap.rpartition("/")
    words = ["--namespace", namespace] if namespace else []
    words += ["patch", "configmap", name, "--type", "json", "--patch", json.dumps(patch)]
    return shlex.join(["kubectl", *words])


def _written(file: Path, decided: dict[str, Any]) -> PolicyError | None:
    """Replace the file; returns why it could not be."""
    try:
        edit_file(file, decided["policy"], decided["edited"])
    except PolicyError as error:
        return error
    return None


def _decided(
    client: Admin, order: dict[str, Any], file: Path, options: dict[str, Any]
) -> dict[str, Any]:
    """What the sidecar decides on an order, given the policy and, of Prometheus, the evidence."""
    before, fleet, evidence = _policy(file, fleet=options["fleet"]), options["fleet"], None
    if options["prometheus"] and order["move"] != "back":
        # Whoever orders reaches Prometheus, and the sidecar need not.
        seen = gather(client, options)
        wanted = [item for item in seen.found if item.rule in order["rules"]]
        evidence = asdict(replace(seen, found=wanted))
    elif order["move"] == "enforce":
        _await_reports(client, order["rules"], fleet=fleet)
    decided: dict[str, Any] = client.post(
        "/-/promotion",
        **order,
        policy=before,
        file=str(file),
        minimums=asdict(minimums(options)),
        evidence=evidence,
        fleet=fleet or None,
        command=f"sidecar {shlex.join(sys.argv[1:])}",
    )
    return decided


def _policy(file: Path, *, fleet: bool) -> str | None:
    """The text to edit; None = no file here need hold what a fleet has in force."""
    if fleet and not file.is_file():
        return None
    if text := read_text(file, first="sidecar init"):
        return text
    raise click.UsageError(f"{file} is empty; a first policy is written by: sidecar init")


def _await_reports(client: Admin, rules: Sequence[str], *, fleet: bool) -> None:
    """Give reports of the last page loads their few seconds; a minute is not waited for."""
    data = client.get("/api/evidence?fleet=true" if fleet else "/api/evidence")
    late = [
        item.trial.settle
        for item in client.rows(Evidence, data["evidence"])
        if item.rule in rules and item.trial.loads > item.trial.settled
    ]
    if late and max(late) <= _PATIENCE:
        say(f"reports of the last page loads may still be on their way: waiting {max(late):g} s")
        time.sleep(max(late) + _READING)


def _print_written(file: Path, *, fleet: bool, holds: bool) -> None:
    if not fleet:
        say(f"{file} is written; a sidecar that watches it puts it in force within two seconds")
        return
    where = f"{file} is written too" if holds else "no file here holds it"
    say(
        f"in force in the fleet; {where}. Take the change into the file that the replicas"
        " are given, before it is edited again: an edited file is the fleet's next decision"
    )


def _print_nothing_done(decided: dict[str, Any], *, changes: bool, fleet: bool) -> None:
    if not changes:
        pinned = "the file says so already; if it is not in force, it may be pinned: see"
        say("the fleet has it in force so already" if fleet else f"{pinned} `sidecar status`")
    elif not decided["granted"]:
        steps = dict.fromkeys(one["next"] for one in decided["verdicts"] if one["next"])
        if decided["silent"]:
            steps["Ask again when every replica answers."] = None
        say(f"not promoted; nothing is changed. {' '.join(steps)}", "yellow")


def _print_verdicts(client: Admin, decided: dict[str, Any]) -> None:
    verdicts = client.rows(Verdict, decided["verdicts"])
    for one in verdicts:
        show((one.rule, "bold"), ": ", (one.outcome, STYLES[one.outcome]))
        for reason in one.reasons:
            show(f"  {reason}")
        if one.next:
            show(f"  next: {one.next}", style="bold")
    if verdicts:
        show()
        print_evidence(client.rows(Evidence, decided["evidence"]), verdicts)
        show()
    if decided["granted"]:  # of a refusal nobody needs the edit; --json has it
        show_diff(decided["diff"])
