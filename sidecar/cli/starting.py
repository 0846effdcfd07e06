"""The verb init: a policy, its tests and the next command, from a running service or a preset."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

import click

from sidecar.audit.first_files import InitChoices, policy_text, preset_for, tests_text
from sidecar.audit.report import report
from sidecar.audit.visit import Visit
from sidecar.cli.auditing import look
from sidecar.cli.options import INSECURE, NEW_FILE
from sidecar.cli.printing import say
from sidecar.files import write_file
from sidecar.observed import complete
from sidecar.policy.words import counted
from sidecar.source import load_policy, preset_texts

_DEFAULT_URL = "http://127.0.0.1:8000"
_SEEN = "seen"
"""The start from what was seen, and no preset."""


@click.command()
@click.argument("url", default=_DEFAULT_URL, envvar="SIDECAR_UPSTREAM")
@click.option("--preset", help="Start from this preset, whether the service responds or not.")
@click.option("--name", help="What the service is called. [default: its host, or this folder]")
@click.option("--owner", help="Who is responsible for the policy: a mail address or a team.")
@click.option(
    "--output",
    type=NEW_FILE,
    default=Path("policy.yaml"),
    help="The policy to write; its tests are written beside it, as NAME.test.yaml.",
)
@click.option("--yes", is_flag=True, help="Ask nothing: take the defaults.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
@INSECURE
def init(
    url: str,
    preset: str | None,
    name: str | None,
    owner: str | None,
    output: Path,
    yes: bool,
    force: bool,
    insecure: bool,
) -> None:
    """Write a first policy, report-only, and tests for your service.

    URL is where the service listens; without it, http://127.0.0.1:8000. At a terminal it asks for
    name, owner and preset, unless --yes is given.
    """
    known = preset_texts()
    if preset is not None and preset not in known:
        raise click.UsageError(f"unknown preset {preset!r}; known: {', '.join(known)}")
    tests = output.with_name(f"{output.stem}.test.yaml")
    asks = not yes and sys.stdin.isatty()
    _free((output, tests), asks=asks, force=force)
    visit = _seen(url, insecure=insecure, needed=preset is None)
    parts = urlsplit(url if "://" in url else f"http://{url}")
    host = parts.hostname or ""
    is_name = any(char.isalpha() for char in host) and host != "localhost"
    called = host if is_name else Path.cwd().name or "service"
    wishes = InitChoices(
        name=name or _ask("What is the service called?", called, asks=asks),
        owner=owner or _ask("Who is responsible for the policy (mail or team)?", "", asks=asks),
        preset=preset or _start(visit, asks=asks),
        policy_file=output.name,
        test_file=tests.name,
    )
    text = policy_text(wishes, visit)
    resolved = load_policy(text.encode(), str(output))
    for file, content in ((output, text), (tests, tests_text(wishes, resolved, visit))):
        write_file(file, content)
    rules = len(resolved.routes[-1].rules)
    says = "the sidecar logs what they would change, and changes nothing (mode: report-only)"
    say(f"{output}: {counted(rules, 'rule')}; {says}")
    say(f"{tests}: 2 tests of it")
    if visit and (wrong := [row.header for row in report(visit).rows if row.verdict == "invalid"]):
        names = ", ".join(dict.fromkeys(wrong))
        text = f"browsers ignore some of what the service sends ({names}): sidecar audit {url}"
        say(text)
    say(f"next: sidecar check {output} && sidecar test {tests}")
    upstream = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
    say(f"then: sidecar run --policy {output} --upstream {upstream}")


def _free(files: tuple[Path, ...], *, asks: bool, force: bool) -> None:
    """Nothing that is there is overwritten without a yes."""
    there = [str(file) for file in files if file.exists()]
    if not there or force:
        return
    if not asks:
        raise click.UsageError(
            f"already there: {' and '.join(there)}; --force overwrites, --output names another file"
        )
    if not click.confirm(f"Overwrite {' and '.join(there)}?", default=False, err=True):
        raise click.UsageError("nothing was written; name another file with --output")


def _seen(url: str, *, insecure: bool, needed: bool) -> Visit | None:
    """What is known of the service; None where it does not respond and need not."""
    loopback = url.startswith(("localhost", "127.", "[::1]"))
    try:
        address = complete(f"http://{url}" if loopback else url)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    visit = look(address, insecure=insecure)
    if visit.page is not None:
        return visit
    if not needed:
        return None
    why = next((note for note in visit.notes if "no response" in note), f"{address}: no response")
    raise click.ClickException(
        f"{why}\nstart the service and name its address: sidecar init URL\n"
        "or begin without it: sidecar init --preset baseline-2026-11"
    )


def _ask(question: str, default: str, *, asks: bool) -> str:
    if not asks:
        return default
    said = click.prompt(question, default=default, show_default=bool(default), err=True)
    return str(said).strip()


def _start(visit: Visit | None, *, asks: bool) -> str:
    """The preset to start from; "" = rules from what was seen."""
    fitting = preset_for(visit) if visit else ""
    if not asks:
        return fitting
    choice = click.prompt(
        f"Start from what the service sends ({_SEEN}), or from a ready-made policy?",
        type=click.Choice((_SEEN, *preset_texts())),
        default=fitting or _SEEN,
        err=True,
    )
    return "" if choice == _SEEN else str(choice)
