"""Proofs of the command line: output, exit codes, and who gets which stream."""

from __future__ import annotations

import json
import signal
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
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)


def sidecar(
    *words: object, given: bytes | str | None = None, env: dict[str, str | None] | None = None
) -> Result:
    """Run the command in this process, with nothing of the caller's environment that it would
    read.
    """
    result = invoked(*words, given=given, env=CLEAN | (env or {}))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def invoked(
    *words: object, given: bytes | str | None = None, env: dict[str, str | None] | None = None
) -> Result:
    """Run the command in this process, whatever comes of it.

    A verb with a loop ends deaf to signals, as its process would; this one, and those that it
    starts, must not.
    """
    heard = {number: signal.getsignal(number) for number in SIGNALS}
    try:
        return CliRunner(env=env).invoke(
            commands, [str(word) for word in words], input=given, prog_name="sidecar"
        )
    finally:
        for number, handler in heard.items():
            if signal.getsignal(number) is not handler:
                signal.signal(number, handler)


def data(result: Result) -> Any:
    """What stdout says, as JSON and nothing else."""
    return json.loads(result.stdout)
