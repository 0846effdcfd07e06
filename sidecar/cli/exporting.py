"""The verbs export and verify: a policy as another proxy's configuration, and whether a running
server sends what a policy says.
"""

from __future__ import annotations

import re
import ssl
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sidecar.cli.options import (
    CACERT,
    FILE,
    HEADER,
    INSECURE,
    JSON,
    PATH,
    POLICY_TO_READ,
    read_har,
    read_token,
    trust,
)
from sidecar.cli.policy import read_policy
from sidecar.cli.printing import (
    as_json,
    give_up,
    next_step,
    plain,
    say,
    show,
    steps,
    table,
)
from sidecar.exporting import TARGETS, export
from sidecar.exporting.replay import ReplayRequest, examples, named, recorded
from sidecar.exporting.target import WEIGHTS
from sidecar.exporting.verification import UNREACHED, Verification, VerificationRow, counts
from sidecar.files import write_file
from sidecar.observed import NoResponse, complete, split
from sidecar.observed.client import ask
from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.words import counted

_ADDRESS = re.compile(r"(?:https?://[^/\s\"',;\\]+)?/[^\s\"',;\\]*")
_WEIGHT_STYLES = {"lost": "yellow", "differs": "cyan", "note": "dim"}


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
    """Write what a policy enforces as settings of another proxy.

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
                say(f"{title.lower()}: {gap}", _WEIGHT_STYLES[weight])
        for limit in TARGETS[target].limits:
            say(f"in general: {limit}", "dim")
        lines = (line for route in compile_policy(resolved).routes for line in route.rules)
        if all(line.mode != "enforce" for line in lines):
            next_step("sidecar promote RULE; nothing is enforced, so no header is exported")
    lost = any(gap.weight == "lost" for gap in written.gaps)
    sys.exit(1 if strict and lost else 0)


_STYLES = {
    "differs": "red",
    "announced": "yellow",
    "holds": "green",
    "unseen": "dim",
    "unknown": "cyan",
}


@click.command("verify")
@click.argument("url", metavar="URL")
@POLICY_TO_READ
@click.option(
    "--path",
    "paths",
    multiple=True,
    metavar="[METHOD ]PATH",
    help="Ask for this path; may be repeated. [default: an example of each route]",
)
@click.option(
    "--har",
    "hars",
    multiple=True,
    type=FILE,
    help=(
        "Ask again what this HTTP archive holds: GET, HEAD and OPTIONS, without cookies; may be"
        " repeated."
    ),
)
@click.option(
    "--header",
    "lines",
    multiple=True,
    metavar="NAME:VALUE",
    type=HEADER,
    help="A header of each request, as Host or Cookie; may be repeated.",
)
@click.option(
    "--token-file", type=FILE, help="Send the token in this file as Authorization: Bearer."
)
@click.option(
    "--target",
    type=click.Choice(tuple(TARGETS)),
    help="The server runs an export for this proxy: differences that it announced are no failure.",
)
@INSECURE
@CACERT
@JSON
def verify_verb(
    url: str,
    file: Path,
    paths: tuple[str, ...],
    hars: tuple[Path, ...],
    lines: tuple[tuple[str, str], ...],
    token_file: Path | None,
    target: str | None,
    machine: bool,
    **certificates: Any,
) -> None:
    """Compare a server's headers with what a policy enforces.

    Exit 0: nothing that was seen differs. Exit 1: something differs, or nothing could be seen.
    """
    if "?" in url or "#" in url:
        raise click.UsageError("URL is where the server is; name what to ask by --path")
    url = complete(url, "http").rstrip("/")
    resolved = read_policy(file)
    found = Verification(resolved, export(resolved, target) if target else None)
    asked, others = _requests(resolved, url, paths, hars)
    more = {name.lower(): value for name, value in lines}
    if token_file is not None:
        more["authorization"] = f"Bearer {read_token(token_file)}"
    try:
        _ask(found, url, asked, more, trust(**certificates))
    except NoResponse as silent:
        step = "start the server, or name another address: sidecar verify URL"
        if "CERTIFICATE" in str(silent):
            step = "the same command with --cacert FILE, or with --insecure"
        give_up(silent, step)
    rows = found.rows()
    seen = counts(rows)
    if machine:
        policy = {"policy": resolved.policy.name, "revision": resolved.revision()}
        responses = {"responses": len(asked), "not_asked": others, "counts": seen}
        limits = list(TARGETS[target].limits) if target else []
        about = {"url": url, **policy, "target": target, **responses}
        as_json({**about, "rows": [asdict(row) for row in rows], "limits": limits})
    else:
        _print(rows, len(asked), others, target)
    sys.exit(1 if seen["differs"] or not (seen["holds"] or seen["announced"]) else 0)


def _requests(
    resolved: Resolved, url: str, paths: Iterable[str], hars: Iterable[Path]
) -> tuple[tuple[ReplayRequest, ...], int]:
    """What is asked, each once, and how many requests of archives are not."""
    try:
        asked = [named(path) for path in paths]
    except ValueError as error:
        raise click.UsageError(f"--path: {error}") from error
    others = 0
    for har in hars:
        found, left = recorded(read_har(har))
        asked, others = [*asked, *found], others + left
    if not paths and not hars:
        asked = list(examples(resolved, compile_policy(resolved), split(url).netloc))
    return tuple(dict.fromkeys(asked)), others


def _ask(
    found: Verification,
    url: str,
    asked: Sequence[ReplayRequest],
    more: Mapping[str, str],
    authorities: ssl.SSLContext | None,
) -> None:
    with steps("ask", len(asked)) as done:
        for one in asked:
            own = {"host": one.host} if one.host else {}
            lines = {**own, **dict(one.headers), **more}
            response = ask(url + one.target, one.method, headers=lines, trust=authorities)
            facts = response.facts()
            found.take(facts._replace(host=lines.get("host", facts.host).lower()))
            done()


def _print(
    rows: Sequence[VerificationRow], responses: int, others: int, target: str | None
) -> None:
    if rows:
        columns = ("route", "rule", "header", "result", "responses", "what was seen")
        table("", columns, _together(rows))
    for row in rows:
        for example in row.examples:
            head = f"{row.verdict}: route {row.route}, rule {row.rule}: {example.request}"
            show()
            show(plain(head), style=_STYLES[row.verdict])
            for mark, lines in (("- expected", example.expected), ("+ got     ", example.got)):
                text = " | ".join(lines) or "(absent)"
                show(plain(f"  {mark} {row.header}: {text}"))
    seen = counts(rows)
    said = ", ".join(f"{verdict} {number}" for verdict, number in seen.items() if number)
    said = f"rules: {said}" if said else "no rule is enforced"
    say(f"{counted(responses, 'response')}; {said}")
    if others:
        why = "their methods may change something"
        say(f"not repeated: {counted(others, 'request')} of the archive; {why}")
    if target and seen["differs"]:
        for limit in TARGETS[target].limits:
            say(f"{target}, in general: {limit}", "dim")
    if not rows:
        next_step("set mode: enforce in the policy; only what is enforced is compared")
    elif not any(seen[one] for one in ("differs", "announced", "holds")):
        next_step("name paths that the rules are about: sidecar verify URL --path PATH")
    elif seen["differs"]:
        next_step("sidecar export --to PROXY writes the configuration that the server should have")


def _together(rows: Sequence[VerificationRow]) -> Iterator[tuple[object, ...]]:
    """One line for a rule's headers with the same result, and one for a route not reached."""
    found: dict[tuple[str, str, str, str, int], list[str]] = {}
    for row in rows:
        rule, header = ("all", "") if row.reason == UNREACHED else (row.rule, row.header)
        key = (row.route, rule, row.verdict, row.reason, row.responses)
        found.setdefault(key, []).append(header)
    for (route, rule, verdict, reason, responses), names in found.items():
        result = Text(verdict, style=_STYLES[verdict])
        yield route, rule, ", ".join(dict.fromkeys(names)), result, responses or "", reason
