"""The command line: verbs in families, one file each; a verb calls a function and prints its
result.

Exit codes: 0 fine, 1 findings or refused, 2 usage. A family is loaded when one of its verbs is
called: a rollback does not wait for what an audit needs.
"""

from __future__ import annotations

import errno
import os
import sys
from importlib import import_module
from typing import Any

import click

import sidecar
from sidecar.cli.printing import refused, say
from sidecar.files import UnwritableError
from sidecar.observed import NoResponse
from sidecar.policy.terms import PolicyError

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO)
"""What a disk says that takes no more; click ends in silence where a reader has gone."""
FAMILIES = {
    "starting": ("init",),
    "run": ("run", "demo", "health"),
    "checking": ("check",),
    "policy": ("explain", "schema", "presets", "headers"),
    "comparing": ("diff", "test"),
    "auditing": ("audit",),
    "importing": ("import",),
    "exporting": ("export", "verify"),
    "operate": ("status", "history", "reload", "rollback", "mode"),
    "watching": ("capture", "drift"),
    "evidence": ("evidence", "reports"),
    "promoting": ("promote",),
    "rehearsing": ("rehearse",),
    "note": ("note",),
    "suggest": ("suggest",),
}
"""The file and its verbs, in the order of a working day."""


class _Verbs(click.Group):
    """The group: known refusals become exit code 1, a file that cannot be written 2."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order of a working day, not of the alphabet."""
        return [verb for verbs in FAMILIES.values() for verb in verbs]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The verb, from its family's file."""
        if cmd_name not in self.commands:
            own = [name for name, verbs in FAMILIES.items() if cmd_name in verbs]
            for family in own or FAMILIES:  # all for an unknown word: click names the nearest
                for verb in vars(import_module(f"sidecar.cli.{family}")).values():
                    if isinstance(verb, click.Command):
                        # Also where a verb is called by itself.
                        verb.context_settings = {**_HELP, **verb.context_settings}
                        self.add_command(verb)
        return super().get_command(ctx, cmd_name)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; a policy or settings that cannot be used is printed problem by problem."""
        try:
            return super().invoke(ctx)
        except UnwritableError as error:
            (problem,) = error.problems
            said = f"{problem.file}: {problem.message}; {problem.fix}"
            raise click.UsageError(said) from error
        except NoResponse as error:
            raise click.UsageError(str(error)) from error
        except PolicyError as error:
            refused(error.problems)
            ctx.exit(1)
        except UnicodeEncodeError as error:
            word = error.object.encode("ascii", "backslashreplace").decode()
            raise click.UsageError(f"{word[:200]!r} is not UTF-8; write it as UTF-8") from error
        except OSError as error:  # a folder that is closed to this user, a name that is too long
            if error.filename is None:
                raise
            raise click.UsageError(f"{error.filename}: {error.strerror}") from error


_HELP: dict[str, Any] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 100,
    "show_default": True,
}


@click.group(cls=_Verbs, context_settings=_HELP)
@click.version_option(sidecar.__version__, prog_name="sidecar")
def commands() -> None:
    """Judge and set the security headers of one service, by a YAML policy.

    Begin with `sidecar demo`, or beside your own service with `sidecar init`.
    """


def main() -> None:
    """The command `sidecar`."""
    # pydantic would look for plugins of its own in the metadata of all installed packages
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    open_standard_streams()
    try:
        commands.main(prog_name="sidecar")
    except OSError as error:
        if error.errno not in _NO_ROOM or error.filename is not None:
            raise
        say(f"stdout cannot be written: {error.strerror}", "red")
        sys.exit(1)


def open_standard_streams() -> None:
    """Lead what was closed of stdin, stdout and stderr to nowhere: else the first connection would
    get its number, and events would be written into it.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free
