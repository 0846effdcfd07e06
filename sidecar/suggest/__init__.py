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


class _Place:
    """The place of a value of one or more rules in the file, and the text that replaces it."""

    def __init__(self, named: NamedRule) -> None:
        rule = named.rule
        self.headers = rule.header or ()
        self.before = self.value = rule.text if rule.value is not None else ""
        self.is_csp = not CSP_NAMES.isdisjoint(rule.names)
        self.policies = [one for one in parse(self.value) if one.directives] if self.is_csp else []
        self.merged = rule.action == "merge" and not rule.widen
        self.comments: dict[tuple[str, str], str] = {}

    def meaning(self) -> Sequence[CspPolicy] | str:
        """What the replaced text says."""
        return [*map(normalise, self.policies)] if self.is_csp else self.value


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
    known = {named.name for route in resolved.routes for named in route.rules}
    if rule is not None and rule not in known:
        problem = Problem(f"unknown rule {rule!r}", did_you_mean(rule, known), file=name)
        raise PolicyError((problem,))
    reported = load_policy(running.encode(), name) if running else None
    places: dict[Path, _Place] = {}
    proposals = []
    for cause in causes:
        named = _named(resolved, cause)
        if named is None or cause.kind == "noise" or rule not in (None, cause.rule):
            continue
        path = _value_path(resolved, named, cause.route)
        place = places.setdefault(path, _Place(named))
        found = _advised(cause, place, contents, terms, comments=comments)
        in_force = _named(reported, cause) if reported else None
        if found.outcome == "allowed" and place.is_csp and in_force:
            written = _Place(named)
            advice = (advise(cause, policy, contents, terms) for policy in written.policies)
            if _Place(in_force).meaning() == written.meaning() and all(
                one.outcome == "allowed" for one in advice
            ):
                found = contradicted(cause, place.policies[0], merged=written.merged)
        proposals.append(found)
    edits = [edit for path, place in places.items() for edit in _edits(source, path, place)]
    if edits:
        text, after = edited(source, edits)
        _verify(resolved, after, places, source)
    policies = [place.policies for place in places.values() if place.is_csp]
    unsaid = tuple(
        name
        for name in ("base-uri", "form-action", "frame-ancestors")
        if not all(any(policy.get(name) for policy in held) for held in policies)
    )
    return Suggestion(tuple(proposals), text, unsaid)


def _named(resolved: Resolved, cause: Cause) -> NamedRule | None:
    rules = (route.rules for route in resolved.routes if route.name == cause.route)
    return next((named for named in next(rules, ()) if named.name == cause.rule), None)


def _value_path(resolved: Resolved, named: NamedRule, route: str) -> Path:
    """The path of the rule's value; of a rule from a preset, where it would be overridden."""
    if named.origin.get("value") == f"route {route}":
        position = [one.name for one in resolved.policy.routes].index(route)
        return ("routes", position, "rules", named.name, "value")
    return ("rules", named.name, "value")


def _advised(
    cause: Cause, place: _Place, contents: PageContents, terms: Terms, *, comments: bool
) -> Proposal:
    """The proposal for a cause, its edit made in `place`. Each policy of a value must allow it."""
    if cause.directive == SIGN:
        return proposal(cause, "sign")
    if not place.is_csp:
        return _advised_otherwise(cause, place, terms)
    inline = cause.blocked == "inline"
    if place.merged and inline:
        return proposal(cause, "not-merged")
    # Browsers use these today: older ones report inline code by its family.
    older = inline and cause.directive in ("script-src", "style-src")
    directive = f"{cause.directive}-elem" if older else cause.directive
    shown: Proposal | None = None
    for number, policy in enumerate(place.policies):
        found = advise(cause, policy, contents, terms)
        if found.outcome == "add":
            made, target = extended(policy, directive, found.sources)
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
    found, after = advise_other(cause, place.headers, place.value, terms)
    if found.outcome == "advice" and place.value != place.before:
        first, wanted = advise_other(cause, place.headers, place.before, terms)
        if first.outcome == "add" and wanted == place.value:
            return proposal(cause, "allowed-by-edit")
    place.value = after
    return found


def _comment(found: Proposal) -> str:
    """A proposal's witness as a comment of the file: one line of visible ASCII."""
    text = visible(found.witness)
    return text if len(text) <= _COMMENT else f"{text[:_COMMENT]}..."


def _edits(source: SourceText, path: Path, place: _Place) -> Iterable[TextEdit]:
    if place.is_csp:
        if place.policies != [one for one in parse(place.before) if one.directives]:
            yield from value_edits(source, path, place.policies, place.comments)
    elif place.value != place.before:
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
            wanted = places.get(_value_path(before, one, was.name)) or _Place(one)
            other_value = one.rule.model_copy(update={"value": other.rule.value})
            if other_value != other.rule or _Place(other).meaning() != wanted.meaning():
                text = f"the edit would change more of rule {one.name!r} on route {was.name!r}"
                raise by_hand(source, text)
