"""What a check finds in the header lines of a response, and how the lines are changed."""

from __future__ import annotations

from typing import NamedTuple, TypeAlias

from sidecar.policy.rules.conditions import RawFields, Seen
from sidecar.policy.terms import Action, Mode, ViolationKind


class Finding(NamedTuple):
    """A violation and the change that fixes it.

    `before` and `after` are the header's values, one for each line; `after` is () for a removal and
    None where the action only judges. `made`: the change is made, not only reported.
    """

    rule: str
    position: int
    """Of the rule, among the rules of its route."""
    header: str
    name: bytes
    """The header's name as it is written."""
    key: bytes
    """The same in lower case."""
    action: Action
    kind: ViolationKind
    mode: Mode
    before: tuple[bytes, ...]
    after: tuple[bytes, ...] | None
    made: bool


Findings: TypeAlias = tuple[Finding, ...]


def write(fields: RawFields, seen: Seen, findings: Findings) -> RawFields:
    """Write each finding's `after`: in place of the header's lines, else at the end.

    Changes and returns `fields`, and keeps `seen` in step.
    """
    for finding in findings:
        key, after = finding.key, finding.after
        assert after is not None
        if key in seen:
            fields = _rewritten(fields, finding.name, key, after)
        else:
            fields.extend((finding.name, value) for value in after)
        if after:
            seen[key] = after
        else:
            del seen[key]
    return fields


def _rewritten(fields: RawFields, name: bytes, key: bytes, after: tuple[bytes, ...]) -> RawFields:
    if not after:
        return [field for field in fields if field[0].lower() != key]
    rest = iter(after)
    kept: RawFields = []
    for field in fields:
        if field[0].lower() != key:
            kept.append(field)
        elif (value := next(rest, None)) is not None:
            kept.append((field[0], value))
    kept.extend((name, value) for value in rest)
    return kept
