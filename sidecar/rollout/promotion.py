"""A rule goes from report-only to enforce in the file, and nothing else in the file or its meaning changes.

Lives here: `promote(text, rules) -> text`. Must not know files, evidence, or who asks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sidecar.policy.model import Mode, Path, PolicyError, Problem
from sidecar.policy.plan import compile_policy
from sidecar.policy.problems import did_you_mean
from sidecar.policy.resolve import Resolved
from sidecar.source import Source, load_policy, read

_ABOUT = ("owner", "expected", "rollback")


@dataclass(frozen=True, slots=True)
class Edit:
    """Characters `start` to `end` of a text become `text`."""

    start: int
    end: int
    text: str


def promote(text: str, rules: Iterable[str], name: str = "policy.yaml") -> str:
    """The policy's text with these rules enforcing, every byte around the edits kept.

    A rule that the policy's own ceiling holds down is freed by raising the ceiling and writing
    `mode: report-only` to every rule that would rise with it. The result is judged: exactly the named
    rules change their effective mode.

    Raises:
        PolicyError: an unknown rule, a rule without owner, expected result or rollback, or a text in
            which the edit cannot be made safely.
    """
    source, before = read(text.encode(), name), load_policy(text.encode(), name)
    wanted = tuple(dict.fromkeys(rules))
    problems = [*_unknown(before, wanted), *_without_about(before, wanted)]
    if problems:
        raise PolicyError(tuple(source.place(problem) for problem in problems))
    edits = [*_rules_block(source), *_edits(source, before, wanted)]
    edited = applied(source.text, edits)
    try:
        after = load_policy(edited.encode(), name)
    except PolicyError as error:
        raise PolicyError(
            (
                Problem(
                    "the file's form does not allow the edit", "write the mode by hand", file=name
                ),
                *error.problems,
            )
        ) from error
    _verify(before, after, wanted, name)
    return edited


def reported(text: str, name: str = "policy.yaml") -> str:
    """The text with the policy's own ceiling at report-only: nothing is changed."""
    source = read(text.encode(), name)
    return applied(source.text, [_set_mode(source, (), "report-only")])


def enforced(text: str, name: str = "policy.yaml") -> str:
    """The text with the policy's own ceiling at enforce, and every mode below it that says report-only too; off stays."""
    source = read(text.encode(), name)
    routes = source.data.get("routes") or ()
    below: list[Path] = [("rules", rule) for rule in source.data.get("rules") or ()]
    for position, route in enumerate(routes):
        below += [
            ("routes", position),
            *(("routes", position, "rules", rule) for rule in route.get("rules") or ()),
        ]
    raised = [(), *(path for path in below if source_mode(source, path) == "report-only")]
    edits = (
        _set_mode(source, path, "enforce")
        for path in raised
        if source_mode(source, path) != "enforce"
    )
    return applied(source.text, {edit.start: edit for edit in edits}.values())


def effective(resolved: Resolved) -> Mapping[tuple[str, str], Mode]:
    """The effective mode of each (route, rule)."""
    return {
        (route.name, line.name): line.mode
        for route in compile_policy(resolved).routes
        for line in route.rules
    }


def applied(text: str, edits: Iterable[Edit]) -> str:
    """The text with all edits made; they must not overlap."""
    for edit in sorted(edits, key=lambda edit: edit.start)[
        ::-1
    ]:  # of two at one place the first stays first
        text = text[: edit.start] + edit.text + text[edit.end :]
    return text


def _unknown(resolved: Resolved, wanted: tuple[str, ...]) -> Iterable[Problem]:
    known = {named.name for route in resolved.routes for named in route.rules}
    for rule in wanted:
        if rule not in known:
            yield Problem(f"unknown rule {rule!r}", did_you_mean(rule, known), ("rules",))


def _without_about(resolved: Resolved, wanted: tuple[str, ...]) -> Iterable[Problem]:
    policy = resolved.policy
    for route in resolved.routes:
        for named in route.rules:
            missing = [
                key
                for key in _ABOUT
                if not (getattr(named.rule, key, None) or getattr(policy, key))
            ]
            if named.name in wanted and missing:
                yield Problem(
                    f"rule {named.name!r} may not enforce without {' and '.join(missing)}",
                    "write it at the top of the policy",
                    (),
                )


def _edits(source: Source, resolved: Resolved, wanted: tuple[str, ...]) -> Iterable[Edit]:
    modes = effective(resolved)
    if resolved.mode != "enforce":
        yield _set_mode(source, (), "enforce")
        held = {rule for (_, rule), mode in modes.items() if rule not in wanted and mode != "off"}
        for route in resolved.routes:
            for named in route.rules:
                if named.name in held and named.rule.mode is None:
                    held.discard(named.name)
                    yield _set_mode(source, ("rules", named.name), "report-only")
                elif named.name in held and named.rule.mode == "enforce":
                    held.discard(named.name)
                    yield _set_mode(source, _own_path(source, named.path), "report-only")
    for rule in wanted:
        yield from _set_everywhere(source, resolved, rule)


def _set_everywhere(source: Source, resolved: Resolved, rule: str) -> Iterable[Edit]:
    """Set the rule's own mode; overrides of it on routes that say report-only are set too."""
    places: list[Path] = [("rules", rule)]
    for position, route in enumerate(resolved.policy.routes):
        override = route.rules.get(rule)
        base = resolved.policy.rules.get(rule)
        only_here = base is None and not any(
            named.name == rule for named in resolved.routes[-1].rules
        )
        if override is not None and (override.mode == "report-only" or only_here):
            places.append(("routes", position, "rules", rule))
            if only_here and places[0] == ("rules", rule):
                places.pop(0)
    for path in places:
        if source_mode(source, path) != "enforce":
            yield _set_mode(source, path, "enforce")


def source_mode(source: Source, path: Path) -> object:
    """What the text says of the mode at this place, None = nothing."""
    here = source.data
    for part in path:
        try:
            here = here[part]
        except (KeyError, IndexError, TypeError):
            return None
    return here.get("mode") if isinstance(here, dict) else None


def _own_path(source: Source, path: Path) -> Path:
    return path if path in source.spans else ("rules", str(path[-1]))


def _set_mode(source: Source, path: Path, mode: Mode) -> Edit:
    """The one edit that makes `mode:` at this place say so."""
    text = source.text
    newline = "\r\n" if "\r\n" in text else "\n"
    said = source.spans.get((*path, "mode"))
    if said is not None:
        anchor = re.match(r"&\S+\s+", text[said.start : said.end])
        kept = anchor.group() if anchor and said.style == "scalar" else ""
        quote = text[said.end - 1] if said.style == "scalar" and text[said.end - 1] in "'\"" else ""
        return Edit(said.start + len(kept), said.end, f"{quote}{mode}{quote}")
    here = source.spans.get(path)
    if here is None:
        return _new_rule(source, str(path[-1]), mode, newline)
    if here.style in ("alias", "scalar"):
        raise PolicyError(
            (
                source.place(
                    Problem(
                        "this rule is written as an alias",
                        "write it out to give it a mode of its own",
                        path,
                    )
                ),
            )
        )
    if here.style == "flow":
        separator = "" if here.inside == here.end - 1 and text[here.inside] == "}" else ", "
        return Edit(here.inside, here.inside, f"mode: {mode}{separator}")
    return Edit(here.inside, here.inside, f"mode: {mode}{newline}{_indent(text, here.inside)}")


def _new_rule(source: Source, rule: str, mode: Mode, newline: str) -> Edit:
    """An override for a rule that comes from a preset."""
    rules = source.spans.get(("rules",))
    line = f"{rule}: {{mode: {mode}}}"
    if rules is None:
        end = len(source.text)
        return Edit(end, end, f"  {line}{newline}")
    if rules.style == "flow":
        separator = "" if source.text[rules.inside] == "}" else ", "
        return Edit(rules.inside, rules.inside, line + separator)
    if rules.style != "block":
        raise PolicyError(
            (
                source.place(
                    Problem("rules is not written as a mapping here", "write it out", ("rules",))
                ),
            )
        )
    return Edit(rules.inside, rules.inside, f"{line}{newline}{_indent(source.text, rules.inside)}")


def _rules_block(source: Source) -> Iterable[Edit]:
    """The line that a file without rules needs above its first override."""
    if ("rules",) not in source.spans:
        newline, end = "\r\n" if "\r\n" in source.text else "\n", len(source.text)
        yield Edit(end, end, f"{'' if source.text.endswith(chr(10)) else newline}rules:{newline}")


def _indent(text: str, position: int) -> str:
    return " " * (position - max(text.rfind("\n", 0, position), text.rfind("\r", 0, position)) - 1)


def _verify(before: Resolved, after: Resolved, wanted: tuple[str, ...], name: str) -> None:
    was, now = effective(before), effective(after)
    for place, mode in now.items():
        route, rule = place
        right = (
            mode == "enforce" or was.get(place) == "off" or _held(after, route)
            if rule in wanted
            else mode == was.get(place)
        )
        if not right:
            raise PolicyError(
                (
                    Problem(
                        f"the edit would make rule {rule!r} on route {route!r} {mode}, which was not asked for",
                        "write the mode by hand",
                        file=name,
                    ),
                )
            )


def _held(resolved: Resolved, route: str) -> bool:
    """The route's own ceiling holds its rules down on purpose."""
    return any(
        known.name == route and known.mode not in (None, "enforce") for known in resolved.routes
    )
