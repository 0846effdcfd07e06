"""The smallest edit of a policy file that would have silenced what browsers reported in a trial."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from sidecar.policy.csp import CspPolicy, normalise, parse
from sidecar.policy.csp.extend import extended
from sidecar.policy.engine.resolve import NamedRule, Resolved
from sidecar.policy.headers import CSP_NAMES
from sidecar.policy.problems import did_you_mean
from sidecar.policy.terms import Path, PolicyError, Problem
from sidecar.policy.words import visible
from sidecar.rollout.edits import TextEdit, by_hand, edited, set_word
from sidecar.rollout.isolation import SIGN
from sidecar.rollout.model import Cause
from sidecar.source import SourceText, load_policy, read_yaml
from sidecar.suggest.csp import advise, contradicted
from sidecar.suggest.model import PageContents, Proposal, Terms, proposal
from sidecar.suggest.other import advise_other
from sidecar.suggest.value_edit import value_edits

_COMMENT = 140


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What to do about each cause, and the policy's text with the edits made."""

    proposals: tuple[Proposal, ...]
    text: str
    open: tuple[str, ...] = ()
    """Directives that no fallback governs, and that a value which was edited does not have."""


@dataclass(slots=True)
class _Place:
    """The place of a value of one or more rules in the file, and the text that replaces it."""

    named: NamedRule
    policies: list[CspPolicy]
    value: str
    comments: dict[tuple[str, str], str]


def suggest(
    text: str,
    causes: Iterable[Cause],
    contents: PageContents,
    terms: Terms,
    *,
    rule: str | None = None,
    comments: bool = False,
    running: str = "",
    name: str = "policy.yaml",
) -> Suggestion:
    """Proposals for the causes of one rule or of all, and the text with their edits.

    With `comments` each added source gets a line of its own, with its witness in a comment.
    `running` is the text of the policy in force, which browsers reported on: a cause that its value
    allows is looked at again.

    Raises:
        PolicyError: an unknown rule, a text that is no policy, or one that cannot be edited safely.
    """
    source, resolved = read_yaml(text.encode(), name), load_policy(text.encode(), name)
    _known(resolved, rule, name)
    reported = load_policy(running.encode(), name) if running else None
    places: dict[Path, _Place] = {}
    proposals = []
    for cause in causes:
        if cause.kind == "noise" or (rule is not None and cause.rule != rule):
            continue
        named = _named(resolved, cause)
        if named is None:
            continue
        path = _value_path(source, resolved, named, cause.route)
        place = places.setdefault(path, _place(named))
        found = _advised(cause, place, contents, terms, comments=comments)
        same = reported is not None and _same(named, _named(reported, cause))
        if found.outcome == "allowed" and same and _allowed(cause, named, contents, terms):
            merged = named.rule.action == "merge" and not named.rule.widen
            found = contradicted(cause, place.policies[0], merged=merged)
        proposals.append(found)
    edits = [edit for path, place in places.items() for edit in _edits(source, path, place)]
    if edits:
        text, after = edited(source, edits)
        _verify(resolved, after, places, source)
    return Suggestion(tuple(proposals), text, tuple(_open(places.values())))


def _same(one: NamedRule, other: NamedRule | None) -> bool:
    """Whether both say the same value of a Content Security Policy."""
    return other is not None and _is_csp(one) and _meaning(one) == _meaning(other)


def _allowed(cause: Cause, named: NamedRule, contents: PageContents, terms: Terms) -> bool:
    """Whether the file as it is allows the cause, before any edit."""
    found = [advise(cause, policy, contents, terms) for policy in _place(named).policies]
    return all(one.outcome == "allowed" for one in found)


def _open(places: Iterable[_Place]) -> Iterable[str]:
    changed = [place for place in places if _is_csp(place.named)]
    for name in ("base-uri", "form-action", "frame-ancestors"):
        if any(not any(policy.get(name) for policy in place.policies) for place in changed):
            yield name


def _known(resolved: Resolved, rule: str | None, name: str) -> None:
    known = {named.name for route in resolved.routes for named in route.rules}
    if rule is not None and rule not in known:
        problem = Problem(f"unknown rule {rule!r}", did_you_mean(rule, known), file=name)
        raise PolicyError((problem,))


def _named(resolved: Resolved, cause: Cause) -> NamedRule | None:
    rules = (route.rules for route in resolved.routes if route.name == cause.route)
    return next((named for named in next(rules, ()) if named.name == cause.rule), None)


def _value_path(source: SourceText, resolved: Resolved, named: NamedRule, route: str) -> Path:
    """The path of the rule's value; of a rule from a preset, where it would be overridden."""
    if named.origin.get("value") == f"route {route}":
        position = [one.name for one in resolved.policy.routes].index(route)
        return ("routes", position, "rules", named.name, "value")
    return ("rules", named.name, "value")


def _place(named: NamedRule) -> _Place:
    text = _text(named)
    policies = [one for one in parse(text) if one.directives] if _is_csp(named) else []
    return _Place(named, policies, text, {})


def _is_csp(named: NamedRule) -> bool:
    return not CSP_NAMES.isdisjoint(named.rule.names)


def _advised(
    cause: Cause, place: _Place, contents: PageContents, terms: Terms, *, comments: bool
) -> Proposal:
    """The proposal for a cause, its edit made in `place`. Each policy of a value must allow it."""
    if cause.directive == SIGN:
        return proposal(cause, "sign")
    if not _is_csp(place.named):
        return _advised_otherwise(cause, place, terms)
    merged = place.named.rule.action == "merge" and not place.named.rule.widen
    if merged and cause.blocked == "inline":
        return proposal(cause, "not-merged")
    shown: Proposal | None = None
    for number, policy in enumerate(place.policies):
        found = advise(cause, policy, contents, terms)
        if found.outcome == "add":
            made, target = extended(policy, _directive(cause), found.sources)
            place.policies[number] = made
            if comments:
                for one in found.sources:
                    place.comments.setdefault((target, one), _comment(found))
        if shown is None or shown.outcome == "allowed":
            shown = found
    assert shown is not None
    return shown


def _advised_otherwise(cause: Cause, place: _Place, terms: Terms) -> Proposal:
    """The same for other headers than CSP; the edit for an earlier cause may be enough."""
    headers = place.named.rule.header or ()
    found, after = advise_other(cause, headers, place.value, terms)
    before = _text(place.named)
    if found.outcome == "advice" and place.value != before:
        first, wanted = advise_other(cause, headers, before, terms)
        if first.outcome == "add" and wanted == place.value:
            return proposal(cause, "allowed-by-edit")
    place.value = after
    return found


def _text(named: NamedRule) -> str:
    return named.rule.text if named.rule.value is not None else ""


def _directive(cause: Cause) -> str:
    """The directive that browsers use today: older ones report inline code by its family."""
    if cause.blocked == "inline" and cause.directive in ("script-src", "style-src"):
        return f"{cause.directive}-elem"
    return cause.directive


def _comment(found: Proposal) -> str:
    """A proposal's witness as a comment of the file: one line of visible ASCII."""
    text = visible(found.witness)
    return text if len(text) <= _COMMENT else f"{text[:_COMMENT]}..."


def _edits(source: SourceText, path: Path, place: _Place) -> Iterable[TextEdit]:
    before = _text(place.named)
    if _is_csp(place.named):
        if tuple(place.policies) != tuple(one for one in parse(before) if one.directives):
            yield from value_edits(source, path, place.policies, place.comments)
    elif place.value != before:
        span = source.spans.get(path)
        written = json.dumps(place.value)
        if span is None:
            yield set_word(source, path[:-1], "value", written)
        else:
            end = span.start + len(source.text[span.start : span.end].rstrip())
            yield TextEdit(span.start, end, written)


def _verify(
    before: Resolved, after: Resolved, places: Mapping[Path, _Place], source: SourceText
) -> None:
    """The edit says what was meant, and nothing else has changed."""
    for was, now in zip(before.routes, after.routes, strict=True):
        for one, other in zip(was.rules, now.rules, strict=True):
            place = places.get(_value_path(source, before, one, was.name))
            wanted = _meaning(one) if place is None else _wanted(place)
            other_value = one.rule.model_copy(update={"value": other.rule.value})
            if other_value != other.rule or _meaning(other) != wanted:
                text = f"the edit would change more of rule {one.name!r} on route {was.name!r}"
                raise by_hand(source, text)


def _wanted(place: _Place) -> Sequence[CspPolicy] | str:
    return [*map(normalise, place.policies)] if _is_csp(place.named) else place.value


def _meaning(named: NamedRule) -> Sequence[CspPolicy] | str:
    text = _text(named)
    found = (normalise(one) for one in parse(text) if one.directives)
    return [*found] if _is_csp(named) else text
