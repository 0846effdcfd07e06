"""The verb `suggest`: the smallest edit of the policy file that prevents what browsers reported."""

from __future__ import annotations

import shlex
import ssl
import sys
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sidecar.audit.visit import from_har
from sidecar.cli.evidence import print_nothing_reported
from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.options import CACERT, FILE, NEW_FILE, ParsedOption, read_bytes, read_text, trust
from sidecar.cli.printing import as_json, plain, say, show, show_diff, steps
from sidecar.files import edit_file
from sidecar.observed import NoResponse, ObservedResponse, without_query
from sidecar.observed.client import ask
from sidecar.policy.values import seconds
from sidecar.policy.words import counted
from sidecar.rollout.edits import difference
from sidecar.rollout.model import Cause
from sidecar.rollout.note import digest
from sidecar.suggest import Suggestion, suggest
from sidecar.suggest.model import Proposal, Snippet, Terms, from_loads, from_routes

_STYLES = {"add": "green", "allowed": "dim", "refused": "red"}
"""By outcome; any other is yellow."""
_LOADS = 2
"""How often a page is read: what differs between two loads varies."""
_MAX_PAGE = 4 << 20
_MAX_HOPS = 10
_MAX_SHOWN = 32_768
"""Characters of one script that are printed."""


@click.command("suggest")
@click.argument("rule", required=False)
@click.option(
    "--policy",
    "file",
    type=NEW_FILE,
    default=Path("policy.yaml"),
    help="The file to edit.",
)
@click.option("--write", is_flag=True, help="Make the edit; without it, it is only shown.")
@click.option(
    "--from-trial",
    is_flag=True,
    help="Write each source on a line of its own, with its evidence in a comment.",
)
@click.option(
    "--accept",
    "accepted",
    multiple=True,
    metavar="CAUSE",
    help="A cause, by its id, that counts although it is below the minimums; may be repeated.",
)
@click.option(
    "--url",
    "urls",
    multiple=True,
    metavar="URL",
    help="A page to read (twice), besides those that the sidecar has read; may be repeated.",
)
@click.option("--har", type=FILE, help="Read the pages of this recording.")
@click.option(
    "--min-clients",
    type=click.IntRange(1, 16),
    default=3,
    help=(
        "Clients that must have received the page that holds the source, or have reported it"
        " where no known page does."
    ),
)
@click.option(
    "--min-time",
    type=ParsedOption("time", seconds),
    default="1h",
    help="Over how long they must have done so.",
)
@click.option("--fleet", is_flag=True, help="Also what browsers reported to other replicas.")
@CACERT
@admin_options
def suggest_verb(
    rule: str | None,
    file: Path,
    write: bool,
    from_trial: bool,
    accepted: tuple[str, ...],
    urls: tuple[str, ...],
    har: Path | None,
    min_clients: int,
    min_time: float,
    fleet: bool,
    cacert: Path | None,
    client: Admin,
    machine: bool,
) -> None:
    """Propose the smallest edit that prevents what browsers reported."""
    before = read_text(file, first="sidecar init")
    recorded = from_har(read_bytes(har), str(har)) if har else ()
    loads = [*_fetched(urls, cacert), *(visit.page for visit in recorded if visit.page)]
    causes = client.rows(
        Cause, client.get(f"/api/reports{'?fleet=true' if fleet else ''}")["causes"]
    )
    known = {cause.id for cause in causes}
    if unknown := [one for one in accepted if one not in known]:
        raise click.UsageError(f"no cause has the id {unknown[0]!r}; see `sidecar reports`")
    terms = Terms(min_clients, min_time, frozenset(accepted))
    contents = from_routes(client.get("/api/pages")["routes"], terms) | from_loads(loads)
    running = client.get(f"/api/revisions/{client.get('/api/status')['revision']}")["text"]
    how: dict[str, Any] = {"comments": from_trial, "running": running, "name": str(file)}
    found = suggest(before, causes, contents, terms, rule=rule, **how)
    diff = difference(before, found.text, f"{file} (before)", f"{file} (suggested)")
    written = write and found.text != before
    if written:
        _write(client, file, before, found, diff)
    if machine:
        proposals = [asdict(one) | {"needs_person": one.needs_person} for one in found.proposals]
        as_json({"proposals": proposals, "diff": diff, "written": written})
    else:
        _print(found, diff)
        if found.proposals:
            _print_next(found, file, diff, written=written, from_trial=from_trial)
        else:
            say("nothing to do")
            print_nothing_reported(client, rule)
    sys.exit(1 if any(one.needs_person for one in found.proposals) else 0)


def _write(client: Admin, file: Path, before: str, found: Suggestion, diff: str) -> None:
    """Make the edit; the journal knows first."""
    taken = [one for one in found.proposals if one.outcome == "add"]
    client.post(
        "/-/suggestion",
        rules=sorted({one.rule for one in taken}),
        causes=[one.cause for one in taken if one.cause],
        reason="; ".join(dict.fromkeys(one.text for one in taken)) or None,
        command=f"sidecar {shlex.join(sys.argv[1:])}",
        file=str(file),
        before=digest(before),
        after=digest(found.text),
        diff=diff,
    )
    edit_file(file, before, found.text)


def _fetched(urls: Sequence[str], cacert: Path | None) -> Iterator[ObservedResponse]:
    if not urls:
        return
    authorities = trust(cacert)
    with steps("read", len(urls)) as done:
        for url in urls:
            for _ in range(_LOADS):
                yield _page(url, authorities)
            done()


def _page(url: str, authorities: ssl.SSLContext | None) -> ObservedResponse:
    """The page that an address leads to."""
    for _ in range(_MAX_HOPS):
        page = ask(url, headers={"Accept": "text/html"}, most=_MAX_PAGE, trust=authorities)
        if not page.target:
            break
        url = page.target
    if not 200 <= page.status < 300:
        raise NoResponse(f"{without_query(url)}: status {page.status}; name a page")
    return page


def _print(found: Suggestion, diff: str) -> None:
    alike: dict[tuple[str, ...], list[Proposal]] = {}
    for one in found.proposals:
        alike.setdefault((one.rule, one.outcome, one.directive, one.text, one.fix), []).append(one)
    for (_, outcome, *_rest), group in alike.items():
        several = len(group) if outcome in ("allowed", "waiting", "advice") else 0
        for one in group[:3] if several > 4 else group:
            for line in _lines(one):
                show(line, soft_wrap=True)
        if several > 4:
            show(f"         and {several - 3} more like these (--json has them all)")
    snippets = {
        snippet.hash: snippet
        for one in found.proposals
        if one.outcome != "allowed"
        for snippet in one.snippets
    }
    if snippets:
        show(
            "\nread all of this code before you allow it: an attacker's may be as stable",
            style="bold",
        )
        for snippet in snippets.values():
            for line in _script(snippet):
                show(line, soft_wrap=True)
    if diff:
        show()
        show_diff(diff)


def _lines(one: Proposal) -> Iterator[Text]:
    yield Text.assemble(
        (f"{one.outcome:<9}", _STYLES.get(one.outcome, "yellow")),
        (f"{one.rule}  ", "bold"),
        _visible(f"{one.directive}  {one.blocked}  [{one.cause}]"),
    )
    yield Text(f"         {one.text}")
    yield Text(_visible(f"         seen: {one.witness}"), style="dim")
    for warning in one.warnings:
        yield Text(f"         note: {warning}", style="yellow")
    if one.fix:
        yield Text(_visible(f"         {'better' if one.outcome == 'add' else 'fix'}: {one.fix}"))


def _script(one: Snippet) -> Iterator[Text]:
    seen = "" if one.clients is None else f", {counted(one.clients, 'client')}"
    about = f"{one.kind} of {one.page}, line {one.line}{seen}, {one.hash}"
    yield Text(_visible(f"\n{about}"), style="bold")
    for line in one.text[:_MAX_SHOWN].splitlines() or [""]:
        yield Text(f"  | {_visible(line)}")
    if not one.whole:
        yield Text("  ... the rest was not kept: read it in the page", style="yellow")
    elif (more := len(one.text) - _MAX_SHOWN) > 0:
        yield Text(f"  ... {more:,} more characters: --json prints them all", style="yellow")


def _visible(text: str) -> str:
    """Foreign text with invisible characters escaped: control characters, changes of direction."""
    return "".join(
        f"\\u{ord(char):04x}" if unicodedata.category(char) in ("Cf", "Zl", "Zp") else char
        for char in plain(text)
    )


def _print_next(
    found: Suggestion, file: Path, diff: str, *, written: bool, from_trial: bool
) -> None:
    if written:
        then = "the trial begins anew with it: let browsers load pages, then `sidecar reports`"
        say(f"{file} is written; {then}")
    elif diff:
        say("nothing is written; --write makes the edit")
    if from_trial and found.open:
        names = ", ".join(found.open)
        say(f"default-src does not govern {names}: write and try them in the same way")
