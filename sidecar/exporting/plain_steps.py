"""For targets without conditions on responses: a route's lines that are always or never sent."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from sidecar.exporting.program import Gap, Route, Step
from sidecar.exporting.target import shortest
from sidecar.exporting.terms import ALWAYS, Scheme

_HTTPS_ONLY = ((Scheme("https"),),)


def plain_steps(
    route: Route, target: str, reason: Callable[[Step], str], gaps: list[Gap]
) -> Iterator[Step]:
    """The steps of a route that hold always, each header's last; a gap for each of the others.

    Args:
        route: whose steps.
        target: its name in sentences.
        reason: why the target cannot express a step that holds always; "" = it can.
        gaps: where gaps are added.
    """
    for key in dict.fromkeys(step.key for step in route.steps):
        every = [step for step in route.steps if step.key == key]
        chain = shortest(every, key)
        reasons = {step: _unsayable(step, chain, target, reason) for step in every}
        found = next(filter(None, reasons.values()), "")
        # Where one rule on a header is lost, the others on it cannot be expressed either.
        for step in every if found else ():
            why = reasons[step] or found
            gaps.append(Gap("lost", step.rule, step.header, why, route.name))
        for step in chain if not found else ():
            if step.when == _HTTPS_ONLY:
                text = "it is sent over plain http too, where browsers ignore it"
                gaps.append(Gap("differs", step.rule, step.header, text, route.name))
            yield step


def _unsayable(
    step: Step, chain: tuple[Step, ...], target: str, reason: Callable[[Step], str]
) -> str:
    if step.act == "cookie":
        return f"{target} does not read cookies"
    if step not in chain:
        return ""
    if len(chain) > 1:
        return f"several rules on one header, and {target} has no conditions to tell which"
    ignored = step.key == "strict-transport-security" and step.when == _HTTPS_ONLY
    if step.when != ALWAYS and not ignored:
        return f"{target} has no conditions"
    return reason(step)
