"""Where the gate writes its reasons down."""

from __future__ import annotations

from sidecar.rollout.testimony import Outcome


class Sheet:
    """Reasons as they are found: `failing` ones, `lacking` ones with what to do next, and those
    that are met.
    """

    def __init__(self) -> None:
        self.failing: list[str] = []
        self.remedies: list[str] = []
        self.lacking: list[str] = []
        self.met: list[str] = []
        self.notes: list[str] = []
        self.steps: list[str] = []

    def fail(self, reason: str, remedy: str) -> None:
        self.failing.append(reason)
        self.remedies.append(remedy)

    def lack(self, reason: str, step: str) -> None:
        self.lacking.append(reason)
        self.steps.append(step)

    def at_least(self, held: float, wanted: float, text: str, step: str) -> None:
        if held < wanted:
            self.lack(text, step)
        else:
            self.met.append(text)

    def outcome(self) -> Outcome:
        return "fail" if self.failing else "inconclusive" if self.lacking else "pass"

    def reasons(self) -> tuple[str, ...]:
        return (*self.failing, *self.lacking, *self.met, *self.notes)
