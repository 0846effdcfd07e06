"""What the gate says of each rule: after report-only, and after a trial whose reports have had time
to come.
"""

from __future__ import annotations

import time
from dataclasses import dataclass

from tests.patience import PATIENCE
from tests.zoo.browser import Context
from tests.zoo.gate import Gate, Verdict
from tests.zoo.harness import Harness, ProxiedSite, Visit

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
class Stages:
    """One rule's way up: the visits with it off, in report-only and in trial, and what the gate
    said after each.
    """

    off: Visit
    reported: tuple[Visit, ...]
    after_report_only: Verdict
    tried: tuple[Visit, ...]
    after_trial: Verdict


def observed_stages(harness: Harness, gate: Gate) -> list[Stages]:
    """All rules' ways up, in the order of the sites.

    Sites whose reports come late are visited first, so that the waiting is not lost. The visitors
    stay until the verdicts are given: a browser forgets unsent reports with its visitor.
    """
    contexts = [harness.browser.context() for _ in harness.proxied_sites]

    def visited(pair: tuple[ProxiedSite, Context]) -> _Visits:
        proxied, context = pair
        with proxied.person(context, PATIENCE) as person:
            off = proxied.visit(person)
            proxied.put("report-only")
            reported = tuple(proxied.visit(person) for _ in range(VISITS))
            verdict = gate.verdict(proxied.sidecar, proxied.rule)
            proxied.put("trial")
            tried = tuple(proxied.visit(person) for _ in range(VISITS))
        due = time.monotonic() + (BUNDLES if proxied.site.bundled else REPORTS)
        return _Visits(off, reported, verdict, tried, proxied, due)

    def judged(visits: _Visits) -> Stages:
        time.sleep(max(0.0, visits.due - time.monotonic()))
        verdict = gate.verdict(visits.proxied.sidecar, visits.proxied.rule)
        return Stages(visits.off, visits.reported, visits.after_report_only, visits.tried, verdict)

    pairs = sorted(
        zip(harness.proxied_sites, contexts, strict=True), key=lambda pair: not pair[0].site.bundled
    )
    found = sorted(harness.each(pairs, visited), key=lambda visits: visits.due)
    all_stages = {
        visits.proxied.rule: stages
        for visits, stages in zip(found, harness.each(found, judged), strict=True)
    }
    harness.each(contexts, Context.close)
    return [all_stages[proxied.rule] for proxied in harness.proxied_sites]


@dataclass(frozen=True)
class _Visits:
    off: Visit
    reported: tuple[Visit, ...]
    after_report_only: Verdict
    tried: tuple[Visit, ...]
    proxied: ProxiedSite
    due: float
