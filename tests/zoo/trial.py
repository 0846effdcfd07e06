"""What the gate says of each rule: after report-only, and after a trial whose reports have had time
to come.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.patience import PATIENCE
from tests.zoo.browser import Context
from tests.zoo.gate import Gate, Verdict
from tests.zoo.world import Enclosure, Visit, World

MINIMUMS = ("--min-requests", "3", "--min-time", "0s")
SETTINGS = {"trial": {"canary": "100%"}}
"""Every page load in trial carries a canary, so that three visits say whether reports come
through.
"""
VISITS = 3
REPORTS, BUNDLES = 6.0, 72.0
"""Seconds after the last visit until what comes on its own, and what the Reporting API bundles,
has come.
"""


@dataclass(frozen=True)
class Ladder:
    """One rule's way up: the visits with it off, in report-only and in trial, and what the gate
    said after each.
    """

    off: Visit
    reported: tuple[Visit, ...]
    after_report_only: Verdict
    tried: tuple[Visit, ...]
    after_trial: Verdict


def climbed(world: World, gate: Gate) -> list[Ladder]:
    """All rules' ways up, in the order of the enclosures.

    Sites whose reports come late are visited first, so that the waiting is not lost. The visitors
    stay until the verdicts are given: a browser forgets unsent reports with its visitor.
    """
    contexts = [world.browser.context() for _ in world.enclosures]

    def visited(pair: tuple[Enclosure, Context]) -> _Visits:
        enclosure, context = pair
        with enclosure.person(context, PATIENCE) as person:
            off = enclosure.visit(person)
            enclosure.put("report-only")
            reported = tuple(enclosure.visit(person) for _ in range(VISITS))
            verdict = gate.verdict(enclosure.sidecar, enclosure.rule)
            enclosure.put("trial")
            tried = tuple(enclosure.visit(person) for _ in range(VISITS))
        due = time.monotonic() + (BUNDLES if enclosure.site.bundled else REPORTS)
        return _Visits(off, reported, verdict, tried, enclosure, due)

    def judged(visits: _Visits) -> Ladder:
        time.sleep(max(0.0, visits.due - time.monotonic()))
        verdict = gate.verdict(visits.enclosure.sidecar, visits.enclosure.rule)
        return Ladder(visits.off, visits.reported, visits.after_report_only, visits.tried, verdict)

    pairs = sorted(
        zip(world.enclosures, contexts, strict=True), key=lambda pair: not pair[0].site.bundled
    )
    found = sorted(world.each(pairs, visited), key=lambda visits: visits.due)
    ladders = {
        visits.enclosure.rule: ladder
        for visits, ladder in zip(found, world.each(found, judged), strict=True)
    }
    world.each(contexts, Context.close)
    return [ladders[enclosure.rule] for enclosure in world.enclosures]


@dataclass(frozen=True)
class _Visits:
    off: Visit
    reported: tuple[Visit, ...]
    after_report_only: Verdict
    tried: tuple[Visit, ...]
    enclosure: Enclosure
    due: float
