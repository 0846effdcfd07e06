"""The verb `import`: a policy from what a running server sends, or from other servers' settings."""

from __future__ import annotations

import contextlib
import ssl
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click

from sidecar.cli.checking import SHOWN, as_data, most_severe
from sidecar.cli.options import CACERT, PATH, read_har, read_text, trust
from sidecar.cli.printing import as_json, complain, next_step, problem_data, say, steps
from sidecar.files import write_file
from sidecar.importing.draft import Imported
from sidecar.importing.formats import FORMATS, convert, from_observations, guess
from sidecar.importing.observations import Observation
from sidecar.observed import (
    NoResponse,
    ObservedResponse,
    complete,
    is_silent,
    join,
    split,
    target_of,
)
from sidecar.observed.client import ask
from sidecar.source import lint_policy

_MAX_HOPS = 10
_PROBE = "/no-such-page-for-sidecar-import"
"""Asked for once, to see what an error response has."""


@click.command("import")
@click.argument("sources", nargs=-1, metavar="[URL | FILE]...")
@click.option(
    "--har",
    "hars",
    multiple=True,
    type=PATH,
    help="Take the responses of this HTTP archive; may be repeated.",
)
@click.option(
    "--service",
    metavar="URL",
    help=(
        "The service behind the old proxy: comparing shows what the proxy removes, adds and leaves."
    ),
)
@CACERT
@click.option(
    "--from",
    "form",
    metavar=f"[{'|'.join(sorted(FORMATS))}]",
    help="The format of the files. [default: what the texts look like]",
)
@click.option("--output", type=PATH, help="Write the policy to this new file. [default: stdout]")
@click.option("--strict", is_flag=True, help="Exit 1 when anything could not be carried.")
@click.option(
    "--json", "machine", is_flag=True, help="JSON on stdout: the policy's text and the notes."
)
def import_verb(
    sources: tuple[str, ...], output: Path | None, *, strict: bool, machine: bool, **how: Any
) -> None:
    """Make a report-only policy of a running server or proxy settings.

    URLS: each is asked twice, to see which values change, and so is one page that does not exist.
    Give pages, data and static files that need no login. FILES: header settings of nginx, Apache,
    Caddy, Traefik or ingress-nginx; give included files too. What a policy cannot express is listed
    on stderr, and so are mistakes in what was imported.
    """
    if output is not None and output.exists():
        raise click.UsageError(f"{output} exists; name another with --output")
    urls = [source for source in sources if "://" in source]
    files = [Path(source) for source in sources if "://" not in source]
    if bool(files) == bool(urls or how["hars"]):
        both = ", not both" if files else ""
        text = f"give URLs (http://HOST/PATH) and --har FILE, or settings FILES{both}"
        raise click.UsageError(text)
    form, imported = _from_files(files, how["form"]) if files else _from_responses(urls, **how)
    if output is not None:
        write_file(output, imported.policy_yaml)
    where = str(output or "stdout")
    _, found = lint_policy(imported.policy_yaml.encode(), where)
    mistakes = [problem for problem in found if problem.severity == "warning"]
    if machine:
        notes = [problem_data(note) for note in imported.notes]
        wrong = as_data(mistakes)
        data = {"from": form, "policy": imported.policy_yaml, "notes": notes, "mistakes": wrong}
        as_json(data)
    else:
        if output is None:
            click.echo(imported.policy_yaml, nl=False)
        shown, left = most_severe(mistakes, SHOWN)
        complain((*imported.notes, *shown))
        for rule, count in left.items():
            say(f"{where}: {count} more on {rule}")
        file = output or "policy.yaml"
        save = "" if output else "the same with --output policy.yaml, then: "
        next_step(f"{save}sidecar check {file} && sidecar run --policy {file}")
    lost = any(note.severity == "warning" for note in imported.notes)
    sys.exit(1 if strict and lost else 0)


def _from_files(files: Sequence[Path], form: str | None) -> tuple[str, Imported]:
    texts = {str(file): read_text(file).removeprefix("\ufeff") for file in files}
    chosen = form or guess(texts)
    if chosen not in FORMATS:
        known = chosen or guess(texts, "unread")
        kind = f"settings of {known} are not read" if known else "unknown format"
        raise click.UsageError(
            f"{', '.join(texts)}: {kind}; these are read: {', '.join(sorted(FORMATS))}"
            " (--from NAME says which it is)\n"
            "For anything else run the server, and take what it sends:"
            " sidecar import http://HOST/PATH..."
        )
    return chosen, convert(texts, chosen)


def _from_responses(
    urls: Sequence[str],
    hars: Sequence[Path],
    service: str | None,
    cacert: Path | None,
    form: str | None,
) -> tuple[str, Imported]:
    if form is not None:
        raise click.UsageError("--from is for files")
    try:
        seen = [*_asked(urls, service, trust(cacert)), *_recorded(hars, service)]
    except NoResponse as error:
        hint = "\nstart the server, or name another address: sidecar import URL"
        raise click.UsageError(f"{error}{hint if is_silent(error) else ''}") from error
    return "observed", from_observations(seen)


def _asked(
    urls: Sequence[str], service: str | None, authorities: ssl.SSLContext | None
) -> Iterator[Observation]:
    """What the addresses and their redirects on the same host send; and a page not found."""

    def look(url: str, *, probe: bool = False) -> Observation:
        first = ask(url, trust=authorities)
        return Observation(first, ask(url, trust=authorities), _bare(first, service), probe=probe)

    origins: dict[str, None] = {}
    with steps("ask", len(urls)) as done:
        for url in map(complete, urls):
            found = look(url)
            yield found
            for _ in range(_MAX_HOPS):
                target = found.response.target
                if not target or split(target).hostname != split(url).hostname:
                    break
                try:
                    found = look(target)
                except NoResponse:
                    break
                yield found
            origins[join(url, _PROBE)] = None
            done()
    for address in origins:
        with contextlib.suppress(NoResponse):
            yield look(address, probe=True)


def _recorded(hars: Sequence[Path], service: str | None) -> Iterator[Observation]:
    """The responses of archives; an earlier one to the same request shows what changes."""
    earlier: dict[tuple[str, str], ObservedResponse] = {}
    for file in hars:
        for one in read_har(file):
            bare = _bare(one, service) if one.method == "GET" else None
            yield Observation(one, earlier.get((one.method, one.url)), bare)
            earlier[one.method, one.url] = one


def _bare(seen: ObservedResponse, service: str | None) -> ObservedResponse | None:
    """What the service itself responds to the same request."""
    if service is None:
        return None
    parts = seen.place
    headers = {"Host": parts.netloc.rpartition("@")[2], "X-Forwarded-Proto": parts.scheme}
    return ask(service.rstrip("/") + target_of(parts), headers=headers)
