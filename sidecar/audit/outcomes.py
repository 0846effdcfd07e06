"""The twelve tests of the MDN HTTP Observatory, their outcomes, points and grades.

The points are those that MDN published with algorithm 6. Source:
https://developer.mozilla.org/en-US/observatory/docs/tests_and_scoring
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from sidecar.policy.data import read_table

START = 100
MIN_BEFORE_BONUS = 90
"""Bonuses count only where the penalties leave at least this."""

OUTCOMES: Mapping[str, Mapping[str, int]] = read_table("sidecar.audit", "outcomes.json")
"""What each of the twelve tests can come to, and the points that this adds to the score; where
several outcomes are found, the last of them counts.
"""
POINTS = {name: points for found in OUTCOMES.values() for name, points in found.items()}

_BOUNDS = (100, 90, 85, 80, 70, 65, 60, 50, 45, 40, 30, 25, 0)
_NAMES = ("A+", "A", "A-", "B+", "B", "B-", "C+", "C", "C-", "D+", "D", "D-", "F")
GRADES = tuple(zip(_BOUNDS, _NAMES, strict=True))
"""The least score of each grade, best first."""


def worst(test: str, found: Iterable[str]) -> str:
    """The outcome that counts of several."""
    return max(found, key=list(OUTCOMES[test]).index)


def score(outcomes: Iterable[str]) -> int:
    """100 less all penalties, plus the bonuses where at least 90 are left; never below 0."""
    points = [POINTS[outcome] for outcome in outcomes]
    base = START + sum(number for number in points if number < 0)
    bonus = sum(number for number in points if number > 0) if base >= MIN_BEFORE_BONUS else 0
    return max(base + bonus, 0)


def grade(points: int) -> str:
    """The grade of a score of 0 or more."""
    return next(name for least, name in GRADES if points >= least)


def is_at_least(reached: str, wanted: str) -> bool:
    """Whether a grade is as good as another."""
    return _NAMES.index(reached) <= _NAMES.index(wanted)
