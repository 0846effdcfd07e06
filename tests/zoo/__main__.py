"""`python -m tests.zoo`: visit all sites in every mode, print and write the table and figures."""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path

from tests.e2e.processes import ROOT
from tests.zoo import figures
from tests.zoo.running import rows
from tests.zoo.sites import SITES
from tests.zoo.table import markdown, summary, wrong

TABLE = "docs/zoo.md"


def main() -> int:
    """Read the flags and run; the exit code says whether all is as it should be."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.zoo",
        description="Visit all sites, print the table, write it and its figures.",
    )
    parser.add_argument(
        "--truth", action="store_true", help="only find out which rules break their site"
    )
    parser.add_argument(
        "--only", default="", help="only sites whose name contains this text; no file is written"
    )
    asked = parser.parse_args()
    begun = time.monotonic()
    sites = [site for site in SITES if asked.only in site.name]
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
        found = rows(sites, Path(folder), trial=not asked.truth)
    for row in found:
        complaint = wrong(row)
        truth = "breaks" if row.breaks else "harmless"
        verdicts = f"{row.after_report_only:12} {row.after_trial:12}"
        print(
            f"{row.site.name:34} {row.site.scheme:9} {row.site.witness:9} {truth:9} {verdicts}"
            f" {complaint}".rstrip()
        )
    for (stage, truth), counts in summary(found).items() if not asked.truth else ():
        print(f"after {stage:12} {truth:9} {counts}")
    print(
        f"{sum(row.breaks for row in found)} of {len(found)} rules break their site;"
        f" {time.monotonic() - begun:.0f} s"
    )
    if not asked.truth and not asked.only:
        texts = {TABLE: markdown(found)} | figures.drawn(found)
        for name, text in texts.items():
            (ROOT / name).write_text(text, "utf-8")
            print(f"{name} is written")
    return int(any(wrong(row) for row in found))


if __name__ == "__main__":
    sys.exit(main())
