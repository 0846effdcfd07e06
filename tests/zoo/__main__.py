"""`python -m tests.zoo`: run all sites, print the table, write the figure."""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path

from tests.zoo.sites import SITES
from tests.zoo.truth import truth
from tests.zoo.world import World


def main() -> None:
    """Read the flags and run."""
    parser = argparse.ArgumentParser(prog="python -m tests.zoo", description=__doc__)
    parser.add_argument("--truth", action="store_true", help="only find out which rules break their site")
    parser.add_argument("--only", default="", help="only sites whose name contains this text")
    asked = parser.parse_args()
    sites = [site for site in SITES if asked.only in site.name]
    begun = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder, World(sites, Path(folder)) as world:
        print(f"{len(sites)} sites open after {time.monotonic() - begun:.0f} s")
        found = world.each(world.enclosures, lambda enclosure: truth(world, enclosure))
        for site, one in zip(sites, found, strict=True):
            agrees = one.off.works and one.breaks == site.breaks
            print(f"{'  ' if agrees else '!!'} {site.name:32} {site.scheme:9} {'breaks' if one.breaks else 'harmless':9}"
                  f"{'' if agrees else f' expected {site.breaks=} off={one.off} enforced={one.enforced}'}")  # fmt: skip
    print(f"{sum(site.breaks for site in sites)} of {len(sites)} break; {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
