"""What every target shares: the text that was written, its heading, and the shortest form of a
header's steps.

Lives here: `Written`, `heading`, `shortest`. Must not know any target.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from sidecar.exporting.program import Gap, Program, Step

Limits: TypeAlias = tuple[str, ...]
"""Where a target differs whatever the policy says, a sentence each."""

WEIGHTS = {"lost": "Not in this file", "differs": "Different here", "note": "Left out on purpose"}


COPIES = "Copies of a header that may stand once only are not made one."
"""A limit of most targets: what `default` makes of the service's own lines beside the header
that it writes.
"""
TOGETHER = (
    "its conditions look at several headers that it changes, and would be asked between the changes"
)
"""Why a step cannot be said where steps follow each other (`Step.together`)."""


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration and what it does not do."""

    text: str
    gaps: tuple[Gap, ...]


def comments(lines: Iterable[str], mark: str) -> str:
    """Lines of comment."""
    return "\n".join(f"{mark}{line}".rstrip() for line in lines)


def heading(
    program: Program,
    target: str,
    about: Sequence[str],
    gaps: Sequence[Gap],
    limits: Limits,
    mark: str,
) -> str:
    """What this is, how it is used, and what is not in it."""
    lines = [f"Policy {program.name}, revision {program.revision}, for {target}.", *about]
    for weight, title in WEIGHTS.items():
        found = [str(gap) for gap in gaps if gap.weight == weight]
        lines += [f"{title}:", *(f"  - {line}" for line in found)] if found else []
    lines += ["In general:", *(f"  - {limit}" for limit in limits)]
    return comments(lines, mark)


def shortest(steps: Iterable[Step], header: str) -> tuple[Step, ...]:
    """The steps on one header without those that come to nothing: what an unconditional set or
    remove overwrites, and a default behind a set.
    """
    kept: list[Step] = []
    stands = False
    for step in steps:
        if step.key != header.lower() or step.act == "cookie":
            continue
        if step.always and step.act in ("set", "remove"):
            kept = [step]
        elif step.act != "default" or not stands:
            kept.append(step)
        stands = step.act != "remove" and (stands or step.always)
    return tuple(kept)
