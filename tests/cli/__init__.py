"""Proofs of the command line: output, exit codes, and who gets which stream."""

from __future__ import annotations

import json
from typing import Any

import click
from click.testing import CliRunner, Result

from sidecar.cli import FAMILIES, commands

_FRONT = click.Context(commands)
VERBS = {
    name: verb
    for names in FAMILIES.values()
    for name in names
    if (verb := commands.get_command(_FRONT, name))
}
"""Every verb by its name."""
CLEAN = {
    "NO_COLOR": "1",
    "SIDECAR_ADMIN": None,
    "SIDECAR_POLICY": None,
    "SIDECAR_CONFIG": None,
    "SIDECAR_ADMIN_TOKEN_FILE": None,
    "FORCE_COLOR": None,
}


def sidecar(
    *words: object, given: bytes | str | None = None, env: dict[str, str | None] | None = None
) -> Result:
    """Run the command in this process, with nothing of the caller's environment that it would
    read.
    """
    result = CliRunner(env=CLEAN | (env or {})).invoke(
        commands, [str(word) for word in words], input=given, prog_name="sidecar"
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def data(result: Result) -> Any:
    """What stdout says, as JSON and nothing else."""
    return json.loads(result.stdout)
