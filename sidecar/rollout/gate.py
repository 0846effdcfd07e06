"""The gate: what has been seen of a rule, and the verdict against stated minimums.

Lives here: `Evidence`, `Minimums`, `judge`. Must not know where the numbers come from: `evidence` reads this
process's counters, `prometheus` those of a fleet.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, TypeAlias

from sidecar.policy.model import MODES, Mode

Outcome: TypeAlias = Literal["pass", "fail", "inconclusive"]

_ADD, _REMOVE = ("missing",), ("forbidden",)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one rule on one route has seen since `since` (epoch seconds): answers, and kinds of violation.

    `affected` answers had at least one violation. `outcomes` counts what requests say would have broken;
    empty where they cannot say.
    """

    route: str
    rule: str
    mode: Mode
    since: float
    evaluated: float
    affected: float
    kinds: Mapping[str, float] = field(default_factory=dict)
    outcomes: Mapping[str, float] = field(default_factory=dict)

    @property
    def right(self) -> float:
        """Answers that were right already."""
        return self.evaluated - self.affected

    def data(self) -> dict[str, Any]:
        """For JSON: the fields, and what they mean for the answers."""
        replaced = sum(count for kind, count in self.kinds.items() if kind not in (*_ADD, *_REMOVE))
        told = {"add": self.kinds.get("missing", 0.0), "replace": replaced, "remove": self.kinds.get("forbidden", 0.0)}
        return {**asdict(self), "kinds": dict(self.kinds), "outcomes": dict(self.outcomes), "right": self.right, "would": told}


@dataclass(frozen=True, slots=True)
class Minimums:
    """What must have been seen before a rule may enforce; `time` in seconds, `breaks` is a budget."""

    requests: int = 1000
    time: float = 86_400.0
    routes: int = 1
    breaks: int = 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pass, fail, or not enough known; every reason with its numbers, which are those of the moment `at` (epoch seconds)."""

    rule: str
    outcome: Outcome
    reasons: tuple[str, ...]
    evaluated: float
    elapsed: float
    breaks: float
    unknown: float
    at: float


def judged(rule: str, evidence: Iterable[Evidence]) -> list[Evidence]:
    """What decides on a rule: what it saw where it only reported; what it saw in enforce, where it reports nowhere.

    A fleet's numbers hold both for a while after a rule was taken back, and the few minutes in which it
    enforced say nothing of how long it was watched.
    """
    own = [item for item in evidence if item.rule == rule]
    return [item for item in own if item.mode == "report-only"] or [item for item in own if item.mode == "enforce"]


def judge(rule: str, evidence: Iterable[Evidence], minimums: Minimums, at: float) -> Verdict:
    """The gate for one rule over all its routes, on evidence of the moment `at`."""
    live = judged(rule, evidence)
    evaluated = sum(item.evaluated for item in live)
    elapsed = min((at - item.since for item in live), default=0.0)
    seen = [item.route for item in live if item.evaluated > 0]
    breaks = sum(item.outcomes.get("break", 0.0) for item in live)
    unknown = sum(item.outcomes.get("unknown", 0.0) for item in live)
    failing: list[str] = []
    lacking: list[str] = []
    met: list[str] = []
    if not live:
        lacking.append("the rule is not judged on any route (unknown, or off)")
    (failing if breaks > minimums.breaks else met).append(f"{breaks:g} requests would have broken, {minimums.breaks} are allowed")
    (lacking if evaluated < minimums.requests else met).append(f"{evaluated:g} answers judged, {minimums.requests} are needed")
    (lacking if elapsed < minimums.time else met).append(f"watched for {span(elapsed)}, {span(minimums.time)} are needed")
    (lacking if len(seen) < minimums.routes else met).append(f"seen on {len(seen)} of {len(live)} routes, {minimums.routes} are needed")
    unseen = [item.route for item in live if item.route not in seen]
    notes = [f"no answer yet on route {', '.join(unseen)}"] if unseen and seen else []
    if unknown:
        notes.append(f"{unknown:g} requests do not say where they came from")
    outcome: Outcome = "fail" if failing else "inconclusive" if lacking else "pass"
    return Verdict(rule, outcome, (*failing, *lacking, *met, *notes), evaluated, elapsed, breaks, unknown, at)


def parse_mode(text: str) -> Mode:
    """A mode's word as it stands in a label; anything else counts as report-only."""
    return next((mode for mode in MODES if mode == text), "report-only")


def from_data(data: Mapping[str, Any]) -> Evidence:
    """Evidence from what `Evidence.data` said, as the admin API sends it."""
    numbers = {key: data[key] for key in ("since", "evaluated", "affected", "kinds", "outcomes")}
    return Evidence(data["route"], data["rule"], parse_mode(data["mode"]), **numbers)


def span(seconds: float) -> str:
    """Seconds for people: 45s, 12m, 5h 30m, 2d 3h."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m"
    big, small = ((whole // 3600, "h"), (whole % 3600 // 60, "m")) if whole < 86_400 else ((whole // 86_400, "d"), (whole % 86_400 // 3600, "h"))
    return f"{big[0]}{big[1]} {small[0]}{small[1]}" if small[0] else f"{big[0]}{big[1]}"
