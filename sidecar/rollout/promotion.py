"""A rule goes up or down by a step in the file, and nothing else in the file or its meaning
changes.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any, Literal

from sidecar.policy.engine.plan import compile_policy
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.model import Rule
from sidecar.policy.problems import did_you_mean
from sidecar.policy.rules.ladder import described
from sidecar.policy.terms import MODES, Mode, Path, PolicyError, Problem
from sidecar.rollout.edits import TextEdit, applied, by_hand, edited, policy_of, set_word
from sidecar.source import SourceText, read_yaml

_ABOUT = ("owner", "expected", "rollback")


def promote(
    text: str, rules: Iterable[str], name: str = "policy.yaml", to: Mode = "enforce"
) -> str:
    """The policy's text with these rules in mode `to`, every byte around the edits kept; one that
    enforces climbs its ladder.

    A rule that the policy's own ceiling holds down is freed by raising the ceiling and writing
    the old ceiling to every rule that would rise with it. The result is judged: exactly the named
    rules change their effective mode. What is off stays off.

    Raises: PolicyError: an unknown rule, one that is off or above `to`, one that would enforce
        without owner, expected result or rollback, or a text in which the edit cannot be made
        safely.
    """
    source, before = read_yaml(text.encode(), name), policy_of(text, name)
    wanted = tuple(dict.fromkeys(rules))
    problems = [*_unknown(before, wanted), *_not_below(before, wanted, to)]
    if to == "enforce":
        problems += _without_about(before, wanted)
    _refuse(source, problems)
    edits: list[TextEdit] = []
    lower = MODES[1 : MODES.index(to)]
    for rule in wanted:
        if to == "enforce" and _enforces(before, rule):
            edits += _stepped(source, before, rule, 1)
        else:
            edits += _moved(source, before, rule, to, lower)
    if before.mode in ("off", *lower):
        others = {named.name for route in before.routes for named in route.rules} - {*wanted}
        edits += [edit for rule in sorted(others) for edit in _kept(source, before, rule)]
        edits.append(set_word(source, (), "mode", to))
    return _edited(source, before, edits, dict.fromkeys(wanted, to), max)


def step_back(text: str, rules: Iterable[str], name: str = "policy.yaml") -> str:
    """The policy's text with each of these rules one step lower: down its ladder, then enforce,
    trial, report-only.

    A rule that stands in different modes on its routes goes one below the highest. The result is
    judged, as by `promote`.

    Raises: PolicyError: an unknown rule, one that changes nothing already, or a text in which the
        edit cannot be made safely.
    """
    source, before = read_yaml(text.encode(), name), policy_of(text, name)
    wanted = tuple(dict.fromkeys(rules))
    _refuse(source, _unknown(before, wanted))
    highest = {rule: max(_modes(before, rule), key=MODES.index) for rule in wanted}
    _refuse(
        source,
        [
            Problem(
                f"rule {rule!r} is in {mode} and changes nothing",
                "there is no step back from it",
                ("rules", rule),
            )
            for rule, mode in highest.items()
            if mode in ("off", "report-only")
        ],
    )
    edits: list[TextEdit] = []
    targets: dict[str, Mode] = {}
    for rule, mode in highest.items():
        down = list(_stepped(source, before, rule, -1)) if mode == "enforce" else []
        to = targets[rule] = mode if down else MODES[MODES.index(mode) - 1]
        edits += down or _moved(source, before, rule, to, MODES[MODES.index(to) + 1 :])
    return _edited(source, before, edits, targets, min)


def reported(text: str) -> str:
    """The text with the policy's own ceiling at report-only: nothing is changed."""
    source = read_yaml(text.encode(), "policy.yaml")
    return applied(source.text, [set_word(source, (), "mode", "report-only")])


def enforced(text: str) -> str:
    """The text with the policy's own ceiling at enforce, and every mode below it that is not off
    too.
    """
    source = read_yaml(text.encode(), "policy.yaml")
    places = [*_rules(source.data, ())]
    for position, route in enumerate(source.data.get("routes") or ()):
        places += [(("routes", position), route), *_rules(route, ("routes", position))]
    below = [path for path, said in places if said and said.get("mode") in ("report-only", "trial")]
    top: list[Path] = [] if source.data.get("mode") == "enforce" else [()]
    edits = (set_word(source, path, "mode", "enforce") for path in top + below)
    return applied(source.text, {edit.start: edit for edit in edits}.values())


def _rules(said: Mapping[str, Any], path: Path) -> Iterator[tuple[Path, Any]]:
    for name, rule in (said.get("rules") or {}).items():
        yield (*path, "rules", name), rule


def effective(resolved: Resolved) -> Mapping[tuple[str, str], Mode]:
    """The effective mode of each (route, rule)."""
    return {
        (route.name, line.name): line.mode
        for route in compile_policy(resolved).routes
        for line in route.rules
    }


def standing(text: str, rules: Iterable[str], name: str = "") -> dict[str, str]:
    """Where a valid policy's text puts each of these rules: the highest mode over its routes,
    and the highest step of a ladder.
    """
    resolved = policy_of(text, name)
    found = {}
    for rule in rules:
        steps = [
            named.rule for route in resolved.routes for named in route.rules if named.name == rule
        ]
        step = described(max(steps, key=lambda one: one.step or 0))
        mode = max(_modes(resolved, rule), key=MODES.index)
        found[rule] = f"{mode}, {step}" if step else mode
    return found


def _modes(resolved: Resolved, rule: str) -> list[Mode]:
    """The effective modes of a rule, route by route."""
    return [mode for (_, name), mode in effective(resolved).items() if name == rule]


def _refuse(source: SourceText, problems: Iterable[Problem]) -> None:
    found = tuple(source.place(problem) for problem in problems)
    if found:
        raise PolicyError(found)


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
                lines = ", ".join(f"`{key}: ...`" for key in missing)
                yield Problem(
                    f"rule {named.name!r} may not enforce without {' and '.join(missing)}",
                    f"write {lines} at the top of the policy",
                    (),
                )


def _not_below(resolved: Resolved, wanted: tuple[str, ...], to: Mode) -> Iterable[Problem]:
    for rule in wanted:
        modes = {mode for mode in _modes(resolved, rule) if mode != "off"}
        if not modes:
            if _modes(resolved, rule):
                fix = "write mode: report-only for it first"
                yield Problem(f"rule {rule!r} is off", fix, ("rules", rule))
        elif MODES.index(min(modes, key=MODES.index)) > MODES.index(to):
            fix = f"`sidecar promote {rule} --step-back` takes it one step back"
            yield Problem(f"rule {rule!r} enforces already", fix, ("rules", rule))


def _places(resolved: Resolved, rule: str, key: str) -> Iterator[tuple[Path, Rule]]:
    """Each place of the file that decides on a key of the rule, and the rule as it is there."""
    base = next((named.rule for named in resolved.routes[-1].rules if named.name == rule), None)
    if base is not None:
        yield ("rules", rule), base
    for position, route in enumerate(resolved.policy.routes):
        override = route.rules.get(rule)
        if override is not None and (getattr(override, key) is not None or base is None):
            whole = next(one.rule for one in resolved.routes[position].rules if one.name == rule)
            yield ("routes", position, "rules", rule), whole


def _moved(
    source: SourceText, resolved: Resolved, rule: str, to: Mode, among: Collection[Mode]
) -> Iterator[TextEdit]:
    """The rule in mode `to` in each place of the file where it is in one of these."""
    for path, whole in _places(resolved, rule, "mode"):
        if (whole.mode or resolved.mode) in among:
            yield set_word(source, path, "mode", to)


def _enforces(resolved: Resolved, rule: str) -> bool:
    """On all its routes, but where it is off or held down by the route on purpose."""
    modes = effective(resolved)
    return all(
        mode in ("enforce", "off") or _held(resolved, route)
        for (route, name), mode in modes.items()
        if name == rule
    )


def _stepped(
    source: SourceText, resolved: Resolved, rule: str, by: Literal[1, -1]
) -> Iterator[TextEdit]:
    """One step up where the rule stands lowest, or down where it stands highest; nothing at the end
    of its ladder.
    """
    places = [
        (path, (whole.step or 1) + by)
        for path, whole in _places(resolved, rule, "step")
        if whole.ladder is not None and 1 <= (whole.step or 1) + by <= len(whole.ladder)
    ]
    first = (min if by > 0 else max)((step for _, step in places), default=0)
    for path, step in places:
        if step == first:
            yield set_word(source, path, "step", str(step))


def _kept(source: SourceText, resolved: Resolved, rule: str) -> Iterator[TextEdit]:
    """The rule stays where it is when the policy's own ceiling rises."""
    for path, whole in _places(resolved, rule, "mode"):
        if whole.mode is None or MODES.index(whole.mode) > MODES.index(resolved.mode):
            yield set_word(source, path, "mode", resolved.mode)


def _edited(
    source: SourceText,
    before: Resolved,
    edits: list[TextEdit],
    targets: Mapping[str, Mode],
    toward: Callable[..., Mode],
) -> str:
    """The text with the edits made, once it is sure that the named rules move toward their
    targets and nothing else moves.
    """
    if not edits:
        return source.text
    text, after = edited(source, edits)
    was = effective(before)
    stood, stands = _standing(before), _standing(after)
    moved = {rule for (route, rule), step in stood.items() if stands.get((route, rule)) != step}
    for rule in sorted(moved - {*targets}):
        change = f"the edit would move rule {rule!r} on its ladder"
        raise by_hand(source, f"{change}, which was not asked for")
    for (route, rule), mode in effective(after).items():
        right = was.get((route, rule), mode)
        if rule in targets and right != "off":
            right = toward(right, targets[rule], key=MODES.index)
        if mode != right and not (rule in targets and _held(after, route)):
            change = f"the edit would make rule {rule!r} on route {route!r} {mode}"
            raise by_hand(source, f"{change}, which was not asked for")
    return text


def _standing(resolved: Resolved) -> Mapping[tuple[str, str], int | None]:
    """The step of each (route, rule)."""
    return {
        (route.name, named.name): named.rule.step
        for route in resolved.routes
        for named in route.rules
    }


def _held(resolved: Resolved, route: str) -> bool:
    """The route's own ceiling holds its rules down on purpose."""
    return any(
        known.name == route and known.mode not in (None, "enforce") for known in resolved.routes
    )
