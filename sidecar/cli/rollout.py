"""The verbs of a rollout: evidence, promote, note. Must not know how numbers are counted or judged."""

from __future__ import annotations

import difflib
import json
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.syntax import Syntax
from rich.text import Text

from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.printing import as_json, err, mode_text, out, table
from sidecar.cli.run import read_settings
from sidecar.policy.model import PolicyError, Problem, seconds
from sidecar.rollout.baseline import answers
from sidecar.rollout.baseline_file import read_baseline
from sidecar.rollout.gate import judge, judged
from sidecar.rollout.note import digest, markdown, write_note
from sidecar.rollout.prometheus import PrometheusFailed, evaluated, settled
from sidecar.rollout.prometheus import evidence as fleet_evidence
from sidecar.rollout.promotion import promote as promoted
from sidecar.rollout.testimony import Evidence, Minimums, Verdict, from_data, span

_PATIENCE = 10.0
"""Seconds that `promote` waits for reports; the Reporting API's minute is left to the operator."""
_READING = 1.5
"""Seconds until the sidecar's next reading of its counters is in."""
_STYLES = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


class _Time(click.ParamType[float]):
    name = "time"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """`24h`, `30m`, `0s` as seconds."""
        try:
            return seconds(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _window(_context: click.Context, _parameter: click.Parameter, value: str) -> str:
    try:
        seconds(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from error
    return value


def _source_options(command: Any) -> Any:
    """Where evidence comes from, and the minimums of the gate."""
    options = (
        click.option(
            "--prometheus",
            metavar="URL",
            help="Sum evidence over a fleet, from this Prometheus server.",
        ),
        click.option(
            "--window",
            callback=_window,
            default="24h",
            show_default=True,
            help="With --prometheus: how far back; nothing counts as watched for longer.",
        ),
        click.option(
            "--selector", default="", help="With --prometheus: which series, as 'job=\"shop\"'."
        ),
        click.option(
            "--min-requests",
            type=click.IntRange(0),
            default=1000,
            show_default=True,
            help="Page loads or requests that the rule's witness must have seen.",
        ),
        click.option(
            "--min-time",
            type=_Time(),
            default="24h",
            show_default=True,
            help="How long the rule must have been watched.",
        ),
        click.option(
            "--min-routes",
            type=click.IntRange(0),
            default=1,
            show_default=True,
            help="Routes on which it must have been seen.",
        ),
        click.option(
            "--max-breaks",
            type=click.IntRange(0),
            default=0,
            show_default=True,
            help="Requests that may have been broken.",
        ),
    )
    for option in reversed(options):
        command = option(command)
    return command


def _minimums(told: dict[str, Any]) -> Minimums:
    return Minimums(told["min_requests"], told["min_time"], told["min_routes"], told["max_breaks"])


def _gather(client: Admin, told: dict[str, Any]) -> tuple[list[Evidence], float]:
    """The evidence, and the moment of which it is."""
    own = [from_data(item) for item in client.get("/api/evidence")["evidence"]]
    if not told["prometheus"]:
        return own, time.time()
    try:
        asked = told["prometheus"], told["window"], told["selector"]
        at = settled(*asked)
        return fleet_evidence(*asked, at, {(item.route, item.rule): item for item in own}), at
    except PrometheusFailed as failed:
        err().print(Text(str(failed), style="red"))
        sys.exit(1)


@click.command("evidence")
@admin_options
@_source_options
def evidence_verb(admin: str, token_file: Path | None, machine: bool, **told: Any) -> None:
    """What each rule has seen since it came as it is now, and whether that is enough to enforce it."""
    client = Admin(admin, token_file)
    found, at = _gather(client, told)
    verdicts = [
        judge(rule, found, _minimums(told), at)
        for rule in dict.fromkeys(item.rule for item in found)
    ]
    if machine:
        as_json(
            {
                "evidence": [item.data() for item in found],
                "verdicts": _sourced(client, told, found, verdicts),
            }
        )
        return
    _print_evidence(found, verdicts)


def _sourced(
    client: Admin, told: dict[str, Any], found: list[Evidence], verdicts: Sequence[Verdict]
) -> list[dict[str, Any]]:
    """Verdicts as data, each with whom was asked and, of Prometheus, what: the same query at the same time gives the same number."""
    rows = []
    for verdict in verdicts:
        decisive = judged(verdict.rule, found)
        query = (
            evaluated(verdict.rule, decisive[0].mode, told["window"], told["selector"])
            if told["prometheus"] and decisive
            else None
        )
        rows.append({**asdict(verdict), "source": told["prometheus"] or client.url, "query": query})
    return rows


def _print_evidence(found: Sequence[Evidence], verdicts: Sequence[Verdict]) -> None:
    by_rule = {verdict.rule: verdict for verdict in verdicts}
    rows = []
    for item in found:
        verdict = by_rule[item.rule]
        witness = ", ".join(dict.fromkeys(witness["kind"] for witness in item.witnesses)) or "-"
        shown = Text(
            verdict.outcome if item.mode != "enforce" else "enforcing",
            style=_STYLES.get(verdict.outcome, "") if item.mode != "enforce" else "green",
        )
        numbers = (
            f"{item.evaluated:g}",
            f"{item.affected:g}",
            _heard(item),
            _against(item),
            f"{item.outcomes.get('unknown', 0):g}",
        )
        rows.append(
            (
                item.rule,
                item.route,
                mode_text(item.mode),
                span(verdict.at - item.since),
                witness,
                *numbers,
                shown,
            )
        )
    table(
        "",
        (
            "rule",
            "route",
            "mode",
            "watched",
            "witness",
            "judged",
            "would change",
            "bore witness",
            "against",
            "unknown",
            "verdict",
        ),
        rows,
    )


def _heard(item: Evidence) -> str:
    """What the rule's witness saw: page loads in trial, or requests that say enough."""
    if item.mode == "trial" and item.trial.settle:
        return f"{item.trial.loads + item.outcomes.get('safe', 0):g} page loads"
    if not item.outcomes:
        return "-"
    return f"{item.outcomes.get('safe', 0) + item.outcomes.get('break', 0):g} requests"


def _against(item: Evidence) -> str:
    """Requests that would have broken, and causes that browsers reported."""
    causes = sum(1 for cause in item.trial.causes if cause["kind"] != "noise")
    parts = [f"{item.outcomes['break']:g} requests"] if item.outcomes.get("break") else []
    return ", ".join([*parts, *([f"{causes} causes"] if causes else [])]) or "0"


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
@_source_options
def promote_verb(
    rules: tuple[str, ...],
    file: Path,
    override: str | None,
    waived: tuple[str, ...],
    dry_run: bool,
    admin: str,
    token_file: Path | None,
    machine: bool,
    **told: Any,
) -> None:
    """Move rules from report-only or trial to enforce, in the file, on stated evidence."""
    if override is not None and not override.strip():
        raise click.UsageError("--override needs a reason")
    before = read_text(file)
    after = promoted(before, rules, str(file))
    client = Admin(admin, token_file)
    gathered, at = _gather_settled(client, told, rules)
    found = [item for item in gathered if item.rule in rules]
    verdicts = [judge(rule, found, _minimums(told), at, waived) for rule in rules]
    sourced = _sourced(client, told, found, verdicts)
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
        _record(client, told, rules, file, sourced, override, waived, (before, after, diff))
        replace_file(file, after)
    if machine:
        as_json(
            {
                "promoted": done,
                "verdicts": sourced,
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


def read_text(file: Path) -> str:
    """A policy file's text.

    Raises:
        PolicyError: it is not UTF-8.
    """
    data = file.read_bytes()
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise PolicyError(
            (Problem("the file is not UTF-8", "save it as UTF-8", file=str(file), line=line),)
        ) from error


def _gather_settled(
    client: Admin, told: dict[str, Any], rules: Sequence[str]
) -> tuple[list[Evidence], float]:
    """The evidence, once reports of the last page loads have had their few seconds; a minute is not waited for."""
    found, at = _gather(client, told)
    late = [
        item.trial.settle
        for item in found
        if item.rule in rules and item.trial.loads > item.trial.settled
    ]
    if late and max(late) <= _PATIENCE and not told["prometheus"]:
        err().print(
            f"reports of the last page loads may still be on their way: waiting {max(late):g} s"
        )
        time.sleep(max(late) + _READING)
        return _gather(client, told)
    return found, at


def _print_sheet(found: Sequence[Evidence], verdicts: Sequence[Verdict], diff: str) -> None:
    console = out()
    for verdict in verdicts:
        console.print(
            Text.assemble((verdict.rule, "bold"), ": ", (verdict.outcome, _STYLES[verdict.outcome]))
        )
        for reason in verdict.reasons:
            console.print(Text(f"  {reason}"))
        if verdict.next:
            console.print(Text(f"  next: {verdict.next}", style="bold"))
    console.print()
    _print_evidence(found, verdicts)
    console.print()
    console.print(
        Syntax(diff, "diff", theme="ansi_light", background_color="default")
        if console.is_terminal
        else Text(diff)
    )


def _record(
    client: Admin,
    told: dict[str, Any],
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
        source=told["prometheus"] or client.url,
        command=f"sidecar {shlex.join(sys.argv[1:])}",
        file=str(file),
        before=digest(before),
        after=digest(after),
        diff=diff,
    )


def replace_file(file: Path, text: str) -> None:
    """Replace a file's bytes, whole or not at all, keeping its permissions; in place where it is a mount of its own."""
    target = file.resolve()
    handle, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as writing:
            writing.write(text.encode())
            writing.flush()
            os.fsync(writing.fileno())
        Path(name).chmod(target.stat().st_mode)
        try:
            Path(name).replace(target)
        except OSError:  # a single file that is bind-mounted cannot be replaced by rename
            target.write_bytes(text.encode())
    finally:
        Path(name).unlink(missing_ok=True)


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


@click.command("rehearse")
@click.option(
    "--config", type=click.Path(path_type=Path), envvar="SIDECAR_CONFIG", help="Settings file."
)
@click.option("--policy", help="Policy file. [default: policy.yaml]")
@click.option("--upstream", metavar="URL", help="The service. [default: http://127.0.0.1:8000]")
@click.option(
    "--state", metavar="DIR", help="The real state folder; only its permissions are looked at."
)
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="TARGET",
    help="A request target to replay; may be repeated. [default: /]",
)
@click.option(
    "--baseline",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Replay the example paths of this baseline too.",
)
@click.option(
    "--har",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Answer from this recording instead of the service.",
)
@click.option("--json", "machine", is_flag=True, help="JSON on stdout.")
def rehearse_verb(
    config: Path | None,
    paths: tuple[str, ...],
    baseline: Path | None,
    har: Path | None,
    machine: bool,
    **flags: Any,
) -> None:
    """Try the release on scratch ports: start, compare, enforce, verify, roll back; each step timed."""
    from sidecar.rehearsal import Step, rehearse
    from sidecar.service import run_to_end

    settings = read_settings(config, flags)
    recorded = json.loads(har.read_bytes())["log"]["entries"] if har else ()
    if baseline:
        held = read_baseline(baseline.read_bytes(), str(baseline))
        paths = (
            *paths,
            *(
                facts.path
                for cell in held.cells
                for facts in answers(cell)
                if facts.method == "GET"
            ),
        )
    steps: list[Step] = []

    async def run() -> None:
        async for step in rehearse(settings, paths, recorded):
            steps.append(step)
            if not machine:
                took = "" if step.seconds is None else f"{step.seconds * 1000:.1f} ms"
                mark = Text("pass", style="green") if step.passed else Text("FAIL", style="red")
                out().print(Text.assemble(mark, f"  {step.name:<14}{took:>10}  {step.text}"))

    run_to_end(run())
    passed = all(step.passed for step in steps)
    if machine:
        as_json({"passed": passed, "steps": [asdict(step) for step in steps]})
    sys.exit(0 if passed else 1)


VERBS = (evidence_verb, promote_verb, rehearse_verb, note_verb)
