"""The gate, asked as an operator asks: `sidecar promote RULE --dry-run --json`, in processes that
are kept.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

from tests.e2e.running import Sidecar
from tests.portion import FULL

ASKERS = 2 if FULL else 1
"""Processes that ask: starting one for each question would cost more than all else."""


@dataclass(frozen=True)
class Verdict:
    """What the gate said: pass, fail or inconclusive, and the whole of what it printed (JSON)."""

    outcome: str
    data: str


def _asked(argv: Sequence[str]) -> tuple[int, str, str]:
    """Run one verb in this process: exit code, stdout, stderr."""
    from click.testing import CliRunner

    from sidecar.cli import commands

    result = CliRunner().invoke(commands, list(argv), prog_name="sidecar")
    return result.exit_code, result.stdout, result.stderr or repr(result.exception)


class Gate:
    """Asks for verdicts, from any thread."""

    def __init__(self, *minimums: str) -> None:
        self._minimums = minimums
        self._pool = ProcessPoolExecutor(ASKERS, mp_context=get_context("spawn"))

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown()

    def verdict(self, sidecar: Sidecar, rule: str) -> Verdict:
        """What `promote` says of this rule now; the policy file stays as it is."""
        argv = [
            "promote",
            rule,
            "--policy",
            str(sidecar.policy),
            "--admin",
            sidecar.admin,
            "--dry-run",
            "--json",
            *self._minimums,
        ]
        code, out, err = self._pool.submit(_asked, argv).result()
        assert code in (0, 1), (argv, err)
        try:
            return Verdict(json.loads(out)["verdicts"][0]["outcome"], out)
        except ValueError as error:
            raise AssertionError((argv, out, err)) from error
