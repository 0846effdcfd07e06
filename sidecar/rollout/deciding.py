"""Whether rules may move: the edit of the policy, the gate's verdicts, and the decision on both."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Any

from sidecar.policy.browsers.witness import prospect
from sidecar.policy.csp import names_ancestors
from sidecar.policy.engine.plan import compile_policy, read_with
from sidecar.policy.engine.resolve import Resolved
from sidecar.policy.model import Rule
from sidecar.policy.terms import PolicyError, Problem
from sidecar.revisions.entries import Move
from sidecar.rollout.edits import difference, policy_of
from sidecar.rollout.gate import admit, judge
from sidecar.rollout.model import Evidence, GatheredEvidence, Minimums, Verdict
from sidecar.rollout.note import digest
from sidecar.rollout.promotion import effective, promote, standing, step_back


@dataclass(frozen=True, slots=True)
class Promotion:
    """What is decided on an order to move rules: `edited` is the whole policy after the edit."""

    rules: Sequence[str]
    move: Move
    name: str
    """Of the policy: a file, or a revision."""
    policy: str
    edited: str
    gathered: GatheredEvidence
    verdicts: Sequence[Verdict] = ()
    kept: Sequence[str] = ()
    """What browsers go on keeping after a step back."""
    waived: Sequence[str] = ()
    override: str | None = None

    @property
    def changes(self) -> bool:
        """Whether the policy does not say so already."""
        return self.policy != self.edited

    @property
    def passed(self) -> bool:
        """Whether the evidence allows it; a replica that said nothing may know better."""
        return not self.gathered.silent and all(one.outcome == "pass" for one in self.verdicts)

    @property
    def granted(self) -> bool:
        """Whether the edit may be made."""
        return self.passed or self.override is not None

    @property
    def to(self) -> dict[str, str]:
        """Where each rule goes."""
        return standing(self.edited, self.rules, self.name)

    @property
    def reason(self) -> str:
        """Why it is granted, or refused, in a line."""
        if self.move == "back":
            return "; ".join(self.kept)
        if self.override is not None:
            return self.override
        said = [f"{one.rule}: {one.outcome}, {'; '.join(one.reasons[:1])}" for one in self.verdicts]
        return "; ".join(said + [f"{replica} said nothing" for replica in self.gathered.silent])

    @property
    def found(self) -> list[Evidence]:
        """What was seen of these rules."""
        return [item for item in self.gathered.found if item.rule in self.rules]

    @property
    def diff(self) -> str:
        """The edit as a unified diff."""
        return difference(self.policy, self.edited, f"{self.name} (before)", f"{self.name} (after)")

    def entry(self) -> dict[str, Any]:
        """For the journal: what was decided and why, and the edit where it is allowed."""
        kind, edit = "step_back" if self.move == "back" else "promotion", dict[str, str]()
        if self.granted:
            edit = {
                "revision": policy_of(self.edited, self.name).revision(),
                "before": digest(self.policy),
                "after": digest(self.edited),
                "diff": self.diff,
            }
        return {
            "event": f"{kind}.{'granted' if self.granted else 'refused'}",
            "rules": list(self.rules),
            "to": self.to,
            "verdicts": self.gathered.rows(self.verdicts),
            "override": self.override,
            "reason": self.reason,
            "waived": list(self.waived),
            "source": self.gathered.source,
            "file": self.name,
            **edit,
        }

    def data(self) -> dict[str, Any]:
        """For JSON: all that whoever asked is shown, or needs to make the edit."""
        return {
            "granted": self.granted,
            "reason": self.reason,
            "to": self.to,
            "verdicts": self.gathered.rows(self.verdicts),
            "evidence": [item.data() for item in self.found],
            "source": self.gathered.source,
            "silent": list(self.gathered.silent),
            "kept": list(self.kept),
            "file": self.name,
            "policy": self.policy,
            "edited": self.edited,
            "diff": self.diff,
        }


def decide(
    rules: Sequence[str],
    move: Move,
    policy: tuple[str, str],
    gathered: GatheredEvidence,
    minimums: Minimums,
    waived: Collection[str] = (),
    override: str | None = None,
) -> Promotion:
    """Judge an order to move rules of a policy, which comes as its text and its name.

    A step back asks for no evidence. A trial changes nothing, so that the rule must only be judged
    somewhere.

    Raises:
        PolicyError: the edit cannot be made, or the evidence is of another step of a ladder.
    """
    text, name = policy
    if move == "back":
        kept = dict.fromkeys(
            item.climb.promise(gathered.at)
            for item in gathered.found
            if item.climb is not None and item.rule in rules
        )
        edited = step_back(text, rules, name)
        return Promotion(rules, move, name, text, edited, gathered, kept=[*filter(None, kept)])
    edited, found = promote(text, rules, name, move), gathered.found
    resolved = policy_of(text, name)
    _same_steps(resolved, [item for item in found if item.rule in rules], name)
    if move == "trial":
        verdicts = [admit(rule, found, _prospect(resolved, rule), gathered.at) for rule in rules]
    else:
        acting, found = _acting_together(resolved, rules), _of_file(resolved, rules, gathered)
        verdicts = [
            judge(rule, found, minimums, gathered.at, waived, acting.get(rule, ()))
            for rule in rules
        ]
    decided = tuple(verdicts), (), tuple(waived), override
    return Promotion(rules, move, name, text, edited, gathered, *decided)


def _of_file(
    resolved: Resolved, rules: Collection[str], gathered: GatheredEvidence
) -> list[Evidence]:
    """The evidence, in doubt where the file does not demand what was watched: it may not be in
    force, or an override of the mode may hold down a rule that acts on what this one sees.
    """
    asked = {
        (route.name, line.name): line.demand
        for route in compile_policy(resolved).routes
        for line in route.rules
        if line.name in rules and line.mode != "off"
    }
    found = [
        item
        if not item.subject or item.doubt or item.subject == asked.get((item.route, item.rule))
        else replace(item, doubt="file")
        for item in gathered.found
    ]
    known = {item.rule for item in found if item.subject}
    for route, rule in asked.keys() - {(item.route, item.rule) for item in found}:
        if rule in known:  # a route that is not in force yet
            found.append(Evidence(route, rule, "report-only", gathered.at, 0, 0, doubt="file"))
    return found


def _same_steps(resolved: Resolved, found: Sequence[Evidence], name: str) -> None:
    """Refuse evidence of another step of a ladder than the one that the policy names."""
    routes = {route.name: route for route in resolved.routes}
    for item in found:
        here = routes[item.route].rules if item.route in routes else ()
        step = next((named.rule.step for named in here if named.name == item.rule), None)
        if item.climb is not None and step != item.climb.step:
            message = (
                f"the file puts {item.rule!r} on step {step}, and the sidecar is on {item.climb}"
            )
            fix = "let it read the file first (`sidecar reload`), and gather evidence of this step"
            raise PolicyError((Problem(message, fix, file=name),))


def _acting_together(resolved: Resolved, rules: Collection[str]) -> Mapping[str, set[str]]:
    """Which of these rules act on which, so that nobody has seen what they do together: both write
    one header, or headers that browsers read together. Those that enforce already were there.
    """
    found: dict[str, set[str]] = {}
    modes = effective(resolved)
    for route in resolved.routes:
        own = [
            named
            for named in route.rules
            if named.name in rules and modes[route.name, named.name] not in ("off", "enforce")
        ]
        for one, other in combinations(own, 2):
            if _act_together(one.rule, other.rule):
                found.setdefault(one.name, set()).add(other.name)
                found.setdefault(other.name, set()).add(one.name)
    return found


def _act_together(one: Rule, other: Rule) -> bool:
    names, others = frozenset(one.names), frozenset(other.names)
    if names & others:
        return True
    if names | others >= _FRAMING:
        return _lifts(one) or _lifts(other)
    return bool(read_with(names) & others)


_FRAMING = frozenset({"content-security-policy", "x-frame-options"})


def _lifts(rule: Rule) -> bool:
    """Whether it takes away the service's own `frame-ancestors`, with which X-Frame-Options would
    do nothing (HTML section 7.1.6).
    """
    if "content-security-policy" not in rule.names:
        return False
    return rule.action == "remove" or (
        rule.action == "set" and not names_ancestors((rule.text.encode(),))
    )


def _prospect(resolved: Resolved, rule: str) -> list[str]:
    """What a trial can show of a rule, wherever it stands."""
    places = [named for route in resolved.routes for named in route.rules if named.name == rule]
    declared = [named.rule for named in places]
    return list(dict.fromkeys(said for one in declared for said in prospect(one)))
