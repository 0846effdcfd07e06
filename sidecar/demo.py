"""The demo: a faulty sample service, the sidecar in front of it, a policy to edit.

It builds the same `Service` from the same settings as a user's set-up does.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import socket
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

from aiohttp import web
from rich.console import Console
from rich.text import Text

from sidecar import sample
from sidecar.admin import view
from sidecar.files import UnwritableError, write_file
from sidecar.observed.client import ask
from sidecar.policy.data import read_text
from sidecar.policy.terms import PolicyError, Problem
from sidecar.runtime.service import Service
from sidecar.settings import Settings, Timeouts, Trial
from sidecar.telemetry.events import QueuedOutput, capture_logging

POLICY = read_text("sidecar", "demo_policy.yaml")


async def show(folder: Path, port: int) -> None:
    """Run the demo until Ctrl-C; `folder` gets `policy.yaml`, `events.jsonl` and `state/`."""
    console = Console(highlight=False, soft_wrap=True)
    try:
        policy = _starter(folder, console)
        file = (folder / "events.jsonl").open("wb")
    except OSError as error:
        file_name = str(error.filename or folder)
        fix = "choose another folder with --dir"
        problem = Problem(error.strerror or str(error), fix, file=file_name)
        raise UnwritableError((problem,)) from error
    with file:
        sink = QueuedOutput(file.fileno())
        capture_logging(sink, "info")
        async with contextlib.AsyncExitStack() as running:
            cdn = await _serve(running, sample.cdn())
            upstream = await _serve(running, sample.service(cdn))
            service = Service(_settings(folder, policy, upstream, port), sink)
            stop = asyncio.Event()
            for number in (signal.SIGINT, signal.SIGTERM):
                asyncio.get_running_loop().add_signal_handler(number, stop.set)
            try:
                await service.start()
                await _tour(console, service, folder)
                service.telemetry.watch(lambda data: _say(console, data))
                await stop.wait()
                console.print("\nstopping")
                await service.drain()
            finally:
                await service.close()
        sink.close()
    console.print(f"The folder {folder}/ stays: policy.yaml, events.jsonl, state/.")


async def _serve(running: contextlib.AsyncExitStack, app: web.Application) -> str:
    """Serve an application on a free port until `running` ends; returns its origin."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    running.push_async_callback(runner.cleanup)
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    return f"http://127.0.0.1:{runner.addresses[0][1]}"


def _starter(folder: Path, console: Console) -> Path:
    """Write the starter policy; keep an edited one of an earlier demo, remove the old state."""
    policy, mark = folder / "policy.yaml", folder / ".sidecar-demo"
    if folder.is_dir() and any(folder.iterdir()) and not mark.exists():
        fix = "choose another with --dir, or remove it"
        raise PolicyError((Problem(f"{folder} is not empty, and no demo", fix),))
    folder.mkdir(parents=True, exist_ok=True)
    mark.touch()
    shutil.rmtree(folder / "state", ignore_errors=True)
    if policy.exists() and policy.read_bytes() != POLICY.encode():
        kept = policy.replace(folder / "policy.before.yaml")
        console.print(f"Your edited policy of an earlier demo is kept as {kept}.")
    write_file(policy, POLICY)
    return policy


def _settings(folder: Path, policy: Path, upstream: str, port: int) -> Settings:
    return Settings(
        upstream=upstream,
        listen=f"127.0.0.1:{_free(port)}",
        admin=f"127.0.0.1:{_free(19000)}",
        health=f"127.0.0.1:{_free(19001)}",
        policy=str(policy),
        state=str(folder / "state"),
        timeouts=Timeouts(drain=2.0),
        trial=Trial(canary=1.0),  # few pages are loaded in a demo
    )


def _free(port: int) -> int:
    """This port, or 0 (any) when it is in use."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return 0
    return port


async def _tour(console: Console, service: Service, folder: Path) -> None:
    listen, command = service.listen[0], _command()
    response = await asyncio.to_thread(ask, f"http://{listen}/")
    lines = [f"HTTP/1.1 {response.status} {HTTPStatus(response.status).phrase}"]
    lines += [f"{name.decode()}: {value.decode('latin-1')}" for name, value in response.fields]
    head = "\n".join(f"     {line}" for line in lines)
    policy = shlex.quote(str(folder / "policy.yaml"))
    events = shlex.quote(str(folder / "events.jsonl"))
    admin = f"--admin http://{service.admin}"
    few = "--min-requests 3 --min-time 1s"
    browse = f"http://{listen}/"
    steps = f"""\
1. Report-only: the response is the service's own, faults and all.
   $ curl -si {browse}
2. What would have changed is logged, and counted.
   $ tail -n 1 {events}
   $ curl -s http://{service.health}/metrics | grep violations_total
3. Trial: one word in the file, and browsers say what the policy would break. In force within two seconds.
   $ sed -i.bak 's/^mode: report-only/mode: trial/' {policy}
4. Open {browse} in a browser, two or three times. Then see what it reported.
   $ {command} reports csp {admin}
5. The smallest edit that keeps the page working; drop --write to see it only.
   $ {command} suggest csp --write --min-clients 1 --min-time 0s --policy {policy} {admin}
6. Load the page a few times again. With nothing left to report, the rule is promoted.
   $ {command} promote csp --policy {policy} {few} {admin}
7. Enforce the other rules too.
   $ sed -i.bak 's/mode: trial/mode: enforce/' {policy}
   $ curl -si {browse}     # also /api/items, /old (a redirect), /broken (a 500), /nowhere (a 404)
8. Roll back: at once, and it stays back although the file still says enforce.
   $ {command} rollback {admin}
   $ {command} history {admin}"""  # noqa: E501
    console.print(Text("\nheader-sidecar demo", style="bold"))
    console.print(
        f"A sample service with the usual faults runs behind http://{listen}/\nTry this in a second"
        " terminal; Ctrl-C ends it.\n"
    )
    for at, line in enumerate(steps.splitlines()):
        console.print(Text(line, style="cyan" if line.startswith("   $") else "bold"))
        if at == 1:
            console.print(Text(head, style="dim"))
    console.print(Text("\nWhat happens is logged here:", style="bold"))


def _command() -> str:
    """How the reader can call the command that is running."""
    called = Path(sys.argv[0])
    if called.name != "sidecar":
        return f"{shlex.quote(sys.executable)} -m sidecar"
    if str(called.parent) in os.environ.get("PATH", "").split(os.pathsep):
        return "sidecar"
    with contextlib.suppress(ValueError):
        return shlex.quote(str(called.relative_to(Path.cwd())))
    return shlex.quote(str(called))


def _say(console: Console, data: dict[str, Any]) -> None:
    """One event as one line for people."""
    event, text = data["event"], view.event(data)["text"]
    if event == "policy.rejected":
        lines = ("the file is not put in force; the last good revision stays", *data["problems"])
        text = "\n     ".join(lines)
    console.print(Text.assemble("   ", (f"{event:<22}", "bold"), text))
