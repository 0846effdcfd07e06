"""The front door: verbs in families, one file each; a verb calls one function and prints its result.

Lives here: the command group and the exit codes (0 fine, 1 findings or refused, 2 usage). Must not know
what any verb does.
"""

from __future__ import annotations

import click

import sidecar
from sidecar.cli import auditing, comparing, importing, knowledge, operate, policy, rollout, run, watching
from sidecar.cli.printing import complain
from sidecar.policy.model import PolicyError


class _Verbs(click.Group):
    """The group: known refusals become exit code 1, in the order that the families are given."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Verbs in the order of a working day, not of the alphabet."""
        return list(self.commands)

    def invoke(self, ctx: click.Context) -> object:
        """Run the verb; a policy or settings that cannot be used is printed problem by problem."""
        try:
            return super().invoke(ctx)
        except PolicyError as error:
            complain(error.problems)
            ctx.exit(1)


@click.group(cls=_Verbs, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(sidecar.__version__, prog_name="sidecar")
def commands() -> None:
    """Judge and rewrite security headers beside one service; report-only to enforce, and back, in a second."""


for _family in (run.VERBS, policy.VERBS, knowledge.VERBS, comparing.VERBS, auditing.VERBS, importing.VERBS, operate.VERBS, watching.VERBS, rollout.VERBS):
    for _verb in _family:
        _verb.context_settings.setdefault("help_option_names", ["-h", "--help"])  # also where a verb is called by itself
        commands.add_command(_verb)


def main() -> None:
    """The command `sidecar`."""
    commands.main(prog_name="sidecar")
