"""What the gate says of each rule: after report-only, and after a trial whose reports have had time to come.

Lives here: `Ladder`, `climbed`. Must not know which rules break.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from tests.zoo.browser import Context
from tests.zoo.gate import Gate, Verdict
from tests.zoo.world import Enclosure, Visit, World

MINIMUMS = ("--min-requests", "3", "--min-time", "1s")
SETTINGS = {"trial": {"canary": "100%"}}
"""Every page load in trial carries a canary, so that three visits say whether reports come through."""
VISITS = 3
PATIENCE = 10.0
WATCHED = 1.1
"""Seconds that a rule must have been watched, as the minimums say."""
CANARIES, REPORTS = 6.0, 2.0
"""Seconds within which all canaries are back, at most; and then, for what the Reporting API sends in bundles."""


@dataclass(frozen=True)
class Ladder:
    """One rule's way up: the visits with it off, in report-only and in trial, and what the gate said after each."""

    off: Visit
    reported: tuple[Visit, ...]
    after_report_only: Verdict
    tried: tuple[Visit, ...]
    after_trial: Verdict


def climbed(world: World, gate: Gate) -> list[Ladder]:
    """All rules' ways up, in the order of the enclosures.

    The visitors stay until the verdicts are given: a browser forgets unsent reports with its visitor.
    """
    contexts = [world.browser.context() for _ in world.enclosures]

    def lower(
        pair: tuple[Enclosure, Context],
    ) -> tuple[Visit, tuple[Visit, ...], Verdict, tuple[Visit, ...], float]:
        enclosure, context = pair
        with enclosure.person(context, PATIENCE) as person:
            off = enclosure.visit(person)
            enclosure.put("report-only")
            begun = time.monotonic()
            reported = tuple(enclosure.visit(person) for _ in range(VISITS))
            time.sleep(max(0.0, begun + WATCHED - time.monotonic()))
            verdict = gate.verdict(enclosure.sidecar, enclosure.rule)
            enclosure.put("trial")
            tried = tuple(enclosure.visit(person) for _ in range(VISITS))
        return off, reported, verdict, tried, time.monotonic()

    def upper(asked: tuple[Enclosure, float]) -> Verdict:
        enclosure, ended = asked
        _settled(enclosure, ended)
        return gate.verdict(enclosure.sidecar, enclosure.rule)

    lowers = world.each(zip(world.enclosures, contexts, strict=True), lower)
    uppers = world.each(
        [(enclosure, found[4]) for enclosure, found in zip(world.enclosures, lowers, strict=True)],
        upper,
    )
    world.each(contexts, Context.close)
    return [Ladder(*found[:4], verdict) for found, verdict in zip(lowers, uppers, strict=True)]


def _settled(enclosure: Enclosure, ended: float) -> None:
    """Wait until the canaries of the trial are back, and its reports have had time to follow."""
    while time.monotonic() < ended + CANARIES and _sum(
        enclosure, "sidecar_canaries_returned"
    ) < _sum(enclosure, "sidecar_canaries_sent"):
        time.sleep(0.1)
    time.sleep(max(0.0, ended + REPORTS - time.monotonic()))


def _sum(enclosure: Enclosure, family: str) -> float:
    families = text_string_to_metric_families(enclosure.sidecar.metrics())
    return sum(
        sample.value
        for found in families
        if found.name == family
        for sample in found.samples
        if sample.name.endswith("_total")
    )
