"""All stages of the zoo, one after the other: off, report-only, trial, enforce."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tests.zoo.gate import Gate
from tests.zoo.site import Site
from tests.zoo.table import Row
from tests.zoo.trial import MINIMUMS, SETTINGS, Ladder, climbed
from tests.zoo.truth import Truth, truth
from tests.zoo.world import World


def rows(sites: Sequence[Site], folder: Path, *, trial: bool) -> list[Row]:
    """One row for each site, in their order; without `trial` nobody asks the gate."""
    with World(sites, folder, settings=SETTINGS if trial else None) as world:
        ladders: Sequence[Ladder | None] = [None] * len(sites)
        if trial:
            gate = Gate(*MINIMUMS)
            try:
                ladders = climbed(world, gate)
            finally:
                gate.close()
        offs = [ladder.off if ladder else None for ladder in ladders]
        truths = world.each(
            zip(world.enclosures, offs, strict=True), lambda pair: truth(world, *pair)
        )
    return [
        _row(site, found, ladder)
        for site, found, ladder in zip(sites, truths, ladders, strict=True)
    ]


def _row(site: Site, found: Truth, ladder: Ladder | None) -> Row:
    if ladder is None:
        return Row(site, found.off.works, found.breaks, "", "", unchanged=True)
    observed = (*ladder.reported, *ladder.tried)
    unchanged = all(visit == found.off for visit in observed)
    return Row(
        site,
        found.off.works,
        found.breaks,
        ladder.after_report_only.outcome,
        ladder.after_trial.outcome,
        unchanged,
    )
