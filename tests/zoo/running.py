"""All stages of the zoo, one after the other: off, report-only, trial, enforce."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.zoo.gate import Gate
from tests.zoo.harness import Harness
from tests.zoo.site import Site
from tests.zoo.table import Row
from tests.zoo.trial import MINIMUMS, SETTINGS, Stages, observed_stages
from tests.zoo.truth import Truth, truth


def rows(sites: Sequence[Site], folder: Path, *, trial: bool) -> list[Row]:
    """One row for each site, in their order; without `trial` nobody asks the gate."""
    with Harness(sites, folder, settings=SETTINGS if trial else None) as harness:
        all_stages: Sequence[Stages | None] = [None] * len(sites)
        if trial:
            gate = Gate(*MINIMUMS)
            try:
                all_stages = observed_stages(harness, gate)
            finally:
                gate.close()
        offs = [stages.off if stages else None for stages in all_stages]
        truths = harness.each(
            zip(harness.proxied_sites, offs, strict=True), lambda pair: truth(harness, *pair)
        )
    return [
        _row(site, found, stages)
        for site, found, stages in zip(sites, truths, all_stages, strict=True)
    ]


def _row(site: Site, found: Truth, stages: Stages | None) -> Row:
    if stages is None:
        return Row(site, found.off.works, found.breaks, "", "", unchanged=True)
    observed = (*stages.reported, *stages.tried)
    unchanged = all(visit == found.off for visit in observed)
    return Row(
        site,
        found.off.works,
        found.breaks,
        stages.after_report_only.outcome,
        stages.after_trial.outcome,
        unchanged,
    )
