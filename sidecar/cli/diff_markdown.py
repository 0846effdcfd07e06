"""The difference of two policies as Markdown, for a pull request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sidecar.markdown import as_code, as_table, escaped
from sidecar.policy.engine.compare import Comparison, Effect, KeyChange, RuleChange
from sidecar.policy.headers.shapes import Lines

_MOST = 20
"""Effects that are shown: a comment has an end."""


def markdown(
    found: Comparison,
    grouped: Sequence[tuple[RuleChange, Sequence[str]]],
    changed: Sequence[Effect],
    responses: int | None,
) -> str:
    """The whole comment; ends with a line feed.

    Args:
        found: what differs in meaning.
        grouped: equal changes of one rule, with the routes that they are on.
        changed: recorded responses that would differ.
        responses: how many recorded responses were compared; None = none were given.
    """
    parts = ["## What this change of the policy means", *_policy(found)]
    if grouped:
        rows = []
        for change, routes in grouped:
            modes = f"{change.before or '-'} -> {change.after or '-'}"
            demands = _keys(key for key in change.keys if key.key != "mode")
            where = escaped(", ".join(routes))
            rows.append((as_code(change.rule), where, change.what, modes, demands))
        parts.append(as_table(("rule", "routes", "change", "mode", "demand"), rows))
    for title, changes in (("Enforces more", found.more), ("**Enforces less**", found.less)):
        if changes:
            names = dict.fromkeys(as_code(change.rule) for change in changes)
            parts.append(f"{title}: {', '.join(names)}.")
    if responses is not None:
        parts += _effects(changed, responses)
    if len(parts) == 1:
        parts.append("Nothing: both policies mean the same.")
    return "\n\n".join(parts) + "\n"


def _policy(found: Comparison) -> list[str]:
    """What differs outside the rules, as a list."""
    lines = [f"- {escaped(key.key)}: {_key(key)}" for key in found.about]
    lines += [
        f"- route {as_code(route.route)} {route.what}" + (f": {keys}" if keys else "")
        for route in found.routes
        for keys in [_keys(route.keys)]
    ]
    if found.order:
        lines.append(f"- routes are tried in another order: {escaped(', '.join(found.order))}")
    lines += [f"- rules of route {as_code(name)} have another order" for name in found.reordered]
    lines += [
        f"- **route {as_code(shadow.route)} is never reached**: {as_code(shadow.by)} comes first"
        " and takes all its requests"
        for shadow in found.shadowed
    ]
    return ["\n".join(lines)] if lines else []


def _effects(changed: Sequence[Effect], responses: int) -> list[str]:
    """What becomes of recorded responses."""
    total = sum(effect.responses for effect in changed)
    parts = [f"### {total} of {responses} recorded responses would differ"]
    for effect in changed[:_MOST]:
        moved = "" if effect.before == effect.after else f" (was {as_code(effect.before)})"
        rows = [
            (as_code(header.header), _lines(header.before), _lines(header.after), header.weaker)
            for header in effect.headers
        ]
        example = as_code(effect.example)
        parts.append(f"Route {as_code(effect.after)}{moved}: {effect.responses}, such as {example}")
        if rows:
            parts.append(as_table(("header", "before", "after", "weaker"), rows))
        silent = ("No longer reported", effect.silent)
        for title, complaints in (("Reported now", effect.reported), silent):
            if complaints:
                names = (f"{as_code(found.rule)} ({found.kind})" for found in complaints)
                parts.append(f"{title}: {', '.join(names)}.")
    if len(changed) > _MOST:
        parts.append(f"And {len(changed) - _MOST} more kinds of responses.")
    return parts


def _lines(lines: Lines) -> str:
    return "<br>".join(as_code(line) for line in lines) or "(absent)"


def _keys(keys: Iterable[KeyChange]) -> str:
    return "<br>".join(f"{escaped(key.key)}: {_key(key)}" for key in keys)


def _key(key: KeyChange) -> str:
    before, after = (as_code(value) if value else "-" for value in (key.before, key.after))
    return f"{before} -> {after}"
