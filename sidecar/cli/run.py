"""The verbs that run: run, demo, health."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sidecar.cli.options import PATH, SERVICE
from sidecar.cli.printing import complain, give_up, say
from sidecar.policy.terms import MODES, PolicyError, Problem

if TYPE_CHECKING:
    from sidecar.runtime.service import Service


@click.command()
@SERVICE
@click.option("--listen", metavar="HOST:PORT", help="Data listener. [default: 127.0.0.1:18000]")
@click.option("--admin", metavar="HOST:PORT", help="Admin listener. [default: 127.0.0.1:19000]")
@click.option("--health", metavar="HOST:PORT", help="Health listener. [default: 127.0.0.1:19001]")
@click.option("--state", metavar="DIR", help="Folder for revisions and journal. [default: state]")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes. [default: 1]")
@click.option(
    "--mode", type=click.Choice(MODES), help="A ceiling over the policy's mode for this process."
)
def run(config: Path | None, **flags: Any) -> None:
    """Run the sidecar in front of a service.

    Its events go to stdout, as JSON lines from the first byte. Ctrl-C or SIGTERM lets requests end
    and stops it; SIGHUP reads the policy again, SIGUSR2 limits the mode to report-only.
    """
    gc.disable()  # while all is loaded: looking through it took a quarter of that time
    from sidecar.revisions.store import claimed
    from sidecar.runtime.loop import collect_seldom, run_to_end
    from sidecar.runtime.service import serve
    from sidecar.runtime.settings_file import read_settings
    from sidecar.telemetry.events import QueuedOutput, capture_logging

    collect_seldom()
    settings = read_settings(config, flags)
    with suppress(OSError):  # the start says what is wrong with the folder, and goes on
        if claimed(Path(settings.state)) is None:
            text = f"another sidecar runs on the state folder {settings.state}"
            raise PolicyError((Problem(text, "stop it, or choose another folder: --state DIR"),))
    sink = QueuedOutput(sys.stdout.fileno())
    capture_logging(sink, settings.log.level)
    try:
        run_to_end(serve(settings, sink, _greet if sys.stderr.isatty() else None))
    finally:
        sink.close()


def _greet(service: Service) -> None:
    """Say at a terminal where it listens, and what is wrong with the policy file: events may go to
    a file.
    """
    data = "https" if service.settings.tls.certificate else "http"
    if problems := service.revisions.problems:
        complain(problems)
        say(f"until that is corrected, the last good revision {service.revisions.current.id} holds")
    say(f"in front of {service.settings.upstream}, mode {service.revisions.mode}")
    say(f"clients: {_link(service.listen[0], data)}   admin page: {_link(service.admin, 'http')}")
    say("Ctrl-C or SIGTERM stops it")


def _link(address: str, scheme: str) -> str:
    return address if address.startswith("unix:") else f"{scheme}://{address}/"


@click.command()
@click.option(
    "--dir", "folder", type=PATH, default=Path("sidecar-demo"), help="Where the policy is written."
)
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=18000,
    help="Port of the data listener; a free one is taken when it is in use.",
)
def demo(folder: Path, port: int) -> None:
    """Try it in a minute, on a sample service with the usual faults."""
    from sidecar.demo import show
    from sidecar.runtime.loop import run_to_end

    try:
        run_to_end(show(folder, port))
    finally:
        sys.excepthook = sys.__excepthook__  # the demo's own writes to its file, which is closed


@click.command()
@click.argument("url", default="http://127.0.0.1:19001/readyz")
@click.option("--timeout", type=click.FloatRange(0.001, 3600), default=2.0, help="Seconds.")
def health(url: str, timeout: float) -> None:
    """Ask a probe and exit 0 or 1, for images without curl.

    URL is the probe; without it, http://127.0.0.1:19001/readyz.
    """
    from sidecar.observed.client import ask

    if not url.startswith(("http://", "https://")):
        raise click.UsageError(f"unknown URL {url!r}; write http://HOST:PORT/readyz")
    try:
        found = ask(url, timeout=timeout, most=4096)
    except ValueError as error:
        give_up(error, "sidecar run, or name the probe of a running one: sidecar health URL")
    text = found.body.decode("utf-8", "replace").strip()
    if found.status >= 300:
        say(text)
        sys.exit(1)
    click.echo(text)
