"""What every target shares: the text written, its heading, common limits, the shortest steps."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from sidecar.exporting.program import ExportedRoute, ExportedStep, Gap
from sidecar.exporting.terms import ALWAYS, Class, Scheme
from sidecar.policy.data import read_table

TEXTS = read_table("sidecar.exporting", "targets.json")
"""What is said of each target, limits that several share, and what a response proves of a rule that
`holds`, by action.
"""
WEIGHTS = {"lost": "Not in this file", "differs": "Different here", "note": "Left out on purpose"}


@dataclass(frozen=True, slots=True)
class Written:
    """A configuration and what it does not do."""

    text: str
    gaps: tuple[Gap, ...]


def out_of_order(step: ExportedStep) -> str:
    """Why steps that follow each other cannot express this one; "" = they can."""
    if step.together:
        return "its conditions look at headers that it changes, and would be tested between changes"
    if step.rewritten and any(isinstance(term, Class) for one in step.when for term in one):
        return sees_changes(step)
    return ""


def sees_changes(step: ExportedStep) -> str:
    """That a step's condition looks at lines which other rules change."""
    return f"its condition looks at {', '.join(sorted(step.rewritten))} after another rule's change"


def shortest(steps: Iterable[ExportedStep], header: str) -> tuple[ExportedStep, ...]:
    """The steps on one header without those of no effect: overwritten ones, a default after set."""
    kept: list[ExportedStep] = []
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


HTTPS_ONLY = ((Scheme("https"),),)


def plain_steps(
    route: ExportedRoute,
    target: str,
    reason: Callable[[ExportedStep], str],
    gaps: list[Gap],
    *,
    over_http: bool = True,
) -> Iterator[ExportedStep]:
    """The steps of a route that hold always, each header's last; a gap for each of the others.

    Args:
        route: whose steps.
        target: its name in sentences.
        reason: why the target cannot express a step, if it held always; "" = it can.
        gaps: where gaps are added.
        over_http: whether it sends Strict-Transport-Security over plain http too.
    """

    def unsupported(step: ExportedStep, chain: tuple[ExportedStep, ...]) -> str:
        if step.act == "cookie":
            return f"{target} does not read cookies"
        if step not in chain:
            return ""
        if why := reason(step):
            return why
        if len(chain) > 1:
            return f"several rules on one header, and {target} has no conditions to tell which"
        ignored = step.key == "strict-transport-security" and step.when == HTTPS_ONLY
        return "" if step.when == ALWAYS or ignored else f"{target} has no conditions"

    for key in dict.fromkeys(step.key for step in route.steps):
        every = [step for step in route.steps if step.key == key]
        chain = shortest(every, key)
        reasons = {step: unsupported(step, chain) for step in every}
        found = next(filter(None, reasons.values()), "")
        # Where one rule on a header is lost, the others on it cannot be expressed either.
        for step in every if found else ():
            why = reasons[step] or found
            gaps.append(Gap("lost", step.rule, step.header, why, route.name))
        for step in chain if not found else ():
            if over_http and step.when == HTTPS_ONLY:
                text = "it is sent over plain http too, where browsers ignore it"
                gaps.append(Gap("differs", step.rule, step.header, text, route.name))
            yield step
