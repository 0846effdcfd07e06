"""The verbs about what the service sends: capture, drift."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import click
from click.core import ParameterSource
from rich.text import Text

from sidecar.baseline import Baseline, Cell, since, stamp
from sidecar.baseline.capture import Tally
from sidecar.baseline.drift import SEVERITIES, DriftReport, accept, drift
from sidecar.baseline.file import from_data, read_baseline, to_data, yaml_text
from sidecar.cli.operate import Admin, admin_options, who
from sidecar.cli.options import (
    FILE,
    NEW_FILE,
    PATH,
    ParsedOption,
    read_bytes,
    read_har,
    together,
)
from sidecar.cli.policy import read_policy
from sidecar.cli.printing import (
    as_json,
    give_up,
    next_step,
    say,
    show,
    steps,
    table,
)
from sidecar.files import write_file
from sidecar.observed import NoResponse, is_silent
from sidecar.observed.client import ask
from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.engine.resolve import resolve
from sidecar.policy.headers.shapes import Lines
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.terms import Severity
from sidecar.policy.values import seconds
from sidecar.policy.words import counted

_STYLES = {"error": "red", "warning": "yellow", "info": "cyan"}
_source_options = together(
    click.option(
        "--har", "hars", multiple=True, type=FILE, help="Read this HTTP archive; may be repeated."
    ),
    click.option(
        "--policy",
        type=PATH,
        help="With URLs and --har: name routes by this policy. [default: all are `default`]",
    ),
    click.argument("urls", nargs=-1, metavar="[URL]..."),
)
"""Where responses come from: a running sidecar, or addresses and archives."""


@click.command("capture")
@_source_options
@click.option("--output", required=True, type=NEW_FILE, help="The baseline to write.")
@click.option("--force", is_flag=True, help="Overwrite the file.")
@admin_options
@click.pass_context
def capture_verb(
    context: click.Context, /, output: Path, *, force: bool, machine: bool, **options: Any
) -> None:
    """Record what the service sends, as a baseline to compare with.

    It is taken from a running sidecar, from URLs or from HTTP archives. Commit the file: cookie
    values, nonces and queries are never in it.
    """
    if output.exists() and not force:
        accept_ = f"sidecar drift {output} --accept --reason WHY"
        fix = f"give --force, or accept single changes with: {accept_}"
        raise click.UsageError(f"{output} is there already; {fix}")
    cells, source = _gather(context, options)
    baseline = Baseline(cells, stamp(time.time()), who(), source)
    if not cells:
        text = "no response of the service has been seen yet; nothing is written"
        say(text, "yellow")
        sys.exit(1)
    _write(output, baseline)
    if machine:
        as_json(to_data(baseline))
        return
    rows = [
        (*cell.key, cell.responses, len(cell.headers), len(cell.cookies), cell.first, cell.last)
        for cell in cells
    ]
    seen = ("sampled", "headers", "cookies", "first", "last")
    table("", ("route", "status", "content", *seen), rows)
    say(f"{output} is written; commit it, and compare with: sidecar drift {output}")


@click.command("drift")
@click.argument("file", type=NEW_FILE)
@_source_options
@click.option(
    "--for",
    "lasting",
    type=ParsedOption("time", seconds),
    metavar="TIME",
    help="With --admin: wait this long and judge only the responses of that time, as 30s.",
)
@click.option(
    "--fail-on",
    type=click.Choice((*SEVERITIES, "never")),
    default="error",
    help="Exit 1 on findings of this severity and worse; error = protection lost or weakened.",
)
@click.option(
    "--accept",
    "accepting",
    is_flag=True,
    help="Take the differences into the file; needs --reason.",
)
@click.option(
    "--reason", metavar="WHY", help="With --accept: why; the file keeps it, with who and when."
)
@admin_options
@click.pass_context
def drift_verb(
    context: click.Context,
    /,
    file: Path,
    *,
    lasting: float | None,
    fail_on: str,
    accepting: bool,
    reason: str | None,
    machine: bool,
    **options: Any,
) -> None:
    """Compare what the service sends now with a baseline."""
    if accepting and not (reason and reason.strip()):
        raise click.UsageError("--accept needs --reason WHY")
    data = read_bytes(file, first="sidecar capture --output FILE")
    baseline = read_baseline(data, str(file))
    cells, _ = _gather(context, options, lasting)
    report, taken, failed = drift(baseline, cells), baseline, False
    if accepting:
        now = stamp(time.time())
        taken = accept(baseline, cells, report, at=now, by=who(), reason=reason or "")
    elif fail_on != "never":
        failed = bool(report.at_least(cast("Severity", fail_on))) or not report.compared
    if accepting and taken is not baseline:
        _write(file, taken)
    if machine:
        verdict = "inconclusive" if not report.compared else "drift" if report.findings else "same"
        accepted = taken is not baseline
        as_json({"verdict": verdict, "failed": failed, "accepted": accepted, **report.data()})
    else:
        _print(report)
        if not report.compared:
            next_step(f"name pages of the kinds that it holds: sidecar drift {file} URL...")
        elif failed:
            next_step(f"sidecar drift {file} --accept --reason WHY, where the change was meant")
        if accepting:
            nothing = "there was nothing to accept"
            say(f"{file} is written" if taken is not baseline else nothing)
    sys.exit(1 if failed else 0)


def _gather(
    context: click.Context, options: Mapping[str, Any], lasting: float | None = None
) -> tuple[tuple[Cell, ...], str]:
    """The cells, and where they come from in a word."""
    urls, hars = options["urls"], options["hars"]
    if not urls and not hars:
        client: Admin = options["client"]
        cells = from_data(client.get("/api/baseline")["tally"]).cells
        if lasting is not None:
            time.sleep(lasting)
            cells = since(from_data(client.get("/api/baseline")["tally"]).cells, cells)
        return cells, client.url
    if context.get_parameter_source("admin") is ParameterSource.COMMANDLINE or lasting is not None:
        raise click.UsageError("give either a running sidecar (--admin, --for), or URLs and --har")
    policy = options["policy"]
    plan = compile_policy(read_policy(policy) if policy else resolve({"version": 1}, {}))
    tally = Tally(per_second=float("inf"))
    for facts in _responses(urls, hars):
        tally.observe(plan.route(facts.host, facts.method, facts.path), facts)
    return tally.cells(), "urls" if urls else ", ".join(har.name for har in hars)


def _responses(urls: Sequence[str], hars: Iterable[Path]) -> list[Facts]:
    try:
        found = []
        with steps("ask", len(urls)) as done:
            for url in urls:
                found.append(ask(url).facts())
                done()
        for har in hars:
            found += [one.facts() for one in read_har(har)]
    except NoResponse as unanswered:
        step = "sidecar capture URL, or --har with another file"
        if is_silent(unanswered):
            step = (
                "start the service or name another address; sidecar audit URL shows what it sends"
            )
        give_up(unanswered, step)
    return found


def _write(file: Path, baseline: Baseline) -> None:
    """Replace the file whole; what would not load back is not written."""
    text = yaml_text(baseline)
    read_baseline(text.encode(), str(file))
    write_file(file, text)


def _print(report: DriftReport) -> None:
    rows = []
    for found in report.findings:
        severity = Text(found.severity, style=_STYLES[found.severity])
        where = f"{found.route} {found.status} {found.content}"
        what = (f"{found.header} {found.part}".strip(), _shown(found.before), _shown(found.now))
        seen = f"{found.seen} of {found.responses}"
        rows.append((severity, found.kind, where, *what, seen, found.why))
    if rows:
        table("", ("severity", "kind", "where", "header", "baseline", "now", "seen", "why"), rows)
    elif report.compared:
        kinds = counted(report.compared, "kind of response", "kinds of responses")
        show(f"nothing differs in {kinds}")
    if not report.compared:
        text = "nothing could be compared: no response was of a kind that the baseline holds"
        say(text, "yellow")
    unknown = ("not in the baseline", report.unknown)
    for title, cells in (("no response now in", report.unseen), unknown):
        if cells:
            more = f" and {len(cells) - 12} more" if len(cells) > 12 else ""
            say(f"{title}: {', '.join(cells[:12])}{more}")


def _shown(variants: tuple[Lines, ...]) -> str:
    return "\n".join(" | ".join(lines) or "(absent)" for lines in variants[:3]) or "(absent)"
