"""Kill -9 at random points of everything that is kept."""

import subprocess
import sys

from tests.e2e.processes import ROOT, clean_environment
from tests.portion import FULL

KILLS = 40 if FULL else 12


def test_nothing_promised_is_lost():
    """After each kill the folder opens, the journal is whole, and the last good policy comes in
    force.
    """
    done = subprocess.run(
        [sys.executable, "-m", "tests.rollout.crash", "--times", str(KILLS), "--seed", "3"],
        cwd=ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"{KILLS} kills, ")
