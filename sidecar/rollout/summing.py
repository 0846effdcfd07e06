"""The evidence of several replicas as one, added up for each rule; causes are joined by id.

Their data may be anything: a row that is not evidence is left out.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple, TypeAlias

from sidecar.policy.browsers.reports import RANKS
from sidecar.policy.words import counted, visible
from sidecar.rollout.causes import MAX_OF_RULE
from sidecar.rollout.model import Cause, Climb, Evidence, TrialEvidence, read
from sidecar.telemetry.rule_counters import EXAMPLES

Row: TypeAlias = Mapping[str, Any]
"""One line of what `EvidenceStore.shared` gives."""
Meanings: TypeAlias = Mapping[tuple[str, str], str]

_CLIENTS, _PAGES, _ADDRESSES, _ENGINES = 16, 5, 8, 3
_LONGEST = 200
"""Characters of an example that are kept."""


def source(fleet: Mapping[str, Any]) -> str:
    """Whose evidence it is that the replicas of a fleet have summed, in words."""
    responded = fleet["alive"] - len(fleet["silent"])
    gone = f", and {fleet['gone']} that are gone" if fleet["gone"] else ""
    return f"{counted(responded, 'replica')} of fleet {fleet['name']}{gone}"


class Watch(NamedTuple):
    """For how many seconds one replica watched a rule: in all, and without a break up to `at`, by
    the clock of the store. Replicas' own clocks may differ.
    """

    watched: float
    run: float
    at: float


def rows_of(
    seen: object, meanings: Meanings, at: float
) -> tuple[list[Evidence], dict[tuple[str, str], Watch]]:
    """What one replica saw of the rules as they are now, and for how long it watched each; `seen`
    as it came from the store, `at` when it said so.
    """
    found, watches = [], {}
    for row in seen if isinstance(seen, list) else ():
        try:
            place, watched, run = (row["route"], row["rule"]), row.get("watched"), row.get("run")
            if row["meaning"] != meanings.get(place):
                continue
            found.append(_read(row))
            if 0 <= run <= watched < math.inf:
                watches[place] = Watch(watched, run, at)
        except (KeyError, TypeError, ValueError):
            continue
    return found, watches


def together(watches: Iterable[Watch]) -> float:
    """For how many seconds at least one of several replicas watched: what they watched at the same
    time counts once, and what nobody did not at all.
    """
    every = list(watches)
    joined, end = 0.0, -math.inf
    for start, at in sorted((one.at - one.run, one.at) for one in every):
        joined += max(0.0, at - max(start, end))
        end = max(end, at)
    return max(joined, *(one.watched for one in every), 0.0)


def summed(
    own: Sequence[Evidence],
    others: Iterable[Evidence],
    watched: Mapping[tuple[str, str], float] | None = None,
    now: float = 0.0,
) -> list[Evidence]:
    """This replica's evidence with that of the others; `watched` says for how many seconds until
    `now` each rule was watched by any (see `together`).
    """
    by_place = _by_place(others)
    found = [_sum(item, by_place.get((item.route, item.rule), [])) for item in own]
    since = {place: now - seconds for place, seconds in (watched or {}).items()}
    return [
        replace(item, since=min(item.since, since.get((item.route, item.rule), item.since)))
        for item in found
    ]


def with_causes(own: Sequence[Evidence], others: Iterable[Evidence]) -> list[Evidence]:
    """This replica's evidence, with the causes that browsers reported to any."""
    by_place, found = _by_place(others), []
    for item in own:
        every = [item, *by_place.get((item.route, item.rule), [])]
        causes = merged(cause for one in every for cause in one.trial.causes)
        found.append(replace(item, trial=replace(item.trial, causes=causes)))
    return found


def _by_place(items: Iterable[Evidence]) -> dict[tuple[str, str], list[Evidence]]:
    found: dict[tuple[str, str], list[Evidence]] = {}
    for item in items:
        found.setdefault((item.route, item.rule), []).append(item)
    return found


def merged(causes: Iterable[Cause]) -> list[Cause]:
    """Causes by id, the site's own first, the most frequent first; any replica's page explains."""
    by_id: dict[str, Cause] = {}
    for cause in causes:
        held = by_id.get(cause.id)
        by_id[cause.id] = cause if held is None else _joined(held, cause)
    order = sorted(by_id.values(), key=lambda one: (RANKS[one.kind], -one.count, one.id))
    return order[:MAX_OF_RULE]


def _joined(one: Cause, other: Cause) -> Cause:
    first, second = sorted((one, other), key=lambda cause: RANKS[cause.kind])
    return replace(
        first,
        count=one.count + other.count,
        clients=min(_CLIENTS, one.clients + other.clients),
        first=min(one.first, other.first),
        last=max(one.last, other.last),
        pages=_both(first.pages, second.pages, _PAGES),
        engines=_both(first.engines, second.engines, _ENGINES),
        addresses=_both(first.addresses, second.addresses, _ADDRESSES),
    )


def _both(first: Iterable[str], second: Iterable[str], most: int) -> tuple[str, ...]:
    return tuple(dict.fromkeys([*first, *second]))[:most]


def _sum(own: Evidence, others: Sequence[Evidence]) -> Evidence:
    every = [own, *others]
    trials = [item.trial for item in every]
    return replace(
        own,
        evaluated=sum(item.evaluated for item in every),
        affected=sum(item.affected for item in every),
        kinds=_added(item.kinds for item in every),
        outcomes=_added(item.outcomes for item in every),
        trial=TrialEvidence(
            sum(trial.loads for trial in trials),
            own.trial.settle,
            sum(trial.settled for trial in trials),
            _canaries(trials),
            _added(trial.reports for trial in trials),
            merged(cause for trial in trials for cause in trial.causes),
            _added(trial.engines for trial in trials),
        ),
        climb=_climb(every),
        examples=_examples(every),
    ).witnessed()


def _added(counts: Iterable[Mapping[str, float]]) -> dict[str, float]:
    found: dict[str, float] = {}
    for one in counts:
        for key, value in one.items():
            found[key] = found.get(key, 0.0) + value
    return found


def _examples(every: Iterable[Evidence]) -> dict[str, Sequence[str]]:
    """The first of all replicas; other replicas may have sent anything."""
    found: dict[str, Sequence[str]] = {}
    for item in every:
        for outcome in ("break", "open"):
            known = (*found.get(outcome, ()), *item.examples.get(outcome, ()))
            shown = (visible(text[:_LONGEST]) for text in known)
            found[outcome] = tuple(dict.fromkeys(shown))[:EXAMPLES]
    return {outcome: texts for outcome, texts in found.items() if texts}


def _canaries(trials: Iterable[TrialEvidence]) -> dict[str, tuple[float, float]]:
    found: dict[str, tuple[float, float]] = {}
    for trial in trials:
        for engine, (sent, returned) in trial.canaries.items():
            held = found.get(engine, (0.0, 0.0))
            found[engine] = held[0] + sent, held[1] + returned
    return found


def _climb(every: Sequence[Evidence]) -> Climb | None:
    """This replica's step; the promise that browsers keep longest, whoever sent it."""
    own, known = every[0].climb, [item.climb for item in every if item.climb is not None]
    if own is None:
        return None
    longest = max(known, key=lambda climb: climb.until)
    return replace(own, kept=longest.kept, until=longest.until)


def _read(row: Row) -> Evidence:
    """A row as evidence; raises ValueError for others."""
    item = read(Evidence, row)
    place = item.route, item.rule
    own = [one for one in item.trial.causes[:MAX_OF_RULE] if (one.route, one.rule) == place]
    return replace(item, witnesses=(), trial=replace(item.trial, causes=own))
