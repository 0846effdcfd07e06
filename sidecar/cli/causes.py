"""The verb `reports`: what browsers say rules in trial would break."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click
from rich.text import Text

from sidecar.cli.evidence import warn_of
from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.printing import as_json, say, table
from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.rollout.model import span
from sidecar.rollout.summing import source


@click.command("reports")
@click.argument("rule", required=False)
@click.option("--all", "everything", is_flag=True, help="Also what browser extensions caused.")
@click.option("--fleet", is_flag=True, help="From all replicas, each cause once.")
@admin_options
def reports_verb(
    rule: str | None, everything: bool, fleet: bool, client: Admin, machine: bool
) -> None:
    """Show what browsers reported about rules in trial, grouped by cause."""
    got = client.get(f"/api/reports{'?fleet=true' if fleet else ''}")
    shown = [
        cause
        for cause in got["causes"]
        if (rule is None or cause["rule"] == rule) and (everything or cause["kind"] != "noise")
    ]
    if machine:
        as_json({**got, "causes": shown})
        return
    if fleet:
        say(f"reported to {source(got['fleet'])}")
        warn_of(got["fleet"]["silent"])
    if not shown:
        why = "either nothing would break, or no rule is in trial (see `sidecar evidence`)"
        say(f"no reports: {why}")
        return
    seen = ("pages", "reports", "clients", "over", "whose")
    table("", ("id", "rule", "directive", "blocked", *seen), map(_row, shown))
    if got["overflow"]:
        why = "too many causes, or too many from one client"
        say(f"{got['overflow']} more reports were not kept: {why}")


def _row(cause: Mapping[str, Any]) -> tuple[object, ...]:
    blocked = Text(f"inline: {cause['sample']}" if cause["sample"] else cause["blocked"])
    over = span(cause["last"] - cause["first"])
    seen = (Text(", ".join(cause["pages"])), cause["count"], cause["clients"], over)
    about = (cause["id"], cause["rule"], cause["directive"], blocked)
    return (*about, *seen, CAUSE_KINDS[cause["kind"]])
