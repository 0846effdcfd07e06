"""The verbs `evidence` and `reports`; what `promote` shares with them: where evidence comes from,
and how it is printed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict
from typing import Any, TypeVar

import click
from rich.text import Text

from sidecar.cli.operate import Admin, admin_options
from sidecar.cli.options import ParsedOption, as_given, together
from sidecar.cli.printing import as_json, give_up, mode_text, next_step, say, show, table
from sidecar.policy.browsers.reports import CAUSE_KINDS
from sidecar.policy.problems import did_you_mean
from sidecar.policy.values import percentage, seconds
from sidecar.policy.words import counted, number
from sidecar.rollout.gate import judge, judged
from sidecar.rollout.model import Cause, Evidence, GatheredEvidence, Minimums, Verdict, span
from sidecar.rollout.prometheus import evidence as fleet_evidence
from sidecar.rollout.queries import (
    FleetSeries,
    PrometheusFailed,
    edited,
    evaluated,
    mixed_services,
    settled,
    window_since,
)
from sidecar.rollout.summing import source

_CHOOSE = (
    "choose the series of this service, each once, as --selector 'job=\"shop\"'; or leave"
    " --prometheus out to ask this sidecar alone"
)
STYLES = {"pass": "green", "fail": "red", "inconclusive": "yellow"}


def _window(value: object) -> str:
    seconds(value)
    return str(value)


def _count(name: str, default: int, text: str) -> Callable[[Any], Any]:
    return click.option(name, type=click.IntRange(0), default=default, help=text)


source_options = together(
    click.option(
        "--fleet",
        is_flag=True,
        help=(
            "Ask all replicas that share a store (fleet.url), sum what they saw and merge the"
            " causes of reports. With --prometheus the numbers come from there."
        ),
    ),
    click.option(
        "--prometheus",
        metavar="URL",
        help="Sum evidence over a fleet, from this Prometheus server.",
    ),
    click.option(
        "--window",
        type=ParsedOption("text", _window),
        default="24h",
        help="With --prometheus: how far back; nothing counts as watched for longer.",
    ),
    click.option(
        "--selector",
        default="",
        show_default=False,
        help="With --prometheus: which series, as 'job=\"shop\"'.",
    ),
    _count(
        "--min-requests",
        1000,
        "Page loads or requests that must have been seen and show whether it breaks.",
    ),
    click.option(
        "--min-time",
        type=ParsedOption("time", seconds),
        default="24h",
        help="How long the rule must have been watched.",
    ),
    _count("--min-routes", 1, "Routes on which it must have been seen."),
    _count("--max-breaks", 0, "Requests that may have been broken."),
    click.option(
        "--min-https",
        type=ParsedOption("percent", percentage),
        default="99%",
        help="To climb a ladder: the share of browsers' requests that must come over https.",
    ),
)
"""Where evidence comes from, and the minimums of the gate."""


def minimums(options: dict[str, Any]) -> Minimums:
    """The gate's minimums, as the options of `source_options` say."""
    names = ("min_requests", "min_time", "min_routes", "max_breaks", "min_https")
    return Minimums(*(options[name] for name in names))


T = TypeVar("T")


def gather(client: Admin, options: dict[str, Any]) -> GatheredEvidence:
    """The evidence, as the options of `source_options` ask for it."""
    data = client.get("/api/evidence?fleet=true" if options["fleet"] else "/api/evidence")
    own = client.rows(Evidence, data["evidence"])
    silent = tuple(data["fleet"]["silent"]) if options["fleet"] else ()
    if not options["prometheus"]:
        whose = source(data["fleet"]) if options["fleet"] else client.url
        return GatheredEvidence(own, time.time(), whose, silent)
    asked = options["prometheus"], options["window"], options["selector"]
    at = _answered(lambda: settled(*asked))
    series = FleetSeries(*asked, at)
    name = str(client.get("/api/status")["name"])
    if why := _answered(lambda: mixed_services(series, name)):
        give_up(f"{series.url} cannot give the evidence of one service: {why}", _CHOOSE)
    known = {(item.route, item.rule): item for item in own}
    found = _answered(lambda: fleet_evidence(series, known))
    edits = _answered(lambda: edited(series))
    queries = {}
    for rule in dict.fromkeys(item.rule for item in found):
        window = window_since(edits[rule], at) if rule in edits else str(options["window"])
        if decisive := judged(rule, found):
            queries[rule] = evaluated(rule, decisive[0].mode, window, options["selector"])
    return GatheredEvidence(found, at, options["prometheus"], silent, queries)


def warn_of(silent: Sequence[str]) -> None:
    """Name the replicas whose evidence is missing."""
    if silent:
        text = f"no response within 3 s, so missing from these numbers: {', '.join(silent)}"
        say(text, "yellow")


def _answered(ask: Callable[[], T]) -> T:
    """What Prometheus says; the end of the command where it says nothing."""
    try:
        return ask()
    except PrometheusFailed as failed:
        give_up(failed, "correct --prometheus URL, or leave it out to ask this sidecar alone")


def print_evidence(found: Sequence[Evidence], verdicts: Sequence[Verdict]) -> None:
    """A line for each rule on each route."""
    by_rule = {verdict.rule: verdict for verdict in verdicts}
    rows = []
    for item in found:
        verdict = by_rule[item.rule]
        witness = ", ".join(dict.fromkeys(witness["kind"] for witness in item.witnesses)) or "-"
        outcome = (
            ("enforcing", "green") if _at_top(item) else (verdict.outcome, STYLES[verdict.outcome])
        )
        mode = Text.assemble(mode_text(item.mode), f" {item.climb}" if item.climb else "")
        watched = span(verdict.at - item.since)
        unknown = number(item.outcomes.get("unknown", 0.0))
        broken = item.outcomes.get("break", 0.0) + item.outcomes.get("plain", 0.0)
        safe = item.outcomes.get("safe", 0.0)
        saw = counted(safe + broken, "request") if item.outcomes else "-"
        if item.mode == "trial" and item.trial.settle:
            saw = counted(item.trial.loads + safe, "page load")
        causes = sum(1 for cause in item.trial.causes if cause.kind != "noise")
        against = ((broken, "request"), (causes, "cause"))
        breaks = ", ".join(counted(count, noun) for count, noun in against if count) or "0"
        counts = (number(item.evaluated), number(item.affected), saw, breaks)
        rule = (item.rule, item.route, mode, watched, witness)
        rows.append((*rule, *counts, unknown, Text(*outcome)))
    names = ("rule", "route", "mode", "watched", "who can tell")
    numbers = ("judged", "would change", "they saw", "would break", "unknown")
    spare = ("watched", "who can tell", "would change", "unknown", "they saw", "route")
    table("", (*names, *numbers, "verdict"), rows, spare=spare)


def _print_next(found: Sequence[Evidence], verdicts: Sequence[Verdict]) -> None:
    """What keeps rules from the next step, and what to do, once for all rules alike."""
    lower = {item.rule for item in found if not _at_top(item)}
    groups: dict[str, list[str]] = {}
    for verdict in verdicts:
        if verdict.rule in lower:
            todo = f"{verdict.reasons[0]}. {verdict.next}" if verdict.next else "ready to enforce"
            groups.setdefault(todo, []).append(verdict.rule)
    if groups:
        show()
    for todo, rules in groups.items():
        show((", ".join(rules), "bold"), f": {todo}", soft_wrap=True)
    if ready := groups.get("ready to enforce"):
        next_step(f"sidecar promote {' '.join(ready)} {as_given('machine')}".rstrip())


def _at_top(item: Evidence) -> bool:
    return item.mode == "enforce" and (item.climb is None or item.climb.top)


@click.command("evidence")
@click.argument("rules", metavar="[RULE]...", nargs=-1)
@admin_options
@source_options
def evidence_verb(rules: tuple[str, ...], client: Admin, machine: bool, **options: Any) -> None:
    """Show what each rule has seen, and if it is enough to enforce.

    What counts is what it has seen since its last edit. Without RULE all rules are shown.
    """
    gathered = gather(client, options)
    names = dict.fromkeys(item.rule for item in gathered.found)
    for rule in rules:
        _in_force(rule, names)
    chosen = rules or tuple(names)
    verdicts = [
        judge(rule, gathered.found, minimums(options), gathered.at)
        for rule in names
        if rule in chosen
    ]
    found = [item for item in gathered.found if item.rule in chosen]
    if machine:
        rows = {"evidence": [item.data() for item in found], "verdicts": gathered.rows(verdicts)}
        as_json({**rows, "source": gathered.source, "silent": gathered.silent})
        return
    print_evidence(found, verdicts)
    _print_next(found, verdicts)
    if options["fleet"]:
        say(f"evidence of {gathered.source}")
    warn_of(gathered.silent)


@click.command("reports")
@click.argument("rule", required=False)
@click.option("--all", "everything", is_flag=True, help="Also what browser extensions caused.")
@click.option("--fleet", is_flag=True, help="From all replicas, each cause once.")
@admin_options
def reports_verb(
    rule: str | None, everything: bool, fleet: bool, client: Admin, machine: bool
) -> None:
    """Show what browsers reported of rules in trial, by cause."""
    got = client.get(f"/api/reports{'?fleet=true' if fleet else ''}")
    shown = [
        cause
        for cause in client.rows(Cause, got["causes"])
        if (rule is None or cause.rule == rule) and (everything or cause.kind != "noise")
    ]
    if machine:
        as_json({**got, "causes": [asdict(cause) for cause in shown]})
        return
    if fleet:
        say(f"reported to {source(got['fleet'])}")
        warn_of(got["fleet"]["silent"])
    if not shown:
        print_nothing_reported(client, rule)
        return
    seen = ("pages", "reports", "clients", "over", "whose")
    table("", ("id", "rule", "directive", "blocked", *seen), map(_row, shown))
    if got["overflow"]:
        why = "too many causes, or too many from one client"
        say(f"{got['overflow']} more reports were not kept: {why}")


def _in_force(rule: str, names: Collection[str]) -> None:
    if rule not in names:
        hint = did_you_mean(rule, names) or "see: sidecar status"
        raise click.UsageError(f"no rule {rule!r} is in force; {hint}")


def print_nothing_reported(client: Admin, rule: str | None) -> None:
    """Why there are no reports on a rule, None = on any, and what to do.

    Raises:
        click.UsageError: the policy in force has no such rule.
    """
    routes = client.get("/api/status")["routes"]
    modes = [(one["name"], one["mode"]) for route in routes for one in route["rules"]]
    if rule is not None:
        _in_force(rule, [name for name, _ in modes])
    tried = dict.fromkeys(name for name, mode in modes if mode == "trial" and rule in (None, name))
    if tried:
        say(f"no reports: browsers report nothing that would break by {', '.join(tried)}")
        next_step("sidecar evidence, to see how many page loads that is about")
    else:
        say(f"no reports: {rule or 'no rule'} is {'not ' if rule else ''}in trial")
        next_step(f"sidecar promote {rule or 'RULE'} --to trial")


def _row(cause: Cause) -> tuple[object, ...]:
    blocked = Text(f"inline: {cause.sample}" if cause.sample else cause.blocked)
    seen = (
        Text(", ".join(cause.pages)),
        cause.count,
        cause.clients,
        span(cause.last - cause.first),
    )
    return (cause.id, cause.rule, cause.directive, blocked, *seen, CAUSE_KINDS[cause.kind])
