"""What the verbs of a running sidecar say of its fleet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Any

import click

from sidecar.cli.options import together
from sidecar.cli.printing import as_json, give_up, local_time, mode_text, plain, say, show, table
from sidecar.policy.words import counted

_LIVES = 10
"""Seconds since a replica was last seen, after which it counts as gone."""
_WAIT = 3.0

fleet_options = together(
    click.option(
        "--fleet",
        is_flag=True,
        help=(
            "Refuse while the fleet's store cannot be reached. With fleet.url a command always"
            " applies to the fleet; without this option it takes effect here at once even then."
        ),
    ),
    click.option(
        "--if-version",
        "version",
        type=click.IntRange(0),
        metavar="N",
        help="Only if the fleet's decision is still this one, as `status --fleet` shows it.",
    ),
)
"""The options of every order that a fleet shares; the verb gets `fleet` and `version`."""


def print_progress(get: Callable[[str], Any], fleet: dict[str, Any] | None) -> None:
    """Print how far an order has come; waits a little for the others."""
    if fleet is None:
        return
    if fleet["pending"] or not fleet["connected"]:
        trouble = f"its store cannot be used ({fleet['trouble']})"
        then = f"This holds on {fleet['replica']} alone, and is published when the store is back"
        say(f"fleet {fleet['name']}: {trouble}. {then}", "yellow")
        return
    end = time.monotonic() + _WAIT
    while True:
        replicas = (get("/api/fleet")["fleet"] or {}).get("replicas") or []
        alive = [one for one in replicas if one["ago"] <= _LIVES]
        have = [one for one in alive if one.get("version", 0) >= fleet["version"]]
        if (alive and len(have) == len(alive)) or time.monotonic() > end:
            break
        time.sleep(0.05)
    where = f"in force on {len(have)} of {len(alive)} replicas"
    say(f"fleet {fleet['name']}: version {fleet['version']}, {where}")


def show_fleet(fleet: dict[str, Any] | None, *, machine: bool) -> None:
    """`status --fleet`; exit code 1 where there is none."""
    if fleet is None:
        step = "set fleet.url and fleet.name, or leave --fleet out"
        give_up("this sidecar is in no fleet", step)
    if machine:
        as_json(fleet)
        return

    version = f"{fleet['name']}, version {fleet['version']}"
    show(("fleet     ", "bold"), version)
    if not fleet["connected"]:
        show(f"the store cannot be used: {plain(fleet['trouble'])}", style="red")
    if fleet["pending"]:
        pending = f"what was decided on {fleet['replica']} meanwhile is still to be published"
        show(pending, style="yellow")
    rows = []
    for one in fleet["replicas"] or ():
        name = one["replica"] + (" (this one)" if one["replica"] == fleet["replica"] else "")
        behind = fleet["version"] - one.get("version", 0)
        lag = counted(behind, "decision") if behind > 0 else "-"
        about = (str(one.get("revision", "")), mode_text(str(one.get("mode", ""))))
        rows.append((name, *about, f"{one['ago']} s ago", lag))
    table("", ("replica", "revision", "mode", "last seen", "lag"), rows)


def show_journal(fleet: dict[str, Any] | None, last: int, *, machine: bool) -> None:
    """`history --fleet`: the journal in the store, newest first."""
    if fleet is None or fleet["journal"] is None:
        why = f"its store cannot be used: {fleet['trouble']}" if fleet else "set fleet.url"
        say(f"no fleet to ask; {why}", "red")
        sys.exit(1)
    entries = fleet["journal"][:last]
    if machine:
        as_json({"entries": entries})
        return
    table("", ("time", "event", "what", "who", "on", "why"), map(_row, entries))


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    from sidecar.revisions.entries import moved  # a rollback does not wait for it

    what = moved(entry) or str(entry.get("revision", ""))
    if entry.get("event") == "mode.overridden":  # enforce = no limit any more
        what = str((entry.get("override") or {"mode": "enforce"}).get("mode"))
    who = (str(entry.get(key, "")) for key in ("who", "replica", "reason"))
    return (local_time(entry["at"]), str(entry.get("event", "")), what, *who)
