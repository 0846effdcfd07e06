"""The data of the gate: evidence, minimums, reasons, verdicts, and how JSON becomes them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeAlias, TypeVar

from pydantic import Field, ValidationError

from sidecar.policy.data import read_table
from sidecar.policy.terms import MODES, Mode
from sidecar.policy.values import age_text
from sidecar.policy.words import counted, number

if TYPE_CHECKING:
    from pydantic import TypeAdapter


Outcome: TypeAlias = Literal["pass", "fail", "inconclusive"]
Doubt: TypeAlias = Literal["", "unnamed", "differs", "elsewhere", "series", "file"]
"""Why numbers may be of something else than the rule that they are judged for; "" = they are not.
Each has a row in `reasons.json`.
"""
Count: TypeAlias = Annotated[float, Field(ge=0, allow_inf_nan=False)]
"""What is read as JSON is checked by the types below."""
_Read = TypeVar("_Read")
CauseKind: TypeAlias = Literal["served", "script", "unserved", "unexplained", "noise"]

_Text: TypeAlias = Annotated[str, Field(max_length=2_000)]
_Texts: TypeAlias = Annotated[tuple[_Text, ...], Field(max_length=8)]
"""As they may come from other replicas."""


@dataclass(frozen=True, slots=True)
class Cause:
    """Reports that say the same; `first`, `last` in epoch seconds; `clients` counts up to 16."""

    id: _Text
    route: _Text
    rule: _Text
    kind: CauseKind
    type: _Text
    directive: _Text
    blocked: _Text
    """Scheme, host and path of what was blocked, or a keyword: inline, eval, data."""
    sample: _Text
    """First characters of inline code."""
    source: _Text
    """The script that caused it; "" when none is named."""
    pages: _Texts
    count: Annotated[int, Field(ge=0)]
    clients: Annotated[int, Field(ge=0)]
    engines: _Texts
    first: Count
    last: Count
    why: _Text
    origin: _Text
    """Scheme, host and port of the page; "" where the report named none."""
    addresses: _Texts
    """What was blocked, as `blocked`: up to 8 different ones of the same origin."""


@dataclass(frozen=True, slots=True)
class TrialEvidence:
    """What browsers said of one rule on one route while it was in trial.

    `loads` are page loads that carried the report-only header in a browser that reports it;
    `settled` are those of them whose reports have had time to come. `canaries` maps an engine to
    (settled ones sent, returned), `engines` to its page loads in trial: both are of all rules of
    the process. `reports` counts reports by kind of cause; `causes` are they themselves.
    `settle` is how many seconds reports may take.
    """

    loads: Count = 0.0
    settle: Count = 0.0
    settled: Count = 0.0
    canaries: Mapping[str, tuple[Count, Count]] = field(default_factory=dict)
    reports: Mapping[str, Count] = field(default_factory=dict)
    causes: Sequence[Cause] = ()
    engines: Mapping[str, Count] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Climb:
    """Where a rule stands on its ladder: `step` counts from 1, `ages` are seconds.

    `kept` is the age that browsers keep longest of all that was sent, `until` when the last of them
    forgets it (epoch seconds); 0 where nothing was sent.
    """

    step: int
    ages: tuple[int, ...]
    kept: int = 0
    until: Count = 0.0

    @property
    def top(self) -> bool:
        """Whether there is no step above."""
        return self.step >= len(self.ages)

    def promise(self, at: float) -> str:
        """What browsers go on keeping whatever is sent from `at` on, in two sentences; "" where
        nothing is kept.
        """
        if self.until <= at:
            return ""
        end = datetime.fromtimestamp(self.until, UTC).isoformat(sep=" ", timespec="minutes")
        return (
            f"browsers that were here keep to https for {age_text(self.kept)}, the last until"
            f" {end}; who comes again over https gets what is sent then. To take it back for real,"
            " send max-age=0 over https: write `value: max-age=0` in place of the ladder"
        )

    def __str__(self) -> str:
        return f"step {self.step} of {len(self.ages)} ({age_text(self.ages[self.step - 1])})"


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one rule on one route has seen since `since` (epoch seconds): responses, and kinds of
    violation.

    `affected` responses had at least one violation. `outcomes` counts what requests say would have
    broken; empty where they cannot say. `witnesses` say who can tell whether the rule breaks the
    site, as data.
    """

    route: str
    rule: str
    mode: Mode
    since: Count
    evaluated: Count
    affected: Count
    kinds: Mapping[str, Count] = field(default_factory=dict)
    outcomes: Mapping[str, Count] = field(default_factory=dict)
    witnesses: Sequence[Mapping[str, str]] = ()
    trial: TrialEvidence = field(default_factory=TrialEvidence)
    climb: Climb | None = None
    """Of a rule with a ladder."""
    demand: str = ""
    """Equal where the rule demands the same on two routes; "" where that is not known."""
    subject: str = ""
    """Equal where the same is demanded of the same responses (`demand` of `sidecar_rule_info`); ""
    where that is not known.
    """
    doubt: Doubt = ""
    unseen: Count = 0.0
    """Seconds since it is as it is now in which Prometheus saw no sidecar; `since` leaves them
    out.
    """
    replacing: Sequence[Mapping[str, str]] = ()
    """Witnesses that are needed besides where lines of the service are replaced, as data."""
    examples: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Some of the requests that it would break, or may, by outcome; none of a fleet's that
    Prometheus sums.
    """

    @property
    def right(self) -> float:
        """Responses that were right already."""
        return self.evaluated - self.affected

    def witnessed(self) -> Evidence:
        """The same, with the witnesses that its kinds of violation ask for."""
        if not self.replacing or not self.kinds.keys() - {"missing"}:
            return self
        both = (*self.witnesses, *(one for one in self.replacing if one not in self.witnesses))
        return replace(self, witnesses=both)

    def data(self) -> dict[str, Any]:
        """For JSON: the fields, and what they mean for the responses."""
        replaced = sum(
            count for kind, count in self.kinds.items() if kind not in ("missing", "forbidden")
        )
        would = {
            "add": self.kinds.get("missing", 0.0),
            "replace": replaced,
            "remove": self.kinds.get("forbidden", 0.0),
        }
        return {**asdict(self), "right": self.right, "would": would}


@dataclass(frozen=True, slots=True)
class GatheredEvidence:
    """The evidence, the moment of which it is (epoch seconds), and whose it is."""

    found: Sequence[Evidence]
    at: float
    source: str
    """Whose the numbers are: the URL of a sidecar or of Prometheus, or so many replicas of a
    fleet.
    """
    silent: Sequence[str] = ()
    """Replicas that are there and did not say what they saw."""
    queries: Mapping[str, str] = field(default_factory=dict)
    """By rule: what was asked of Prometheus. The same query at the same moment gives the same
    number.
    """

    def rows(self, verdicts: Sequence[Verdict]) -> list[dict[str, Any]]:
        """Verdicts on this evidence as data, each with whom was asked and what."""
        return [
            {**asdict(one), "source": self.source, "query": self.queries.get(one.rule)}
            for one in verdicts
        ]


@dataclass(frozen=True, slots=True)
class Minimums:
    """What must have been seen before a rule may enforce; `time` in seconds, `breaks` is a budget.

    `requests` counts what the rule's witness saw: page loads in browsers that report, requests of
    browsers that say where they come from; for a rule that is harmless by nature, responses.
    """

    requests: int = 1000
    time: float = 86_400.0
    routes: int = 1
    breaks: int = 0
    https: float = 0.99
    """Of a rule with a ladder: the share of browsers' requests that must come over https."""

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Minimums:
        """Minimums from data; what it does not name stays as it is.

        Raises:
            ValueError: there is no such minimum, or it is no number from 0 on.
        """
        known = asdict(cls())
        for key, value in data.items():
            if key not in known:
                raise ValueError(f"unknown minimum {key[:64]!a}; known: {', '.join(known)}")
            if type(value) not in (int, float) or not 0 <= value < math.inf:
                raise ValueError(f"the minimum {key} must be a number from 0 on")
        return cls(**data)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Pass, fail, or not enough known; every reason with its numbers, which are those of the
    moment `at` (epoch seconds).
    """

    rule: str
    outcome: Outcome
    reasons: tuple[str, ...]
    next: str
    """What to do now, in one sentence; "" after a pass."""
    evaluated: float
    elapsed: float
    breaks: float
    unknown: float
    at: float
    witnesses: tuple[str, ...] = ()
    """Kinds of witness that the rule needs."""
    observed: float = 0.0
    """Page loads or requests that the witness could judge."""
    canaries: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Of each engine, how many canaries were sent and how many came back."""
    bound: float | None = None
    """At most this share of page loads is broken, at 95 % confidence; None where browsers did
    not say.
    """
    causes: tuple[str, ...] = ()
    """Ids of the causes that stand against the rule."""


def parse_mode(text: str) -> Mode:
    """A mode's word as it stands in a label; anything else counts as report-only."""
    return next((mode for mode in MODES if mode == text), "report-only")


def gathered(data: Mapping[str, Any]) -> GatheredEvidence:
    """Evidence from its data.

    Raises:
        ValueError: it is no evidence.
    """
    try:
        return read(GatheredEvidence, data)
    except ValidationError as error:
        raise ValueError("the evidence is none of `sidecar evidence`") from error


def read(kind: type[_Read], data: object) -> _Read:
    """A dataclass from its data; raises ValueError where it is none."""
    made: _Read = _adapter(kind).validate_python(data)  # type: ignore[arg-type]
    return made


@cache
def _adapter(kind: type) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter  # with the first evidence that is read

    return TypeAdapter(kind)


def span(seconds: float) -> str:
    """Seconds for people: 45s, 12m, 5h 30m, 2d 3h."""
    whole = int(seconds)
    for size, unit, part, rest in ((86_400, "d", 3600, "h"), (3600, "h", 60, "m")):
        if whole >= size:
            left = whole % size // part
            return f"{whole // size}{unit} {left}{rest}" if left else f"{whole // size}{unit}"
    return f"{whole // 60}m" if whole >= 60 else f"{whole}s"


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
