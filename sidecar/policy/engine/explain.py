"""Why a header is as it is: the very checks that run, asked one by one with their reasons.

It decides nothing of its own: what it says is what `decide` does.
"""

from __future__ import annotations

from dataclasses import dataclass

from sidecar.policy.browsers.trial import added
from sidecar.policy.browsers.witness import Witness, witnesses
from sidecar.policy.engine.judge import report_only_headers
from sidecar.policy.engine.nonces import NonceEnsured
from sidecar.policy.engine.plan import RoutePlan
from sidecar.policy.rules.checks import Check, worst_fault
from sidecar.policy.rules.classes import classes
from sidecar.policy.rules.conditions import Facts, Finding, RawFields, by_name, write
from sidecar.policy.rules.ladder import described
from sidecar.policy.terms import Mode
from sidecar.policy.values import ResponseClass


@dataclass(frozen=True, slots=True)
class ExplainedCheck:
    """One check of one rule: what it saw and did, or why it did not apply."""

    rule: str
    header: str
    mode: Mode
    ceiling: str
    origin: str
    witnesses: tuple[Witness, ...]
    """What can show whether the rule breaks the site."""
    reason: str
    applies: bool = False
    finding: Finding | None = None


@dataclass(frozen=True, slots=True)
class Explanation:
    """The service's lines, each step in order, the lines that leave."""

    route: str
    classes: tuple[ResponseClass, ...]
    """What the service's response is."""
    before: RawFields
    steps: tuple[ExplainedCheck, ...]
    after: RawFields


def explain(route: RoutePlan, facts: Facts) -> Explanation:
    """Judge one response as `decide` does, and keep the reasons."""
    fields = list(facts.fields)
    seen = by_name(fields)
    of_service = classes(facts.path, facts.status, seen)
    steps: list[ExplainedCheck] = []
    tried: list[tuple[Finding, str]] = []
    last = [check for check in route.checks if isinstance(check, NonceEnsured)]
    turns: list[tuple[int, list[Check]]] = [
        (index, [one for one in route.checks if one.index == index and one not in last])
        for index in range(len(route.rules))
    ]
    turns += [(check.index, [check]) for check in last]
    for index, checks in turns:
        line = route.rules[index]
        origin = ", ".join(dict.fromkeys(line.named.origin.values()))
        if rung := described(line.named.rule):
            origin = f"{origin}; {rung}"
        about = (line.mode, line.ceiling, origin, witnesses(line.named.rule))
        if not checks:
            names = ", ".join(line.named.rule.header or ("Set-Cookie",))
            steps.append(ExplainedCheck(line.name, names, *about, reason=f"off ({line.ceiling})"))
        for check in checks:
            unmet = (each.text for each in check.when if not each.holds(facts, seen))
            if failed := next(unmet, None):
                reason = f"applies only where {failed}"
                steps.append(ExplainedCheck(line.name, check.header, *about, reason))
                continue
            found = check.judge(facts, seen)
            said: list[tuple[str, str, Finding | None]]
            said = [(one.header, _reason(one, facts), one) for one in found]
            if not found and check not in last:
                said = [(check.header, "already right", None)]
            steps += [
                ExplainedCheck(line.name, header, *about, reason, applies=True, finding=finding)
                for header, reason, finding in said
            ]
            if found and found[0].made:
                fields = write(fields, seen, found)
            elif found and found[0].mode == "trial" and index in route.trials:
                tried += [(finding, route.trials[index]) for finding in found]
    fields += added(report_only_headers(tried, facts.scheme, seen))
    return Explanation(route.name, of_service, list(facts.fields), tuple(steps), fields)


_WHAT = {
    "missing": "it is absent",
    "mismatch": "its value differs",
    "forbidden": "it is there",
    "duplicate": "it is there more than once",
    "weak": "its value is weak",
    "invalid": "its value is invalid",
}


def _reason(finding: Finding, facts: Facts) -> str:
    what = _WHAT[finding.kind]
    if finding.kind in ("weak", "invalid"):
        fault = worst_fault(finding.header, finding.before, facts.scheme)
        return f"{what}: {fault.text if fault else ''} {finding.action} only judges"
    if finding.after is None:
        return f"{what}; {finding.action} only judges"
    return what if finding.made else f"{what}; only reported, the mode is {finding.mode}"
