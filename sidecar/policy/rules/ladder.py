"""The ladder of Strict-Transport-Security: the same promise for longer and longer, step by step.

A browser keeps a promise until it gets another over https, so each step is tried before the next
(RFC 6797 sections 5.3 and 8.1).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import pairwise

from sidecar.policy.model import Rule
from sidecar.policy.rules.conditions import Facts
from sidecar.policy.rules.fetch import Fetch, Outcome
from sidecar.policy.terms import Path, Problem
from sidecar.policy.values import age_text
from sidecar.policy.words import counted

HEADER = "strict-transport-security"
_AGE = re.compile(r"\s*max-age\s*(=|$)", re.IGNORECASE)
_PROTO = re.compile(rb'proto="?(https?)\b', re.IGNORECASE)


def ladder_problems(name: str, rule: Rule, path: Path) -> Iterator[Problem]:
    """What is wrong with the ladder and the step of a rule whose layers are merged."""
    if rule.ladder is None:
        if rule.step is not None:
            fix = "add ladder: [5m, 1d, 30d, 2y], or remove step"
            yield Problem("a step needs a ladder", fix, (*path, "step"))
        return
    ladder, where = rule.ladder, (*path, "ladder")
    if rule.names != (HEADER,):
        fix = "remove ladder, or make a rule for that header alone"
        yield Problem("a ladder is for Strict-Transport-Security", fix, where)
        return
    if rule.action not in (None, "set", "default"):
        message = f"a ladder writes its value; rule {name!r} has action {rule.action!r}"
        yield Problem(message, "use action: set or default", where)
    for position, (lower, upper) in enumerate(pairwise(ladder)):
        if lower >= upper:
            message = f"a ladder goes up: {age_text(upper)} comes after {age_text(lower)}"
            fix = "write the shortest first, as [5m, 1d, 30d, 2y]"
            yield Problem(message, fix, (*where, position + 1))
    if rule.step is not None and rule.step > len(ladder):
        message = f"step {rule.step} is above the ladder, which has {counted(len(ladder), 'step')}"
        yield Problem(message, f"write 1 to {len(ladder)}", (*path, "step"))
    if not isinstance(rule.value, dict) and _split(rule.value)[0]:
        message = "the ladder says max-age, and so does the value"
        fix = "leave max-age out of the value, as value: includeSubDomains, or remove the ladder"
        yield Problem(message, fix, (*path, "value"))


def _split(value: str | None) -> tuple[list[str], list[str]]:
    """The directives of a value that say max-age, and the others."""
    pieces = [piece.strip() for piece in (value or "").split(";") if piece.strip()]
    ages = [piece for piece in pieces if _AGE.match(piece)]
    return ages, [piece for piece in pieces if piece not in ages]


def without_age(value: str) -> str | None:
    """A value of Strict-Transport-Security without its max-age; None when nothing is left."""
    return "; ".join(_split(value)[1]) or None


def climbed(rule: Rule) -> Rule:
    """A rule without problems as it stands on its step: its value has the step's max-age."""
    if rule.ladder is None or isinstance(rule.value, dict):
        return rule
    step = rule.step or 1
    rest = _split(rule.value)[1]
    value = "; ".join([f"max-age={rule.ladder[step - 1]}", *rest])
    return rule.model_copy(update={"value": value, "step": step})


def described(rule: Rule) -> str:
    """Where a rule stands on its ladder: `step 2 of 4 (1d)`; "" where it has none."""
    if rule.ladder is None:
        return ""
    step = rule.step or 1
    return f"step {step} of {len(rule.ladder)} ({age_text(rule.ladder[step - 1])})"


def transport(facts: Facts, fetch: Fetch) -> Outcome:
    """What a request shows of its host: https is safe, http is plain, unsure is unknown.

    Https is what our own TLS or a trusted proxy says. Plain http counts where a proxy in front says
    so; a proxy that says https and is not trusted, or says nothing, leaves it open. Only browsers
    keep the promise.
    """
    if not fetch.browser:
        return "irrelevant"
    if facts.scheme == "https":
        return "safe"
    return "plain" if _claimed(facts) == b"http" else "unknown"


def _claimed(facts: Facts) -> bytes:
    """The scheme that the nearest proxy claims, in lower case; empty = none."""
    said = forwarded = b""
    for name, value in facts.request:
        key = name.lower()
        if key == b"x-forwarded-proto":
            said = value.rpartition(b",")[2].strip().lower()
        elif key == b"forwarded" and (found := _PROTO.findall(value)):
            forwarded = found[-1].lower()
    return said or forwarded
