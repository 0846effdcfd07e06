"""How much of the long tests runs: a small part, or with `TESTS_FULL=1`, as in CI, all of it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import pytest

FULL = bool(os.environ.get("TESTS_FULL"))
SEARCH = int(os.environ.get("TESTS_SEARCH", "0"))
"""How many times as many random examples as the full run tries; 0: no search."""
full = pytest.mark.full
T = TypeVar("T")


def examples(thorough: int) -> int:
    """How many random examples to try, where `thorough` is the number of the full run."""
    if SEARCH:
        return thorough * SEARCH
    return thorough if FULL else max(10, thorough // 10)


def by_default(cases: Iterable[T], chosen: Callable[[T], bool]) -> list[Any]:
    """Parameters for all cases, of which only the chosen ones run without `TESTS_FULL=1`."""
    return [
        (
            case
            if chosen(case)
            else pytest.param(*(case if isinstance(case, tuple) else (case,)), marks=full)
        )
        for case in cases
    ]
