"""The findings of lint: each code has a row in `findings.json` with its severity, text and fix."""

from __future__ import annotations

from sidecar.policy.data import read_table
from sidecar.policy.terms import Path, Problem, Severity

_ROWS = read_table("sidecar.policy.lint", "findings.json")


def finding(
    code: str, path: Path = (), *, severity: Severity | None = None, **words: object
) -> Problem:
    """The finding of a code; `words` fill its texts, `path` leads to the key at fault."""
    row = _ROWS[code]
    text, fix = (row[key].format(**words) for key in ("text", "fix"))
    return Problem(text, fix, path, severity or row["severity"], code=code)
