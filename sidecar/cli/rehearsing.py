"""The verb `rehearse`: the release on scratch ports."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.text import Text

from sidecar.baseline import responses
from sidecar.baseline.file import read_baseline
from sidecar.cli.options import FILE, JSON, SERVICE, read_bytes, read_har
from sidecar.cli.printing import Steps, as_json, next_step, show, steps
from sidecar.runtime.settings_file import read_settings


@click.command("rehearse")
@SERVICE
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
@click.option("--baseline", type=FILE, help="Replay the example paths of this baseline too.")
@click.option(
    "--har", type=FILE, help="Serve the responses of this recording instead of asking the service."
)
@JSON
def rehearse_verb(
    config: Path | None,
    paths: tuple[str, ...],
    baseline: Path | None,
    har: Path | None,
    machine: bool,
    **flags: Any,
) -> None:
    """Try a release on scratch ports, from report-only to rollback."""
    from sidecar.rehearsal import RehearsalStep, rehearse
    from sidecar.runtime.loop import run_to_end

    settings = read_settings(config, flags)
    recorded = read_har(har) if har else ()
    if baseline:
        cells = read_baseline(read_bytes(baseline), str(baseline)).cells
        seen = (facts for cell in cells for facts in responses(cell))
        paths = (*paths, *(facts.path for facts in seen if facts.method == "GET"))
    done: list[RehearsalStep] = []

    async def run(bar: Steps) -> None:
        async for step in rehearse(settings, paths, recorded):
            done.append(step)
            bar()
            if not machine:
                took = "" if step.seconds is None else f"{step.seconds * 1000:.1f} ms"
                mark = Text("pass", style="green") if step.passed else Text("FAIL", style="red")
                with bar.aside():
                    show(mark, f"  {step.name:<14}{took:>10}  {step.text}")

    with steps("rehearse", None) as bar:
        run_to_end(run(bar))
    passed = all(step.passed for step in done)
    if machine:
        as_json({"passed": passed, "steps": [asdict(step) for step in done]})
    if not passed:
        next_step(
            "correct what failed and rehearse again; sidecar check finds faults of the policy"
        )
    sys.exit(0 if passed else 1)
