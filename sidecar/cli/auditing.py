"""The verb audit: live pages, HTTP archives or raw responses judged, scored, turned into rules."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sidecar.audit import asvs
from sidecar.audit.first_files import draft, gather
from sidecar.audit.outcomes import GRADES
from sidecar.audit.report import AuditReport, Level, as_data, reaches, report, sarif
from sidecar.audit.visit import Visit, from_har, from_raw
from sidecar.cli.options import CACERT, INSECURE, PATH, format_options, read_bytes, trust
from sidecar.cli.printing import as_json, next_step, say, show, steps, table
from sidecar.files import write_file
from sidecar.observed import complete
from sidecar.source import load_policy
from sidecar.templates import page

_STYLES = {"good": "green", "weak": "yellow", "leaks": "magenta"}
"""By verdict; any other is red."""
_OUTCOMES = {"pass": "green", "fail": "red", "review": "yellow", "not seen": "magenta"}
_LEVELS: tuple[Level, ...] = ("error", "warning", "note", "none")


@click.command()
@click.argument("urls", nargs=-1, metavar="[URL]...")
@click.option("--har", type=PATH, help="Judge the pages of an HTTP archive, saved by a browser.")
@click.option(
    "--raw",
    type=PATH,
    help="Judge responses as `curl -si` prints them; - reads stdin. URL says where they came from.",
)
@format_options("table", "json", "markdown", "sarif")
@click.option(
    "--profile",
    type=click.Choice([asvs.PROFILE]),
    help="Judge by the controls V3.4.1 to V3.4.8 of OWASP ASVS 5.0 instead; exit 1 when one fails.",
)
@click.option(
    "--level",
    type=click.IntRange(1, 3),
    default=3,
    help="With --profile: the controls of this level and below.",
)
@click.option(
    "--min-grade",
    type=click.Choice([name for _, name in GRADES]),
    help="Exit 1 when a page's grade is below this.",
)
@click.option(
    "--write", type=PATH, help="Write a first report-only policy with a rule for each finding."
)
@click.option("--force", is_flag=True, help="Let --write overwrite a file.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=10.0, help="Seconds for each response."
)
@INSECURE
@CACERT
@click.option(
    "--http-port",
    type=click.IntRange(1, 65535),
    help="The site's http port. [default: 80, where the page is on 443]",
)
@click.option(
    "--https-port",
    type=click.IntRange(1, 65535),
    help="The site's https port. [default: 443, where the page is on 80]",
)
@click.option(
    "--preloaded",
    multiple=True,
    metavar="HOST",
    help="A host in the browsers' HSTS preload lists; may be repeated.",
)
def audit(urls: tuple[str, ...], har: Path | None, raw: Path | None, **how: Any) -> None:
    """Score the headers of live pages, and print rules that fix them."""
    file: Path | None = how["write"]
    if file is not None and file.exists() and not how["force"]:
        raise click.UsageError(f"{file} exists; --force overwrites it, --write names another")
    if how["profile"] and (file is not None or how["min_grade"]):
        fix = "leave out --min-grade and --write"
        raise click.UsageError(f"--profile gives no grade and no policy; {fix}")
    visits = _visits(urls, har, raw, how)
    form = how["form"]
    if how["profile"]:
        sys.exit(_by_asvs(visits, how["level"], form))
    reports = [report(visit) for visit in visits]
    _print(reports, form)
    if file is not None:
        text = draft(reports)
        load_policy(text.encode(), str(file))
        write_file(file, text)
        say(f"{file}: a report-only policy; read it, then: sidecar check {file}")
    least = how["min_grade"]
    if any(one.status is None for one in reports):
        next_step("start the service, or name another address: sidecar audit URL")
    fine = all(one.status is not None and (least is None or reaches(one, least)) for one in reports)
    sys.exit(0 if fine else 1)


def _visits(
    urls: tuple[str, ...], har: Path | None, raw: Path | None, how: Mapping[str, Any]
) -> tuple[Visit, ...]:
    sources = (har is not None) + (raw is not None) + (bool(urls) and raw is None)
    if sources != 1 or (raw and len(urls) > 1):
        fix = "name URLs, or --har FILE, or --raw FILE with the URL that it came from"
        raise click.UsageError(fix)
    preloaded = frozenset(host.lower() for host in how["preloaded"])
    try:
        addresses = [complete(url) for url in urls]
        if har is not None:
            return from_har(read_bytes(har), str(har), preloaded)
        if raw is not None:
            url = addresses[0] if addresses else "https://localhost/"
            return from_raw(read_bytes(raw), url, str(raw), preloaded)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    options = {key: how[key] for key in ("timeout", "http_port", "https_port")}
    trusted = trust(how["cacert"], insecure=how["insecure"])
    return _fetched(addresses, trust=trusted, preloaded=preloaded, **options)


def _fetched(addresses: Sequence[str], **how: Any) -> tuple[Visit, ...]:
    from sidecar.audit import retrieve  # the client is slow to load, and no other verb needs it

    # Otherwise it prints each cookie that its jar does not take.
    logging.getLogger("aiohttp").addHandler(logging.NullHandler())
    with steps("audit", len(addresses)) as done:
        return asyncio.run(retrieve.visits(addresses, retrieve.Options(**how), done))


def _by_asvs(visits: Sequence[Visit], level: asvs.Level, form: str) -> int:
    """Print the controls; the exit status: 1 where one failed or there was no response."""
    pages = [(visit, asvs.controls(visit, level)) for visit in visits]
    if form == "json":
        as_json(asvs.data(pages))
    elif form == "sarif":
        as_json(asvs.sarif(pages))
    elif form == "markdown":
        click.echo(asvs.markdown(pages), nl=False)
    else:
        for visit, results in pages:
            _controls_table(visit, results)
        show(asvs.SCOPE, style="dim")
    if any(not results for _, results in pages):
        next_step("start the service, or name another address: sidecar audit URL")
    fine = all(results and all(one.outcome != "fail" for one in results) for _, results in pages)
    return 0 if fine else 1


def _controls_table(visit: Visit, results: Sequence[asvs.ControlResult]) -> None:
    show(asvs.address(visit), style="bold", soft_wrap=True)
    rows = []
    for one in results:
        outcome = Text(one.outcome, style=_OUTCOMES[one.outcome])
        proof = "\n".join(map(str, one.proof))
        rows.append((one.control, outcome, f"{one.asks}.\n{one.why}", proof))
    table("", ("control", "outcome", "asks, and why", "proof"), rows)
    for note in visit.notes:
        show(f"note: {note}", style="dim", soft_wrap=True)
    show()


def look(address: str, *, insecure: bool) -> Visit:
    """One page, fetched as `audit` does; nothing is raised without a response."""
    return _fetched([address], trust=trust(None, insecure=insecure))[0]


def _print(reports: list[AuditReport], form: str) -> None:
    if form == "json":
        as_json({"pages": [as_data(one) for one in reports]})
    elif form == "sarif":
        as_json(sarif(reports))
    elif form == "markdown":
        text = page("sidecar.audit", "report.md.jinja", reports=reports, gather=gather)
        click.echo(text, nl=False)
    else:
        for one in reports:
            _table(one)
        rows = []
        for one in reports:
            covered = f"{one.coverage.followed}/{one.coverage.due}" if one.coverage else "-"
            findings = sum(row.verdict != "good" for row in one.rows)
            score = "-" if one.score is None else one.score
            rows.append((one.url, one.grade or "-", score, covered, findings))
        if len(rows) > 1:
            table("", ("page", "grade", "score", "OWASP", "findings"), rows)


def _table(one: AuditReport) -> None:
    mark = "no score" if one.grade is None else f"grade {one.grade}, score {one.score}"
    show((one.url, "bold"), "  ", (mark, "bold cyan"), soft_wrap=True)
    if one.coverage:
        show(f"OWASP: {one.coverage.said}")
    rows = []
    for row in sorted(one.rows, key=lambda row: _LEVELS.index(one.level(row))):
        verdict = Text(row.verdict, style=_STYLES.get(row.verdict, "red"))
        rows.append((row.header, verdict, "\n".join(row.observed), "\n".join(row.said)))
    if rows:
        show()
        table("", ("header", "verdict", "observed", "why"), rows)
    if one.results:
        show()
        tests = [(each.test, each.outcome, each.signed) for each in one.results]
        table("", ("test", "outcome", "points"), tests)
    if found := gather((one,)):
        title = "rules for the findings (--write FILE makes a report-only policy of them):"
        show(f"\n{title}", style="bold")
        for rule in found:
            show(rule.fix.yaml, soft_wrap=True)
    for note in one.notes:
        show(f"note: {note}", style="dim", soft_wrap=True)
    show()
