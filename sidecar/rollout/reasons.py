"""Reasons of a verdict; their texts, and the steps to take next, are in `reasons.json`."""

from __future__ import annotations

from collections.abc import Mapping

from sidecar.policy.data import read_table
from sidecar.policy.words import counted, number
from sidecar.rollout.model import Outcome

_ROWS: Mapping[str, Mapping[str, str]] = read_table("sidecar.rollout", "reasons.json")


class _Count(float):
    """A number in a text: with a noun, as in `{held:request}`, or alone."""

    def __format__(self, noun: str) -> str:
        return counted(self, noun) if noun else number(self)


def _said(code: str, key: str, words: Mapping[str, str | float]) -> str:
    named = {name: word if isinstance(word, str) else _Count(word) for name, word in words.items()}
    return _ROWS[code].get(key, "").format(**named)


class Reasons:
    """Reasons as they are found: `failing` ones and `lacking` ones, those that are `met`, `notes`.

    Each has a row in the table, whose text and step take the `words`. `remedies` and `steps` belong
    to those that fail and lack.
    """

    def __init__(self) -> None:
        self.failing: list[str] = []
        self.remedies: list[str] = []
        self.lacking: list[str] = []
        self.met: list[str] = []
        self.notes: list[str] = []
        self.steps: list[str] = []

    def fail(self, code: str, **words: str | float) -> None:
        """Add a reason against the rule."""
        self.failing.append(_said(code, "text", words))
        self.remedies.append(_said(code, "step", words))

    def lack(self, code: str, *, step: str = "", **words: str | float) -> None:
        """Add something that is not known yet; `step` replaces that of the table."""
        self.lacking.append(_said(code, "text", words))
        self.steps.append(step or _said(code, "step", words))

    def meet(self, code: str, **words: str | float) -> None:
        """Add a demand that is met."""
        self.met.append(_said(code, "text", words))

    def note(self, code: str, **words: str | float) -> None:
        """Add what is good to know."""
        self.notes.append(_said(code, "text", words))

    def at_least(
        self, held: float, needed: float, code: str, *, step: str = "", **words: str | float
    ) -> None:
        """Add a minimum, which is met or lacking."""
        words = {"held": held, "needed": needed, **words}
        if held < needed:
            self.lack(code, step=step, **words)
        else:
            self.meet(code, **words)

    def outcome(self) -> Outcome:
        """The outcome so far."""
        return "fail" if self.failing else "inconclusive" if self.lacking else "pass"

    def texts(self) -> tuple[str, ...]:
        """All reasons, the decisive ones first."""
        return (*self.failing, *self.lacking, *self.met, *self.notes)


def step_of(code: str) -> str:
    """The step that a row of the table names."""
    return _ROWS[code]["step"]
